"""A house of accounts with providers that need no network: browsers, letters, and a class of the library that answers from a
table."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from social_core.backends.oauth import BaseOAuth2PKCE
from twisted.internet import reactor

from rtserver.accounts import users
from rtserver.accounts.confirming import Confirmed, Confirming
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.options import AccountsOptions, ProviderOptions
from rtserver.accounts.parts import Asker, Parts
from rtserver.accounts.providers import Providers
from rtserver.accounts.rates import Rates
from rtserver.accounts.records import Account, NewAccount
from rtserver.accounts.sessions import Sessions
from rtserver.accounts.social import Outcome, SignedIn
from rtserver.accounts.users import Norms
from rtserver.core.rows import Runs
from rtserver.services.identity_social import SocialLogin
from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_sqlite import SqliteStore
from rtserver.threads import Threads
from tests.accounts.tables import TABLES

HERE = "tests.services.identity_house"
SECRET = "s3cr3t-of-the-provider"
ANSWERS: dict[str, Any] = {}
"""What the provider answers, by the code of the callback: a mapping of claims, or an exception."""


class TableAuth(BaseOAuth2PKCE):
    """OAuth 2 with PKCE whose provider is ``ANSWERS``."""

    name = "table"
    title = "Table"
    AUTHORIZATION_URL = "https://provider.example/authorize"
    ACCESS_TOKEN_URL = "https://provider.example/token"
    ID_KEY = "sub"
    REDIRECT_STATE = False
    EXTRA_DATA = ["refresh_token", "sub", "id_token"]

    def request_access_token(self, url, *args, **kwargs):
        answer = ANSWERS[kwargs["data"]["code"]]
        if isinstance(answer, Exception):
            raise answer
        self.told = answer
        return {"access_token": f"{SECRET}-access", "refresh_token": f"{SECRET}-refresh", "id_token": f"{SECRET}-id"}

    def user_data(self, access_token, *args, **kwargs):
        return dict(self.told)

    def get_user_details(self, response):
        return {"username": response.get("name"), "email": response.get("email"), "fullname": ""}


TABLE = ProviderOptions(name="table", backend=f"{HERE}.TableAuth", key="client", secret=SECRET, title="Table")
OTHER = ProviderOptions(name="other", backend=f"{HERE}.TableAuth", key="client2", secret=SECRET, title="Other")

OPTIONS = AccountsOptions(
    enabled=True,
    base_url="https://rt.example",
    secret_key="a key of forty characters for the tests",
    providers=(TABLE, OTHER),
)


class KeptLetters:
    """A post office that keeps what it gets, once it is committed."""

    def __init__(self) -> None:
        self.fail: Exception | None = None

    async def enqueue(self, runs: Runs, letter_kind: str, to: str, values: Mapping[str, object]) -> None:
        if self.fail is not None:
            raise self.fail
        await runs.run(
            "insert into rt_letters (id, kind, rcpt, raw, next_at, created_at) values (?, ?, ?, ?, 0, ?)",
            (f"{next(_numbers):06}", letter_kind, to, "\n".join(f"{k}={v}" for k, v in values.items()), 0),
        )

    def rehearse(self, letter_kind: str, to: str, values: Mapping[str, object]) -> None: ...


class PlainSigner:
    def sign(self, code: str) -> str:
        return f"signed.{code}"

    def read(self, text: str) -> str | None:
        return text.removeprefix("signed.") if text.startswith("signed.") else None


class NoNotices:
    async def confirmed(self, proof: Any) -> None: ...

    async def signed_out(self, user_id: str, everywhere: bool) -> None: ...


class NoHasher:
    async def hash(self, text: str) -> str:
        return f"hash of {text}"

    async def verify(self, hashed: str | None, text: str) -> bool:
        return hashed == f"hash of {text}"

    def needs_rehash(self, hashed: str) -> bool:
        return False


_numbers = itertools.count(1)


class Browser:
    """Cookies, and what a person does with them."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.session: Any = None
        self.key = f"browser key {next(_numbers)}"
        self.user_id = ""

    @property
    def asker(self) -> Asker:
        return Asker(self.session, self.user_id, self.key, "192.0.2.1")

    async def begin(self, name: str = "table", target: str = "/there", link: bool = False) -> dict[str, str]:
        """What the provider is asked."""
        if self.session is None:
            self.session, _ = await self.house.sessions.begin("test", "192.0.2.1")
        url = await self.house.providers.begin(name, self.asker, target, link)
        return {"url": url, **{key: each[0] for key, each in parse_qs(urlsplit(url).query).items()}}

    async def back(self, asked: Mapping[str, str], says: Any, name: str = "table", **more: str) -> Outcome:
        """The provider sends the browser back; it ``says`` this about the person."""
        code = f"code-{next(_numbers)}"
        ANSWERS[code] = says
        return await self.comes(name, {"code": code, "state": asked["state"], **more})

    async def comes(self, name: str, values: Mapping[str, str]) -> Outcome:
        outcome = await self.house.providers.complete(name, values, self.asker)
        return await self.seen(outcome)

    async def give_address(self, token: str, email: str) -> Outcome:
        return await self.seen(await self.house.providers.give_address(token, email, self.asker))

    async def seen(self, outcome: Outcome) -> Outcome:
        """What the pages do with it."""
        if isinstance(outcome, SignedIn) and not outcome.is_link:
            await self.sign_in(outcome.account)
        return outcome

    async def sign_in(self, account: Account) -> None:
        self.session, _ = await self.house.sessions.sign_in(self.session, account.id, "test", "192.0.2.1")
        self.user_id = account.id

    async def open(self, link: str) -> Confirmed:
        """Press the button of a letter."""
        return await self.house.confirming.confirm(link.rpartition("/")[2], self.asker)

    async def login(self, says: Any, name: str = "table") -> Outcome:
        return await self.back(await self.begin(name), says, name)


