"""The socket of PostgreSQL in the reactor: txpostgres with the ends of connections taken care of.

libpq closes and opens sockets inside of a poll: for its next attempt to connect, and when the server is gone. The reactor must
not know a socket by then, or it keeps a number that may soon be that of another connection. txpostgres takes away only the
direction that was ready, and raises the end of an idle connection into the reactor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ
from twisted.python.failure import Failure
from txpostgres import txpostgres

GONE = "the server closed the connection"


class _Watched:
    """Comes before a class of txpostgres."""

    reactor: Any
    pollable: Callable[[], Any]
    _pollingD: Any
    _has_read = False

    def doRead(self) -> None:
        self._has_read = True
        self._advance()

    def doWrite(self) -> None:
        # The reactor calls both for one event, but after the first there may be another socket, which is not ready. When
        # nothing was called for before, the event comes again.
        if self._has_read:
            self._has_read = False
        else:
            self._advance()

    def _advance(self) -> None:
        self.leave_reactor()
        if not self.pollable().closed:
            self.continuePolling()

    def leave_reactor(self) -> None:
        self.reactor.removeReader(self)
        self.reactor.removeWriter(self)

    def continuePolling(self, swallowErrors: bool = False) -> None:
        try:
            state = self.pollable().poll()
        except Exception:
            self._finish(Failure())
            return
        if state == POLL_OK:
            self._finish(self)
        elif state == POLL_READ:
            self.reactor.addReader(self)
        else:
            self.reactor.addWriter(self)

    def _finish(self, outcome: Any) -> None:
        """In a turn of its own, because those who wait may ask for the next statement."""
        polling, self._pollingD = self._pollingD, None
        if polling is not None:
            self.reactor.callLater(0, polling.callback, outcome)
        elif isinstance(outcome, Failure):
            self.got_end(outcome.value)

    def got_end(self, error: BaseException | None) -> None:
        """A failure that nobody waits for."""


class WatchedCursor(_Watched, txpostgres.Cursor):  # type: ignore[misc]
    """One statement."""


class WatchedConnection(_Watched, txpostgres.Connection):  # type: ignore[misc]
    """A connection that tells its end and its notifications by plain calls. ``on_end`` may be called several times."""

    cursorFactory = WatchedCursor

    def __init__(
        self, reactor: Any, on_end: Callable[[BaseException | None], None], on_notify: Callable[[str], None]
    ) -> None:
        super().__init__(reactor)
        self._on_end = on_end
        self._on_notify = on_notify

    def listen(self) -> None:
        """Wait for notifications, and for the end, while no statement is under way."""
        raw = self._connection
        if raw.closed or raw.fileno() < 0:
            self._on_end(psycopg2.OperationalError(GONE))
            return
        self.reactor.addReader(self)
        self.checkForNotifies()

    def doRead(self) -> None:
        is_idle = self._pollingD is None and not self._cursors
        super().doRead()
        if is_idle:
            self.listen()

    def got_end(self, error: BaseException | None) -> None:
        self._on_end(error)

    def connectionLost(self, reason: Any) -> None:
        super().connectionLost(reason)
        if self._connection.closed or self._connection.fileno() < 0:
            self._on_end(psycopg2.OperationalError(GONE))

    def cursorRunning(self, cursor: Any) -> None:
        self._cursors.add(cursor)

    def cursorFinished(self, cursor: Any) -> None:
        self._cursors.discard(cursor)

    def checkForNotifies(self) -> None:
        notifications = self._connection.notifies
        names = {each.channel for each in notifications}
        notifications.clear()
        for name in names:
            self._on_notify(name)

    def abort(self) -> None:
        """Close, and fail what is under way."""
        raw = self._connection
        if raw is None:
            return
        for each in (self, *self._cursors):
            each.leave_reactor()
        raw.close()
        self.close()
