"""Work that one node of many does again and again: a round, a rest, another round."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, FirstError
from twisted.logger import Logger

from rtserver.core.errors import RtError
from rtserver.core.ports import Database

_log = Logger()

FIRST_PAUSE = 0.2
"""Seconds after a round that failed; twice as many after each further one in a row."""
LONGEST_PAUSE = 5.0


def _nothing() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Work:
    """What one node does. ``lease`` is the name of the lease and of the table whose new rows call for a round, ``what`` the
    subject of log lines. ``round`` does what is to be done and returns the seconds to rest; 0 is for "there may be more".
    While ``is_unfinished`` there are rounds also without the lease: to bring to an end what was begun with it."""

    lease: str
    what: str
    round: Callable[[], Awaitable[float]]
    is_unfinished: Callable[[], bool] = _nothing


class Rounds:
    """While this node holds the lease, from ``start`` to ``stop``."""

    def __init__(self, database: Database, reactor: Any, work: Work) -> None:
        self._reactor = reactor
        self._work = work
        self._lease = database.lease(work.lease, self._gained, self._lost, self.wake)
        self._held = False
        self._working: Deferred[None] | None = None
        self._resting: Deferred[None] | None = None
        self._called = False
        """Whether somebody called while a round was under way."""
        self._failures = 0
        """Rounds that failed since one got through."""
        self._trouble = ""

    @property
    def is_held(self) -> bool:
        """Whether this node holds the lease."""
        return self._held

    @property
    def is_resting(self) -> bool:
        return self._resting is not None

    async def start(self) -> None:
        self._lease.start()

    async def stop(self) -> None:
        """The round that is under way comes to its end, and what is unfinished."""
        await self._lease.stop()
        self._rise()
        if self._working is not None:
            await self._working

    def wake(self) -> None:
        """There may be something to do. The pause after a failure is not made shorter by it."""
        self._called = True
        if not self._failures:
            self._rise()

    def _gained(self) -> None:
        self._held = True
        if self._working is None:
            self._working = Deferred.fromCoroutine(self._go_round())
            self._working.addErrback(lambda failure: _log.failure("{what} ended", failure, what=self._work.what))
            self._working.addBoth(self._ended)

    def _lost(self) -> None:
        self._held = False
        self._rise()

    def _ended(self, _: None) -> None:
        self._working = None
        if self._held:
            self._gained()

    def _goes_on(self) -> bool:
        return self._held or self._work.is_unfinished()

    async def _go_round(self) -> None:
        while self._goes_on():
            self._called = False
            try:
                seconds = await self._work.round()
            except Exception as error:
                self._tell(error)
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures, 10))
                self._failures += 1
                await self._rest(pause)
            else:
                self._failures, self._trouble = 0, ""
                if seconds > 0 and not self._called:
                    await self._rest(seconds)

    def _tell(self, error: Exception) -> None:
        """Once for each trouble, until a round gets through."""
        trouble = error.subFailure.value if isinstance(error, FirstError) else error
        if not isinstance(trouble, RtError):
            _log.failure("{what}: a round failed", what=self._work.what)
        elif self._trouble != str(trouble):
            self._trouble = str(trouble)
            _log.warn("{what} has to wait: {why}", what=self._work.what, why=str(trouble))

    async def _rest(self, seconds: float) -> None:
        if not self._goes_on():
            return
        self._resting = Deferred()
        timer = self._reactor.callLater(seconds, self._rise)
        await self._resting
        if timer.active():
            timer.cancel()

    def _rise(self) -> None:
        resting, self._resting = self._resting, None
        if resting is not None:
            resting.callback(None)
