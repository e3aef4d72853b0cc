"""Threads for plain functions: a pool of its own, so that what blocks in it never keeps the reactor's own work waiting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from threading import Lock, Thread
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, ensureDeferred
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread, deferToThreadPool
from twisted.python.threadpool import ThreadPool

from rtserver.app.calling import TooBusy
from rtserver.app.waiting import bridge

SIZE = 16
"""Plain functions that run at a time."""

WAITING = 1000
"""Calls that may wait for a thread."""

STOP_TIME = 10.0
"""Seconds that a shutdown waits for functions that still run."""


class Threads:
    """A bounded pool. Implements ``app.calling.InThread`` by ``run``."""

    def __init__(self, reactor: Any, name: str, size: int = SIZE, waiting: int = WAITING) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, size, name)
        self._pool.threadFactory = _thread  # type: ignore[assignment]
        self._limit = size + waiting
        self.busy = 0
        """Calls that run or wait, also those that nobody waits for any more."""
        self._is_closing = False
        self._idle: Deferred[None] | None = None

    async def start(self) -> None:
        self._pool.start()

    async def stop(self) -> int:
        """Begin nothing but what must be done, and let what runs come to its end, within ``STOP_TIME``. How many calls were
        left behind."""
        self._is_closing = True
        try:
            await Deferred.fromCoroutine(self._until_idle()).addTimeout(STOP_TIME, self._reactor)
        except TimeoutError:
            return self.busy
        if self._pool.started:
            self._pool.stop()
        return 0

    async def _until_idle(self) -> None:
        """A call may go on with what must be done, in the turn in which its thread has ended."""
        while self.busy:
            self._idle = Deferred()
            await self._idle
            await deferLater(self._reactor, 0)

    async def run(self, function: Callable[..., Any], values: dict[str, Any], *, must: bool = False) -> Any:
        """Raises ``TooBusy`` instead of queueing without end."""
        if self._is_closing and not must:
            raise TooBusy("the server is shutting down")
        if self.busy >= self._limit and not must:
            raise TooBusy("too many plain functions wait for a thread: make them async def, or let them wait less")
        job = _Job(self._reactor, function, values)
        self.busy += 1
        ended = deferToThreadPool(self._reactor, self._pool, job.run)
        ended.addBoth(self._count_down)
        try:
            return await _apart(ended)
        except CancelledError:
            if must or not job.give_up():
                await ended
            raise

    def _count_down(self, outcome: Any) -> Any:
        self.busy -= 1
        if self.busy == 0 and self._idle is not None:
            idle, self._idle = self._idle, None
            idle.callback(None)
        return outcome


class _Job:
    """One call. It begins, or it is given up, whichever comes first."""

    def __init__(self, reactor: Any, function: Callable[..., Any], values: dict[str, Any]) -> None:
        self._reactor = reactor
        self._function = function
        self._values = values
        self._claim = Lock()

    def give_up(self) -> bool:
        """Whether it had not begun; now it never will."""
        return self._claim.acquire(blocking=False)

    def run(self) -> Any:
        if not self._claim.acquire(blocking=False):
            return None
        bridge.wait = self._wait
        return self._function(**self._values)

    def _wait(self, work: Awaitable[Any]) -> Any:
        return blockingCallFromThread(self._reactor, ensureDeferred, work)  # type: ignore[arg-type]


def _thread(**options: Any) -> Thread:
    """One that never ends must not keep the process alive."""
    return Thread(daemon=True, **options)


def _apart(ended: Deferred[Any]) -> Deferred[Any]:
    """The same outcome, without a way to cancel what it comes from."""
    apart: Deferred[Any] = Deferred()
    ended.addCallbacks(apart.callback, apart.errback)
    return apart
