"""How far along orders are, without a database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtserver.core.payments import Money
from rtserver.payments.moves import CAPTURED, ENDS, NEXT, OVER, RANKS, REFUNDABLE, VOIDABLE, Stored, moved, standing
from rtserver.payments.records import Attempt, AttemptState, Op, Order, OrderState
from rtserver.payments.requests import PayRequest
from rtserver.payments.transactions import is_forward

ORDER = Order("o1", "u1", "book", Money(1000, "USD"), OrderState.OPEN, Money(0, "USD"), Money(0, "USD"), 0, 0)
SALE = Attempt(
    "a1", "o1", Op.SALE, "k1", Money(1000, "USD"), "", AttemptState.APPROVED, "bt1", "approved", "", 1, 2, 0, 0
)


def sale(status: str, id: str = "bt1", minor: int = 1000, parent: str = "") -> Stored:
    return Stored(id, "o1", "a1", "sale", status, Money(minor, "USD"), parent, "", 0)


def credit(minor: int, status: str = "settled") -> Stored:
    return Stored(f"c{minor}", "o1", "a2", "credit", status, Money(minor, "USD"), "bt1", "", 0)


def state(*stored: Stored, order: Order = ORDER) -> OrderState:
    return moved(order, standing([SALE], stored)).state


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("authorizing", OrderState.AUTHORIZED),
        ("authorized", OrderState.AUTHORIZED),
        ("submitted_for_settlement", OrderState.PAID),
        ("settlement_pending", OrderState.PAID),
        ("settlement_confirmed", OrderState.PAID),
        ("settling", OrderState.PAID),
        ("settled", OrderState.SETTLED),
        ("voided", OrderState.VOIDED),
        ("authorization_expired", OrderState.VOIDED),
        ("settlement_declined", OrderState.FAILED),
        ("settlement_failed", OrderState.FAILED),
    ],
)
def test_an_order_is_as_far_as_its_sale(status: str, expected: OrderState) -> None:
    assert state(sale(status)) is expected


def test_what_was_given_back_shows() -> None:
    assert state(sale("settled"), credit(300)) is OrderState.PARTLY_REFUNDED
    assert state(sale("settled"), credit(300), credit(700)) is OrderState.REFUNDED
    assert state(sale("settled"), credit(1000, "processor_declined")) is OrderState.SETTLED


def test_an_order_without_a_wanted_sale_is_open_once_everything_else_is_undone() -> None:
    assert state(sale("submitted_for_settlement", "bt2")) is OrderState.CHECKING
    assert state(sale("voided", "bt2")) is OrderState.OPEN
    assert state() is OrderState.OPEN


@pytest.mark.parametrize("before", OrderState)
def test_no_state_leads_to_itself_and_ends_are_ends(before: OrderState) -> None:
    assert before not in NEXT[before]
    if before not in (OrderState.OPEN, OrderState.CHECKING):
        assert not NEXT[before] & {OrderState.OPEN, OrderState.CHECKING}
    assert not NEXT[OrderState.VOIDED] and not NEXT[OrderState.FAILED]


def test_an_order_that_is_over_does_not_come_back() -> None:
    for over in (OrderState.VOIDED, OrderState.FAILED):
        assert state(sale("settled"), order=replace(ORDER, state=over)) is over


def test_every_word_of_the_gateway_has_its_place() -> None:
    assert CAPTURED | VOIDABLE | REFUNDABLE | OVER == set(RANKS)
    assert not VOIDABLE & REFUNDABLE and not OVER & (CAPTURED | VOIDABLE | REFUNDABLE)
    assert set(ENDS) <= set(RANKS)


def test_words_go_forward_only() -> None:
    words = list(RANKS)
    for known in words:
        for seen in words:
            assert is_forward(known, seen) == (RANKS[seen] >= RANKS[known])
    assert is_forward("authorizing", "a_new_word") and not is_forward("authorized", "a_new_word")


def test_a_nonce_is_not_shown() -> None:
    assert "secret" not in repr(PayRequest(item="book", nonce="secret", device_data="secret"))
