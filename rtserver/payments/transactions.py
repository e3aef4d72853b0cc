"""The table ``rt_pay_transactions``: what the gateway says exists. A status only goes forward."""

from __future__ import annotations

from rtserver.core.payments import Money
from rtserver.core.ports import Row
from rtserver.core.rows import Runs, as_json, is_id
from rtserver.payments.moves import RANKS, Stored
from rtserver.payments.records import GatewayTransaction

LONGEST_DETAILS = 8000
"""Characters of the details of one transaction; longer ones are not kept."""

_COLUMNS = "id, order_id, attempt_id, kind, status, amount, currency, parent, instrument, created_at"

_INSERT = """
    insert into rt_pay_transactions (
        id, order_id, attempt_id, kind, status, amount, currency, parent, instrument, details, created_at, changed_at
    ) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_UPDATE = """
    update rt_pay_transactions set status = ?, amount = ?, instrument = ?, details = ?, changed_at = ? where id = ?
"""


async def put(runs: Runs, seen: GatewayTransaction, order_id: str, attempt_id: str, now: int, parent: str = "") -> None:
    """Write down what was seen. What is known to be farther along stays. ``parent`` is taken when the gateway names none."""
    known = await find(runs, seen.id)
    details = as_json(dict(seen.details))
    kept = details if len(details) <= LONGEST_DETAILS else "{}"
    amount = seen.amount
    if known is None:
        ids = (seen.id, order_id or None, attempt_id or None, seen.kind, seen.status)
        facts = (amount.minor, amount.currency, seen.parent or parent, seen.instrument, kept, seen.created_at, now)
        await runs.run(_INSERT, ids + facts)
    elif is_forward(known.status, seen.status):
        await runs.run(_UPDATE, (seen.status, amount.minor, seen.instrument or known.instrument, kept, now, seen.id))


def is_forward(known: str, seen: str) -> bool:
    """A word that is not in the table is news, and keeps its place until a known one comes."""
    return RANKS.get(seen, 0) >= RANKS.get(known, 0)


async def find(runs: Runs, id: str) -> Stored | None:
    if not is_id(id):
        return None
    rows = await runs.run(f"select {_COLUMNS} from rt_pay_transactions where id = ?", (id,))
    return _stored(rows[0]) if rows else None


async def of_order(runs: Runs, order_id: str) -> list[Stored]:
    sql = f"select {_COLUMNS} from rt_pay_transactions where order_id = ? order by created_at, id"
    return [_stored(row) for row in await runs.run(sql, (order_id,))]


async def made_between(runs: Runs, start: int, end: int) -> list[Stored]:
    sql = f"select {_COLUMNS} from rt_pay_transactions where created_at >= ? and created_at < ? order by created_at, id"
    return [_stored(row) for row in await runs.run(sql, (start, end))]


def _stored(row: Row) -> Stored:
    id, order_id, attempt_id, kind, status, amount, currency, parent, instrument, created_at = row
    return Stored(
        id, order_id or "", attempt_id or "", kind, status, Money(amount, currency), parent, instrument, created_at
    )
