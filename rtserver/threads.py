"""Threads for plain functions: a pool of its own, so that what blocks in it never keeps the reactor's own work waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from rtserver.core.errors import RtError

SIZE = 16
"""Plain functions that run at a time."""

WAITING = 1000
"""Calls that may wait for a thread."""


class TooBusy(RtError):
    """Every thread is taken and too many calls wait already."""


class Threads:
    """A bounded pool. ``run`` raises ``TooBusy`` instead of queueing without end."""

    def __init__(self, reactor: Any, name: str, size: int = SIZE, waiting: int = WAITING) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, size, name)
        self._limit = size + waiting
        self._busy = 0

    async def start(self) -> None:
        self._pool.start()

    async def stop(self) -> None:
        """Lets what runs come to its end."""
        if self._pool.started:
            await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._pool.stop)

    async def run(self, function: Callable[..., Any], values: dict[str, Any]) -> Any:
        if self._busy >= self._limit:
            raise TooBusy("too many plain functions wait for a thread: make them async def, or let them wait less")
        self._busy += 1
        try:
            return await deferToThreadPool(self._reactor, self._pool, function, **values)
        finally:
            self._busy -= 1
