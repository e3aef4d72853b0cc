"""Subscriptions: plans, and what is charged again and again."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from rtserver.simulator.merchant import MerchantAccount, MerchantAccounts
from rtserver.simulator.money import amount_of, exact
from rtserver.simulator.refusals import Refused
from rtserver.simulator.sales import Bill, Sales, Unsuccessful
from rtserver.simulator.shelf import Shelf, World
from rtserver.simulator.transactions import Transaction
from rtserver.simulator.vault import own_id
from rtserver.simulator.xml_wire import Array, Value, inside

PLACE = ("subscription",)
MAX_SUBSCRIPTIONS = 10_000
MAX_PLANS = 1_000
MAX_HISTORY = 50
MAX_SHOWN = 20
"""Transactions in an answer, newest first, as the gateway does it."""

News = Callable[[str, "Subscription"], None]


class State(StrEnum):
    """Status, as on the wire."""

    PENDING = "Pending"
    ACTIVE = "Active"
    PAST_DUE = "Past Due"
    CANCELED = "Canceled"
    EXPIRED = "Expired"


ENDED = frozenset({State.CANCELED, State.EXPIRED})


@dataclass(frozen=True, slots=True)
class Plan:
    id: str
    price: Decimal
    currency: str
    months: int = 1
    name: str = ""
    cycles: int | None = None
    trial_days: int = 0

    def view(self) -> dict[str, Value]:
        return {
            "id": self.id,
            "merchant_id": None,
            "name": self.name or self.id,
            "description": None,
            "price": exact(self.price, self.currency),
            "currency_iso_code": self.currency,
            "billing_frequency": self.months,
            "billing_day_of_month": None,
            "number_of_billing_cycles": self.cycles,
            "trial_period": bool(self.trial_days),
            "trial_duration": self.trial_days or None,
            "trial_duration_unit": "day" if self.trial_days else None,
            "add_ons": Array("add_on"),
            "discounts": Array("discount"),
        }


@dataclass(slots=True)
class Subscription:
    id: str
    plan: Plan
    price: Decimal
    account: MerchantAccount
    token: str
    created_at: datetime
    first_billing: date
    next_billing: date
    status: State = State.ACTIVE
    updated_at: datetime | None = None
    balance: Decimal = Decimal(0)
    cycle: int = 0
    cycles: int | None = None
    failures: int = 0
    past_due_since: date | None = None
    period: tuple[date, date] | None = None
    transactions: list[Transaction] = field(default_factory=list)
    history: list[dict[str, Value]] = field(default_factory=list)

    def enter(self, status: State, at: datetime) -> None:
        self.status = status
        self.updated_at = at
        event = {
            "timestamp": at,
            "status": status,
            "price": self.price,
            "balance": self.balance,
            "plan_id": self.plan.id,
        }
        event |= {"currency_iso_code": self.account.currency, "user": "simulator", "subscription_source": "api"}
        self.history = [event, *self.history][:MAX_HISTORY]

    def bill(self) -> dict[str, Value]:
        """What a transaction tells of the subscription that it is for."""
        begin, end = self.period or (None, None)
        dates = {"billing_period_start_date": begin, "billing_period_end_date": end}
        return {"id": self.id, "plan_id": self.plan.id, **dates}

    def view(self, today: date) -> dict[str, Value]:
        begin, end = self.period or (None, None)
        zero = exact(Decimal(0), self.account.currency)
        shown = self.transactions[: -MAX_SHOWN - 1 : -1]
        return {
            "id": self.id,
            "plan_id": self.plan.id,
            "status": self.status,
            "price": self.price,
            "balance": self.balance,
            "next_billing_period_amount": self.price,
            "next_bill_amount": self.price,
            "payment_method_token": self.token,
            "merchant_account_id": self.account.id,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "first_billing_date": self.first_billing,
            "next_billing_date": self.next_billing,
            "billing_day_of_month": self.first_billing.day,
            "billing_period_start_date": begin,
            "billing_period_end_date": end,
            "paid_through_date": end if not self.balance else None,
            "current_billing_cycle": self.cycle,
            "number_of_billing_cycles": self.cycles,
            "never_expires": self.cycles is None,
            "failure_count": self.failures,
            "days_past_due": (today - self.past_due_since).days if self.past_due_since else None,
            "trial_period": bool(self.plan.trial_days),
            "descriptor": {"name": None, "phone": None, "url": None},
            "add_ons": Array("add_on"),
            "discounts": Array("discount"),
            "discount": zero,
            "transactions": Array("transaction", [each.view() for each in shown]),
            "status_history": Array("status_event", self.history),
        }


def later(day: date, months: int) -> date:
    """As many months on; the last day of a month that is too short."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


