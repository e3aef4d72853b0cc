"""Searches: criteria as the SDK writes them, against what an object has under that name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from rtserver.simulator.disputes import Dispute
from rtserver.simulator.processor import Status
from rtserver.simulator.refusals import NotOffered
from rtserver.simulator.subscriptions import Subscription
from rtserver.simulator.transactions import Transaction
from rtserver.simulator.vault import Customer
from rtserver.simulator.xml_wire import Value

T = TypeVar("T")
Field = Callable[[T], Value]

PAGE_SIZE = 50


def _said(name: str) -> Field[Transaction]:
    return lambda one: one.said.get(name)


def _person(name: str) -> Field[Transaction]:
    return lambda one: one.customer.get(name)


def _fact(name: str) -> Field[Transaction]:
    return lambda one: one.instrument.fields.get(name)


def _entered(status: Status) -> Field[Transaction]:
    return lambda one: one.entered(status)


TRANSACTION: Mapping[str, Field[Transaction]] = {
    "id": lambda one: one.id,
    "ids": lambda one: one.id,
    "order_id": _said("order_id"),
    "status": lambda one: one.status,
    "type": lambda one: one.type,
    "amount": lambda one: one.amount,
    "currency": lambda one: one.currency,
    "created_at": lambda one: one.created_at,
    "merchant_account_id": lambda one: one.merchant_account_id,
    "payment_method_token": lambda one: one.token,
    "payment_instrument_type": lambda one: one.instrument.kind,
    "refund": lambda one: one.refunded_transaction_id is not None,
    "source": lambda one: "recurring" if one.subscription else "api",
    "customer_id": _person("id"),
    "customer_email": _person("email"),
    "customer_first_name": _person("first_name"),
    "customer_last_name": _person("last_name"),
    "customer_company": _person("company"),
    "credit_card_card_type": _fact("card_type"),
    "paypal_payer_email": _fact("payer_email"),
    "paypal_payment_id": _fact("payment_id"),
    "authorized_at": _entered(Status.AUTHORIZED),
    "submitted_for_settlement_at": _entered(Status.SUBMITTED),
    "settled_at": _entered(Status.SETTLED),
    "voided_at": _entered(Status.VOIDED),
    "processor_declined_at": _entered(Status.DECLINED),
    "gateway_rejected_at": _entered(Status.REJECTED),
    "failed_at": _entered(Status.FAILED),
}

CUSTOMER: Mapping[str, Field[Customer]] = {
    "id": lambda one: one.id,
    "ids": lambda one: one.id,
    "created_at": lambda one: one.created_at,
    "payment_method_token": lambda one: one.tokens,
    **{
        name: (lambda one, name=name: one.said.get(name))  # type: ignore[misc]
        for name in ("email", "first_name", "last_name", "company", "phone", "website", "fax")
    },
}

SUBSCRIPTION: Mapping[str, Field[Subscription]] = {
    "id": lambda one: one.id,
    "ids": lambda one: one.id,
    "plan_id": lambda one: one.plan.id,
    "status": lambda one: one.status,
    "price": lambda one: one.price,
    "created_at": lambda one: one.created_at,
    "next_billing_date": lambda one: one.next_billing,
    "merchant_account_id": lambda one: one.account.id,
    "transaction_id": lambda one: [each.id for each in one.transactions],
}

DISPUTE: Mapping[str, Field[Dispute]] = {
    "id": lambda one: one.id,
    "status": lambda one: one.status,
    "kind": lambda one: one.kind,
    "reason": lambda one: one.reason,
    "case_number": lambda one: f"CASE-{one.id}",
    "reference_number": lambda one: f"REF-{one.id}",
    "amount_disputed": lambda one: one.amount,
    "amount_won": lambda one: one.won,
    "received_date": lambda one: one.received,
    "transaction_id": lambda one: one.transaction.id,
    "customer_id": lambda one: one.transaction.customer.get("id"),
    "merchant_account_id": lambda one: one.transaction.merchant_account_id,
}


def _like(has: Value, text: Value) -> Value:
    """The wanted value as the same type as the one that is there. Moments are compared by the second, as they are written."""
    if isinstance(has, Decimal):
        try:
            return Decimal(str(text))
        except InvalidOperation as error:
            raise NotOffered(f"{text!r} is no amount to search for") from error
    if isinstance(has, datetime):
        return text if isinstance(text, datetime) else datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    if isinstance(has, date):
        return text.date() if isinstance(text, datetime) else date.fromisoformat(str(text)[:10])
    return str(text).casefold()


def _plain(has: Value) -> Value:
    if isinstance(has, datetime):
        return has.replace(microsecond=0)
    return has if isinstance(has, Decimal | date) else str(has).casefold()


OPERATORS: Mapping[str, Callable[[Value, Value], bool]] = {
    "is": lambda has, wanted: has == wanted,
    "is_not": lambda has, wanted: has != wanted,
    "min": lambda has, wanted: has >= wanted,
    "max": lambda has, wanted: has <= wanted,
    "contains": lambda has, wanted: wanted in has,
    "starts_with": lambda has, wanted: has.startswith(wanted),
    "ends_with": lambda has, wanted: has.endswith(wanted),
}


def _holds(has: Value, criterion: Value) -> bool:
    if isinstance(has, list):
        return any(_holds(each, criterion) for each in has)
    if isinstance(criterion, list):
        return has is not None and str(has) in [str(each) for each in criterion]
    if not isinstance(criterion, Mapping):
        return str(has).lower() == str(criterion).lower()
    if has is None:
        return set(criterion) == {"is_not"}
    unknown = set(criterion) - set(OPERATORS)
    if unknown:
        raise NotOffered(f"no search with {', '.join(sorted(unknown))} here")
    return all(OPERATORS[name](_plain(has), _like(has, wanted)) for name, wanted in criterion.items())


def search(items: Iterable[T], fields: Mapping[str, Field[T]], criteria: Value) -> list[T]:
    """What meets all criteria, newest first. Raises ``NotOffered`` for a field that is not known here."""
    wanted = criteria if isinstance(criteria, Mapping) else {}
    unknown = set(wanted) - set(fields)
    if unknown:
        raise NotOffered(f"no search by {', '.join(sorted(unknown))} here")
    found = [one for one in items if all(_holds(fields[name](one), each) for name, each in wanted.items())]
    return found[::-1]
