"""Work that one node does again and again: a round, a rest, another round."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred, FirstError
from twisted.logger import Logger

from rtserver.core.errors import RtError
from rtserver.payments.parts import Parts

_log = Logger()

PAUSE = 5.0
"""Seconds after a round that failed."""

Round = Callable[[], Awaitable[float]]
"""Does what is to be done, and returns the seconds to rest; 0 is for "there may be more"."""


class Rounds:
    """While this node holds the lease ``name``, from ``start`` to ``stop``. ``what`` is the subject of log lines."""

    def __init__(self, parts: Parts, name: str, round: Round, what: str) -> None:
        self._reactor = parts.reactor
        self._lease = parts.database.lease(name, self._gained, self._lost, self.wake)
        self._round = round
        self._what = what
        self._held = False
        self._working: Deferred[None] | None = None
        self._resting: Deferred[None] | None = None
        self._called = False
        """Whether somebody called while a round was under way."""
        self._trouble = ""

    async def start(self) -> None:
        self._lease.start()

    async def stop(self) -> None:
        """The round that is under way comes to its end."""
        await self._lease.stop()
        if self._working is not None:
            await self._working

    def wake(self) -> None:
        """There may be something to do."""
        self._called = True
        self._rise()

    def _gained(self) -> None:
        self._held = True
        if self._working is None:
            self._working = Deferred.fromCoroutine(self._work())
            self._working.addErrback(lambda failure: _log.failure("{what} ended", failure, what=self._what))
            self._working.addBoth(self._ended)

    def _lost(self) -> None:
        self._held = False
        self._rise()

    def _ended(self, _: None) -> None:
        self._working = None
        if self._held:
            self._gained()

    async def _work(self) -> None:
        while self._held:
            self._called = False
            try:
                seconds = await self._round()
                self._trouble = ""
            except Exception as error:
                self._tell(error)
                self._called = False
                seconds = PAUSE
            if seconds > 0 and not self._called:
                await self._rest(seconds)

    def _tell(self, error: Exception) -> None:
        """Once for each trouble, until a round gets through."""
        trouble = error.subFailure.value if isinstance(error, FirstError) else error
        if not isinstance(trouble, RtError):
            _log.failure("{what}: a round failed", what=self._what)
        elif self._trouble != str(trouble):
            self._trouble = str(trouble)
            _log.warn("{what}: {why}", what=self._what, why=str(trouble))

    async def _rest(self, seconds: float) -> None:
        if not self._held:
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
