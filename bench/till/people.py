"""Payers who are signed in before the server starts: rows of its SQLite file, written by its own functions."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, cast

from rtserver.accounts import users
from rtserver.accounts.options import AccountsOptions
from rtserver.accounts.records import NewAccount
from rtserver.accounts.sessions import Sessions
from rtserver.core.ports import Database, Row, Value
from rtserver.services.migrations import migrate
from rtserver.services.store_options import DatabaseOptions


class Payer(NamedTuple):
    """``cookie`` is the value of the session's cookie, ``csrf`` what goes with each POST of it."""

    cookie: str
    csrf: str


class OpenFile:
    """A file of SQLite for functions that run one statement at a time. Each is done when ``run`` returns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def run(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        return cast(list[Row], self._connection.execute(sql, params).fetchall())


def sign_in(path: Path, count: int) -> list[Payer]:
    """Makes the file with ``count`` people in it, each with a session."""
    migrate(DatabaseOptions(url=f"sqlite:{path}"))
    with closing(sqlite3.connect(path)) as connection, connection:
        return asyncio.run(_sign_in(OpenFile(connection), count))


async def _sign_in(file: OpenFile, count: int) -> list[Payer]:
    some: Any = file
    sessions = Sessions(cast(Database, some), AccountsOptions(), time.time, secrets.token_urlsafe)
    found = []
    for number in range(count):
        name, address = f"payer{number}", f"payer{number}@example.org"
        new = NewAccount(uuid.uuid4().hex, name, address)
        account = await users.create(file, new, users.Norms(name, address), int(time.time() * 1000))
        session, cookie = await sessions.sign_in(None, account.id, "bench", "127.0.0.1")
        found.append(Payer(cookie, session.csrf))
    return found
