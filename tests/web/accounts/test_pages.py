"""Every page over HTTP with the templates themselves, its files, and what the documentation says of all this."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openapi_spec_validator import validate

from rtserver.accounts.rows import hashed
from rtserver.accounts.social import NeedsAddress
from rtserver.app.openapi import openapi
from rtserver.app.routes import Routes
from rtserver.web.accounts.endpoint import AccountEndpoint
from rtserver.web.accounts.letters import Letters
from rtserver.web.accounts.templates import STATIC, AccountPages
from rtserver.web.endpoints import EndpointsResource, Surroundings
from tests.accounts.house import PASSWORD
from tests.api_house import no_threads
from tests.deadline import deadline
from tests.line import Port
from tests.web.accounts.house import WebHouse, web_house

PAGES = AccountPages()


@pytest.mark.parametrize("path", ["/auth/sign-in", "/auth/sign-up", "/auth/forgotten", "/auth/error?code=link_used"])
@deadline(10)
async def test_pages_for_everybody(tmp_path: Path, path: str) -> None:
    async with web_house(tmp_path, PAGES) as web:
        answer = await web.browser().get(path)
        assert (answer.status, answer.header("content-type")) == (200, "text/html; charset=utf-8")
        assert answer.text.startswith("<!doctype html>")


@deadline(10)
async def test_a_form_sends_what_its_page_has_and_that_is_enough(tmp_path: Path) -> None:
    async with web_house(tmp_path, PAGES) as web:
        browser = web.browser()
        page = (await browser.get("/auth/sign-up?next=/chat")).text
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
        assert fields["next"] == "/chat"
        answer = await browser.form("/auth/sign-up", {**fields, "email": "<b>@", "password": "x"})
        assert answer.status == 422 and "&lt;b&gt;@" in answer.text and 'aria-invalid="true"' in answer.text
        answer = await browser.form("/auth/sign-up", {**fields, "email": "ada@example.org", "password": PASSWORD})
        page = (await browser.get(answer.header("location") or "")).text
        assert "ada@example.org" in page and 'data-token="{' in page
        page = (await browser.get(f"/auth/c/{await web.signed()}")).text
        assert "Confirm your address" in page
        answer = await browser.form(f"/auth/c/{await web.signed()}", fields)
        assert answer.header("location") == "/chat"
        page = (await browser.get("/auth/profile?notice=linked")).text
        assert "ada@example.org" in page and "this device" in page


@deadline(10)
async def test_the_other_pages_have_all_that_they_show(tmp_path: Path) -> None:
    async with web_house(tmp_path, PAGES) as web:
        ada = await web.person()
        await web.house._plain.run(
            "insert into rt_identities (id, user_id, provider, uid, handle, created_at, modified_at)"
            " values ('i1', ?, 'example', 'u', 'ada<3', 1000, 1000)",
            (ada.id,),
        )
        browser = await web.browser().sign_in()
        page = (await browser.get("/auth/profile")).text
        assert "Example ID" in page and "ada&lt;3" in page and "Add Other" in page
        assert (await browser.form("/auth/password", {"current": "x", "new": PASSWORD})).status == 403
        stranger = await web.browser().know()
        await stranger.form("/auth/forgotten", {"email": "ada@example.org"})
        assert "new password" in (await stranger.get(f"/auth/c/{await web.signed()}")).text
        proof = await web.house.claim()
        page = (await stranger.get(f"/auth/c/{await web.signed()}")).text
        assert "Sign in first" in page and "mallory" in page
        assert (await stranger.form(f"/auth/c/{await web.signed()}")).status == 403
        assert not (await web.house.proof(proof.id)).used_at
        assert "Sign in first" not in (await browser.get(f"/auth/c/{await web.signed()}")).text


@deadline(10)
async def test_the_page_for_a_missing_address_names_the_provider(tmp_path: Path) -> None:
    async with web_house(tmp_path, PAGES) as web:
        await web.house._plain.run(
            "insert into rt_auth_partials (token_hash, backend, next_step, data, pipeline, created_at, expires_at)"
            " values (?, 'example', 1, '{}', 'p', 0, ?)",
            (hashed("t1"), 2**52),
        )
        browser = await web.browser().know()
        web.social.answers["c1"] = NeedsAddress("t1")
        answer = await browser.get("/auth/complete/example?code=c1&state=s1")
        assert answer.header("location") == "/auth/address?token=t1"
        page = (await browser.get("/auth/address?token=t1")).text
        assert "Example ID" in page and 'value="t1"' in page
        answer = await browser.form("/auth/address", {"token": "t1", "email": "no address"})
        assert answer.status == 422 and "no address" in answer.text
        assert (await browser.get("/auth/address?token=other")).status == 404
        assert (await browser.get("/auth/address")).status == 422


@deadline(10)
async def test_styles_and_scripts_are_served_with_a_name_for_their_content(tmp_path: Path) -> None:
    async with web_house(tmp_path, PAGES) as web:
        for name, (_, kind) in STATIC.items():
            answer = await web.browser().get(f"/auth/static/{name}")
            assert (answer.status, answer.header("content-type")) == (200, kind)
            tag = answer.header("etag") or ""
            again = await web.browser().get(f"/auth/static/{name}", **{"If-None-Match": f'"x", W/{tag}'})
            assert (again.status, again.body) == (304, b"")
        assert (await web.browser().get("/auth/static/base.html")).status == 404
        assert (await web.browser().get("/auth/static/../templates.py")).status == 404


class FakeShelf:
    line = SimpleNamespace(id="a1", to="ada@example.org", subject="Confirm", sent_at=1000)

    async def recent(self) -> list[Any]:
        return [self.line]

    async def read(self, id: str) -> tuple[Any, str] | None:
        return (self.line, "https://example.org/auth/c/x") if id == "a1" else None


@deadline(10)
async def test_letters_are_for_browsers_on_the_same_machine(tmp_path: Path) -> None:
    async with web_house(tmp_path, PAGES) as web:
        serve_letters(web, "127.0.0.1")
        assert "/auth/letters/a1" in (await web.browser().get("/auth/letters")).text
        assert "https://example.org/auth/c/x" in (await web.browser().get("/auth/letters/a1")).text
        assert (await web.browser().get("/auth/letters/a2")).status == 404
        for remote in ("192.0.2.1", "", "::ffff:10.0.0.1"):
            serve_letters(web, remote)
            assert (await web.browser().get("/auth/letters")).status == 404
            assert (await web.browser().get("/auth/letters/a1")).status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "rt.localhost"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "evil.example:8000"}, 404),
        ({"Host": "127.0.0.1.evil.example"}, 404),
        ({"Host": ""}, 404),
        ({"Host": "192.0.2.1:8000"}, 404),
        ({"X-Forwarded-For": "192.0.2.1"}, 404),
        ({"X-Real-IP": "192.0.2.1"}, 404),
        ({"Forwarded": "for=192.0.2.1"}, 404),
    ],
)
@deadline(10)
async def test_letters_are_not_for_those_behind_a_proxy_nor_for_pages_that_took_our_address_for_their_name(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with web_house(tmp_path, PAGES) as web:
        serve_letters(web, "127.0.0.1")
        for path in ("/auth/letters", "/auth/letters/a1"):
            assert (await web.browser(**headers).get(path)).status == status


def serve_letters(web: WebHouse, remote: str) -> None:
    desk = replace(web.desk, remote=lambda incoming: remote)
    around = Surroundings(web.clock, web.log, no_threads, lambda origin: False, web.givers)
    web.resource = EndpointsResource(Routes(Letters(desk, FakeShelf()).endpoints()), around)
    web.port = Port(web.clock, {"/*": web.resource})


# The documentation


@deadline(10)
async def test_the_document_is_valid_and_tells_of_every_endpoint(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        made = json.loads(json.dumps(openapi([], title="t", version="1", endpoints=web.endpoints)))
        validate(made)
        shown = {(method, path) for path, item in made["paths"].items() for method in item}
        expected = {(each.method.lower(), each.path) for each in web.endpoints if isinstance(each, AccountEndpoint)}
        assert shown == expected and len(shown) == 33
        for path, item in made["paths"].items():
            for method, operation in item.items():
                assert operation["tags"] == ["accounts"] and operation["summary"], path
                if method == "post" and path != "/auth/complete/{provider}":
                    content = operation["requestBody"]["content"]
                    assert set(content) == {"application/json", "application/x-www-form-urlencoded"}
                assert "503" in operation["responses"]
        assert made["components"]["securitySchemes"]["session"]["in"] == "cookie"
        assert made["paths"]["/auth/token"]["get"]["security"] == [{"session": []}]
        assert made["paths"]["/auth/sign-in"]["post"]["responses"]["429"]["description"].startswith("Too often")
        for path, status, words in (
            ("/auth/password", "403", "present password"),
            ("/auth/change-address", "403", "present password"),
            ("/auth/c/{signed}", "403", "not signed in to"),
            ("/auth/proofs/{id}/code", "403", "not signed in to"),
            ("/auth/proofs/{id}/code", "429", "use the link"),
            ("/auth/proofs/{id}/continue", "409", "not answered yet"),
        ):
            assert words in made["paths"][path]["post"]["responses"][status]["description"], path
        assert not any(path.startswith("/auth/static") for path in made["paths"])
