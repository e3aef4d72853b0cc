"""Who may do what: sessions, tokens, staff."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rtserver.app import App
from rtserver.app.openapi import openapi
from rtserver.app.routes import Routes
from rtserver.web.endpoints import EndpointsResource, Surroundings
from rtserver.web.payments import Person, Staff, payment_givers
from tests.api_house import no_threads
from tests.deadline import deadline
from tests.line import Port
from tests.web.accounts.house import FRIEND, OWN
from tests.web.payments.house import Till, codes, pay, till_in

PEOPLE = [
    ("GET", "/payment/token/"),
    ("POST", "/payment/process/"),
    ("GET", "/payment/orders"),
    ("POST", "/payment/orders"),
    ("GET", "/payment/orders/o1"),
    ("GET", "/payment/methods"),
    ("POST", "/payment/methods"),
    ("POST", "/payment/methods/m1/default"),
    ("DELETE", "/payment/methods/m1"),
    ("GET", "/payment/subscriptions"),
    ("POST", "/payment/subscriptions"),
    ("POST", "/payment/subscriptions/s1"),
    ("POST", "/payment/subscriptions/s1/cancel"),
    ("POST", "/payment/subscriptions/s1/retry"),
]
STAFF = [
    *(("POST", f"/payment/orders/o1/{verb}") for verb in ("settle", "void", "refund", "reverse")),
    ("GET", "/payment/staff/orders"),
    ("GET", "/payment/staff/items"),
    ("POST", "/payment/staff/items"),
    ("GET", "/payment/disputes"),
    *(("POST", f"/payment/disputes/d1/{verb}") for verb in ("accept", "evidence", "finalize")),
    ("POST", "/payment/reconcile"),
]


def nothing_was_asked(till: Till) -> bool:
    flows = (till.vault, till.subscriptions, till.subscribing, till.disputes, till.reports)
    return not till.gateway.asked and not any(each.asked for each in flows)


async def send(browser: Any, method: str, path: str, **headers: str) -> Any:
    kind = {"Content-Type": "application/json", "Accept": "application/json"}
    return await browser._ask(method, path, b"{}" if method == "POST" else b"", {**kind, **headers})


@deadline(20)
async def test_who_is_not_signed_in_is_401_everywhere(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        stranger = till.web.browser()
        for method, path in [*PEOPLE, *STAFF]:
            answer = await send(stranger, method, path)
            assert (path, answer.status, codes(answer)) == (path, 401, [("sign_in_needed", [])])
        assert nothing_was_asked(till)


@deadline(20)
async def test_who_is_no_staff_is_403_where_staff_is_wanted(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        for method, path in STAFF:
            answer = await send(ada, method, path, **{"X-CSRF-Token": ada.csrf})
            assert (path, answer.status, codes(answer)) == (path, 403, [("not_staff", [])])
        assert nothing_was_asked(till)


@deadline(20)
async def test_whatever_changes_something_needs_the_token_of_the_session(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        keeper = await till.keeper()
        for method, path in [*PEOPLE, *STAFF]:
            if method != "GET":
                answer = await send(keeper, method, path)
                assert (path, answer.status, codes(answer)) == (path, 403, [("csrf", [])])
        assert nothing_was_asked(till)


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
@deadline(10)
async def test_pages_of_others_buy_nothing(tmp_path: Path, origin: str) -> None:
    async with till_in(tmp_path) as till:
        answer = await pay(await till.ada(), Origin=origin)
        assert (answer.status, codes(answer)) == (403, [("bad_origin", [])])
        assert till.gateway.asked == []


@pytest.mark.parametrize("origin", [OWN, FRIEND])
@deadline(10)
async def test_our_pages_and_those_of_friends_may_buy(tmp_path: Path, origin: str) -> None:
    async with till_in(tmp_path) as till:
        assert (await pay(await till.ada(), Origin=origin)).status == 200


@deadline(10)
async def test_a_form_of_html_buys_nothing(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        assert (await ada.form("/payment/process/", {"item": "book", "nonce": "n"})).status == 415
        assert till.gateway.asked == []


@deadline(10)
async def test_a_connection_token_is_enough_from_anywhere(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        account = await till.web.person("ada")
        program = till.web.browser(Authorization=f"Bearer {account.id}", Origin="https://app.example")
        answer = await pay(program)
        assert answer.status == 200
        (order,) = (await program.read("/payment/orders")).json["orders"]
        assert order == answer.json["order"]
        assert (await program.read("/payment/staff/orders")).status == 403


@deadline(10)
async def test_a_token_counts_before_the_session_of_the_browser(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada, bob = await till.ada(), await till.web.person("bob")
        await pay(ada, **{"Authorization": f"Bearer {bob.id}", "X-CSRF-Token": "none"})
        assert (await ada.read("/payment/orders")).json == {"orders": []}


@deadline(10)
async def test_a_token_that_is_none_or_of_nobody_here_is_refused(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        assert (await ada.read("/payment/orders", Authorization="Bearer ")).status == 401
        assert (await ada.read("/payment/orders", Authorization="Basic eHg6eHg=")).status == 401
        answer = await ada.read("/payment/orders", Authorization="Bearer stranger")
        assert (answer.status, codes(answer)) == (403, [("no_account", [])])


@deadline(10)
async def test_somebody_who_was_shut_out_has_no_token_any_more(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        account = await till.web.person("ada")
        await till.parts.database.run("update rt_users set is_active = 0")
        answer = await till.web.browser().read("/payment/orders", Authorization=f"Bearer {account.id}")
        assert answer.status == 403


@deadline(10)
async def test_a_report_needs_the_key_of_the_api_where_programs_ask(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        keeper = await till.keeper()
        assert (await keeper.post("/api/payments/reconcile")).status == 401
        assert (await keeper.post("/api/payments/reconcile", **{"X-API-Key": "wrong"})).status == 401
        assert till.reports.asked == []


@deadline(10)
async def test_endpoints_of_applications_may_ask_for_people_and_staff(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        app = App()

        @app.get("/who")
        async def who(person: Person | None) -> str:
            return person.payer.name if person else "nobody"

        @app.post("/stock")
        async def stock(staff: Staff) -> str:
            return staff.payer.email

        ada, keeper = await till.ada(), await till.keeper()
        givers = payment_givers(till.desk)
        around = Surroundings(till.web.clock, till.web.log, no_threads, lambda origin: False, givers)
        till.web.resource = EndpointsResource(Routes(app.endpoints), around)
        till.web.port = Port(till.web.clock, {"/*": till.web.resource})
        assert (await ada.read("/who")).json == "ada"
        assert (await till.web.browser().read("/who")).json == "nobody"
        assert (await till.web.browser().post("/stock")).status == 401
        refused = await ada.post("/stock")
        assert (refused.status, refused.json) == (403, {"detail": "Only staff may do this."})
        assert (await keeper.post("/stock")).json == "KEEPER@example.org"


@deadline(10)
async def test_the_document_says_that_a_session_or_a_token_will_do(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        made = openapi([], title="x", version="1", endpoints=till.own)
        for method, path in (*PEOPLE, *STAFF):
            asked = path.replace("o1", "{id}").replace("m1", "{token}").replace("s1", "{id}").replace("d1", "{id}")
            assert made["paths"][asked][method.lower()]["security"] == [{"bearer": []}, {"session": []}], path
        schemes = made["components"]["securitySchemes"]
        assert (schemes["bearer"]["scheme"], schemes["session"]["in"]) == ("bearer", "cookie")
