"""The table ``rt_pay_disputes``, and how far along a dispute is.

The words are those of Braintree (https://developer.paypal.com/braintree/docs/reference/response/dispute).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from rtserver.core.payments import Money
from rtserver.core.ports import Row
from rtserver.core.rows import Runs, is_id, places
from rtserver.payments.records import GatewayDispute

RANKS = {
    "open": 0,
    "expired": 1,
    "under_review": 1,
    "disputed": 1,
    **dict.fromkeys(("accepted", "auto_accepted", "won", "lost"), 2),
}
"""A dispute takes a status only of the same or a higher rank. A word that is not here ranks as "disputed"."""

OPEN = tuple(status for status, place in RANKS.items() if place < 2)
WON = "won"
"""The only end that leaves the money with the shop."""

MOST = 500
"""Disputes that are listed at once."""
LONGEST = 200
"""Characters of a reason that are kept."""

_COLUMNS = "id, transaction_id, status, amount, currency, reason, reply_by"

_PUT = """
    insert into rt_pay_disputes (id, transaction_id, status, amount, currency, reason, reply_by, changed_at)
    values (?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (id) do update set
        status = excluded.status, amount = excluded.amount, currency = excluded.currency, reason = excluded.reason,
        reply_by = excluded.reply_by, changed_at = excluded.changed_at
"""
_OF_ORDER = """
    select 1 from rt_pay_disputes where status <> ? and transaction_id in (
        select id from rt_pay_transactions where order_id = ?
    ) limit 1
"""

_TAKEN = """
    select transaction_id, amount from rt_pay_disputes where status <> ? and transaction_id in (
        select id from rt_pay_transactions where order_id = ?
    )
"""


def rank(status: str) -> int:
    return RANKS.get(status, RANKS["disputed"])


def record(dispute: GatewayDispute, order_id: str = "") -> dict[str, Any]:
    """What staff and applications see."""
    return {
        "dispute": dispute.id,
        "order": order_id,
        "transaction": dispute.transaction_id,
        "state": dispute.status,
        "amount": dispute.amount.text,
        "currency": dispute.amount.currency,
        "reason": dispute.reason,
        "reply_by": dispute.reply_by,
    }


async def put(runs: Runs, seen: GatewayDispute, seen_at: int) -> None:
    facts = (seen.amount.minor, seen.amount.currency, seen.reason[:LONGEST], seen.reply_by, seen_at)
    await runs.run(_PUT, (seen.id, seen.transaction_id, seen.status, *facts))


async def find(runs: Runs, id: str) -> tuple[GatewayDispute, int] | None:
    """With the time when it was so."""
    if not is_id(id):
        return None
    rows = await runs.run(f"select {_COLUMNS}, changed_at from rt_pay_disputes where id = ?", (id,))
    return (_dispute(rows[0][:-1]), rows[0][-1]) if rows else None


async def listed(runs: Runs, is_open: bool) -> list[tuple[GatewayDispute, str]]:
    """The latest first, each with the id of its order ("" for none). ``is_open``: only what is not decided."""
    condition = f"where dispute.status in ({places(OPEN)})" if is_open else ""
    columns = ", ".join(f"dispute.{each}" for each in _COLUMNS.split(", "))
    sql = f"""
        select {columns}, paid.order_id from rt_pay_disputes as dispute
        left join rt_pay_transactions as paid on paid.id = dispute.transaction_id
        {condition} order by dispute.changed_at desc, dispute.id limit {MOST}
    """
    rows = await runs.run(sql, OPEN if is_open else ())
    return [(_dispute(row[:-1]), row[-1] or "") for row in rows]


async def is_disputed(runs: Runs, order_id: str) -> bool:
    """Whether there is a dispute about this order that was not won."""
    return bool(await runs.run(_OF_ORDER, (WON, order_id)))


async def taken(runs: Runs, order_id: str) -> dict[str, int]:
    """What disputes that were not won take back of the transactions of an order, in the smallest unit, by their ids."""
    sums = Counter[str]()
    for transaction_id, amount in await runs.run(_TAKEN, (WON, order_id)):
        sums[transaction_id] += amount
    return sums


def _dispute(row: Row) -> GatewayDispute:
    id, transaction_id, status, amount, currency, reason, reply_by = row
    return GatewayDispute(id, transaction_id, status, Money(amount, currency), reason, reply_by)
