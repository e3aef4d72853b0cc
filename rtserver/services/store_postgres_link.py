"""A connection to PostgreSQL that comes back: connect, serve, and after a loss begin again with a fresh session.

txpostgres' own detector of dead connections is not used: it connects the same object again, whose lock a statement that hangs
still holds, and it cannot bound an attempt.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rtserver.core.errors import StoreError
from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_postgres_address import PostgresAddress
from rtserver.services.store_postgres_session import PostgresSession

_log = Logger()

FIRST_DELAY = 0.1
LONGEST_DELAY = 2.0
"""Seconds between two attempts; the delays grow by 1.6 and are cut at random, so that nodes do not come back in step."""


class LinkState(Enum):
    STOPPED = auto()
    CONNECTING = auto()
    UP = auto()
    WAITING = auto()
    """A pause before the next attempt."""


@dataclass(frozen=True, slots=True)
class LinkEvents:
    """What a link tells. ``down`` gets a session that was ``up``; ``failed`` is told of an attempt that came to nothing."""

    up: Callable[[PostgresSession], None]
    down: Callable[[PostgresSession], None]
    failed: Callable[[str], None]
    notified: Callable[[str], None] = lambda _: None


class PostgresLink:
    """Keeps one session open from ``start`` to ``stop``. ``greeting`` are statements that make a session ready."""

    def __init__(
        self,
        options: DatabaseOptions,
        address: PostgresAddress,
        reactor: Any,
        events: LinkEvents,
        greeting: tuple[str, ...] = (),
    ) -> None:
        self._options = options
        self._address = address
        self._reactor = reactor
        self._events = events
        self._greeting = greeting
        self._session: PostgresSession | None = None
        self._retry_call: Any = None
        self._failures = 0
        self.state = LinkState.STOPPED

    @property
    def is_hopeful(self) -> bool:
        """Whether it is connecting and nothing speaks against it yet."""
        return self.state is LinkState.CONNECTING and self._failures == 0

    @property
    def is_up(self) -> bool:
        return self.state is LinkState.UP

    def start(self) -> None:
        if self.state is LinkState.STOPPED:
            self._connect()

    def stop(self) -> None:
        self.state = LinkState.STOPPED
        if self._retry_call is not None:
            self._retry_call.cancel()
            self._retry_call = None
        session, self._session = self._session, None
        if session is not None:
            session.close("the server is stopping")

    def _connect(self) -> None:
        self._retry_call = None
        self.state = LinkState.CONNECTING
        self._session = session = PostgresSession(
            self._reactor, self._options.statement_timeout, self._ended, self._events.notified
        )
        opening = Deferred.fromCoroutine(self._open(session))
        opening.addErrback(lambda failure: _log.failure("connecting to PostgreSQL failed", failure))

    async def _open(self, session: PostgresSession) -> None:
        try:
            parameters = await self._address.parameters()
            if session.is_open:
                await session.open(parameters, self._options.connect_timeout)
            for statement in self._greeting:
                await session.execute(statement)
        except StoreError as error:
            session.close(str(error))
            return
        if session is not self._session:
            session.close("it is not needed any more")
            return
        self.state = LinkState.UP
        self._failures = 0
        self._events.up(session)

    def _ended(self, session: PostgresSession) -> None:
        if session is not self._session:
            return
        self._session = None
        was_up = self.is_up
        if not was_up or session.hung:
            self._failures += 1
        if self._failures:
            self.state = LinkState.WAITING
            delay = min(LONGEST_DELAY, FIRST_DELAY * 1.6 ** min(self._failures, 50)) * random.uniform(0.5, 1.0)
            self._retry_call = self._reactor.callLater(delay, self._connect)
        else:
            # In a turn of its own: this may be called from inside of a statement of the session.
            self.state = LinkState.CONNECTING
            self._retry_call = self._reactor.callLater(0, self._connect)
        if was_up:
            self._events.down(session)
        else:
            self._events.failed(session.problem)
