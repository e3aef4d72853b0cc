"""The store in a file of SQLite: one thread does the work, and what came meanwhile is done together.

While the thread works, statements queue here; then all that wait go to it at once and share one commit. A transaction has the
writing connection for itself until it ends; statements that only read go on beside it and see what was committed before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from rtserver.core.errors import StoreError, StoreUnavailable
from rtserver.core.ports import Lease, Row, Transaction, Value
from rtserver.services.broker_memory import FreeLease
from rtserver.services.migrations import migrate
from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_sql import bind, statement
from rtserver.services.store_sqlite_file import Call, Outcome, SqliteFile
from rtserver.services.store_transaction import OpenTransaction, worked

_log = Logger()

T = TypeVar("T")

BATCH = 500
"""Statements that share a commit at most."""

SWEEP_INTERVAL = 0.5
"""Seconds between two looks at who has waited too long."""


class StoreState(Enum):
    STOPPED = auto()
    STARTING = auto()
    RUNNING = auto()
    STOPPING = auto()
    """What waits is still done."""


UNREADY = {
    StoreState.STOPPED: "the database is not in use: the server was not started, or has stopped",
    StoreState.STARTING: "the database is being opened",
    StoreState.RUNNING: "",
    StoreState.STOPPING: "the server is stopping",
}


@dataclass(slots=True, eq=False)
class Waiting:
    """A call that waits, or with ``call`` None a transaction that waits for its turn. ``since``: seconds of the reactor."""

    call: Call | None
    outcome: Deferred[Any]
    since: float


class SqliteStore:
    """Implements ``ports.Database``. ``options.url`` has an absolute path (see ``DatabaseOptions.placed``)."""

    def __init__(self, options: DatabaseOptions, reactor: Any) -> None:
        self._options = options
        self._path = options.address().path
        self._reactor = reactor
        self._file = SqliteFile(self._path, options.statement_timeout)
        self._pool = ThreadPool(1, 1, "database")
        # A thread that hangs on a dead disk must not keep the process from ending.
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
        self._reads: deque[Waiting] = deque()
        self._writes: deque[Waiting] = deque()
        self._working = False
        """Whether the thread has a batch."""
        self._taken = False
        """Whether a transaction has the writing connection."""
        self._state = StoreState.STOPPED
        self._quiet: Deferred[None] | None = None
        self._bells: dict[str, list[Callable[[], None]]] = {}
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = reactor

    @property
    def unready(self) -> str:
        return UNREADY[self._state]

    async def start(self) -> None:
        self._state = StoreState.STARTING
        self._pool.start()
        try:
            for each in await self._in_thread(migrate, self._options):
                _log.info("database: {migration} applied", migration=each)
            await self._in_thread(self._file.open)
        except BaseException:
            self._state = StoreState.STOPPED
            await self._end_thread()
            raise
        self._state = StoreState.RUNNING
        self._sweeping.start(SWEEP_INTERVAL, now=False)

    async def stop(self) -> None:
        if self._state is not StoreState.RUNNING:
            return
        self._state = StoreState.STOPPING
        if self._is_busy():
            self._quiet = Deferred()
            await self._quiet
        self._state = StoreState.STOPPED
        self._sweeping.stop()
        await self._in_thread(self._file.close)
        await self._end_thread()

    async def run(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        known = statement(sql)
        call = Call(known, bind(known, params))
        rows: list[Row] = await self._wait(self._reads if known.reads else self._writes, call)
        return rows

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        inserted: set[str] = set()
        await self._wait(self._writes, None)
        try:
            await self._in_thread(self._file.begin)
            result = await worked(
                work, OpenTransaction(partial(self._step, inserted)), self._options.transaction_timeout, self._reactor
            )
            await self._in_thread(self._file.commit)
        except BaseException:
            # The thread does it after the statement that may still be under way.
            self._in_thread(self._file.roll_back).addErrback(_log_failure).addBoth(self._give_back)
            raise
        self._give_back(None)
        self._ring(inserted)
        return result

    def lease(self, name: str, gained: Callable[[], None], lost: Callable[[], None], wake: Callable[[], None]) -> Lease:
        """Always free: one server works on a SQLite file. ``wake`` is called for insertions of this server only."""
        self._bells.setdefault(name, []).append(wake)
        return FreeLease(gained, lost)

    # The queue

    def _wait(self, queue: deque[Waiting], call: Call | None) -> Deferred[Any]:
        if self._state is not StoreState.RUNNING:
            raise StoreUnavailable(self.unready)
        if len(self._reads) + len(self._writes) >= self._options.queue_limit:
            raise StoreUnavailable(
                f"{self._options.queue_limit:,} statements wait for the database already: ask it for less, or raise "
                "database.queue_limit"
            )
        waiting = Waiting(call, Deferred(), self._reactor.seconds())
        queue.append(waiting)
        self._pump()
        return waiting.outcome

    def _pump(self) -> None:
        """Give the thread what waits, if it is free, and the next transaction its turn: that comes first, or those who read
        without end would keep it waiting."""
        if self._working:
            return
        self._begin_transaction()
        reads = _take(self._reads)
        writes = [] if self._taken else _take(self._writes)
        if reads or writes:
            self._working = True
            outcomes = self._in_thread(self._do, [each.call for each in reads], [each.call for each in writes])
            outcomes.addCallbacks(self._done, self._broken, (reads, writes), errbackArgs=(reads, writes))
        elif self._begin_transaction():
            return
        elif self._quiet is not None and not self._is_busy():
            quiet, self._quiet = self._quiet, None
            quiet.callback(None)

    def _begin_transaction(self) -> bool:
        """Whether the next one in the queue of writes is a transaction, which has its turn now."""
        while self._writes and self._writes[0].outcome.called:
            self._writes.popleft()
        if self._taken or not self._writes or self._writes[0].call is not None:
            return False
        self._taken = True
        self._writes.popleft().outcome.callback(None)
        return True

    def _is_busy(self) -> bool:
        return bool(self._working or self._taken or self._reads or self._writes)

    def _do(self, reads: list[Call], writes: list[Call]) -> tuple[list[Outcome], list[Outcome]]:
        """In the thread."""
        return self._file.read_all(reads), self._file.write_all(writes)

    def _done(self, outcomes: tuple[list[Outcome], list[Outcome]], reads: list[Waiting], writes: list[Waiting]) -> None:
        inserted: set[str] = set()
        for each, outcome in zip([*reads, *writes], [*outcomes[0], *outcomes[1]], strict=True):
            if isinstance(outcome, StoreError):
                _tell(each, Failure(outcome))
            else:
                if each.call is not None and each.call.statement.inserts:
                    inserted.add(each.call.statement.inserts)
                _tell(each, outcome)
        # Only now: what the callers ask for next shares a batch.
        self._working = False
        self._pump()
        self._ring(inserted)

    def _broken(self, failure: Failure, reads: list[Waiting], writes: list[Waiting]) -> None:
        """A mistake of ours: every error of SQLite travels as a value."""
        _log.failure("the thread of the database failed", failure)
        self._working = False
        for each in (*reads, *writes):
            _tell(each, Failure(StoreError("the database thread failed: see the log, and report it")))
        self._pump()

    def _sweep(self) -> None:
        oldest = self._reactor.seconds() - self._options.wait_timeout
        for queue in (self._reads, self._writes):
            while queue and (queue[0].since < oldest or queue[0].outcome.called):
                error = StoreUnavailable(
                    f"the database had no time for a statement within {self._options.wait_timeout:g} s: ask it for less, "
                    "make transactions shorter, or raise database.wait_timeout"
                )
                _tell(queue.popleft(), Failure(error))
        self._pump()

    # Transactions

    async def _step(self, inserted: set[str], sql: str, params: Sequence[Value]) -> list[Row]:
        known = statement(sql)
        rows: list[Row] = await self._in_thread(self._file.step, Call(known, bind(known, params)))
        if known.inserts:
            inserted.add(known.inserts)
        return rows

    def _give_back(self, _: object) -> None:
        self._taken = False
        self._pump()

    def _ring(self, inserted: Iterable[str]) -> None:
        for table in inserted:
            for bell in self._bells.get(table, ()):
                bell()

    # The thread

    def _in_thread(self, function: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """In the order of the calls. Cancelling frees the caller only."""
        return deferToThreadPool(self._reactor, self._pool, function, *arguments)

    async def _end_thread(self) -> None:
        await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._pool.stop)


def _take(queue: deque[Waiting]) -> list[Waiting]:
    """The next calls, up to a transaction. Those whose caller has left are dropped."""
    taken: list[Waiting] = []
    while queue and len(taken) < BATCH:
        if queue[0].outcome.called:
            queue.popleft()
        elif queue[0].call is None:
            break
        else:
            taken.append(queue.popleft())
    return taken


def _tell(waiting: Waiting, outcome: Any) -> None:
    if not waiting.outcome.called:
        waiting.outcome.callback(outcome)


def _log_failure(failure: Failure) -> None:
    _log.failure("a transaction could not be undone", failure)
