"""``/_sim/...``: what a test or a developer tells the simulator to do. JSON in, JSON out; never part of the real gateway."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from rtserver.simulator.disputes import State as DisputeState
from rtserver.simulator.faults import BadFault, Faults, fault_of
from rtserver.simulator.gateway import Gateway
from rtserver.simulator.merchant import MerchantAccount
from rtserver.simulator.nonces import FAKE
from rtserver.simulator.refusals import CODES, Full, NotFound, Refused
from rtserver.simulator.sales import Unsuccessful
from rtserver.simulator.sender import BadTarget, Sender
from rtserver.simulator.subscriptions import Plan
from rtserver.simulator.webhooks import TAMPER, Webhook, verification
from rtserver.simulator.xml_wire import Array, Collection, Value

ID = r"([A-Za-z0-9_-]+)"
MAX_STEPS = 10
MAX_SENDS = 200
MAX_LISTED = 1_000
MAX_AHEAD = 400 * 86_400

Json = Mapping[str, Any]


class BadOrder(Exception):
    """What was told cannot be done; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What orders work on."""

    gateway: Gateway
    faults: Faults
    sender: Sender


Handler = Callable[..., Any]
TABLE: list[tuple[str, re.Pattern[str], Handler]] = []


def order(verb: str, path: str) -> Callable[[Handler], Handler]:
    def add(handler: Handler) -> Handler:
        TABLE.append((verb, re.compile(path), handler))
        return handler

    return add


async def obey(desk: Desk, verb: str, path: str, said: Json) -> tuple[int, Any]:
    """Status and answer. ``path`` is below ``/_sim``."""
    for wanted, pattern, handler in TABLE:
        found = pattern.fullmatch(path) if wanted == verb else None
        if found is None:
            continue
        try:
            answer = handler(desk, said, *found.groups())
            return 200, plain(await answer if isinstance(answer, Awaitable) else answer)
        except (BadOrder, BadFault, BadTarget) as error:
            return 400, {"error": str(error)}
        except Refused as error:
            return 422, {"error": CODES[error.code][1], "code": error.code}
        except Unsuccessful as no:
            return 422, {"error": str(no), "transaction": plain(no.transaction.view())}
        except NotFound as error:
            return 404, {"error": f"not found: {error}"}
        except Full as error:
            return 503, {"error": str(error)}
    return 404, {"error": f"no order {verb} /_sim{path}; GET /_sim/ lists them"}


def plain(value: Value) -> Any:
    """As JSON can have it: amounts and moments as texts."""
    match value:
        case Mapping():
            return {name: plain(each) for name, each in value.items()}
        case Array() | Collection():
            return [plain(each) for each in value.items]
        case list() | tuple():
            return [plain(each) for each in value]
        case Decimal():
            return format(value, "f")
        case datetime() | date():
            return value.isoformat()
        case _:
            return value


def text(said: Json, name: str, default: str | None = None) -> str:
    """Raises ``BadOrder``."""
    value = said.get(name, default)
    if not isinstance(value, str):
        raise BadOrder(f"{name}: a text is needed")
    return value


def whole(said: Json, name: str, default: int, most: int) -> int:
    """Raises ``BadOrder``."""
    value = said.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise BadOrder(f"{name}: a whole number from 0 to {most}")
    return value


# The simulator itself


@order("GET", "/?")
def about(desk: Desk, _said: Json) -> Any:
    gateway = desk.gateway
    return {
        "simulator": "braintree",
        "merchant_id": gateway.setup.keys.merchant_id,
        "settings": gateway.settings.view(),
        "counts": {name: len(everything(gateway)) for name, (everything, _) in LISTS.items()},
        "orders": [f"{verb} /_sim{pattern.pattern.replace(ID, ':id')}" for verb, pattern, _ in TABLE],
    }


@order("POST", "/reset")
def reset(desk: Desk, _said: Json) -> Any:
    desk.gateway.fill()
    desk.faults.clear()
    return {}


@order("POST", "/settings")
def settings(desk: Desk, said: Json) -> Any:
    now = desk.gateway.settings.view()
    for name, value in said.items():
        if name not in now or not isinstance(value, (float | int) if isinstance(now[name], float) else type(now[name])):
            raise BadOrder(f"settings: {', '.join(f'{each} ({type(value).__name__})' for each, value in now.items())}")
    if said.get("webhook_url"):
        desk.sender.check(said["webhook_url"])
    desk.gateway.change(**said)
    return desk.gateway.settings.view()


@order("POST", "/clock")
def clock(desk: Desk, said: Json) -> Any:
    """Move time on: duplicates, search lag and billing days come sooner."""
    desk.gateway.world.ahead += timedelta(seconds=whole(said, "seconds", 0, MAX_AHEAD))
    return {"now": desk.gateway.world.now()}


@order("GET", "/faults")
def list_faults(desk: Desk, _said: Json) -> Any:
    return [each.view() for each in desk.faults.all()]


@order("POST", "/faults")
def add_fault(desk: Desk, said: Json) -> Any:
    fault = fault_of(said)
    desk.faults.add(fault)
    return fault.view()


@order("DELETE", "/faults")
def clear_faults(desk: Desk, _said: Json) -> Any:
    desk.faults.clear()
    return {}


# What it has

LISTS: Mapping[str, tuple[Callable[[Gateway], Any], Callable[[Gateway, Value], Value]]] = {
    "transactions": (lambda gateway: gateway.transactions.shelf, lambda _gateway, one: one.view()),
    "customers": (lambda gateway: gateway.vault.customers, lambda gateway, one: gateway.vault.customer_view(one)),
    "payment_methods": (lambda gateway: gateway.vault.methods, lambda gateway, one: gateway.vault.method_view(one)),
    "subscriptions": (
        lambda gateway: gateway.subscriptions.shelf,
        lambda gateway, one: one.view(gateway.subscriptions.today),
    ),
    "disputes": (lambda gateway: gateway.disputes.shelf, lambda _gateway, one: one.view()),
    "plans": (lambda gateway: gateway.subscriptions.plans, lambda _gateway, one: one.view()),
    "merchant_accounts": (lambda gateway: gateway.accounts.shelf, lambda _gateway, one: one.view()),
    "webhooks": (lambda gateway: gateway.webhooks.all(), lambda _gateway, one: one.view()),
}
"""Name -> all of a kind, and how one of them is told."""


@order("GET", f"/objects/{ID}")
def objects(desk: Desk, _said: Json, name: str) -> Any:
    """The newest thousand of a kind, oldest first."""
    if name not in LISTS:
        raise BadOrder(f"objects: one of {', '.join(LISTS)}")
    everything, view = LISTS[name]
    return [view(desk.gateway, one) for one in list(everything(desk.gateway))[-MAX_LISTED:]]


@order("GET", "/nonces")
def list_nonces(_desk: Desk, _said: Json) -> Any:
    return list(FAKE)


@order("POST", "/nonces")
def make_nonce(desk: Desk, said: Json) -> Any:
    """A nonce that is good once, as a page gets it: ``like`` is a fake one."""
    name = text(said, "like", "fake-valid-nonce")
    if name not in FAKE:
        raise BadOrder("like: one of the fake nonces, see GET /_sim/nonces")
    return {"nonce": desk.gateway.nonces.make(FAKE[name])}


@order("POST", "/merchant_accounts")
def add_account(desk: Desk, said: Json) -> Any:
    status = text(said, "status", "active")
    made = MerchantAccount(text(said, "id"), text(said, "currency_iso_code"), status=status)
    return desk.gateway.accounts.shelf.put(made.id, made).view()


@order("POST", "/plans")
def add_plan(desk: Desk, said: Json) -> Any:
    months, trial = whole(said, "billing_frequency", 1, 120), whole(said, "trial_days", 0, 3650)
    price = text(said, "price")
    if not re.fullmatch(r"\d{1,9}(\.\d{1,3})?", price) or not months:
        raise BadOrder('price: a text such as "9.99"; billing_frequency: months, at least one')
    cycles = whole(said, "number_of_billing_cycles", 0, 1000) or None
    currency = text(said, "currency_iso_code", "USD")
    made = Plan(text(said, "id"), Decimal(price), currency, months, text(said, "name", ""), cycles, trial)
    desk.gateway.subscriptions.offer([made])
    return made.view()


# What banks and time do


@order("POST", "/settlement/advance")
def advance(desk: Desk, said: Json) -> Any:
    """``steps`` of settlement for ``id``, or for all."""
    moved: dict[str, str] = {}
    for _ in range(whole(said, "steps", 1, MAX_STEPS)):
        moved |= {each.id: each.status for each in desk.gateway.transactions.advance(said.get("id"))}
    return {"moved": moved}


@order("POST", "/disputes")
def open_dispute(desk: Desk, said: Json) -> Any:
    transaction = desk.gateway.transactions.find(text(said, "transaction_id"))
    return desk.gateway.disputes.open(transaction, said).view()


@order("POST", f"/disputes/{ID}")
def decide_dispute(desk: Desk, said: Json, key: str) -> Any:
    status = text(said, "status")
    if status not in list(DisputeState):
        raise BadOrder(f"status: one of {', '.join(DisputeState)}")
    return desk.gateway.disputes.decide(key, DisputeState(status)).view()


@order("POST", "/subscriptions/charge")
def charge(desk: Desk, said: Json) -> Any:
    """The next billing day of ``id``, or of all that are active."""
    subscriptions = desk.gateway.subscriptions
    wanted = (
        [text(said, "id")] if "id" in said else [each.id for each in subscriptions.shelf if each.status == "Active"]
    )
    return [subscriptions.charge(key).view(subscriptions.today) for key in wanted]


@order("POST", "/subscriptions/past_due")
def past_due(desk: Desk, said: Json) -> Any:
    subscriptions = desk.gateway.subscriptions
    found = subscriptions.make_past_due(text(said, "id"), whole(said, "days", 1, 3650))
    return found.view(subscriptions.today)


# Webhooks


def _subject(gateway: Gateway, kind: str, key: str) -> dict[str, Value]:
    """The object that a kind of webhook is about, as it is now."""
    if kind == "check":
        return {"check": True}
    if kind.startswith("subscription_"):
        return {"subscription": gateway.subscriptions.shelf.get(key).view(gateway.subscriptions.today)}
    if kind.startswith("dispute_"):
        return {"dispute": gateway.disputes.shelf.get(key).view()}
    if kind == "payment_method_revoked_by_customer":
        method = gateway.vault.methods.get(key)
        return {method.instrument.names.in_vault: gateway.vault.method_view(method)}
    if kind.startswith("transaction_") or kind == "refund_failed":
        view = gateway.transactions.find(key).view()
        if kind == "transaction_disbursed":
            money = {"settlement_amount": view["amount"], "settlement_currency_iso_code": view["currency_iso_code"]}
            view["disbursement_details"] = {"disbursement_date": gateway.world.now().date(), "success": True, **money}
        return {"transaction": view}
    raise BadOrder(
        "kind: transaction_..., subscription_..., dispute_..., refund_failed, payment_method_revoked_by_customer, check"
    )


def _form(desk: Desk, said: Json, webhook: Webhook) -> dict[str, str]:
    how = text(said, "tamper", "")
    if how not in TAMPER:
        raise BadOrder(f"tamper: one of {', '.join(name for name in TAMPER if name)}")
    return desk.gateway.webhooks.form(webhook, how)


@order("POST", "/webhooks")
async def make_webhook(desk: Desk, said: Json) -> Any:
    """A webhook of a ``kind`` about ``id``; sent when there is a ``url``."""
    gateway, kind, key = desk.gateway, text(said, "kind"), text(said, "id", "")
    made = gateway.webhooks.make(kind, key, _subject(gateway, kind, key))
    form = _form(desk, said, made)
    sent = [await desk.sender.post(text(said, "url"), form)] if "url" in said else []
    return {**made.view(), "form": form if not sent else None, "sent": sent}


@order("GET", r"/webhooks/(\d+)")
def show_webhook(desk: Desk, said: Json, number: str) -> Any:
    found = desk.gateway.webhooks.get(int(number))
    return {**found.view(), "form": _form(desk, said, found)}


@order("POST", "/webhooks/send")
async def send_webhooks(desk: Desk, said: Json) -> Any:
    """Send these ``numbers`` in this order, one after the other: the same one several times, old ones last, as you like."""
    numbers = said.get("numbers")
    if not isinstance(numbers, list) or len(numbers) > MAX_SENDS or not all(isinstance(each, int) for each in numbers):
        raise BadOrder(f"numbers: a list of at most {MAX_SENDS} numbers, see GET /_sim/objects/webhooks")
    url = text(said, "url")
    forms = [_form(desk, said, desk.gateway.webhooks.get(number)) for number in numbers]
    return {"sent": [await desk.sender.post(url, form) for form in forms]}


@order("POST", "/webhooks/challenge")
async def challenge(desk: Desk, said: Json) -> Any:
    """Ask the ``url`` as the gateway does before it takes it."""
    asked = text(said, "challenge", "0123456789abcdef0123")
    got = await desk.sender.get(text(said, "url"), {"bt_challenge": asked})
    return {**got, "right": got["body"] == verification(desk.gateway.setup.keys, asked)}
