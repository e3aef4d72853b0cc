"""Paying over HTTP: what is answered, and to whom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtserver.payments import attempts
from rtserver.payments.records import AttemptState, Op
from tests.deadline import deadline
from tests.payments.fake_gateway import approves, breaks, is_busy, is_lost_on_the_way, refuses, waits
from tests.payments.shop import BOOK
from tests.web.payments.house import OPTIONS, codes, pay, till_in


@deadline(10)
async def test_what_can_be_bought_is_told_to_everybody(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        answer = await till.web.browser().read("/payment/items")
        prices = {each["id"]: (each["price"], each["currency"]) for each in answer.json["items"]}
        assert prices == {"book": ("10.00", "USD"), "club": ("7.00", "USD"), "room": ("90.00", "EUR")}
        assert answer.header("cache-control") == "no-store"


@deadline(10)
async def test_a_payment_is_answered_with_its_order(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        answer = await pay(ada)
        assert answer.status == 200
        assert answer.json["result"] == "done"
        order = answer.json["order"]
        assert (order["item"], order["amount"], order["currency"], order["state"]) == ("book", "10.00", "USD", "paid")
        assert (await ada.read("/payment/orders")).json == {"orders": [order]}
        assert (await ada.read(f"/payment/orders/{order['order']}")).json == order


@pytest.mark.parametrize(
    ("way", "status", "result", "state"),
    [
        (refuses(AttemptState.DECLINED, "2000"), 402, "declined", "open"),
        (refuses(AttemptState.REJECTED, "fraud"), 402, "rejected", "open"),
        (refuses(AttemptState.FAILED, "3000"), 402, "failed", "open"),
        (refuses(AttemptState.INVALID, "81715"), 422, "invalid", "open"),
        (is_lost_on_the_way, 202, "unknown", "checking"),
        (is_busy, 402, "failed", "open"),
        (approves(500), 402, "amount_mismatch", None),
    ],
)
@deadline(10)
async def test_every_outcome_has_its_status(
    tmp_path: Path, way: Any, status: int, result: str, state: str | None
) -> None:
    async with till_in(tmp_path) as till:
        till.gateway.will(Op.SALE, way)
        answer = await pay(await till.ada())
        assert (answer.status, answer.json["result"]) == (status, result)
        assert state is None or answer.json["order"]["state"] == state


@deadline(10)
async def test_mistakes_are_told_with_their_attributes(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        till.gateway.will(Op.SALE, refuses(AttemptState.INVALID, "81715"))
        answer = await pay(await till.ada())
        assert answer.json["errors"] == [
            {"attribute": "credit_card.number", "code": "81715", "message": "Credit card number is invalid."}
        ]


@deadline(10)
async def test_a_call_that_breaks_is_unknown_and_its_text_goes_nowhere(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        till.gateway.will(Op.SALE, breaks)
        answer = await pay(await till.ada(), {"item": "book", "nonce": "fake-valid-nonce"})
        assert answer.status == 202
        assert "fake-valid-nonce" not in answer.text


@deadline(10)
async def test_the_same_key_is_the_same_payment_and_another_body_is_refused(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada, key = await till.ada(), {"Idempotency-Key": "k1"}
        first = await pay(ada, **key)
        assert (await pay(ada, **key)).json == first.json
        other = await pay(ada, {"item": "room", "nonce": "a nonce"}, **key)
        assert (other.status, codes(other)) == (409, [("key_reused", ["header", "Idempotency-Key"])])
        assert till.gateway.count(Op.SALE) == 1


@deadline(10)
async def test_a_nonce_that_was_sent_for_something_else_is_told_where_it_stands(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        await pay(ada, {"item": "book", "nonce": "a nonce"})
        other = await pay(ada, {"item": "room", "nonce": "a nonce"})
        assert (other.status, codes(other)) == (409, [("key_reused", ["body", "nonce"])])


@deadline(10)
async def test_without_a_key_a_nonce_pays_once(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        assert (await pay(ada)).json == (await pay(ada)).json
        assert till.gateway.count(Op.SALE) == 1


@deadline(10)
async def test_two_tabs_that_pay_one_order_charge_once(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        order = (await ada.post("/payment/orders", {"item": "book"})).json["order"]
        first = await pay(ada, {"order": order, "nonce": "n1"})
        second = await pay(ada, {"order": order, "nonce": "n2"})
        assert (first.status, second.status) == (200, 200)
        assert first.json["order"] == second.json["order"]
        assert till.gateway.count(Op.SALE) == 1


@deadline(10)
async def test_an_order_that_another_server_works_on_says_when_to_ask_again(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        order = (await ada.post("/payment/orders", {"item": "book"})).json["order"]
        await attempts.begin(till.parts.database, till.calls.ledger.draft(Op.SALE, order, BOOK.price))
        answer = await pay(ada, {"order": order, "nonce": "n1"})
        assert (answer.status, answer.header("retry-after")) == (409, "1")
        assert codes(answer) == [("in_progress", ["body", "order"])]


@deadline(10)
async def test_who_leaves_cancels_nothing(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        way, gate = waits()
        till.gateway.will(Op.SALE, way)
        line = till.web.port.begin(
            "POST",
            "/payment/process/",
            b'{"item": "book", "nonce": "n1"}',
            {
                "Content-Type": "application/json",
                "X-CSRF-Token": ada.csrf,
                "Cookie": "; ".join(f"{name}={value}" for name, value in ada.jar.items()),
            },
        )
        while not till.gateway.count(Op.SALE):
            await till.parts.database.run("select 1")
        line.leave()
        gate.callback(None)
        await till.calls.stop()
        (order,) = (await ada.read("/payment/orders")).json["orders"]
        assert order["state"] == "paid"


@pytest.mark.parametrize(
    ("body", "status", "mistake"),
    [
        ({"item": "nothing", "nonce": "n"}, 404, ("no_such_item", ["body", "item"])),
        ({"item": "old", "nonce": "n"}, 404, ("no_such_item", ["body", "item"])),
        ({"item": "club", "nonce": "n"}, 422, ("is_subscription", ["body", "item"])),
        ({"item": "book"}, 422, ("nonce_or_method", ["body", "nonce"])),
        ({"nonce": "n"}, 422, ("item_or_order", ["body", "item"])),
        ({"order": "o1", "nonce": "n"}, 404, ("no_such_order", ["body", "order"])),
        ({"item": "book", "method": "m1"}, 400, ("key_missing", ["header", "Idempotency-Key"])),
    ],
)
@deadline(10)
async def test_what_cannot_be_is_refused_before_anything_is_sent(
    tmp_path: Path, body: dict[str, Any], status: int, mistake: Any
) -> None:
    async with till_in(tmp_path) as till:
        answer = await pay(await till.ada(), body)
        assert (answer.status, codes(answer)) == (status, [mistake])
        assert till.gateway.asked == []


@deadline(10)
async def test_a_body_that_does_not_fit_never_comes_back(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        answer = await pay(await till.ada(), {"item": 7, "nonce": ["SECRET"], "save": "SECRET"})
        assert answer.status == 422
        assert "SECRET" not in answer.text
        assert {each["input"] for each in answer.json["detail"]} == {None}


@deadline(10)
async def test_a_price_in_the_request_changes_nothing(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        answer = await pay(await till.ada(), {"item": "book", "nonce": "n", "amount": "0.01", "price": "0.01"})
        assert answer.json["order"]["amount"] == "10.00"
        assert till.gateway.sales[0].attempt.amount.text == "10.00"


@deadline(10)
async def test_a_client_token_is_for_the_account_of_the_item(tmp_path: Path) -> None:
    async with till_in(tmp_path, replace(OPTIONS, merchant_account="main")) as till:
        ada = await till.ada()
        assert (await ada.read("/payment/token/")).json == {
            "client_token": "token of nobody at main",
            "mode": "simulator",
            "price": "",
            "currency": "",
        }
        found = (await ada.read("/payment/token/?item=room")).json
        assert (found["client_token"], found["price"]) == ("token of nobody at hotel", "90.00")
        assert (await ada.read("/payment/token/?item=old")).status == 404


@deadline(10)
async def test_a_client_token_knows_the_customer_of_who_saved_something(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        await till.parts.database.run(
            "insert into rt_pay_customers (user_id, gateway_id, created_at) select id, 'c7', 0 from rt_users"
        )
        assert (await ada.read("/payment/token/")).json["client_token"] == "token of c7 at the default"


@deadline(10)
async def test_a_gateway_that_cannot_be_asked_is_503_and_told_in_the_log(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        till.gateway.is_away = True
        answer = await ada.read("/payment/token/")
        assert (answer.status, answer.header("retry-after"), codes(answer)) == (503, "10", [("gateway_away", [])])
        assert any("the gateway could not be asked" in line[1] for line in till.web.log.lines)
