"""The flows of accounts on a fresh database: a clock that stands still; letters, hashes and news that are kept."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, gatherResults

from rtserver.accounts import proofs, users
from rtserver.accounts.confirming import Confirming
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.options import AccountsOptions
from rtserver.accounts.parts import Asker, Parts
from rtserver.accounts.passwords import Passwords
from rtserver.accounts.proving import Wanted, ask, guard, use
from rtserver.accounts.rates import Rates
from rtserver.accounts.records import Account, NewAccount, Proof, Purpose, Session
from rtserver.accounts.sessions import Sessions
from rtserver.accounts.users import Norms
from rtserver.core.accounts import parse_address, username_norm
from rtserver.core.ports import Database, Lease, Row, Transaction, Value
from rtserver.core.rows import Runs
from rtserver.services.links_signed import LinkSigner
from tests.store_contract import begin

T = TypeVar("T")

START = 1_800_000_000.0
HOUR = 3600
DAY = 24 * HOUR
KEY = "a key of links that is long enough"
PASSWORD = "correct horse"
NEW_PASSWORD = "battery staple"
HERE = "browser-1"
"""The key of the browser that begins."""
ELSEWHERE = "browser-2"
REMOTE = "192.0.2.1"

OPTIONS = AccountsOptions(enabled=True, base_url="https://example.org", secret_key=KEY, staff=("Root@Example.org",))


class FakeHasher:
    """Hashes can be read. ``work`` counts what would be slow; those beginning with "old:" are to be made anew."""

    def __init__(self) -> None:
        self.work = 0

    async def hash(self, text: str) -> str:
        self.work += 1
        return f"hash:{text}"

    async def verify(self, hashed: str | None, text: str) -> bool:
        self.work += 1
        return hashed is not None and hashed.partition(":")[2] == text

    def needs_rehash(self, hashed: str) -> bool:
        return hashed.startswith("old:")


@dataclass(frozen=True)
class Sent:
    kind: str
    to: str
    values: Mapping[str, Any]

    @property
    def signed(self) -> str:
        """The signed code of the link."""
        before, _, signed = self.values["link"].rpartition("/")
        assert before == "https://example.org/auth/c"
        return str(signed)

    @property
    def digits(self) -> str:
        return str(self.values["digits"])


class FakePost:
    """Letters are rows, so those of a transaction that is undone are none. ``broken``: it fails after the insertion.
    ``written`` counts those that went nowhere too."""

    def __init__(self) -> None:
        self.broken = False
        self.written = 0
        self.on_letter: Deferred[None] | None = None
        self._numbers = itertools.count(1)

    async def enqueue(self, runs: Runs, letter_kind: str, to: str, values: Mapping[str, object]) -> None:
        self.written += 1
        sql = "insert into rt_letters (id, kind, rcpt, raw, next_at, created_at) values (?, ?, ?, ?, 0, 0)"
        await runs.run(sql, (f"letter-{next(self._numbers):06}", letter_kind, to, json.dumps(dict(values))))
        if self.on_letter is not None:
            self.on_letter, on_letter = None, self.on_letter
            on_letter.callback(None)
        if self.broken:
            raise AccountRefused("post_broken", "The test has broken the post.")

    def rehearse(self, letter_kind: str, to: str, values: Mapping[str, object]) -> None:
        assert {"link", "digits", "minutes"} <= set(values)
        self.written += 1


class FakeNotices:
    """``told`` has ("confirmed", proof id) and ("signed_out", user id, everywhere), each with what was stored by then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.told: list[tuple[Any, ...]] = []
        self.outcomes: list[str] = []
        self._waiting: dict[int, Deferred[None]] = {}

    def until(self, news: int) -> Deferred[None]:
        """Fires when so many were told."""
        return self._waiting.setdefault(news, Deferred())

    def _tell(self, *news: Any) -> None:
        self.told.append(news)
        if len(self.told) in self._waiting:
            self._waiting.pop(len(self.told)).callback(None)

    async def confirmed(self, proof: Proof) -> None:
        stored = await proofs.find(self._database, proof.id)
        assert stored is not None
        self.outcomes.append(stored.outcome_user)
        self._tell("confirmed", proof.id)

    async def signed_out(self, user_id: str, everywhere: bool) -> None:
        self._tell("signed_out", user_id, everywhere)


