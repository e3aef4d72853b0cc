"""How far along transactions and orders are. Everything here only goes forward.

The words are those of Braintree (https://developer.paypal.com/braintree/docs/reference/general/statuses).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rtserver.core.payments import Money
from rtserver.payments.records import Attempt, AttemptState, GatewayTransaction, Op, Order, OrderState, Outcome

RANKS = {
    "authorizing": 0,
    "authorized": 1,
    "submitted_for_settlement": 2,
    "settlement_pending": 3,
    "settlement_confirmed": 3,
    "settling": 4,
    "settled": 5,
    "authorization_expired": 6,
    "processor_declined": 6,
    "gateway_rejected": 6,
    "failed": 6,
    "voided": 6,
    "settlement_declined": 6,
    "settlement_failed": 6,
}
"""A transaction takes a status only of the same or a higher rank."""

CAPTURED = {"submitted_for_settlement", "settlement_pending", "settlement_confirmed", "settling", "settled"}
VOIDABLE = {"authorizing", "authorized", "submitted_for_settlement", "settlement_pending", "settlement_confirmed"}
REFUNDABLE = {"settling", "settled"}
OVER = {status for status, rank in RANKS.items() if rank == 6}
"""No money moves by these any more."""

ENDS: dict[str, AttemptState] = {
    "authorizing": AttemptState.UNKNOWN,
    "processor_declined": AttemptState.DECLINED,
    "gateway_rejected": AttemptState.REJECTED,
    "failed": AttemptState.FAILED,
    "authorization_expired": AttemptState.ERROR,
    "voided": AttemptState.ERROR,
}
"""What an attempt comes to whose transaction is found with this status; with any other it was approved."""

_SENTENCES = {
    AttemptState.DECLINED: "The bank declined this payment. Use another card, or ask your bank.",
    AttemptState.REJECTED: "This payment was rejected. Use another card.",
    AttemptState.FAILED: "The bank could not process this payment. Try again later, or use another card.",
    AttemptState.ERROR: "This payment was undone. You were not charged.",
}

_AFTER_SETTLEMENT = frozenset((OrderState.PARTLY_REFUNDED, OrderState.REFUNDED, OrderState.DISPUTED))

NEXT: dict[OrderState, frozenset[OrderState]] = {
    OrderState.OPEN: frozenset(OrderState) - {OrderState.OPEN},
    OrderState.CHECKING: frozenset(OrderState) - {OrderState.CHECKING},
    OrderState.AUTHORIZED: frozenset(OrderState) - {OrderState.OPEN, OrderState.CHECKING, OrderState.AUTHORIZED},
    OrderState.PAID: _AFTER_SETTLEMENT | {OrderState.SETTLED, OrderState.VOIDED, OrderState.FAILED},
    OrderState.SETTLED: _AFTER_SETTLEMENT,
    # A refund that was accepted may be declined by the bank later: then it is as if there were none.
    OrderState.PARTLY_REFUNDED: frozenset((OrderState.REFUNDED, OrderState.DISPUTED, OrderState.SETTLED)),
    OrderState.REFUNDED: frozenset((OrderState.PARTLY_REFUNDED, OrderState.DISPUTED, OrderState.SETTLED)),
    # A dispute that was won gives back what the order was before.
    OrderState.DISPUTED: frozenset(
        (OrderState.PAID, OrderState.SETTLED, OrderState.PARTLY_REFUNDED, OrderState.REFUNDED)
    ),
    OrderState.VOIDED: frozenset(),
    OrderState.FAILED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A transaction as we know it. ``order_id`` and ``attempt_id`` are "" for what is not ours."""

    id: str
    order_id: str
    attempt_id: str
    kind: str
    status: str
    amount: Money
    parent: str
    instrument: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an order stands, by its attempts and transactions. ``wanted`` are the sales that the payer meant, ``unwanted`` the
    others that are not over: approved for another amount, or twice. ``disputed``: what banks took back of a transaction, in
    the smallest unit, by its id."""

    wanted: tuple[Stored, ...]
    unwanted: tuple[Stored, ...]
    credits: tuple[Stored, ...]
    attempts: tuple[Attempt, ...]
    disputed: Mapping[str, int] = field(default_factory=dict)

    @property
    def live(self) -> tuple[Stored, ...]:
        """Without what was settled in parts and holds nothing any more: it is the sum of its parts."""
        return tuple(
            each
            for each in self.wanted
            if each.status not in OVER and (each.status == "authorized" or not self.has_parts(each))
        )

    @property
    def open_sale(self) -> Attempt | None:
        return next((each for each in self.attempts if each.op is Op.SALE and is_open(each)), None)

    @property
    def open_change(self) -> Attempt | None:
        return next((each for each in self.attempts if each.op is not Op.SALE and is_open(each)), None)

    @property
    def captured(self) -> int:
        return sum(each.amount.minor for each in self.wanted if each.status in CAPTURED and not self.has_parts(each))

    @property
    def refunded(self) -> int:
        return sum(each.amount.minor for each in self.credits)

    def is_wanted(self, id: str) -> bool:
        return any(each.id == id for each in self.wanted)

    def has_parts(self, sale: Stored) -> bool:
        """Whether it was settled in part: the parts are transactions then, and it only holds the rest."""
        return any(each.parent == sale.id for each in self.wanted)

    def left_to_settle(self, sale: Stored) -> int:
        """What is held and neither settled in part nor about to be."""
        parts = sum(each.amount.minor for each in self.wanted if each.parent == sale.id and each.status not in OVER)
        return sale.amount.minor - parts if sale.status == "authorized" else 0

    def left_to_refund(self, sale: Stored) -> int:
        """What was neither given back nor is about to be, nor is disputed."""
        given = sum(each.amount.minor for each in self.credits if each.parent == sale.id)
        under_way = sum(
            each.amount.minor
            for each in self.attempts
            if each.op is Op.REFUND and is_open(each) and each.target == sale.id
        )
        return max(0, sale.amount.minor - given - under_way - self.disputed.get(sale.id, 0))


def standing(attempts: Sequence[Attempt], stored: Sequence[Stored]) -> Standing:
    meant = {each.gateway_id for each in attempts if each.op is Op.SALE and each.state is AttemptState.APPROVED}
    sales = [each for each in stored if each.kind == "sale"]
    wanted = [each for each in sales if each.id in meant or each.parent in meant]
    ids = {each.id for each in wanted}
    credits = [each for each in stored if each.kind == "credit" and each.parent in ids and each.status not in OVER]
    undone = {each.parent for each in stored if each.kind == "credit" and each.status not in OVER}
    unwanted = [each for each in sales if each.id not in ids and each.id not in undone and each.status not in OVER]
    return Standing(tuple(wanted), tuple(unwanted), tuple(credits), tuple(attempts))


def state_of(stands: Standing) -> OrderState:
    """Without regard to disputes."""
    if not stands.wanted:
        return OrderState.CHECKING if stands.unwanted or _is_unknown(stands) else OrderState.OPEN
    captured, refunded = stands.captured, stands.refunded
    if refunded:
        return OrderState.REFUNDED if refunded >= captured else OrderState.PARTLY_REFUNDED
    if captured:
        is_settled = all(each.status == "settled" for each in stands.live if not stands.has_parts(each))
        is_settled = is_settled and not any(stands.left_to_settle(each) for each in stands.wanted)
        return OrderState.SETTLED if is_settled else OrderState.PAID
    if stands.live:
        return OrderState.AUTHORIZED
    is_declined = any(each.status in ("settlement_declined", "settlement_failed") for each in stands.wanted)
    return OrderState.FAILED if is_declined else OrderState.VOIDED


def _is_unknown(stands: Standing) -> bool:
    return stands.open_sale is not None and stands.open_sale.state is AttemptState.UNKNOWN


def moved(order: Order, stands: Standing, disputed: bool | None = None) -> Order:
    """The order as it stands now; the same one when nothing changed. ``disputed``: a dispute was opened or lost (True) or came
    to its good end (False)."""
    state = OrderState.DISPUTED if disputed else state_of(stands)
    if order.state is OrderState.DISPUTED and disputed is None:
        state = order.state
    if state not in NEXT[order.state]:
        state = order.state
    currency = order.price.currency
    captured, refunded = Money(stands.captured, currency), Money(stands.refunded, currency)
    return replace(order, state=state, captured=captured, refunded=refunded)


def is_open(attempt: Attempt) -> bool:
    return attempt.state in (AttemptState.SENDING, AttemptState.UNKNOWN)


def outcome_of(found: GatewayTransaction) -> Outcome:
    """What an attempt came to whose transaction was found at the gateway."""
    state = ENDS.get(found.status, AttemptState.APPROVED)
    code = "approved" if state is AttemptState.APPROVED else str(found.details.get("code") or found.status)
    return Outcome(state, code, _SENTENCES.get(state, ""), transaction=found)
