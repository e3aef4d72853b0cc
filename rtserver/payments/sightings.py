"""What was seen at the gateway, written down: also what others made there.

An object is read and written down in two steps, and others read it at the same time. What was read later wins: who finds that
something later is written down reads anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from rtserver.core.ports import Transaction
from rtserver.core.rows import Runs, of_json
from rtserver.payments import transactions
from rtserver.payments.calls import Calls
from rtserver.payments.errors import GatewayAway
from rtserver.payments.ledger import Finished
from rtserver.payments.parts import Parts
from rtserver.payments.records import GatewayTransaction

T = TypeVar("T")
S = TypeVar("S")

_SUBSCRIPTION = "subscription"
"""The name in the details of a transaction."""

READS = 3
"""Reads of one object in a row."""


class Stale(Exception):
    """Something later is written down already."""


async def read(
    parts: Parts,
    look: Callable[[], Awaitable[S | None]],
    write: Callable[[Transaction, S, int], Awaitable[T]],
) -> T | None:
    """Read an object and write it down in one transaction; ``write`` gets the time of the reading and raises ``Stale`` when
    something later is there. None: the gateway has no such object. Raises ``GatewayAway``."""
    for _ in range(READS):
        seen_at = parts.now
        seen = await look()
        if seen is None:
            return None
        try:
            return await parts.database.transact(_writing(write, seen, seen_at))
        except Stale:
            continue
    raise GatewayAway("this changes while it is read: try again in a minute")


def _writing(
    write: Callable[[Transaction, S, int], Awaitable[T]], seen: S, seen_at: int
) -> Callable[[Transaction], Awaitable[T]]:
    return lambda transaction: write(transaction, seen, seen_at)


async def put(parts: Parts, calls: Calls, seen: GatewayTransaction) -> Finished:
    """A transaction as it was read a moment ago. One that belongs to no order of ours is kept too, for the report."""
    finished = await calls.observe(seen)
    if finished.order is None:
        await parts.database.transact(lambda transaction: put_foreign(parts, transaction, seen))
    return finished


async def put_foreign(parts: Parts, transaction: Transaction, seen: GatewayTransaction) -> None:
    """A transaction of a subscription, or of nobody."""
    details = dict(seen.details)
    if seen.subscription_id:
        details[_SUBSCRIPTION] = seen.subscription_id
    await transactions.put(transaction, replace(seen, details=details), "", "", parts.now)


async def subscription_of(runs: Runs, transaction_id: str) -> str:
    """The id of the subscription that a transaction is of, "" for none."""
    rows = await runs.run("select details from rt_pay_transactions where id = ?", (transaction_id,))
    return str(of_json(rows[0][0]).get(_SUBSCRIPTION, "")) if rows else ""
