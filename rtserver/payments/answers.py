"""What a person is told about a payment, and how orders look from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rtserver.core.rows import Runs
from rtserver.payments import attempts
from rtserver.payments.records import Attempt, AttemptState, FieldError, Op, Order, OrderState

AMOUNT_MISMATCH = "amount_mismatch"
"""The code of an attempt that was approved for another amount than asked, and undone."""

UNKNOWN_SENTENCE = (
    "We do not know yet whether this went through. Do not pay again: you see the outcome here once it is known."
)

HELD_SENTENCE = "The amount is held, and not charged yet."
DONE: dict[Op, str] = {
    Op.SALE: "The payment went through.",
    Op.SETTLE: "The amount is charged.",
    Op.VOID: "What was held is released. Nothing is charged.",
    Op.REFUND: "The money is on its way back.",
    Op.SUBSCRIBE: "The subscription has begun.",
    Op.RETRY: "The payment went through.",
}

BEYOND: dict[OrderState, str] = {
    OrderState.VOIDED: "It was released: nothing is charged.",
    OrderState.PARTLY_REFUNDED: "A part of the money is given back.",
    OrderState.REFUNDED: "The money is given back.",
    OrderState.DISPUTED: "This payment is disputed at the bank.",
    OrderState.FAILED: "The bank did not settle this payment: nothing is charged.",
}
"""What is said of an order that went further than its sale, which was approved once."""

RESULTS: dict[AttemptState, tuple[str, int]] = {
    AttemptState.SENDING: ("unknown", 202),
    AttemptState.UNKNOWN: ("unknown", 202),
    AttemptState.APPROVED: ("done", 200),
    AttemptState.DECLINED: ("declined", 402),
    AttemptState.REJECTED: ("rejected", 402),
    AttemptState.INVALID: ("invalid", 422),
    AttemptState.FAILED: ("failed", 402),
    AttemptState.ERROR: ("failed", 402),
}
"""The word of an answer and its status of HTTP."""

_ASKED = {AttemptState.SENDING, AttemptState.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Answer:
    """``result`` and ``code`` are stable, ``message`` is for a person. ``retry``: the same may be tried again."""

    status: int
    result: str
    code: str
    message: str
    retry: bool
    order: dict[str, Any]
    errors: tuple[FieldError, ...] = ()

    def body(self) -> dict[str, Any]:
        errors = [{"attribute": each.attribute, "code": each.code, "message": each.message} for each in self.errors]
        return {
            "result": self.result,
            "code": self.code,
            "message": self.message,
            "retry": self.retry,
            "order": self.order,
            "errors": errors,
        }


def answer(record: dict[str, Any], attempt: Attempt) -> Answer:
    """``record`` is that of the order."""
    result, status = RESULTS[attempt.state]
    if attempt.code == AMOUNT_MISMATCH:
        result = AMOUNT_MISMATCH
    if attempt.state in _ASKED:
        return Answer(status, result, attempt.code or "unknown", UNKNOWN_SENTENCE, False, record)
    retry = attempt.is_soft or attempt.state in (AttemptState.INVALID, AttemptState.ERROR)
    sentence = _sentence(attempt, record["state"] == OrderState.AUTHORIZED)
    return Answer(status, result, attempt.code, sentence, retry, record, attempt.errors)


def record_of(order: Order, sale: Attempt | None) -> dict[str, Any]:
    """What pages and applications see of an order. ``sale`` is the latest attempt to pay it."""
    code, message = _told(order, sale)
    return {
        "order": order.id,
        "item": order.item_id,
        "amount": order.price.text,
        "currency": order.price.currency,
        "state": order.state.value,
        "code": code,
        "message": message,
        "captured": order.captured.text,
        "refunded": order.refunded.text,
        "transaction": sale.gateway_id if sale else "",
        "created_at": order.created_at,
        "changed_at": order.changed_at,
    }


def _told(order: Order, sale: Attempt | None) -> tuple[str, str]:
    """Code and sentence: those of the sale, unless the order is further than an approved one."""
    if order.state in BEYOND and (sale is None or sale.state is AttemptState.APPROVED):
        return order.state.value, BEYOND[order.state]
    if sale is None:
        return "", ""
    return sale.code, _sentence(sale, order.state is OrderState.AUTHORIZED)


def _sentence(attempt: Attempt, is_held: bool) -> str:
    if attempt.state in _ASKED:
        return UNKNOWN_SENTENCE
    if attempt.state is AttemptState.APPROVED:
        return HELD_SENTENCE if is_held and attempt.op is Op.SALE else DONE[attempt.op]
    return attempt.sentence


async def records_of(runs: Runs, orders: Sequence[Order]) -> list[dict[str, Any]]:
    """The records of at most 500 orders, in their order."""
    sales = await attempts.latest_sales(runs, [order.id for order in orders])
    return [record_of(order, sales.get(order.id)) for order in orders]