class House:
    """One server. Several may share a database."""

    def __init__(self, database: Any, threads: Threads, options: AccountsOptions) -> None:
        self.database = database
        self.post = KeptLetters()
        self.ahead = 0.0
        self.sessions = Sessions(database, options, self.unix, self.token)
        self.parts = Parts(
            database=database,
            options=options,
            hasher=NoHasher(),
            signer=PlainSigner(),
            post=self.post,
            notices=NoNotices(),
            sessions=self.sessions,
            rates=Rates(database, self.unix),
            unix=self.unix,
            token=self.token,
            new_id=lambda: self.token(8),
        )
        self.social = SocialLogin(self.parts, threads)
        self.providers = Providers(self.parts, self.social)
        self.confirming = Confirming(self.parts, self.providers.resume)

    def unix(self) -> float:
        return time.time() + self.ahead

    def token(self, size: int) -> str:
        return f"{next(_numbers):0{size}d}"

    def browser(self) -> Browser:
        return Browser(self)

    async def person(self, name: str = "ada", password: str | None = "hash") -> Account:
        email = f"{name}@example.org"
        new = NewAccount(self.token(8), name, email, password)
        return await users.create(self.database, new, Norms(name, email), 1)

    async def letters(self) -> list[dict[str, str]]:
        """The oldest first."""
        rows = await self.database.run("select kind, rcpt, raw from rt_letters order by id")
        return [
            {"kind": kind, "to": to, **dict(line.split("=", 1) for line in raw.splitlines())} for kind, to, raw in rows
        ]

    async def names(self) -> list[str]:
        return [name for (name,) in await self.database.run("select username from rt_users order by username")]

    async def identities(self) -> list[tuple[str, str, str]]:
        """Provider, what it calls the person, and whose account that is."""
        return [
            (provider, uid, username)
            for provider, uid, username in await self.database.run(
                "select i.provider, i.uid, u.username from rt_identities i join rt_users u on u.id = i.user_id"
                " order by 1, 2"
            )
        ]

    async def everything(self) -> str:
        return repr([await self.database.run(f"select * from {table}") for table in TABLES])


Opened = Callable[..., House]


@asynccontextmanager
async def houses_over(store: Any) -> AsyncIterator[Opened]:
    """Makes houses over one database: ``open(sign_up=False)``."""
    threads = Threads(reactor, "accounts", 8, 64)
    await threads.start()

    def opened(**changes: Any) -> House:
        return House(store, threads, replace(OPTIONS, **changes))

    try:
        yield opened
    finally:
        await threads.stop()


@asynccontextmanager
async def house_in(folder: Path) -> AsyncIterator[Opened]:
    store = SqliteStore(DatabaseOptions(url=f"sqlite:{folder}/accounts.db"), reactor)
    await store.start()
    try:
        async with houses_over(store) as opened:
            yield opened
    finally:
        await store.stop()


async def refused(work: Any) -> AccountRefused:
    try:
        outcome = await work
    except AccountRefused as error:
        return error
    raise AssertionError(f"it was not refused: {outcome}")
