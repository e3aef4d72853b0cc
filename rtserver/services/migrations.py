"""The schema, brought up to date by numbered files: ``schema/<dialect>/<number>_<name>.sql``.

Synchronous: for the command line, and for a thread at the start of the server. Each file is applied once, in one transaction
with the line in ``rt_schema_version`` that says so. A file that was applied must stay as it is; a change is a new file.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from importlib.resources import files
from typing import Any, NamedTuple

import psycopg2

from rtserver.core.errors import StoreError, StoreUnavailable
from rtserver.services.store_options import POSTGRESQL, SQLITE, DatabaseOptions
from rtserver.services.store_postgres_errors import first_line
from rtserver.services.store_sqlite_file import connect, translated

LOCK_WAIT = 60.0
"""Seconds to wait for another process that migrates."""

LOCK = 0x72747365
"""The key of the advisory lock in PostgreSQL: "rtse"."""

_NAME = re.compile(r"(\d{4})_(\w+)\.sql")

_TABLE = {
    SQLITE: "select name from sqlite_master where type = 'table' and name = 'rt_schema_version'",
    POSTGRESQL: "select 1 where to_regclass(current_schema() || '.rt_schema_version') is not null",
}
_APPLIED = "select number, name, sha256 from rt_schema_version order by number"
_FOLDER = {SQLITE: "sqlite", POSTGRESQL: "postgres"}


class Migration(NamedTuple):
    number: int
    name: str
    sql: str
    sha256: str

    @property
    def title(self) -> str:
        return f"{self.number:04d}_{self.name}"


class MigrationRefused(StoreError):
    """The database and this release do not fit together; the message says why."""


def migrations(kind: str) -> list[Migration]:
    """The files of a dialect in the order of their numbers."""
    folder = files("rtserver").joinpath("services", "schema", _FOLDER[kind])
    found = []
    for each in folder.iterdir():
        if named := _NAME.fullmatch(each.name):
            data = each.read_bytes()
            found.append(Migration(int(named[1]), named[2], data.decode(), hashlib.sha256(data).hexdigest()))
    return sorted(found)


def pending(known: Sequence[Migration], applied: Sequence[tuple[int, str, str]]) -> list[Migration]:
    """What is still to be applied. ``applied`` is number, name and sha256, in order. Raises ``MigrationRefused``."""
    by_number = {each.number: each for each in known}
    for number, name, sha256 in applied:
        title = f"{number:04d}_{name}"
        ours = by_number.get(number)
        if ours is None:
            raise MigrationRefused(
                f"the database has the migration {title}, which this release does not know: run the newer release that "
                "made it, or restore a backup from before"
            )
        if ours.sha256 != sha256:
            raise MigrationRefused(
                f"the migration {title} is not what was applied to the database: restore its file as it was, and put the "
                "change into a new one"
            )
    latest = applied[-1][0] if applied else 0
    done = {number for number, _, _ in applied}
    rest = [each for each in known if each.number not in done]
    late = [each.title for each in rest if each.number < latest]
    if late:
        raise MigrationRefused(f"{', '.join(late)} would come after {latest:04d}: give it the next free number")
    return rest


def migrate(options: DatabaseOptions, known: Sequence[Migration] | None = None) -> list[str]:
    """Bring the database up to date; returns the titles of what was applied. Waits for other processes that do the same.

    Raises ``MigrationRefused``, ``StoreUnavailable`` when the database cannot be reached, ``StoreError`` when a file fails
    (nothing of it is left then).
    """
    address = options.address()
    ours = migrations(address.kind) if known is None else known
    if address.kind == SQLITE:
        return _migrate_sqlite(address.path, ours)
    return _migrate_postgres(options, ours)


# SQLite


def _migrate_sqlite(path: str, known: Sequence[Migration]) -> list[str]:
    with closing(connect(path, LOCK_WAIT)) as connection:
        try:
            connection.execute("begin exclusive")
            rest = pending(known, _applied(connection.execute, SQLITE))
            for each in rest:
                for sql in _statements(each.sql):
                    connection.execute(sql)
                connection.execute("insert into rt_schema_version values (?, ?, ?, ?)", _line(each))
            connection.execute("commit")
        except sqlite3.Error as error:
            raise translated(error, LOCK_WAIT) from None
    return [each.title for each in rest]


def _statements(sql: str) -> Iterator[str]:
    """The statements of a file: ``executescript`` would end the transaction."""
    statement = ""
    for piece in sql.split(";"):
        statement += piece + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _applied(execute: Callable[[str], Any], kind: str) -> list[tuple[int, str, str]]:
    if execute(_TABLE[kind]).fetchone() is None:
        return []
    return list(execute(_APPLIED).fetchall())


def _line(migration: Migration) -> tuple[int, str, str, int]:
    return migration.number, migration.name, migration.sha256, time.time_ns() // 1_000_000


# PostgreSQL


def _migrate_postgres(options: DatabaseOptions, known: Sequence[Migration]) -> list[str]:
    parameters = options.address().parameters
    try:
        connection = psycopg2.connect(
            connect_timeout=max(2, round(options.connect_timeout)), client_encoding="UTF8", **parameters
        )
    except psycopg2.Error as error:
        raise StoreUnavailable(f"PostgreSQL cannot be reached: {first_line(error)}") from None
    with closing(connection):
        try:
            return _migrate_locked(connection, known)
        except psycopg2.OperationalError as error:
            raise StoreUnavailable(f"PostgreSQL gave up during the migration: {first_line(error)}") from None
        except psycopg2.Error as error:
            raise StoreError(f"a migration failed and was undone: {first_line(error)}") from None


def _migrate_locked(connection: Any, known: Sequence[Migration]) -> list[str]:
    # The lock belongs to the connection and ends with it.
    with connection, connection.cursor() as cursor:
        cursor.execute(f"set lock_timeout = {round(LOCK_WAIT * 1000)}")
        cursor.execute("select pg_advisory_lock(%s, hashtext(current_schema()))", (LOCK,))
    with connection, connection.cursor() as cursor:
        rest = pending(known, _applied(_fetching(cursor), POSTGRESQL))
    for each in rest:
        with connection, connection.cursor() as cursor:
            cursor.execute(each.sql)
            cursor.execute("insert into rt_schema_version values (%s, %s, %s, %s)", _line(each))
    return [each.title for each in rest]


def _fetching(cursor: Any) -> Callable[[str], Any]:
    def execute(sql: str) -> Any:
        cursor.execute(sql)
        return cursor

    return execute
