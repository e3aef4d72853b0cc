"""The file of SQLite, as one thread sees it: a connection that writes, and one that reads what is committed.

Pragmas (https://www.sqlite.org/pragma.html): WAL, so that reading goes on while somebody writes; synchronous NORMAL, so that
nothing is lost when the process dies, and the last moments may be when the machine loses power (the file stays sound).
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from rtserver.core.errors import Conflict, StoreError, StoreUnavailable
from rtserver.core.ports import Row, Value
from rtserver.services.store_sql import MAX_ROWS, Statement, too_many_rows

OLDEST = (3, 37, 0)
"""The first SQLite with RETURNING and STRICT tables."""

LOOK_EVERY = 20_000
"""Steps of SQLite's machine between two looks at the clock: some 0.2 ms."""

LOCKED_PAUSE = 0.05
"""Seconds between two attempts to switch a file to WAL, for which SQLite does not wait by itself."""

_FAILED_ON = re.compile(r"constraint failed: (?:index '(?P<index>[^']+)'|(?P<columns>.+))")

_Errors = (sqlite3.Error, sqlite3.Warning, OverflowError)
"""``sqlite3.Warning`` is no ``Error``: Python 3.11 raises it for two statements in one text."""


class Call(NamedTuple):
    """A statement and its values."""

    statement: Statement
    params: tuple[Value, ...]


Outcome = list[Row] | StoreError
"""What became of a call: errors travel as values, because one of many calls may fail."""


def connect(path: str, wait: float) -> sqlite3.Connection:
    """A connection in WAL mode that waits up to ``wait`` seconds for locks of others. Makes the file, readable for its owner
    only. Raises ``StoreError``."""
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: use a Python with SQLite 3.37 or newer")
    try:
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error.strerror}): see database.url and state_dir") from None
    connection = sqlite3.connect(path, timeout=wait, isolation_level=None, check_same_thread=False)
    try:
        _switch_to_wal(connection, wait)
        connection.execute("pragma synchronous = normal")
        connection.execute("pragma foreign_keys = on")
    except _Errors as error:
        connection.close()
        raise translated(error, wait) from None
    return connection


def _make(path: str) -> None:
    """Never open a file that is there: closing it would give up the locks that SQLite holds on it for all connections of this
    process (https://www.sqlite.org/howtocorrupt.html, section 2.2), and another process could take the WAL away."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _switch_to_wal(connection: sqlite3.Connection, wait: float) -> None:
    until = time.monotonic() + wait
    while True:
        try:
            connection.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(LOCKED_PAUSE)


class SqliteFile:
    """Runs calls. Not for two threads at once. No call raises anything but ``StoreError``."""

    def __init__(self, path: str, statement_timeout: float, now: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._limit = statement_timeout
        self._now = now
        self._late_at = 0.0
        self._writer: sqlite3.Connection
        self._reader: sqlite3.Connection

    def open(self) -> None:
        self._writer = self._connect()
        self._reader = self._connect()
        self._reader.execute("pragma query_only = on")

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def read_all(self, calls: Sequence[Call]) -> list[Outcome]:
        """Each sees what was committed last."""
        return [self._outcome(self._reader, call) for call in calls]

    def write_all(self, calls: Sequence[Call]) -> list[Outcome]:
        """Each by itself, as if one after the other, but with one commit for all: the commit is what costs.

        A statement that fails undoes only itself. What fails the whole (a full disk, a statement that takes too long) is
        found out by running each alone.
        """
        together = self._together(calls) if len(calls) > 1 else None
        return [self._outcome(self._writer, call) for call in calls] if together is None else together

    def _together(self, calls: Sequence[Call]) -> list[Outcome] | None:
        """None: nothing of it was done."""
        try:
            self._frame("begin immediate")
            outcomes: list[Outcome] = []
            for call in calls:
                outcomes.append(self._outcome(self._writer, call))
                if not self._writer.in_transaction:
                    return None
            self._frame("commit")
        except StoreError:
            self.roll_back()
            return None
        return outcomes

    def begin(self) -> None:
        self._frame("begin immediate")

    def step(self, call: Call) -> list[Row]:
        outcome = self._outcome(self._writer, call)
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    def commit(self) -> None:
        if not self._writer.in_transaction:
            raise StoreUnavailable("SQLite has undone the transaction: try again")
        self._frame("commit")

    def roll_back(self) -> None:
        """Undo, if there is something to undo; with a new connection when the old one cannot."""
        if not self._writer.in_transaction:
            return
        try:
            self._writer.execute("rollback")
        except _Errors:
            self._writer.close()
            self._writer = self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self._path, self._limit)
        connection.set_progress_handler(self._is_late, LOOK_EVERY)
        return connection

    def _is_late(self) -> bool:
        return self._now() > self._late_at

    def _frame(self, sql: str) -> None:
        self._late_at = self._now() + self._limit
        try:
            self._writer.execute(sql)
        except _Errors as error:
            raise translated(error, self._limit) from None

    def _outcome(self, connection: sqlite3.Connection, call: Call) -> Outcome:
        self._late_at = self._now() + self._limit
        try:
            with closing(connection.execute(call.statement.text, call.params)) as cursor:
                if not call.statement.reads:
                    return cursor.fetchall()
                rows = cursor.fetchmany(MAX_ROWS + 1)
        except _Errors as error:
            return translated(error, self._limit)
        return too_many_rows() if len(rows) > MAX_ROWS else rows


NOT_NOW = {
    "SQLITE_BUSY": "another process keeps the database locked: let only one server write to a SQLite file at a time",
    "SQLITE_LOCKED": "another process keeps the database locked: let only one server write to a SQLite file at a time",
    "SQLITE_FULL": "there is no room for the database: free space on its disk",
    "SQLITE_IOERR": "the disk of the database fails: look at the log of the system",
    "SQLITE_NOMEM": "there is no memory for the database: free memory",
    "SQLITE_CANTOPEN": "the file of the database cannot be opened: see database.url and its permissions",
    "SQLITE_READONLY": "the file of the database is read-only: see its permissions and its disk",
}
HOPELESS = {
    "SQLITE_CORRUPT": "the file of the database is damaged: restore it from a backup",
    "SQLITE_NOTADB": "the file of the database is none of SQLite: see database.url",
    "SQLITE_TOOBIG": "a value or a statement is too large for SQLite: store less in one row",
}


def translated(error: Exception, limit: float) -> StoreError:
    """An error of SQLite as ours. SQLite's own sentences hold names of tables and columns, but no values."""
    name = getattr(error, "sqlite_errorname", "")
    kind = "_".join(name.split("_")[:2])
    if name in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID"):
        return Conflict(_constraint(str(error)))
    if kind == "SQLITE_INTERRUPT":
        return StoreUnavailable(
            f"a statement took longer than {limit:g} s: make it do less, or raise database.statement_timeout"
        )
    if kind in NOT_NOW:
        return StoreUnavailable(NOT_NOW[kind])
    return StoreError(HOPELESS.get(kind, f"SQLite refuses the statement: {error}"))


def _constraint(message: str) -> str:
    """ "UNIQUE constraint failed: t.a, t.b" as "t.a,b"."""
    found = _FAILED_ON.search(message)
    if found is None:
        return "value"
    if found["index"]:
        return found["index"]
    columns = found["columns"].split(", ")
    return ",".join([columns[0], *(each.partition(".")[2] for each in columns[1:])])
