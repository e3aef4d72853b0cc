"""The consumer of the inbox: reads, publishes, deletes; takes over what another consumer left unfinished."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtserver.core.errors import BrokerError, BrokerUnavailable
from rtserver.core.messages import Publication
from rtserver.core.ports import PublishOptions
from rtserver.services.redis_doors import NO_NAMESPACE, DoorPlan
from rtserver.services.redis_errors import GroupExists, GroupMissing
from rtserver.services.redis_shard import RedisShard
from rtserver.services.throttle import Throttle

_log = Logger()

T = TypeVar("T")

BATCH = 100
MAX_BYTES = 4 * 1024 * 1024
"""Data of entries that are on their way at once (one may be larger)."""
BLOCK = 2.0
"""Seconds that one XREADGROUP waits in Redis for entries."""
CLAIM_IDLE = 10.0
"""Seconds after which an entry that another consumer read but did not finish is taken over."""
MAX_DEAD = 10_000
"""About so many dead entries are kept."""
MAX_ATTEMPTS = 5
"""Publishes of one entry that fail for another reason than that Redis cannot be reached."""
TIDY_INTERVAL = 600.0
"""Seconds between two removals of consumers that are gone for good."""
LONGEST_PAUSE = 5.0
"""Seconds between two attempts while publishing fails."""


class BadEntry(Exception):
    """An entry that can never be published; the message is the reason in the stream of dead entries."""


class Wanted(NamedTuple):
    """The publish that an entry asks for."""

    channel: str
    publication: Publication
    options: PublishOptions


class Entry(NamedTuple):
    """``fields`` is field, value, field, value..."""

    id: bytes
    fields: list[bytes]


class InboxReader:
    """Reads from ``run`` to ``stop``, on a connection of its own, because reading blocks it."""

    def __init__(self, shard: RedisShard, plan: DoorPlan) -> None:
        options = shard.plan.options
        self._shard = shard
        self._plan = plan
        self._stream = f"{options.publish_prefix}in"
        self._group = options.prefix
        self._connection = shard.connect_commands("inbox", options.io_timeout + BLOCK)
        self._throttle = Throttle(shard.reactor.seconds)
        self._waiting: Deferred[Any] | None = None
        self._stopped = False
        self._backlog = True
        """Whether there may be entries that were read but not finished: at the start, and after every failure."""
        self._failures = 0
        self._attempts: dict[bytes, int] = {}
        self._claim_at = self._tidy_at = shard.reactor.seconds()

    def stop(self) -> None:
        """Read no more. What was read is still published."""
        self._stopped = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def run(self) -> None:
        """Returns after ``stop``, when nothing is under way any more."""
        self._connection.start()
        try:
            while not self._stopped:
                await self._round()
        finally:
            await self._connection.stop()

    async def _round(self) -> None:
        try:
            for part in _parts(await self._next()):
                await self._take(part)
            self._failures = 0
        except CancelledError:
            return
        except GroupMissing:
            await self._make_group()
        except BrokerError as error:
            self._backlog = True
            self._failures += 1
            if self._throttle.ready():
                _log.warn("the inbox {name} has to wait: {why}", name=self._stream, why=str(error))
            await self._pause(min(LONGEST_PAUSE, 0.1 * 2**self._failures))

    async def _pause(self, seconds: float) -> None:
        if self._stopped:
            return
        try:
            await self._wait(deferLater(self._shard.reactor, seconds))
        except CancelledError:
            return  # stopped

    async def _wait(self, deferred: Deferred[T]) -> T:
        """The two waits that ``stop`` cuts short: for entries, and before another attempt."""
        self._waiting = deferred
        try:
            return await deferred
        finally:
            self._waiting = None

    async def _make_group(self) -> None:
        try:
            # From the very first entry: those added before any server ran are wanted too.
            await self._shard.commands.call("XGROUP", "CREATE", self._stream, self._group, "0", "MKSTREAM")
        except GroupExists:
            return
        except BrokerError as error:
            _log.warn("the inbox {name} cannot be read: {why}", name=self._stream, why=str(error))
            await self._pause(LONGEST_PAUSE)

    async def _next(self) -> list[Entry]:
        """The next entries in order: unfinished ones first, then new ones. Empty when none came for a while."""
        now = self._shard.reactor.seconds()
        if self._backlog or now >= self._claim_at:
            entries = await self._claim(0 if self._backlog else CLAIM_IDLE)
            self._claim_at = now + CLAIM_IDLE / 2
            self._backlog = self._backlog and bool(entries)
            if entries:
                return entries
        if now >= self._tidy_at:
            await self._shard.function("inbox_tidy", self._stream, self._group)
            self._tidy_at = now + TIDY_INTERVAL
        if self._stopped:
            return []
        reply = await self._wait(self._read())
        return [] if reply is None else _entries(reply[0][1])

    def _read(self) -> Deferred[Any]:
        consumer = ("GROUP", self._group, self._shard.plan.node_id)
        block = round(BLOCK * 1000)
        return self._connection.call(
            "XREADGROUP", *consumer, "COUNT", BATCH, "BLOCK", block, "STREAMS", self._stream, ">"
        )

    async def _claim(self, idle: float) -> list[Entry]:
        """Take over unfinished entries, also our own. The lease makes this safe even with ``idle`` 0."""
        consumer = self._shard.plan.node_id
        reply = await self._shard.commands.call(
            "XAUTOCLAIM", self._stream, self._group, consumer, round(idle * 1000), "0-0", "COUNT", BATCH
        )
        return _entries(reply[1])

    async def _take(self, entries: list[Entry]) -> None:
        """Publish in order, all at once; then delete what was accepted, bury what never can be, and raise for the rest."""
        sent: list[tuple[Entry, Deferred[Any]]] = []
        dead: list[tuple[Entry, str]] = []
        for entry in entries:
            try:
                sent.append((entry, self._plan.publish(*self._wanted(entry))))
            except BadEntry as error:
                dead.append((entry, str(error)))
        results = await DeferredList([publishing for _, publishing in sent], consumeErrors=True)
        done: list[bytes] = []
        problems: list[BaseException] = []
        for (entry, _), (accepted, outcome) in zip(sent, results, strict=True):
            if accepted:
                done.append(entry.id)
            elif self._is_hopeless(entry, outcome):
                dead.append((entry, outcome.getErrorMessage()))
            else:
                problems.append(outcome.value)
        await self._finish(done, dead)
        if problems:
            raise problems[0]

    async def _finish(self, done: list[bytes], dead: list[tuple[Entry, str]]) -> None:
        if done:
            await self._shard.function("inbox_done", self._stream, self._group, *done)
            self._shard.stats.inbox_accepted += len(done)
        for entry, why in dead:
            burial: tuple[str | bytes | int, ...] = (f"{self._stream}:dead", MAX_DEAD, why, *entry.fields)
            await self._shard.function("inbox_bury", self._stream, self._group, entry.id, *burial)
            self._shard.stats.inbox_dead += 1
            self._attempts.pop(entry.id, None)
            if self._throttle.ready():
                _log.warn(
                    "an entry of the inbox {name} went to {name}:dead: {why} ({n} more since the last such line)",
                    name=self._stream,
                    why=why,
                    n=self._throttle.take_skipped(),
                )
        for entry_id in done:
            self._attempts.pop(entry_id, None)

    def _wanted(self, entry: Entry) -> Wanted:
        """What the entry asks for. Raises ``BadEntry``."""
        fields = dict(zip(entry.fields[::2], entry.fields[1::2], strict=True))
        if b"channel" not in fields or b"data" not in fields:
            raise BadEntry("the entry needs the fields channel and data")
        try:
            channel, key = fields[b"channel"].decode(), fields.get(b"key", b"").decode()
        except UnicodeDecodeError as error:
            raise BadEntry("channel and key must be UTF-8") from error
        if not channel:
            raise BadEntry("the channel is empty")
        intake, data = self._plan.intake, fields[b"data"]
        options = intake.publish_options(channel)
        refusal = NO_NAMESPACE if options is None else intake.refusal(channel, data)
        if options is None or refusal is not None:
            raise BadEntry(str(refusal))
        once = key or f"inbox-{self._shard.index}-{entry.id.decode()}"
        return Wanted(channel, self._plan.publication(channel, data), replace(options, idempotency_key=once))

    def _is_hopeless(self, entry: Entry, failure: Failure) -> bool:
        if failure.check(BrokerUnavailable):
            return False
        attempts = self._attempts[entry.id] = self._attempts.get(entry.id, 0) + 1
        return attempts >= MAX_ATTEMPTS


def _parts(entries: list[Entry]) -> Iterator[list[Entry]]:
    """The same entries in order, in parts of bounded size."""
    part: list[Entry] = []
    size = 0
    for entry in entries:
        length = sum(map(len, entry.fields))
        if part and size + length > MAX_BYTES:
            yield part
            part, size = [], 0
        part.append(entry)
        size += length
    if part:
        yield part


def _entries(reply: list[Any]) -> list[Entry]:
    # Redis 7 shows an entry that was deleted by hand without fields; there is nothing left to do for it.
    return [Entry(entry_id, fields) for entry_id, fields in reply if fields is not None]
