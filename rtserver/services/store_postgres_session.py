"""One connection to PostgreSQL, from its making to its end.

What it adds to txpostgres: time limits that hold when the server does not answer at all, an end that is told once, and callers
that may leave while a statement goes on. The Deferreds of txpostgres are never cancelled: that would make libpq connect again
and block meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg2
import psycopg2.extensions
from twisted.internet.defer import Deferred, DeferredLock

from rtserver.core.errors import StoreError, StoreUnavailable
from rtserver.core.ports import Row, Value
from rtserver.services.store_postgres_errors import first_line, is_lost, translated
from rtserver.services.store_postgres_wire import WatchedConnection
from rtserver.services.store_sql import MAX_ROWS, too_many_rows
from rtserver.services.store_transaction import shielded

GRACE = 1.0
"""Seconds that PostgreSQL gets to end a statement by itself before the connection counts as dead."""

BOOLEAN, BYTES, NUMBER = 16, 17, 1700
"""Type numbers of PostgreSQL whose Python values would differ from those of SQLite."""


def _boolean(text: str | None, _: object) -> int | None:
    return None if text is None else int(text == "t")


def _number(text: str | None, _: object) -> int | float | None:
    if text is None:
        return None
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _bytes(text: str | None, cursor: object) -> bytes | None:
    view = psycopg2.BINARY(text, cursor)
    return None if view is None else bytes(view)


ALIKE = tuple(
    psycopg2.extensions.new_type((number,), name, cast)
    for number, name, cast in ((BOOLEAN, "YES_NO", _boolean), (BYTES, "BYTES", _bytes), (NUMBER, "NUMBER", _number))
)
"""Make the values of both databases alike."""


class PostgresSession:
    """One connection. ``on_end`` is called once, when it is over for whatever reason."""

    def __init__(
        self,
        reactor: Any,
        statement_timeout: float,
        on_end: Callable[[PostgresSession], None],
        on_notify: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._statement_timeout = statement_timeout
        self._on_end = on_end
        self._connection = WatchedConnection(reactor, self._idle_end, on_notify)
        self._lock = DeferredLock()
        self.problem = ""
        """Why it is over; "" while it is not."""
        self.hung = False
        """Whether it is over because the server did not answer."""

    @property
    def is_open(self) -> bool:
        return not self.problem

    @property
    def is_busy(self) -> bool:
        """Whether a statement is under way."""
        return bool(self._lock.locked)

    async def open(self, parameters: Mapping[str, Any], timeout: float) -> None:
        """Raises ``StoreUnavailable``; the session is over then."""
        timer = self._reactor.callLater(timeout, self._no_answer, f"no connection within {timeout:g} s")
        try:
            await self._connection.connect(**parameters)
            for cast in ALIKE:
                psycopg2.extensions.register_type(cast, self._connection.pollable())
        except Exception as error:
            self.close(first_line(error))
            raise StoreUnavailable(f"PostgreSQL cannot be reached: {self.problem}") from None
        finally:
            if timer.active():
                timer.cancel()

    def execute(self, text: str, params: Sequence[Value] = (), limit: float = math.inf) -> Deferred[list[Row]]:
        """One statement with the placeholders of psycopg2, after those that were asked for before. Fails with ``StoreError``.
        ``limit``: seconds, when less than the time limit of statements. Cancelling frees the caller; the statement goes on."""
        limit = min(limit, self._statement_timeout + GRACE)
        return shielded(self._lock.run(lambda: Deferred.fromCoroutine(self._execute(text, params, limit))))

    def settled(self) -> Deferred[None]:
        """Fires when no statement is under way."""
        return self._lock.run(lambda: None)

    def close(self, problem: str) -> None:
        """End it. A statement under way fails."""
        if self.is_open:
            self.problem = problem or "it was closed"
            self._connection.abort()
            self._on_end(self)

    async def _execute(self, text: str, params: Sequence[Value], limit: float) -> list[Row]:
        if not self.is_open:
            raise StoreUnavailable(f"the connection to PostgreSQL was lost ({self.problem}): try again")
        timer = self._reactor.callLater(limit, self._no_answer, f"no answer within {limit:g} s")
        self._connection.leave_reactor()
        try:
            cursor = self._connection.cursor()
            # Without values psycopg2 takes the text as it is; with an empty tuple it would still look for %.
            await cursor.execute(text, tuple(params) or None)
            if cursor.description is None:
                return []
            if cursor.rowcount > MAX_ROWS:
                raise too_many_rows()
            return list(cursor.fetchall())
        except StoreError:
            raise
        except Exception as error:
            if is_lost(error):
                self.close(first_line(error))
            raise translated(error, self._statement_timeout) from None
        finally:
            if timer.active():
                timer.cancel()
            if self.is_open:
                self._connection.listen()

    def _no_answer(self, problem: str) -> None:
        self.hung = True
        self.close(problem)

    def _idle_end(self, error: BaseException | None) -> None:
        self.close(first_line(error))
