"""Saved methods and subscriptions over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rtserver.payments.answers import Answer
from rtserver.payments.errors import PaymentRefused
from rtserver.payments.subscribing import SubscribeRequest, SubscriptionAnswer
from rtserver.payments.subscriptions import SubscriptionChange
from tests.deadline import deadline
from tests.web.payments.house import CLUBBED, VISA, Till, codes, till_in


def asked(till: Till, flow: str) -> list[tuple[str, tuple[object, ...]]]:
    """Without the payer, who is checked to be Ada."""
    calls = getattr(till, flow).asked
    assert {arguments[0].name for _, arguments in calls} == {"ada"}
    return [(name, arguments[1:]) for name, arguments in calls]


@deadline(10)
async def test_methods_are_listed_saved_chosen_and_deleted(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        assert (await ada.read("/payment/methods")).json == {"methods": [asdict(VISA)]}
        assert (await ada.post("/payment/methods", {"nonce": "n1", "default": True})).json == asdict(VISA)
        assert (await ada.post("/payment/methods/m1/default")).json == asdict(VISA)
        deleted = await ada._ask("DELETE", "/payment/methods/m1", b"", {"X-CSRF-Token": ada.csrf})
        assert (deleted.status, deleted.json) == (200, {"done": True})
        assert asked(till, "vault") == [
            ("methods", ()),
            ("save", ("n1", True, "")),
            ("choose", ("m1",)),
            ("delete", ("m1",)),
        ]


@deadline(10)
async def test_a_request_to_save_a_method_is_known_by_its_key(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        await (await till.ada()).post("/payment/methods", {"nonce": "n1"}, **{"Idempotency-Key": "k1"})
        assert asked(till, "vault") == [("save", ("n1", False, "k1"))]


@deadline(10)
async def test_a_method_without_a_nonce_is_no_method(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        answer = await (await till.ada()).post("/payment/methods", {"default": True})
        assert (answer.status, codes(answer)) == (422, [("missing", ["body", "nonce"])])


@deadline(10)
async def test_a_method_that_is_in_use_stays(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        till.vault.answers["delete"] = PaymentRefused("method_in_use", "This pays a subscription.", "method", 409)
        ada = await till.ada()
        answer = await ada._ask("DELETE", "/payment/methods/m1", b"", {"X-CSRF-Token": ada.csrf})
        assert (answer.status, codes(answer)) == (409, [("method_in_use", ["path", "token"])])


@deadline(10)
async def test_subscriptions_are_listed_changed_and_ended(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        assert (await ada.read("/payment/subscriptions")).json == {"subscriptions": [CLUBBED.record()]}
        assert (await ada.post("/payment/subscriptions/s1", {"method": "m2"})).json == CLUBBED.record()
        assert (await ada.post("/payment/subscriptions/s1/cancel")).json["state"] == "canceled"
        assert asked(till, "subscriptions") == [
            ("listed", ()),
            ("change", ("s1", SubscriptionChange("", "m2", ""))),
            ("cancel", ("s1",)),
        ]


@deadline(10)
async def test_beginning_and_paying_a_subscription_are_answered_as_payments_are(tmp_path: Path) -> None:
    async with till_in(tmp_path) as till:
        ada = await till.ada()
        unknown: Answer = SubscriptionAnswer(202, "unknown", "timeout", "We do not know yet.", False, CLUBBED.record())
        declined: Answer = SubscriptionAnswer(402, "declined", "2000", "No.", True, CLUBBED.record())
        till.subscribing.answers = {"subscribe": unknown, "retry": declined}
        key = {"Idempotency-Key": "k1"}
        answer = await ada.post("/payment/subscriptions", {"item": "club", "nonce": "n1"}, **key)
        assert (answer.status, answer.json["result"], answer.json["subscription"]) == (202, "unknown", CLUBBED.record())
        answer = await ada.post("/payment/subscriptions/s1/retry", **key)
        assert (answer.status, answer.json["result"], answer.json["retry"]) == (402, "declined", True)
        assert asked(till, "subscribing") == [
            ("subscribe", (SubscribeRequest("club", "n1", "", "k1"),)),
            ("retry", ("s1", "k1")),
        ]
