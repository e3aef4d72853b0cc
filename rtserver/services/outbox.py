"""The outbox: rows that others put into the table ``rt_outbox`` inside of their own transactions, published after a commit.

One node at a time (a lease) reads the rows in the order of their ids, publishes each with its key as idempotency key, and
deletes it. A row that is published twice, because the node died in between, is delivered once as long as the broker remembers
the key (5 minutes). A row that can never be published goes to ``rt_outbox_dead`` with the reason. When the broker or the
database cannot be had, the rows wait.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from rtserver.core.errors import BrokerError, BrokerUnavailable, RtError, StoreError
from rtserver.core.ports import Database, Transaction
from rtserver.core.rows import places
from rtserver.rounds import Rounds, Work
from rtserver.services.throttle import Throttle

_log = Logger()

TABLE = "rt_outbox"

BATCH = 100
"""Rows that are read at once."""
MAX_BATCH = 4 * 1024 * 1024
"""Characters of data that are read at once (one row may have more)."""
MAX_DATA = 1024 * 1024
"""Characters of the data of one row."""
MAX_DEAD = 10_000
"""About so many dead rows are kept."""
MAX_ATTEMPTS = 5
"""Publishes of one row that fail for another reason than that the broker cannot be reached."""
INTERVAL = 1.0
"""Seconds between two looks at the table when nothing calls for one."""

_PUT = "insert into rt_outbox (channel, data, key) values (?, ?, ?)"
_READ = """
    select id, channel, case when length(data) <= ? then data end, key
    from (
        select id, channel, data, key, sum(length(data)) over (order by id) - length(data) as before
        from (select id, channel, data, key from rt_outbox order by id limit ?) as next
    ) as measured
    where before < ? order by id
"""
_DELETE = "delete from rt_outbox where id in ({})"
_BURY = """
    insert into rt_outbox_dead (id, channel, data, key, created_at, reason, died_at)
    select id, channel, data, key, created_at, ?, ? from rt_outbox where id = ?
    on conflict (id) do update set reason = excluded.reason, died_at = excluded.died_at
"""
_TRIM = f"""
    delete from rt_outbox_dead
    where id in (select id from rt_outbox_dead order by id desc limit 1000 offset {MAX_DEAD})
"""

Publish = Callable[[str, bytes, str], Awaitable[Any]]
"""Channel, data and idempotency key. Raises ``BrokerUnavailable`` when the row is to wait, another ``BrokerError`` when it
may be tried a few times, and any other ``RtError`` when it can never be published; its message becomes the reason."""


class OutboxRow(NamedTuple):
    """``data`` None: too large to be read."""

    id: int
    channel: str
    data: str | None
    key: str


@dataclass(slots=True)
class OutboxStats:
    """What the outbox counted since the start of this process."""

    published: int = 0
    dead: int = 0


async def put(transaction: Transaction, channel: str, data: str, key: str = "") -> None:
    """Publish ``data`` when this transaction commits, and only then."""
    await transaction.run(_PUT, (channel, data, key or str(uuid.uuid4())))


class Outbox:
    """Reads while this node holds the lease, from ``start`` to ``stop``."""

    def __init__(self, database: Database, publish: Publish, reactor: Any) -> None:
        self._database = database
        self._publish = publish
        self._rounds = Rounds(database, reactor, Work(TABLE, "the outbox", self._round))
        self._attempts: dict[int, int] = {}
        self._throttle = Throttle(reactor.seconds)
        self.stats = OutboxStats()

    async def start(self) -> None:
        await self._rounds.start()

    async def stop(self) -> None:
        """What is being published comes to its end; the rest stays in the table."""
        await self._rounds.stop()

    def wake(self) -> None:
        """There may be rows."""
        self._rounds.wake()

    async def _round(self) -> float:
        """Publish the next rows. Raises the first problem that calls for a pause."""
        read = await self._database.run(_READ, (MAX_DATA, BATCH, MAX_BATCH))
        rows = [OutboxRow(*each) for each in read]
        self._attempts = {row.id: self._attempts[row.id] for row in rows if row.id in self._attempts}
        by_channel: dict[str, list[OutboxRow]] = {}
        for row in rows:
            by_channel.setdefault(row.channel, []).append(row)
        parts = [Deferred.fromCoroutine(self._publish_all(each)) for each in by_channel.values()]
        outcomes = await gatherResults(parts, consumeErrors=True)
        await self._delete([row.id for done, _, _ in outcomes for row in done])
        await self._bury([burial for _, dead, _ in outcomes for burial in dead])
        for _, _, problem in outcomes:
            if problem is not None:
                raise problem
        return 0 if rows else INTERVAL

    async def _publish_all(
        self, rows: list[OutboxRow]
    ) -> tuple[list[OutboxRow], list[tuple[OutboxRow, str]], RtError | None]:
        """The rows of one channel, one after the other: done, dead with the reason, and what the rest waits for."""
        done: list[OutboxRow] = []
        dead: list[tuple[OutboxRow, str]] = []
        for row in rows:
            if not self._rounds.is_held:
                break
            try:
                await self._publish_one(row)
            except BrokerUnavailable as error:
                return done, dead, error
            except BrokerError as error:
                if not self._is_hopeless(row):
                    return done, dead, error
                dead.append((row, str(error)))
            except RtError as error:
                dead.append((row, str(error)))
            except Exception:
                _log.failure("publishing a row of the outbox failed")
                dead.append((row, "an unforeseen failure: see the log of the server"))
            else:
                done.append(row)
        return done, dead, None

    async def _publish_one(self, row: OutboxRow) -> None:
        if row.data is None:
            raise StoreError(f"the data has more than {MAX_DATA:,} characters: store it elsewhere and publish where")
        await self._publish(row.channel, row.data.encode(), row.key)

    def _is_hopeless(self, row: OutboxRow) -> bool:
        attempts = self._attempts[row.id] = self._attempts.get(row.id, 0) + 1
        return attempts >= MAX_ATTEMPTS

    async def _delete(self, ids: list[int]) -> None:
        if ids:
            await self._database.run(_DELETE.format(places(ids)), ids)
            self.stats.published += len(ids)

    async def _bury(self, dead: list[tuple[OutboxRow, str]]) -> None:
        if not dead:
            return

        async def work(transaction: Transaction) -> None:
            for row, why in dead:
                await transaction.run(_BURY, (why, time.time_ns() // 1_000_000, row.id))
            await transaction.run(_DELETE.format(places(dead)), [row.id for row, _ in dead])
            await transaction.run(_TRIM)

        await self._database.transact(work)
        self.stats.dead += len(dead)
        if self._throttle.ready():
            _log.warn(
                "a row of the outbox went to rt_outbox_dead: {why} ({n} more since the last such line)",
                why=dead[-1][1],
                n=self._throttle.take_skipped() + len(dead) - 1,
            )
