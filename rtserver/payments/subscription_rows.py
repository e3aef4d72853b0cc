"""The table ``rt_pay_subscriptions``, and how far along a subscription is.

The statuses after the first are those of Braintree in small letters, with "_" for a space
(https://developer.paypal.com/braintree/docs/reference/general/statuses).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rtserver.core.payments import Money
from rtserver.core.ports import Row
from rtserver.core.rows import Runs, is_id, places
from rtserver.payments.records import SaleItem

CHECKING = "checking"
"""It was asked for, and whether it came to be is not known yet."""
PAST_DUE = "past_due"

NEVER_BEGAN = ("declined", "rejected", "invalid", "failed", "error")
"""As the states of attempts: what became of the request for it."""
OVER = ("canceled", "expired")
ENDED = NEVER_BEGAN + OVER
"""Nothing is charged any more."""

RANKS = {
    CHECKING: 0,
    **dict.fromkeys(NEVER_BEGAN, 1),
    "pending": 2,
    "active": 3,
    PAST_DUE: 3,
    **dict.fromkeys(OVER, 4),
}
"""A subscription takes a status only of the same or a higher rank. A word that is not here ranks as "active"."""

MOST = 200
"""Subscriptions that are listed at once."""

_COLUMNS = "id, user_id, item_id, plan, method, status, amount, currency, paid_through, created_at, changed_at"

_INSERT = f"""
    insert into rt_pay_subscriptions (id, user_id, item_id, plan, method, status, amount, currency, created_at, changed_at)
    values (?, ?, ?, ?, ?, '{CHECKING}', ?, ?, ?, ?) returning {_COLUMNS}
"""
_UPDATE = f"""
    update rt_pay_subscriptions set item_id = ?, plan = ?, method = ?, status = ?, amount = ?, currency = ?,
        paid_through = ?, changed_at = ?
    where id = ? returning {_COLUMNS}
"""
_LIVE = (
    f"select {_COLUMNS} from rt_pay_subscriptions where user_id = ? and item_id = ? and status not in ({places(ENDED)})"
)
_PAID_BY = f"""
    select 1 from rt_pay_subscriptions where user_id = ? and method = ? and status not in ({places(ENDED)}) limit 1
"""


@dataclass(frozen=True, slots=True)
class Subscription:
    """``method`` is the token of the saved method that pays, ``paid_through`` a day as in "2030-12-31". Times in milliseconds
    since 1970."""

    id: str
    user_id: str
    item_id: str
    plan: str
    method: str
    status: str
    price: Money
    paid_through: str
    created_at: int
    changed_at: int

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED

    def record(self) -> dict[str, Any]:
        """What pages and applications see."""
        return {
            "subscription": self.id,
            "item": self.item_id,
            "plan": self.plan,
            "method": self.method,
            "state": self.status,
            "amount": self.price.text,
            "currency": self.price.currency,
            "paid_through": self.paid_through,
            "created_at": self.created_at,
            "changed_at": self.changed_at,
        }


def word(status: str) -> str:
    """The gateway's "Past Due" is our "past_due"."""
    return status.strip().lower().replace(" ", "_")


def rank(status: str) -> int:
    return RANKS.get(status, RANKS["active"])


async def create(runs: Runs, id: str, user_id: str, item: SaleItem, method: str, now: int) -> Subscription:
    values = (id, user_id, item.id, item.plan, method, item.price.minor, item.price.currency, now, now)
    return _subscription((await runs.run(_INSERT, values))[0])


async def find(runs: Runs, id: str) -> Subscription | None:
    if not is_id(id):
        return None
    rows = await runs.run(f"select {_COLUMNS} from rt_pay_subscriptions where id = ?", (id,))
    return _subscription(rows[0]) if rows else None


async def live(runs: Runs, user_id: str, item_id: str) -> Subscription | None:
    """The one of this person to this item that is not ended."""
    rows = await runs.run(_LIVE, (user_id, item_id, *ENDED))
    return _subscription(rows[0]) if rows else None


async def listed(runs: Runs, user_id: str) -> Sequence[Subscription]:
    """Of one person, the latest first."""
    sql = f"""
        select {_COLUMNS} from rt_pay_subscriptions where user_id = ? order by created_at desc, id limit {MOST}
    """
    return [_subscription(row) for row in await runs.run(sql, (user_id,))]


async def is_paid_by(runs: Runs, user_id: str, token: str) -> bool:
    """Whether a subscription of this person that is not ended is paid by this method."""
    return bool(await runs.run(_PAID_BY, (user_id, token, *ENDED)))


async def move(runs: Runs, wanted: Subscription, seen_at: int) -> Subscription:
    """Write down what may change. ``seen_at``: when this was true."""
    price = wanted.price
    facts = (
        wanted.item_id,
        wanted.plan,
        wanted.method,
        wanted.status,
        price.minor,
        price.currency,
        wanted.paid_through,
    )
    return _subscription((await runs.run(_UPDATE, (*facts, seen_at, wanted.id)))[0])


def _subscription(row: Row) -> Subscription:
    id, user_id, item_id, plan, method, status, amount, currency, paid_through, created_at, changed_at = row
    price = Money(amount, currency)
    return Subscription(id, user_id, item_id, plan, method, status, price, paid_through, created_at, changed_at)
