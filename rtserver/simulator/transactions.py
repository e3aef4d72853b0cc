"""Transactions: their states, and what may be done to one that exists. ``sales.py`` makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from rtserver.simulator.instruments import Instrument
from rtserver.simulator.money import amount_of, exact
from rtserver.simulator.nonces import ThreeDSecure
from rtserver.simulator.processor import APPROVED, Outcome, Settlement, Status, settlement
from rtserver.simulator.refusals import Refused
from rtserver.simulator.shelf import Shelf, World
from rtserver.simulator.xml_wire import Array, Value, inside

MAX_TRANSACTIONS = 20_000

NEXT: Mapping[Status, frozenset[Status]] = {
    Status.AUTHORIZED: frozenset({Status.SUBMITTED, Status.SETTLEMENT_PENDING, Status.VOIDED, Status.EXPIRED}),
    Status.SUBMITTED: frozenset(
        {
            Status.SETTLING, Status.SETTLED, Status.SETTLEMENT_CONFIRMED, Status.SETTLEMENT_DECLINED,
            Status.SETTLEMENT_PENDING, Status.VOIDED,
        }
    ),
    Status.SETTLING: frozenset(
        {Status.SETTLED, Status.SETTLEMENT_CONFIRMED, Status.SETTLEMENT_DECLINED, Status.SETTLEMENT_PENDING}
    ),
    Status.SETTLEMENT_PENDING: frozenset({Status.SETTLED, Status.SETTLEMENT_CONFIRMED, Status.SETTLEMENT_DECLINED}),
    Status.SETTLEMENT_CONFIRMED: frozenset({Status.SETTLED, Status.SETTLEMENT_DECLINED}),
}  # fmt: skip
"""What may follow; a status that is not here is an end."""

FORCED: Mapping[str, Settlement] = {
    "settle": Settlement(Status.SETTLED),
    "settlement_confirm": Settlement(Status.SETTLEMENT_CONFIRMED),
    "settlement_decline": Settlement(Status.SETTLEMENT_DECLINED, "4001", "Settlement Declined"),
    "settlement_pending": Settlement(Status.SETTLEMENT_PENDING, "4002", "Settlement Pending"),
}
"""The SDK's testing calls -> where they lead."""

REFUNDABLE = frozenset({Status.SETTLED, Status.SETTLING})
DEAD = frozenset(
    {Status.VOIDED, Status.DECLINED, Status.FAILED, Status.REJECTED, Status.SETTLEMENT_DECLINED, Status.EXPIRED}
)
"""No money moves, or moved, for these."""

NEWS: Mapping[Status, str] = {
    Status.SETTLED: "transaction_settled",
    Status.SETTLEMENT_DECLINED: "transaction_settlement_declined",
}
"""Status -> kind of webhook."""

ADDRESS = (
    "id", "first_name", "last_name", "company", "street_address", "extended_address", "locality", "region", "postal_code",
    "country_name", "country_code_alpha2", "country_code_alpha3", "country_code_numeric",
)  # fmt: skip
PERSON = ("id", "first_name", "last_name", "company", "email", "phone", "fax", "website")
ECHOED = (
    "order_id",
    "channel",
    "purchase_order_number",
    "tax_amount",
    "tax_exempt",
    "discount_amount",
    "shipping_amount",
)
"""What an answer repeats of the request."""


