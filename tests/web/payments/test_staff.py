"""What staff does: orders, items, disputes, reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rtserver.payments.errors import GatewayAway, GatewayRefused, PaymentRefused
from rtserver.payments.records import FieldError, Op
from tests.deadline import deadline
from tests.web.payments.house import API_KEY, DISPUTE, codes, pay, till_in


@deadline(10)
async def test_what_is_held_is_settled_in_parts(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada, keeper = await till.ada(), await till.keeper()
        order = (await pay(ada, {"item": "room", "nonce": "n"})).json["order"]
        assert order["state"] == "authorized"
        path = f"/payment/orders/{order['order']}/settle"
        answer = await keeper.post(path, {"amount": "40.00", "more": True})
        assert (answer.status, answer.json["result"], answer.json["order"]["captured"]) == (200, "done", "40.00")
        too_much = await keeper.post(path, {"amount": "50.01"})
        assert (too_much.status, codes(too_much)) == (422, [("too_much", ["body", "amount"])])
        assert (await keeper.post(path, {"amount": "50.00"})).json["order"]["captured"] == "90.00"


@deadline(10)
async def test_a_refund_is_seen_by_the_payer(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada, keeper = await till.ada(), await till.keeper()
        order = (await pay(ada)).json["order"]["order"]
        early = await keeper.post(f"/payment/orders/{order}/refund")
        assert (early.status, codes(early)) == (409, [("not_settled", ["path", "id"])])
        await till.settle(order)
        answer = await keeper.post(f"/payment/orders/{order}/refund", {"amount": "4.00"})
        assert (answer.status, answer.json["order"]["state"]) == (200, "partly_refunded")
        above = await keeper.post(f"/payment/orders/{order}/refund", {"amount": "6.01"})
        assert (above.status, codes(above)) == (422, [("too_much", ["body", "amount"])])
        assert (await keeper.post(f"/payment/orders/{order}/refund")).json["order"]["state"] == "refunded"
        assert (await ada.read(f"/payment/orders/{order}")).json["refunded"] == "10.00"


@deadline(10)
async def test_the_same_press_is_done_once(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada, keeper = await till.ada(), await till.keeper()
        order = (await pay(ada)).json["order"]["order"]
        await till.settle(order)
        path, key = f"/payment/orders/{order}/refund", {"Idempotency-Key": "r1"}
        first = await keeper.post(path, {"amount": "4.00"}, **key)
        assert (await keeper.post(path, {"amount": "4.00"}, **key)).json == first.json
        assert till.gateway.count(Op.REFUND) == 1


@pytest.mark.parametrize("verb", ["void", "reverse"])
@deadline(10)
async def test_what_is_not_settled_is_released(tmp_path: Path, verb: str) -> None:
    async with till_in(tmp_path) as till:
        ada, keeper = await till.ada(), await till.keeper()
        order = (await pay(ada)).json["order"]["order"]
        answer = await keeper.post(f"/payment/orders/{order}/{verb}")
        assert (answer.status, answer.json["order"]["state"]) == (200, "voided")
        again = await keeper.post(f"/payment/orders/{order}/{verb}")
        assert again.status == 409


@deadline(10)
async def test_people_see_their_own_orders_and_staff_sees_all(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada, keeper = await till.ada(), await till.keeper()
        bob = await till.signed_in("bob")
        order = (await pay(ada)).json["order"]
        path = f"/payment/orders/{order['order']}"
        assert (await bob.read(path)).status == 404
        assert (await bob.read("/payment/orders")).json == {"orders": []}
        assert (await keeper.read(path)).json == order
        (found,) = (await keeper.read("/payment/staff/orders")).json["orders"]
        assert found == {**order, "user": found["user"]}
        assert (await keeper.read(f"/payment/staff/orders?user={found['user']}&state=paid")).json["orders"] == [found]
        assert (await keeper.read("/payment/staff/orders?state=open")).json["orders"] == []
        assert (await keeper.read("/payment/staff/orders?user=nobody")).json["orders"] == []
        assert (await keeper.read("/payment/staff/orders?state=lost")).status == 422


@deadline(10)
async def test_lists_go_on_before_the_last_one(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada, made = await till.ada(), []
        for n in range(3):
            till.house.unix += 1
            made.append((await pay(ada, {"item": "book", "nonce": f"n{n}"})).json["order"]["order"])
        first = (await ada.read("/payment/orders?limit=2")).json["orders"]
        rest = (await ada.read(f"/payment/orders?before={first[-1]['created_at']}")).json["orders"]
        assert [each["order"] for each in [*first, *rest]] == made[::-1]


ITEM = {"id": "pen", "name": "A pen", "price": "2.50", "currency": "EUR", "merchant_account": "hotel"}


@deadline(10)
async def test_items_are_made_changed_and_taken_off(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada, keeper = await till.ada(), await till.keeper()
        assert (await keeper.post("/payment/staff/items", ITEM)).status == 200
        assert (await pay(ada, {"item": "pen", "nonce": "n1"})).json["order"]["amount"] == "2.50"
        await keeper.post("/payment/staff/items", {**ITEM, "price": "3.00", "is_active": False})
        assert (await pay(ada, {"item": "pen", "nonce": "n2"})).status == 404
        found = (await keeper.read("/payment/staff/items")).json["items"]
        assert {"pen", "old"} <= {each["id"] for each in found}
        assert "pen" not in [each["id"] for each in (await ada.read("/payment/items")).json["items"]]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"price": "0.00"}, "price"),
        ({"price": "1.001"}, "price"),
        ({"price": "-1"}, "price"),
        ({"price": "1", "currency": "euro"}, "currency"),
        ({"price": "1.5", "currency": "JPY"}, "price"),
        ({"id": "a/b"}, "id"),
        ({"name": ""}, "name"),
    ],
)
@deadline(10)
async def test_items_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    async with till_in(tmp_path) as till:
        answer = await (await till.keeper()).post("/payment/staff/items", {**ITEM, **change})
        assert (answer.status, codes(answer)[0][1]) == (422, ["body", field])


@pytest.mark.parametrize(
    ("change", "mistake", "word"),
    [
        ({"merchant_account": ""}, ("other_currency", ["body", "currency"]), "shop takes USD, not EUR"),
        ({"merchant_account": "nowhere"}, ("no_merchant_account", ["body", "merchant_account"]), "hotel (EUR)"),
    ],
)
@deadline(10)
async def test_an_item_that_nobody_could_pay_is_not_taken(
    tmp_path: Path, change: dict[str, Any], mistake: Any, word: str
) -> None:
    async with till_in(tmp_path) as till:
        keeper = await till.keeper()
        answer = await keeper.post("/payment/staff/items", {**ITEM, **change})
        assert (answer.status, codes(answer)) == (422, [mistake]) and word in answer.text
        assert "pen" not in [each["id"] for each in (await keeper.read("/payment/staff/items")).json["items"]]


@deadline(10)
async def test_an_item_is_taken_while_the_gateway_is_away_and_one_is_always_taken_off(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        keeper = await till.keeper()
        wrong = {**ITEM, "merchant_account": ""}
        assert (await keeper.post("/payment/staff/items", {**wrong, "is_active": False})).status == 200
        till.gateway.is_away = True
        assert (await keeper.post("/payment/staff/items", wrong)).status == 200


@deadline(10)
async def test_disputes_are_listed_and_answered(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        keeper = await till.keeper()
        assert (await keeper.read("/payment/disputes?open=true&refresh=true")).json == {"disputes": [DISPUTE]}
        assert (await keeper.post("/payment/disputes/d1/evidence", {"text": "see the receipt"})).json == DISPUTE
        assert (await keeper.post("/payment/disputes/d1/evidence", {"text": ""})).status == 422
        assert (await keeper.post("/payment/disputes/d1/finalize")).json == DISPUTE
        assert (await keeper.post("/payment/disputes/d1/accept")).json == DISPUTE
        assert [(name, arguments[1:]) for name, arguments in till.disputes.asked] == [
            ("refresh", ()),
            ("listed", (True,)),
            ("add_evidence", ("d1", "see the receipt")),
            ("finalize", ("d1",)),
            ("accept", ("d1",)),
        ]


@deadline(10)
async def test_only_a_field_that_was_sent_is_told_as_the_place_of_a_mistake_of_the_gateway(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        keeper = await till.keeper()
        for attribute, place in (
            ("payment_method_nonce", ["body", "nonce"]),
            ("credit_card.number", ["body", "nonce"]),
            ("customer_id", ["body"]),
        ):
            till.vault.answers["save"] = GatewayRefused("x", "No.", [FieldError(attribute, "1", "No.")])
            assert codes(await keeper.post("/payment/methods", {"nonce": "n"})) == [("1", place)]
        till.disputes.answers["add_evidence"] = GatewayRefused("x", "No.", [FieldError("status", "1", "No.")])
        assert codes(await keeper.post("/payment/disputes/d1/evidence", {"text": "x"})) == [("1", ["body"])]


@pytest.mark.parametrize(
    ("error", "status", "mistake"),
    [
        (GatewayRefused("95704", "This dispute is over."), 422, ("95704", [])),
        (
            GatewayRefused("x", "No.", [FieldError("dispute.id", "95701", "No.")]),
            422,
            ("95701", []),
        ),
        (GatewayAway("the gateway cannot be reached"), 503, ("gateway_away", [])),
        (PaymentRefused("closing", "The server is about to restart.", status=503), 503, ("closing", [])),
    ],
)
@deadline(10)
async def test_what_the_gateway_refuses_is_told_with_its_code(
    tmp_path: Path, error: Exception, status: int, mistake: Any
) -> None:
    async with till_in(tmp_path) as till:
        till.disputes.answers["accept"] = error
        answer = await (await till.keeper()).post("/payment/disputes/d1/accept")
        assert (answer.status, codes(answer)) == (status, [mistake])
        assert (answer.header("retry-after") is not None) == (status == 503)


@deadline(10)
async def test_a_report_is_of_the_last_day_unless_said_otherwise(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        keeper = await till.keeper()
        found = (await keeper.post("/payment/reconcile")).json
        assert (found["here"], found["missing_there"], found["settled"]) == (2, 1, {"USD": "10.00"})
        assert found["findings"][0]["difference"] == "missing_there"
        assert "Differences: 1 missing there" in found["text"]
        program = till.web.browser(**{"X-API-Key": API_KEY})
        assert (await program.post("/api/payments/reconcile", {"start": 5, "end": 9})).json == found
        now = till.parts.now
        assert till.reports.asked == [("reconcile", (now - 86_400_000, now)), ("reconcile", (5, 9))]