class Subscriptions:
    """``news`` hears of what the gateway would send a webhook for."""

    def __init__(self, world: World, sales: Sales, accounts: MerchantAccounts, news: News) -> None:
        self._world = world
        self._sales = sales
        self._accounts = accounts
        self._news = news
        self.plans: Shelf[Plan] = Shelf("plans", MAX_PLANS)
        self.shelf: Shelf[Subscription] = Shelf("subscriptions", MAX_SUBSCRIPTIONS)

    @property
    def today(self) -> date:
        return self._world.now().date()

    def offer(self, plans: Iterable[Plan]) -> None:
        for plan in plans:
            self.plans.put(plan.id, plan)

    def create(self, params: Mapping[str, Value]) -> Subscription:
        """Charges the first period at once, unless there is a trial. Raises ``Refused``, ``Unsuccessful``."""
        plan = self.plans.find(params.get("plan_id"))
        if plan is None:
            raise Refused("91904", PLACE)
        key = own_id(params.get("id"), ("81906", "81906", "81902"), PLACE, self.shelf, self._world)
        account = self._account(params, plan)
        token = self._token(params)
        start = params.get("first_billing_date")
        first = start if isinstance(start, date) else self.today + timedelta(days=plan.trial_days)
        if isinstance(first, datetime):
            first = first.date()
        price = self._price(params, account) or exact(plan.price, account.currency)
        self.shelf.check()
        made = Subscription(key, plan, price, account, token, self._world.now(), first, first, cycles=plan.cycles)
        made.balance = exact(Decimal(0), account.currency)
        if first > self.today:
            made.enter(State.ACTIVE if plan.trial_days else State.PENDING, self._world.now())
            return self.shelf.put(key, made)
        self._bill(made)
        made.enter(State.ACTIVE, self._world.now())
        self.shelf.put(key, made)
        self._news("subscription_went_active", made)
        self._news("subscription_charged_successfully", made)
        return made

    def update(self, key: str, params: Mapping[str, Value]) -> Subscription:
        """Plan, price, payment method, merchant account, id. Nothing is prorated here."""
        found = self.shelf.get(key)
        if found.status in ENDED:
            raise Refused("81901", PLACE)
        plan = self.plans.find(params.get("plan_id") or found.plan.id)
        if plan is None:
            raise Refused("91904", PLACE)
        account = self._account({"merchant_account_id": found.account.id, **params}, plan)
        if params.get("payment_method_token") or params.get("payment_method_nonce"):
            found.token = self._token(params)
        price = self._price(params, account)
        found.price = price or (found.price if plan is found.plan else exact(plan.price, account.currency))
        found.plan, found.account = plan, account
        new = params.get("id")
        if new and new != key:
            found.id = own_id(new, ("81906", "81906", "81902"), PLACE, self.shelf, self._world)
            self.shelf.remove(key)
            self.shelf.put(found.id, found)
        found.enter(found.status, self._world.now())
        return found

    def cancel(self, key: str) -> Subscription:
        found = self.shelf.get(key)
        if found.status in ENDED:
            raise Refused("81905", PLACE)
        found.enter(State.CANCELED, self._world.now())
        self._news("subscription_canceled", found)
        return found

    def retry(self, params: Mapping[str, Value]) -> Transaction:
        """Charge what is past due again. Raises ``Refused``, ``Unsuccessful``."""
        found = self.shelf.find(params.get("subscription_id"))
        if found is None:
            raise Refused("91528")
        if found.status is not State.PAST_DUE:
            raise Refused("91531")
        text = params.get("amount")
        amount = amount_of(text, found.account.currency) if text else found.balance
        submit = bool(inside(params, "options").get("submit_for_settlement"))
        made = self._charge(found, amount, submit)
        found.balance = max(found.balance - amount, exact(Decimal(0), found.account.currency))
        if not found.balance:
            self._recovered(found)
        return made

    def make_past_due(self, key: str, days: int) -> Subscription:
        """As if the last charge had failed that many days ago."""
        found = self.shelf.get(key)
        if found.status in ENDED:
            raise Refused("81905", PLACE)
        found.balance = found.balance or found.price
        found.failures += 1
        return self._past_due(found, days)

    def charge(self, key: str) -> Subscription:
        """The next billing day, now: a charge, and a webhook of how it went."""
        found = self.shelf.get(key)
        if found.status in ENDED:
            raise Refused("81905", PLACE)
        if not found.cycle:
            self._news("subscription_trial_ended" if found.plan.trial_days else "subscription_went_active", found)
        try:
            self._bill(found)
        except Unsuccessful:
            found.balance += found.price
            self._news("subscription_charged_unsuccessfully", found)
            return self._past_due(found, 0)
        found.enter(State.ACTIVE, self._world.now())
        self._news("subscription_charged_successfully", found)
        if found.cycles is not None and found.cycle >= found.cycles:
            found.enter(State.EXPIRED, self._world.now())
            self._news("subscription_expired", found)
        return found

    # Parts

    def _past_due(self, found: Subscription, days: int) -> Subscription:
        found.past_due_since = self.today - timedelta(days=days)
        found.enter(State.PAST_DUE, self._world.now())
        self._news("subscription_went_past_due", found)
        return found

    def _bill(self, found: Subscription) -> None:
        """Charge a period. Raises ``Unsuccessful``: then the period goes on, unpaid."""
        found.cycle += 1
        begin = found.next_billing
        found.next_billing = later(found.first_billing, found.plan.months * found.cycle)
        found.period = (begin, found.next_billing - timedelta(days=1))
        self._charge(found, found.price + found.balance)
        self._recovered(found)

    def _charge(self, found: Subscription, amount: Decimal, submit: bool = True) -> Transaction:
        payer = self._sales.saved(found.token)
        try:
            made = self._sales.charge(payer, amount, found.account, Bill(found.bill(), submit))
        except Unsuccessful as no:
            found.failures += 1
            found.transactions.append(no.transaction)
            raise
        found.transactions.append(made)
        return made

    def _recovered(self, found: Subscription) -> None:
        found.balance = exact(Decimal(0), found.account.currency)
        found.failures = 0
        found.past_due_since = None
        if found.status is State.PAST_DUE:
            found.enter(State.ACTIVE, self._world.now())

    def _account(self, params: Mapping[str, Value], plan: Plan) -> MerchantAccount:
        account = self._accounts.choose(params.get("merchant_account_id"), "91901", PLACE)
        if account.currency != plan.currency:
            raise Refused("91923", PLACE)
        return account

    def _token(self, params: Mapping[str, Value]) -> str:
        name = params.get("payment_method_nonce")
        if name:
            nonce = self._sales.nonces.look(str(name))
            if nonce is None or not nonce.token:
                raise Refused("91925" if nonce is None else "91927", PLACE)
            self._sales.nonces.use(str(name))
            return nonce.token
        token = params.get("payment_method_token")
        if self._sales.vault.methods.find(token) is None:
            raise Refused("91903", PLACE)
        return str(token)

    def _price(self, params: Mapping[str, Value], account: MerchantAccount) -> Decimal | None:
        text = params.get("price")
        if text in (None, ""):
            return None
        try:
            return amount_of(text, account.currency)
        except Refused as error:
            raise Refused("81904", PLACE) from error
