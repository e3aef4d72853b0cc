"""Sessions of PostgreSQL to borrow: a fixed number of them, and an orderly, bounded wait for one."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtserver.core.errors import StoreError, StoreUnavailable
from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_postgres_address import PostgresAddress
from rtserver.services.store_postgres_link import LinkEvents, PostgresLink
from rtserver.services.store_postgres_session import PostgresSession

_log = Logger()

PING_INTERVAL = 2.0
"""Seconds between two pings on a session that nobody uses."""

PING_LIMIT = 3.0
"""Seconds for the answer to a ping."""

UP = ""


class PoolState(Enum):
    STOPPED = auto()
    RUNNING = auto()
    STOPPING = auto()
    """Those who wait still get a session; nobody else does."""


class PostgresPool:
    """``problem`` says why no session is to be had; "" when there is one, or soon will be."""

    def __init__(self, options: DatabaseOptions, reactor: Any) -> None:
        self._options = options
        self._reactor = reactor
        self._label = options.address().label
        address = PostgresAddress(options)
        events = LinkEvents(self._up, self._down, self._failed)
        self._links = [PostgresLink(options, address, reactor, events) for _ in range(options.pool_size)]
        self._idle: list[PostgresSession] = []
        self._waiting: deque[Deferred[PostgresSession]] = deque()
        self._borrowed: set[PostgresSession] = set()
        self._state = PoolState.STOPPED
        self._quiet: Deferred[None] | None = None
        self._outage_told = False
        self._pinging = LoopingCall(self._ping)
        self._pinging.clock = reactor
        self.problem = "no connection to PostgreSQL was made yet"

    def start(self) -> Deferred[None]:
        """Fires when the first connection is there, or could not be made."""
        self._state = PoolState.RUNNING
        for link in self._links:
            link.start()
        self._pinging.start(PING_INTERVAL, now=False)
        first: Deferred[PostgresSession] = Deferred()
        self._waiting.append(first)
        return first.addCallbacks(self._take_back, lambda failure: failure.trap(StoreError) and None)

    async def stop(self) -> None:
        """Let what is under way come to its end, then close everything."""
        if self._state is not PoolState.RUNNING:
            return
        self._state = PoolState.STOPPING
        if self._borrowed or self._waiting:
            self._quiet = Deferred()
            # Every wait has its own limit; this one is for a mistake in counting.
            self._quiet.addTimeout(self._options.wait_timeout + 2 * self._options.transaction_timeout, self._reactor)
            self._quiet.addErrback(lambda failure: _log.failure("statements of PostgreSQL did not end", failure))
            await self._quiet
        self._state = PoolState.STOPPED
        self._pinging.stop()
        self.problem = "the server is stopping"
        for link in self._links:
            link.stop()

    async def borrow(self) -> PostgresSession:
        """A session for one statement or transaction; give it to ``give_back``. Raises ``StoreUnavailable``."""
        if self._state is not PoolState.RUNNING:
            raise StoreUnavailable("the database is not in use: the server was not started, or is stopping")
        if self._idle:
            session = self._idle.pop()
            self._borrowed.add(session)
            return session
        self._check_possible()
        if len(self._waiting) >= self._options.queue_limit:
            raise StoreUnavailable(
                f"{self._options.queue_limit:,} statements wait for the database already: ask it for less, or raise "
                "database.queue_limit"
            )
        waiting: Deferred[PostgresSession] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        timer = self._reactor.callLater(self._options.wait_timeout, self._too_late, waiting)
        try:
            return await waiting
        finally:
            if timer.active():
                timer.cancel()

    def give_back(self, session: PostgresSession) -> None:
        """For whoever is next, as soon as no statement is under way on it."""
        if session.is_busy:
            session.settled().addCallback(lambda _: self._take_back(session))
        else:
            self._take_back(session)

    def _take_back(self, session: PostgresSession) -> None:
        self._borrowed.discard(session)
        if session.is_open:
            self._offer(session)
        self._calm()

    def _offer(self, session: PostgresSession) -> None:
        if self._waiting:
            self._borrowed.add(session)
            self._waiting.popleft().callback(session)
        else:
            self._idle.append(session)

    def _calm(self) -> None:
        if self._quiet is not None and not self._borrowed and not self._waiting:
            quiet, self._quiet = self._quiet, None
            quiet.callback(None)

    def _too_late(self, waiting: Deferred[PostgresSession]) -> None:
        self._waiting.remove(waiting)
        self._refuse(
            waiting,
            f"no connection to PostgreSQL was free within {self._options.wait_timeout:g} s: make transactions shorter, or "
            "raise database.pool_size",
        )

    def _refuse(self, waiting: Deferred[PostgresSession], sentence: str) -> None:
        waiting.errback(Failure(StoreUnavailable(sentence)))
        self._calm()

    # What the links tell

    def _up(self, session: PostgresSession) -> None:
        if self.problem:
            _log.info("PostgreSQL at {label} is connected", label=self._label)
        self.problem = UP
        self._outage_told = False
        self._offer(session)

    def _down(self, session: PostgresSession) -> None:
        if session in self._idle:
            self._idle.remove(session)
        if session.hung:
            # The server may hang as a whole: those that nobody uses prove themselves by connecting anew.
            for each in self._idle[:]:
                each.close("another connection got no answer")
        self._check_hope(session.problem)

    def _failed(self, problem: str) -> None:
        self._check_hope(problem)

    def _check_hope(self, problem: str) -> None:
        """Without any session and any attempt that might still succeed, nobody need wait."""
        if self._is_possible():
            return
        if not self._outage_told:
            # Once for each outage; the attempts in between would say the same.
            self._outage_told = True
            _log.warn("PostgreSQL at {label} is not to be had: {why}; trying again", label=self._label, why=problem)
        self.problem = f"PostgreSQL at {self._label} is not to be had ({problem}): see that it runs, and database.url"
        while self._waiting:
            self._refuse(self._waiting.popleft(), self.problem)

    def _is_possible(self) -> bool:
        return any(link.is_up or link.is_hopeful for link in self._links)

    def _check_possible(self) -> None:
        if not self._is_possible():
            raise StoreUnavailable(self.problem)

    def _ping(self) -> None:
        """Find out that the server hangs before somebody needs it. The session that was idle the longest is asked."""
        if self._idle and self._state is PoolState.RUNNING:
            session = self._idle.pop(0)
            self._borrowed.add(session)
            answer = session.execute("select 1", limit=PING_LIMIT)
            answer.addErrback(lambda failure: failure.trap(StoreError))
            answer.addBoth(lambda _: self.give_back(session))
