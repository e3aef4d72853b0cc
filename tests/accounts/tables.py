"""The tables of accounts on a fresh database, with a clock that stands still and tokens that can be told apart."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from rtserver.accounts import proofs, users
from rtserver.accounts.options import AccountsOptions
from rtserver.accounts.proofs import NewProof
from rtserver.accounts.rates import Rates
from rtserver.accounts.records import Account, NewAccount, Proof, Purpose
from rtserver.accounts.sessions import Sessions
from rtserver.accounts.users import Norms
from rtserver.core.accounts import username_norm
from rtserver.core.options import Seconds
from rtserver.core.ports import Database, Row

START = 1_800_000_000.0
HOUR = 3600
DAY = 24 * HOUR

OPTIONS = AccountsOptions(session_ttl=Seconds(14 * DAY), session_max=Seconds(90 * DAY))

Check = Callable[["Tables"], Awaitable[None]]


class Tables:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.unix = START
        self._numbers = itertools.count(1)
        self.sessions = Sessions(database, OPTIONS, lambda: self.unix, self.token)
        self.rates = Rates(database, lambda: self.unix)

    @property
    def now(self) -> int:
        return int(self.unix * 1000)

    def token(self, size: int) -> str:
        return f"{next(self._numbers):0{size}d}"

    async def person(self, name: str = "ada") -> Account:
        email = f"{name}@example.org"
        new = NewAccount(self.token(8), name, email, "hash")
        return await users.create(self.database, new, Norms(username_norm(name), email), self.now)

    async def letter(self, **changes: Any) -> Proof:
        """With ``id`` "p1" its code is "code-p1"; the digits are 123456 and the browser is "browser"."""
        id = changes.setdefault("id", "p1")
        plain = NewProof(
            id=id,
            purpose=Purpose.SIGN_UP,
            code=f"code-{id}",
            digits="123456",
            email="Ada@example.org",
            email_norm="ada@example.org",
            expires_at=self.now + DAY * 1000,
            browser_hash="browser",
        )
        return await proofs.create(self.database, replace(plain, **changes), self.now)

    async def everything(self) -> str:
        """All that is stored, as one text."""
        return repr([await self.rows(table) for table in TABLES])

    async def rows(self, table: str) -> list[Row]:
        return await self.database.run(f"select * from {table}")


TABLES = (
    "rt_users",
    "rt_identities",
    "rt_sessions",
    "rt_session_items",
    "rt_proofs",
    "rt_auth_partials",
    "rt_auth_nonces",
    "rt_auth_associations",
    "rt_attempts",
    "rt_letters",
)


def checks_of(names: dict[str, Any]) -> list[Check]:
    """The checks among the names of a module."""
    return [check for name, check in sorted(names.items()) if name.startswith("check_")]