class CountingDatabase:
    """Keeps the first words of all statements."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.statements: list[str] = []
        self.unready = ""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def run(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        self._count(sql)
        return await self._inner.run(sql, params)

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await self._inner.transact(lambda tx: work(_CountingTransaction(tx, self._count)))

    def lease(self, name: str, gained: Any, lost: Any, wake: Any) -> Lease:
        return self._inner.lease(name, gained, lost, wake)

    def _count(self, sql: str) -> None:
        self.statements.append(" ".join(sql.split()[:2]))


class _CountingTransaction:
    def __init__(self, inner: Transaction, count: Callable[[str], None]) -> None:
        self._inner = inner
        self._count = count

    async def run(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        self._count(sql)
        return await self._inner.run(sql, params)


class House:
    def __init__(self, database: Database, options: AccountsOptions = OPTIONS) -> None:
        self.unix = START
        self._numbers = itertools.count(1)
        self._plain = database
        self.database = CountingDatabase(database)
        self.hasher = FakeHasher()
        self.post = FakePost()
        self.notices = FakeNotices(database)
        self.resumed: list[str] = []
        self.configure(options)

    def configure(self, options: AccountsOptions) -> None:
        """Start anew with these options: only the database stays."""
        keys = (options.secret_key, *options.old_secret_keys)
        self.parts = Parts(
            database=self.database,
            options=options,
            hasher=self.hasher,
            signer=LinkSigner(keys),
            post=self.post,
            notices=self.notices,
            sessions=Sessions(self.database, options, lambda: self.unix, self.token),
            rates=Rates(self.database, lambda: self.unix),
            unix=lambda: self.unix,
            token=self.token,
            new_id=lambda: self.token(8),
        )
        self.passwords = Passwords(self.parts)
        self.confirming = Confirming(self.parts, self.resume)

    def token(self, size: int) -> str:
        return f"{next(self._numbers):0{size}d}"

    async def resume(self, proof: Proof, asker: Asker) -> Account:
        """As the sign-in with a provider does it: one transaction."""

        self.resumed.append(proof.id)

        async def work(tx: Transaction) -> Account:
            await use(self.parts, tx, proof)
            account = await guard(tx, proof, asker)
            assert account is not None, "these tests join identities to accounts that are there"
            await proofs.set_outcome(tx, proof.id, account.id)
            return account

        return await self._plain.transact(work)

    # What was done

    async def letters(self) -> list[Sent]:
        rows = await self._plain.run("select kind, rcpt, raw from rt_letters order by id")
        return [Sent(kind, to, json.loads(raw)) for kind, to, raw in rows]

    async def letter(self) -> Sent:
        """The newest one."""
        return (await self.letters())[-1]

    async def rows(self, table: str) -> list[Row]:
        return await self._plain.run(f"select * from {table}")

    async def proof(self, id: str) -> Proof:
        found = await proofs.find(self._plain, id)
        assert found is not None
        return found

    async def hash_of(self, account: Account) -> str | None:
        return await users.password_of(self._plain, account.id)

    async def account(self, email: str = "ada@example.org") -> Account:
        found = await users.by_address(self._plain, email)
        assert found is not None
        return found

    # Beginnings

    async def person(self, name: str = "ada", password: str | None = PASSWORD) -> Account:
        """With an address that is their name in capitals."""
        email = f"{name.upper()}@example.org"
        new = NewAccount(self.token(8), name, email, f"hash:{password}" if password else None)
        return await users.create(self._plain, new, Norms(username_norm(name), email.lower()), int(self.unix * 1000))

    async def session(self, account: Account) -> Session:
        session, _ = await self.parts.sessions.sign_in(None, account.id, "agent", REMOTE)
        return session

    async def sign_up(self, email: str = "ada@example.org", username: str = "ada", browser: str = HERE) -> Proof:
        return await self.passwords.sign_up(email, username, PASSWORD, "/chat", browser, REMOTE)

    async def forgotten(self, email: str = "ada@example.org") -> Proof:
        return await self.passwords.forgotten(email, HERE, "/chat", REMOTE)

    async def claim(self, email: str = "ada@example.org") -> Proof:
        """A stranger with an identity of a provider has typed this address."""
        data = {"partial": "token", "backend": "oidc", "title": "Example ID", "handle": "mallory"}
        values = {"provider": "Example ID", "handle": "mallory"}
        address = parse_address(email)
        wanted = Wanted(Purpose.PROVIDER, address, "confirm_provider", HERE, "/chat", data=data, values=values)
        return await self._plain.transact(lambda tx: ask(self.parts, tx, wanted))


def asker(browser: str = "", user: Account | None = None) -> Asker:
    return Asker(None, user.id if user else "", browser, REMOTE)


async def refusal_of(work: Awaitable[Any]) -> AccountRefused:
    try:
        await work
    except AccountRefused as error:
        return error
    raise AssertionError("nothing was refused")


async def leave_while_it_is_stored(house: House, work: Any, news: int) -> None:
    """Ask for something and leave when the letter about it is being stored. Ends when connections were told so many news."""
    stored, told = Deferred[None](), house.notices.until(news)
    house.post.on_letter = stored
    asked = begin(work)
    await stored
    asked.cancel()
    try:
        await asked
    except CancelledError:
        await told
        return
    raise AssertionError("nobody has left")


def outcomes(works: list[Any]) -> Deferred[list[Any]]:
    """What each of them comes to, or the code of its refusal. All run at once."""

    async def of(work: Any) -> Any:
        try:
            return await work
        except AccountRefused as error:
            return error.code

    return gatherResults([begin(of(work)) for work in works])


def later(house: House, seconds: float) -> None:
    house.unix += seconds


def changed(**options: Any) -> AccountsOptions:
    return replace(OPTIONS, **options)


Check = Callable[[House], Awaitable[None]]


def checks_of(names: dict[str, Any]) -> list[Check]:
    """The checks among the names of a module."""
    return [check for name, check in sorted(names.items()) if name.startswith("check_")]
