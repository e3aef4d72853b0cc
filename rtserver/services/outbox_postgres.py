"""Which node reads a table that others insert into, and when: an advisory lock and LISTEN in PostgreSQL.

A lock of a session (https://www.postgresql.org/docs/current/explicit-locking.html, section 13.3.5) ends with its connection, so
that a node that dies holds nothing. Notifications that are sent while nobody listens are lost; whoever gains the lease
reads the table first.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from rtserver.core.errors import StoreError
from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_postgres_address import PostgresAddress
from rtserver.services.store_postgres_link import LinkEvents, PostgresLink
from rtserver.services.store_postgres_session import PostgresSession

_log = Logger()

INTERVAL = 1.0
"""Seconds between two attempts to take the lock, and between two questions whether the connection still lives."""

LIMIT = 3.0
"""Seconds for an answer; a node that hears nothing for so long gives the lease up."""

TAKE = "select pg_try_advisory_lock(hashtext('rtserver.' || current_schema()), hashtext(%s))"
RELEASE = "select pg_advisory_unlock(hashtext('rtserver.' || current_schema()), hashtext(%s))"
STILL_THERE = "select 1"


class LeaseState(Enum):
    IDLE = auto()
    """Not started, or stopped."""
    WANTED = auto()
    HELD = auto()


class PostgresLease:
    """Implements ``ports.Lease`` on a connection of its own. ``name`` is a plain word, and the notification too."""

    def __init__(
        self,
        options: DatabaseOptions,
        reactor: Any,
        name: str,
        events: tuple[Callable[[], None], Callable[[], None], Callable[[], None]],
    ) -> None:
        self._name = name
        self._gained, self._lost, self._wake = events
        self._session: PostgresSession | None = None
        self._asking: Deferred[None] | None = None
        self._rounds = LoopingCall(self._ask)
        self._rounds.clock = reactor
        told = LinkEvents(self._up, self._down, lambda _: None, lambda _: self._notified())
        self._link = PostgresLink(options, PostgresAddress(options), reactor, told, (f"listen {name}",))
        self.state = LeaseState.IDLE

    def start(self) -> None:
        self.state = LeaseState.WANTED
        self._link.start()
        self._rounds.start(INTERVAL, now=False)

    async def stop(self) -> None:
        if self._rounds.running:
            self._rounds.stop()
        self._lose()
        self.state = LeaseState.IDLE
        if self._asking is not None:
            await self._asking
        if self._session is not None:
            try:
                await self._session.execute(RELEASE, (self._name,), LIMIT)
            except StoreError as error:
                _log.info("the lease {name} ends with its connection: {why}", name=self._name, why=str(error))
        self._link.stop()

    def _up(self, session: PostgresSession) -> None:
        self._session = session
        self._ask()

    def _down(self, session: PostgresSession) -> None:
        self._session = None
        self._lose()

    def _notified(self) -> None:
        if self.state is LeaseState.HELD:
            self._wake()

    def _ask(self) -> None:
        """Take the lock, or see that the connection that holds it is alive. One question at a time."""
        session = self._session
        if session is None or self._asking is not None or self.state is LeaseState.IDLE:
            return
        self._asking = Deferred.fromCoroutine(self._round(session))
        self._asking.addErrback(lambda failure: _log.failure("the lease failed", failure))
        self._asking.addBoth(self._asked)

    def _asked(self, _: None) -> None:
        self._asking = None

    async def _round(self, session: PostgresSession) -> None:
        try:
            if self.state is LeaseState.HELD:
                await session.execute(STILL_THERE, limit=LIMIT)
                return
            rows = await session.execute(TAKE, (self._name,), LIMIT)
        except StoreError as error:
            # A connection that cannot be asked is of no use; the next one begins anew.
            session.close(str(error))
            return
        if rows[0][0] and session is self._session and self.state is LeaseState.WANTED:
            self.state = LeaseState.HELD
            _log.info("this node now holds the lease {name}", name=self._name)
            self._gained()

    def _lose(self) -> None:
        if self.state is LeaseState.HELD:
            self.state = LeaseState.WANTED
            self._lost()