class Viewed(Protocol):
    def view(self) -> dict[str, Value]: ...


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the status history."""

    status: Status
    amount: Decimal
    at: datetime

    def view(self) -> dict[str, Value]:
        more = {"user": "simulator", "transaction_source": "api"}
        return {"timestamp": self.at, "status": self.status, "amount": self.amount, **more}


@dataclass(slots=True)
class Transaction:
    """One transaction. ``type`` is sale or credit; ``said`` what the request said that the answer repeats."""

    id: str
    type: str
    amount: Decimal
    currency: str
    merchant_account_id: str
    instrument: Instrument
    created_at: datetime
    outcome: Outcome = APPROVED
    status: Status = Status.AUTHORIZED
    said: dict[str, Value] = field(default_factory=dict)
    customer: dict[str, Value] = field(default_factory=dict)
    token: str | None = None
    three_d_secure: ThreeDSecure | None = None
    settled: Settlement | None = None
    updated_at: datetime | None = None
    history: list[Event] = field(default_factory=list)
    refund_ids: list[str] = field(default_factory=list)
    refunded_transaction_id: str | None = None
    partial_ids: list[str] = field(default_factory=list)
    authorized_transaction_id: str | None = None
    subscription: dict[str, Value] = field(default_factory=dict)
    disputes: list[Viewed] = field(default_factory=list)

    def begin(self, status: Status) -> None:
        self._enter(status, self.created_at)

    def move(self, status: Status, at: datetime, code: str) -> None:
        """Raises ``Refused`` with ``code`` when the status may not follow."""
        if status not in NEXT.get(self.status, ()):
            raise Refused(code)
        self._enter(status, at)

    def _enter(self, status: Status, at: datetime) -> None:
        self.status = status
        self.updated_at = at
        self.history.append(Event(status, self.amount, at))

    def entered(self, status: Status) -> datetime | None:
        return next((event.at for event in self.history if event.status is status), None)

    def view(self) -> dict[str, Value]:
        """What the API tells of it."""
        names = self.instrument.names
        return {
            "id": self.id,
            "status": self.status,
            "type": self.type,
            "currency_iso_code": self.currency,
            "amount": self.amount,
            "merchant_account_id": self.merchant_account_id,
            **{name: self.said.get(name) for name in ECHOED},
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "customer": _of(self.customer, PERSON),
            "billing": _of(self.said.get("billing"), ADDRESS),
            "shipping": _of(self.said.get("shipping"), ADDRESS),
            "custom_fields": self.said.get("custom_fields") or "",
            "descriptor": _of(self.said.get("descriptor"), ("name", "phone", "url")),
            **self._relations(),
            **self._answers(),
            "status_history": Array("status_event", [event.view() for event in self.history]),
            "payment_instrument_type": self.instrument.kind,
            names.in_transaction: {"token": self.token, **self.instrument.fields, **self._paypal()},
            "three_d_secure_info": self.three_d_secure and self.three_d_secure.view(),
            **self._risk(),
            "disputes": Array("dispute", [each.view() for each in self.disputes]),
            "add_ons": Array("add_on"),
            "discounts": Array("discount"),
            "disbursement_details": {"disbursement_date": None},
        }

    def _relations(self) -> dict[str, Value]:
        return {
            "refund_id": self.refund_ids[-1] if self.refund_ids else None,
            "refund_ids": self.refund_ids,
            "refunded_transaction_id": self.refunded_transaction_id,
            "partial_settlement_transaction_ids": self.partial_ids,
            "authorized_transaction_id": self.authorized_transaction_id,
            "recurring": bool(self.subscription),
            "plan_id": self.subscription.get("plan_id"),
            "subscription_id": self.subscription.get("id"),
            "subscription": {
                "billing_period_start_date": self.subscription.get("billing_period_start_date"),
                "billing_period_end_date": self.subscription.get("billing_period_end_date"),
            },
        }

    def _answers(self) -> dict[str, Value]:
        settled = self.settled
        approved = self.outcome is APPROVED
        return {
            "processor_authorization_code": self.id[:6].upper() if approved else None,
            "processor_response_code": self.outcome.code,
            "processor_response_text": self.outcome.text,
            "processor_response_type": self.outcome.kind,
            "gateway_rejection_reason": self.outcome.rejection or None,
            "processor_settlement_response_code": settled.code if settled else "",
            "processor_settlement_response_text": settled.text if settled else "",
            "settlement_batch_id": f"sim-{self.updated_at:%Y-%m-%d}" if self.status is Status.SETTLED else None,
            "cvv_response_code": "M" if approved else "I",
            "avs_postal_code_response_code": "M" if approved else "I",
            "avs_street_address_response_code": "I",
            "avs_error_response_code": None,
        }

    def _paypal(self) -> dict[str, Value]:
        if self.instrument.kind != "paypal_account":
            return {}
        given = inside(inside(self.said, "options"), "paypal")
        capture = {"capture_id": f"CAPTURE-{self.id}"} if self.entered(Status.SUBMITTED) else {}
        return {**_of(given, ("description", "custom_field", "payee_email", "payee_id")), **capture}

    def _risk(self) -> dict[str, Value]:
        """Only when device data came: the SDK cannot read an empty one."""
        if not self.said.get("device_data"):
            return {}
        decision = "Decline" if self.outcome.rejection == "fraud" else "Approve"
        more = {"fraud_service_provider": "fraud_protection", "transaction_risk_score": "1"}
        return {"risk_data": {"id": f"risk-{self.id}", "decision": decision, "device_data_captured": True, **more}}


def _of(given: Value, names: tuple[str, ...]) -> dict[str, Value]:
    given = given if isinstance(given, Mapping) else {}
    return {name: given.get(name) or None for name in names}


class Transactions:
    """All of them, and what is done to one. ``news`` hears of what the gateway would send a webhook for."""

    def __init__(self, world: World, news: Callable[[str, Transaction], None]) -> None:
        self._world = world
        self._news = news
        self.shelf: Shelf[Transaction] = Shelf("transactions", MAX_TRANSACTIONS)

    def find(self, key: str) -> Transaction:
        """Raises ``NotFound``."""
        return self.shelf.get(key)

    def void(self, key: str, _params: Mapping[str, Value]) -> Transaction:
        found = self.find(key)
        found.move(Status.VOIDED, self._world.now(), "91504")
        return found

    def submit(self, key: str, params: Mapping[str, Value]) -> Transaction:
        """Settle it later, the whole amount or less."""
        found = self.find(key)
        if Status.SUBMITTED not in NEXT.get(found.status, ()):
            raise Refused("91507")
        amount = self._part(params.get("amount"), found.amount, found.currency, "91522")
        found.amount = amount
        found.said |= _kept(params)
        found.move(Status.SUBMITTED, self._world.now(), "91507")
        return found

    def submit_part(self, key: str, params: Mapping[str, Value]) -> Transaction:
        """A part of an authorised amount as a transaction of its own; the parent waits for more until all is settled."""
        parent = self.find(key)
        if parent.status is not Status.AUTHORIZED and not parent.partial_ids:
            raise Refused("915103")
        rest = parent.amount - self._sum(parent.partial_ids)
        amount = self._part(params.get("amount"), rest, parent.currency, "91522")
        part = self._child(parent, amount, {**parent.said, **_kept(params)})
        part.authorized_transaction_id = parent.id
        part.begin(Status.AUTHORIZED)
        part.move(Status.SUBMITTED, self._world.now(), "915103")
        parent.partial_ids.append(part.id)
        if parent.status is Status.AUTHORIZED:
            parent.move(Status.SETTLEMENT_PENDING, self._world.now(), "915103")
        return part

    def refund(self, key: str, params: Mapping[str, Value]) -> Transaction:
        """A new transaction that pays back; as much as is left, or less."""
        found = self.find(key)
        if found.type != "sale":
            raise Refused("91505")
        if found.status not in REFUNDABLE:
            raise Refused("91506")
        rest = found.amount - self._sum(found.refund_ids)
        if not rest:
            raise Refused("91512")
        amount = self._part(params.get("amount"), rest, found.currency, "91521")
        back = self._child(found, amount, {**_kept(found.said), **_kept(params)})
        back.type = "credit"
        back.refunded_transaction_id = found.id
        back.begin(Status.SUBMITTED)
        found.refund_ids.append(back.id)
        found.updated_at = self._world.now()
        return back

    def reverse(self, key: str, params: Mapping[str, Value]) -> Transaction:
        found = self.find(key)
        if Status.VOIDED in NEXT.get(found.status, ()):
            return self.void(key, params)
        if found.status in REFUNDABLE:
            return self.refund(key, {})
        raise Refused("915282")

    # Settlement

    def force(self, key: str, action: str) -> Transaction:
        """A testing call of the SDK. An authorised transaction must be submitted first."""
        found = self.find(key)
        if found.status is Status.AUTHORIZED:
            raise Refused("91575")
        self._settle(found, FORCED[action])
        return found

    def advance(self, key: str | None = None) -> list[Transaction]:
        """One step of settlement for one or for all: submitted -> settling -> as the amount says."""
        found = [self.find(key)] if key else list(self.shelf)
        return [each for each in found if self._advance(each)]

    def _advance(self, found: Transaction) -> bool:
        if found.partial_ids:
            return False
        if found.status is Status.SUBMITTED:
            found.move(Status.SETTLING, self._world.now(), "91575")
        elif found.status is Status.SETTLING:
            self._settle(found, settlement(found.amount, found.instrument.kind))
        elif found.status in (Status.SETTLEMENT_PENDING, Status.SETTLEMENT_CONFIRMED):
            self._settle(found, Settlement(Status.SETTLED))
        else:
            return False
        return True

    def _settle(self, found: Transaction, how: Settlement) -> None:
        found.move(how.status, self._world.now(), "91575")
        found.settled = how
        if how.status in NEWS:
            self._news(NEWS[how.status], found)

    # Parts

    def _part(self, text: Value, most: Decimal, currency: str, code: str) -> Decimal:
        """The amount asked for, or all of it. Raises ``Refused``."""
        amount = exact(most, currency) if text in (None, "") else amount_of(text, currency)
        if amount > most or not amount:
            raise Refused(code)
        return amount

    def _sum(self, keys: list[str]) -> Decimal:
        found = (self.find(key) for key in keys)
        return sum((each.amount for each in found if each.status not in DEAD), Decimal(0))

    def _child(self, parent: Transaction, amount: Decimal, said: dict[str, Value]) -> Transaction:
        child = replace(
            parent,
            id=self._world.new_id(),
            amount=amount,
            created_at=self._world.now(),
            said=said,
            settled=None,
            history=[],
            refund_ids=[],
            partial_ids=[],
            disputes=[],
            refunded_transaction_id=None,
            authorized_transaction_id=None,
            three_d_secure=None,
        )
        return self.shelf.put(child.id, child)


def _kept(params: Mapping[str, Value]) -> dict[str, Value]:
    """What a later call says anew."""
    return {name: params[name] for name in ("order_id", "descriptor") if params.get(name)}
