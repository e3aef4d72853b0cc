"""The page /payment/demo, its files and what it may load."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from rtserver.app.openapi import openapi
from rtserver.payments import items
from rtserver.simulator.nonces import FAKE
from rtserver.simulator.processor import Status, authorization
from rtserver.web.accounts.answers import POLICY
from rtserver.web.accounts.templates import BrokenTemplate
from rtserver.web.payments import PaymentPages
from rtserver.web.payments.policy import policy
from rtserver.web.payments.samples import ITEMS, NONCES, put_items
from rtserver.web.payments.static import static_endpoints
from rtserver.web.payments.templates import DROPIN, OWN
from tests.deadline import deadline
from tests.web.payments.house import OPTIONS, PAGES, till_in

PATH = "/payment/demo"
SANDBOX = replace(OPTIONS, mode="sandbox")
PRODUCTION = replace(OPTIONS, mode="production")


@deadline(10)
async def test_who_is_not_signed_in_is_led_to_the_sign_in_and_back(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        answer = await till.web.browser().get(PATH)
        assert (answer.status, answer.header("location")) == (303, "/auth/sign-in?next=/payment/demo")


@deadline(10)
async def test_with_the_simulator_the_page_offers_test_nonces_and_loads_nothing_of_others(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        answer = await (await till.ada()).get(PATH)
        assert (answer.status, answer.header("content-security-policy")) == (200, POLICY)
        for each in NONCES:
            assert f'value="{each.nonce}"' in answer.text
        assert answer.text.count('class="test">TEST') == len(NONCES) + 1
        assert "dropin" not in answer.text and 'id="card"' not in answer.text


@pytest.mark.parametrize(("options", "marks"), [(SANDBOX, 1), (PRODUCTION, 0)])
@deadline(10)
async def test_with_a_gateway_the_page_has_the_card_form_and_no_test_nonce(
    tmp_path: Path, options: Any, marks: int
) -> None:
    async with till_in(tmp_path, options) as till:
        answer = await (await till.ada()).get(PATH)
        assert 'id="card"' in answer.text and 'id="card-again"' in answer.text
        assert answer.text.count('class="test">TEST') == marks
        assert "nonce-" not in answer.text and "fake-" not in answer.text
        assert answer.header("content-security-policy") == policy(options)


@pytest.mark.parametrize("options", [OPTIONS, SANDBOX, PRODUCTION])
@deadline(10)
async def test_there_is_no_card_field_no_script_and_no_style_in_the_page(tmp_path: Path, options: Any) -> None:
    async with till_in(tmp_path, options) as till:
        text = (await (await till.ada()).get(PATH)).text
        kinds = set(re.findall(r'<input[^>]* type="(\w+)"', text))
        assert kinds <= {"radio", "checkbox", "hidden"}
        assert re.findall(r"<script(?![^>]*\ssrc=)", text) == []
        assert "<style" not in text and " style=" not in text and " onclick=" not in text


@deadline(10)
async def test_staff_sees_everybodys_orders_and_other_people_do_not(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada, keeper = (await (await till.ada()).get(PATH)).text, (await (await till.keeper()).get(PATH)).text
        assert 'id="all-orders"' in keeper and 'data-staff-channel="staff:payments"' in keeper
        assert 'id="all-orders"' not in ada and 'data-staff-channel=""' in ada


@deadline(10)
async def test_the_page_knows_the_channel_of_its_person(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        id = (await ada.read("/auth/session")).json["user"]["id"]
        text = (await ada.get(PATH)).text
        assert f'data-channel="user:{id}"' in text
        assert f'data-csrf="{ada.csrf}"' in text
        assert 'data-websocket="/connection/websocket"' in text


@deadline(10)
async def test_without_the_files_of_the_card_form_the_page_does_not_ask_for_them(tmp_path: Path) -> None:
    pages = PaymentPages(vendor=tmp_path)
    async with till_in(tmp_path, SANDBOX, pages) as till:
        text = (await (await till.ada()).get(PATH)).text
        assert "/payment/static/dropin.js" not in text and 'data-form=""' in text
        assert [each.path for each in static_endpoints(pages)] == [f"/payment/static/{name}" for name in OWN]


@deadline(10)
async def test_every_file_that_the_page_names_is_there(tmp_path: Path) -> None:
    async with till_in(tmp_path, SANDBOX) as till:
        browser = await till.ada()
        text = (await browser.get(PATH)).text
        names = set(re.findall(r'(?:src|href)="(/(?:payment|auth)/static/[^"]+)"', text))
        found = {f"/payment/static/{name}" for name in OWN if name.endswith(".js")}
        names |= {f"/payment/static/{name}" for each in found for name in _imports(await _text(browser, each))}
        for name in names | found:
            assert ((await browser.get(name)).status, name) == (200, name)


async def _text(browser: Any, path: str) -> str:
    return str((await browser.get(path)).text)


def _imports(script: str) -> list[str]:
    return re.findall(r'from "\./([\w.]+)"', script)


@deadline(10)
async def test_files_are_compressed_for_who_takes_it_and_known_by_their_tag(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        browser = till.web.browser()
        plain = await browser.get("/payment/static/pay.js")
        packed = await browser.get("/payment/static/pay.js", **{"Accept-Encoding": "gzip"})
        assert packed.header("content-encoding") == "gzip" and gzip.decompress(packed.body) == plain.body
        tag = plain.header("etag") or ""
        assert (await browser.get("/payment/static/pay.js", **{"If-None-Match": tag})).status == 304
        assert plain.header("cache-control") == "no-cache"


@deadline(10)
async def test_the_card_form_is_served_from_here(tmp_path: Path) -> None:
    for name in DROPIN:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(name.encode()))
    async with till_in(tmp_path, SANDBOX, PaymentPages(vendor=tmp_path)) as till:
        for name, kind in DROPIN.items():
            answer = await till.web.browser().get(f"/payment/static/{name}")
            assert (answer.text, answer.header("content-type")) == (name, kind)


@pytest.mark.parametrize("mode", ["sandbox", "production"])
@pytest.mark.parametrize("is_secure", [False, True])
def test_the_page_may_load_from_braintree_and_from_nobody_else(mode: Any, is_secure: bool) -> None:
    found = policy(replace(OPTIONS, mode=mode, needs_3d_secure=is_secure))
    rules = {name: values.split() for name, _, values in (rule.partition(" ") for rule in found.split("; "))}
    hosts = {value for values in rules.values() for value in values if value.startswith("https://")}
    families = (".braintreegateway.com", ".braintree-api.com", ".paypal.com", *((".cardinalcommerce.com",) * is_secure))
    assert all(each.endswith(families) for each in hosts)
    assert any(each.endswith("cardinalcommerce.com") for each in hosts) == is_secure
    assert any("sandbox" in each for each in hosts) == (mode == "sandbox")
    assert rules["default-src"] == ["'none'"] and "'unsafe-inline'" not in rules["script-src"] + rules["style-src"]
    assert rules["frame-ancestors"] == ["'none'"]


def test_the_test_nonces_are_known_to_the_simulator() -> None:
    assert {each.nonce for each in NONCES} <= FAKE.keys()


@deadline(10)
async def test_the_test_items_do_what_they_say_and_stand_in_the_table(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        await put_items(till.parts.database, till.parts.now)
        await put_items(till.parts.database, till.parts.now)
        for each in ITEMS:
            assert await items.find(till.parts.database, each.id) == each
    statuses = {each.price.text: authorization(Decimal(each.price.text), "credit_card").status for each in ITEMS}
    assert [price for price, status in statuses.items() if status is Status.DECLINED] == ["2000.00", "2001.00"]
    assert statuses["3000.00"] is Status.FAILED and statuses["5001.00"] is Status.REJECTED


def test_a_folder_of_ones_own_replaces_the_page(tmp_path: Path) -> None:
    (tmp_path / "payment.html").write_text('{% extends "ours/payment.html" %}{% block title %}My shop{% endblock %}')
    assert PaymentPages(str(tmp_path)).has_card_form == PAGES.has_card_form
    (tmp_path / "payment.html").write_text("{% if %}")
    with pytest.raises(BrokenTemplate, match=r"payment.html, line 1"):
        PaymentPages(str(tmp_path))


def test_a_page_of_ones_own_that_uses_what_is_not_given_is_told(tmp_path: Path) -> None:
    (tmp_path / "payment.html").write_text("{{ price }}")
    with pytest.raises(BrokenTemplate, match="price"):
        PaymentPages(str(tmp_path)).render()


@deadline(10)
async def test_the_documentation_has_every_endpoint_with_its_statuses(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        document = openapi([], title="x", version="1", endpoints=till.own)
    validate(document)
    paths = document["paths"]
    assert {"200", "202", "402", "403", "409", "422", "503"} <= paths["/payment/process/"]["post"]["responses"].keys()
    answers = paths["/payment/process/"]["post"]["responses"]
    for status in ("200", "202", "402"):
        assert answers[status]["content"]["application/json"]["schema"] == {
            "$ref": "#/components/schemas/PaymentAnswer"
        }
    assert "400" in paths["/payment/subscriptions/{id}/retry"]["post"]["responses"]
    assert {tag for path in paths.values() for each in path.values() for tag in each["tags"]} == {"payments"}
    assert not any("static" in path for path in paths)
    assert paths["/payment/webhook/"]["post"]["requestBody"]["content"].keys() == {
        "application/json",
        "application/x-www-form-urlencoded",
    }
