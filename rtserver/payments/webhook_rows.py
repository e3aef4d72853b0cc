"""The table ``rt_pay_webhooks``: which notifications came, and whether that was looked at. Never what they said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from rtserver.core.ports import Row
from rtserver.core.rows import Runs, places
from rtserver.payments.records import Notification

LONGEST = 100
"""Characters of a kind and of an id that are kept."""

_PUT = """
    insert into rt_pay_webhooks (sha256, kind, happened_at, subject, subject_id, state, next_at, received_at)
    values (?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing returning 1
"""
_DUE = """
    select subject, subject_id, min(next_at) as first from rt_pay_webhooks
    where state = 'new' and next_at <= ? group by subject, subject_id order by first limit ?
"""
_OF = """
    select sha256, kind, tries, received_at from rt_pay_webhooks
    where state = 'new' and next_at <= ? and subject = ? and subject_id = ? order by received_at, sha256 limit 200
"""
_NEXT = "select min(next_at) from rt_pay_webhooks where state = 'new'"
_SWEEP = """
    delete from rt_pay_webhooks where sha256 in (
        select sha256 from rt_pay_webhooks where state <> 'new' and received_at < ? limit 1000
    )
"""


class Subject(NamedTuple):
    kind: str
    """"transaction", "subscription" or "dispute"."""
    id: str


@dataclass(frozen=True, slots=True)
class Webhook:
    sha256: str
    kind: str
    tries: int
    received_at: int


async def put(runs: Runs, sha256: str, told: Notification, state: str, now: int) -> bool:
    """False: it came before."""
    about = (told.kind[:LONGEST], told.happened_at, told.subject, told.subject_id[:LONGEST])
    return bool(await runs.run(_PUT, (sha256, *about, state, now, now)))


async def due(runs: Runs, now: int, limit: int) -> list[Subject]:
    """What is to be looked at, each once however many webhooks tell of it."""
    return [Subject(kind, id) for kind, id, _ in await runs.run(_DUE, (now, limit))]


async def of(runs: Runs, subject: Subject, now: int) -> list[Webhook]:
    """Those that are due of one subject. What comes later tells of a later look."""
    return [_webhook(row) for row in await runs.run(_OF, (now, *subject))]


async def end(runs: Runs, webhooks: list[Webhook], state: str) -> None:
    sql = f"update rt_pay_webhooks set state = ?, tries = tries + 1 where sha256 in ({places(webhooks)})"
    await runs.run(sql, (state, *(each.sha256 for each in webhooks)))


async def put_off(runs: Runs, webhook: Webhook, next_at: int) -> None:
    sql = "update rt_pay_webhooks set tries = tries + 1, next_at = ? where sha256 = ?"
    await runs.run(sql, (next_at, webhook.sha256))


async def next_at(runs: Runs) -> int:
    """When something is due next; 0: nothing waits."""
    rows = await runs.run(_NEXT)
    return rows[0][0] or 0


async def sweep(runs: Runs, before: int) -> None:
    """Those that came before and are dealt with."""
    await runs.run(_SWEEP, (before,))


def _webhook(row: Row) -> Webhook:
    return Webhook(*row)
