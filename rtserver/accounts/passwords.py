"""Accounts with a password: sign-up, sign-in, and what people change of them.

Nobody learns here whether an address has an account: for one that has and one that has not, the same work is done on
passwords and the database, and the answer is the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

from rtserver.accounts import proofs, users
from rtserver.accounts.ending import end_sessions
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.lasting import to_its_end
from rtserver.accounts.parts import Parts
from rtserver.accounts.proving import Wanted, address_of, ask, count_letter
from rtserver.accounts.records import Account, Proof, Purpose, Session
from rtserver.accounts.rows import hashed
from rtserver.core.accounts import (
    PASSWORD,
    SIGN_IN,
    SIGN_IN_NAME,
    SIGN_IN_REMOTE,
    Address,
    BadAddress,
    BadUsername,
    check_username,
    fits,
    network,
    normalised,
    parse_address,
    password_refusal,
    username_norm,
)
from rtserver.core.ports import Transaction
from rtserver.core.rows import Runs, ms

LONGEST_NAME = 254


class Verified(NamedTuple):
    """Somebody who knew the password, and the hash that it was compared with. See ``Sessions.sign_in``."""

    account: Account
    hash: str


class Passwords:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # Without an account

    async def sign_up(
        self, email: str, username: str, password: str, target: str, browser: str, remote: str = ""
    ) -> Proof:
        """Send a letter; its confirmation makes the account. ``username`` "": one is made of the address then. ``target``
        went through ``safe_target``, ``browser`` is a browser key."""
        self._check_open()
        address = address_of(email)
        name = _username(username) if username.strip() else ""
        text = checked_password(password)
        await count_letter(self._parts, address, remote)
        hash = await self._parts.hasher.hash(text)

        async def work(tx: Transaction) -> Proof:
            if name and await users.by_username(tx, username_norm(name)) is not None:
                raise AccountRefused("username_taken", "This name is taken: choose another one.", "username", 409)
            existing = await users.by_address(tx, address.norm)
            if existing is not None:
                return await self._known_already(tx, existing, address, target, browser)
            data = {"username": name, "password_hash": hash}
            wanted = Wanted(Purpose.SIGN_UP, address, "confirm_sign_up", browser, target, data=data)
            return await ask(self._parts, tx, wanted)

        return await self._parts.database.transact(work)

    async def sign_in(self, name: str, password: str, remote: str = "") -> Verified:
        """``name`` is a username or an address. Raises ``AccountRefused`` (``wrong_password``) without saying which of the
        two was wrong."""
        self._check_enabled()
        norm = _name_norm(name)
        await self._count_sign_in(norm, remote)
        find = users.by_address if "@" in norm else users.by_username
        account = await find(self._parts.database, norm)
        hash = await users.password_of(self._parts.database, account.id if account else "")
        text = normalised(password)
        is_right = await self._parts.hasher.verify(hash, text if fits(text) else "")
        if account is None or hash is None or not is_right or not fits(text) or not account.is_active:
            raise AccountRefused(
                "wrong_password", "Name or password is wrong: look at both, and at Caps Lock.", "", 401
            )
        if self._parts.hasher.needs_rehash(hash):
            hash = await self._rehash(account, hash, text)
        return Verified(account, hash)

    async def forgotten(self, email: str, browser: str, target: str = "", remote: str = "") -> Proof:
        """Send a letter by which a new password can be set, if there is whom to send it to."""
        self._check_enabled()
        address = address_of(email)
        await count_letter(self._parts, address, remote)

        async def work(tx: Transaction) -> Proof:
            account = await users.by_address(tx, address.norm)
            hash = await users.password_of(tx, account.id if account else "")
            if account is None or not account.is_active:
                return await ask(self._parts, tx, Wanted(Purpose.NONE, address, "", browser, target))
            data = {"password_mark": password_mark(hash)}
            wanted = Wanted(Purpose.RESET, address, "reset", browser, target, account.id, data)
            return await ask(self._parts, tx, _to(account, wanted))

        return await self._parts.database.transact(work)

    # With an account

    async def change(self, account: Account, current: str, new: str, session: Session) -> None:
        """Set another password and end all sessions but this one."""
        self._check_enabled()
        if not account.has_password:
            raise AccountRefused("no_password", "You have no password yet: set a first one.", "current", 409)
        text = checked_password(new, "new")
        await self._check_current(account, current, "current")
        hash = await self._parts.hasher.hash(text)
        await to_its_end(self._replaced(account, session, lambda tx: self._set(tx, account, hash, session.sid_hash)))

    async def set_first(self, account: Account, password: str, session: Session) -> None:
        """A password for somebody who signed in with providers only."""
        self._check_enabled()
        hash = await self._parts.hasher.hash(checked_password(password, "new"))

        async def work(tx: Transaction) -> None:
            if await users.password_of(tx, account.id) is not None:
                raise AccountRefused("has_password", "You have a password: type it to change it.", "current", 409)
            await self._set(tx, account, hash, session.sid_hash)

        await to_its_end(self._replaced(account, session, work))

    async def change_address(
        self, account: Account, email: str, password: str, browser: str, target: str = "", remote: str = ""
    ) -> Proof:
        """Send a letter to the new address; the old one is good until it is confirmed, and letters to others that were asked
        for before are not: one of them may have been mistyped, and its reader would get the account. ``password`` is asked of
        people who have one."""
        address = address_of(email)
        if address == address_of(account.email):
            raise AccountRefused("same_address", "This is your address already: type the new one.", "email", 409)
        if account.has_password:
            await self._check_current(account, password, "password")
        await count_letter(self._parts, address, remote)

        async def work(tx: Transaction) -> Proof:
            await proofs.drop_address_changes(tx, account.id, ms(self._parts.unix()))
            other = await users.by_address(tx, address.norm)
            data = {"password_mark": password_mark(await users.password_of(tx, account.id))}
            if other is not None and other.id != account.id:
                return await self._known_already(tx, other, address, target, browser)
            names = {"username": account.username}
            wanted = Wanted(Purpose.ADDRESS, address, "confirm_address", browser, target, account.id, data, names)
            return await ask(self._parts, tx, wanted)

        return await self._parts.database.transact(work)

    # Parts of these

    def _check_enabled(self) -> None:
        if not self._parts.options.passwords:
            raise AccountRefused(
                "passwords_off", "There are no passwords here: choose another way to sign in.", "", 403
            )

    def _check_open(self) -> None:
        self._check_enabled()
        if not self._parts.options.sign_up:
            raise AccountRefused("sign_up_closed", "New accounts are not made here: ask who runs this site.", "", 403)

    async def _known_already(self, runs: Runs, account: Account, address: Address, target: str, browser: str) -> Proof:
        """The address has an account: only its owner learns that, by a letter."""
        wanted = Wanted(Purpose.NONE, address, "already_registered", browser, target)
        return await ask(self._parts, runs, _to(account, wanted))

    async def _count_sign_in(self, norm: str, remote: str) -> None:
        if remote:
            await self._parts.rates.spend(SIGN_IN_REMOTE, network(remote))
        await self._parts.rates.spend(SIGN_IN, norm, network(remote))
        await self._parts.rates.spend(SIGN_IN_NAME, norm)

    async def _check_current(self, account: Account, password: str, field: str) -> None:
        await self._parts.rates.spend(PASSWORD, account.id)
        text = normalised(password)
        hash = await users.password_of(self._parts.database, account.id)
        if not fits(text) or not await self._parts.hasher.verify(hash, text):
            raise AccountRefused("wrong_password", "This is not your present password: type it again.", field, 403)

    async def _rehash(self, account: Account, old: str, text: str) -> str:
        """The same password by today's costs, unless it was changed meanwhile: then it is the ``old`` hash still."""
        hash = await self._parts.hasher.hash(text)

        async def work(tx: Transaction) -> str:
            if await users.password_of(tx, account.id) != old:
                return old
            await users.set_password(tx, account.id, hash)
            return hash

        return await self._parts.database.transact(work)

    async def _replaced(
        self, account: Account, session: Session, work: Callable[[Transaction], Awaitable[None]]
    ) -> None:
        await self._parts.database.transact(work)
        await end_sessions(self._parts, account.id, session.sid_hash, everywhere=False)

    async def _set(self, tx: Transaction, account: Account, hash: str, session: str) -> None:
        await users.set_password(tx, account.id, hash)
        await self._parts.sessions.end_all(account.id, session, tx)
        await self._parts.post.enqueue(tx, "password_changed", account.email, {"username": account.username})


def _to(account: Account, wanted: Wanted) -> Wanted:
    """The letter goes to the proven address, however the same one was typed here."""
    return replace(wanted, to=account.email, values={"username": account.username})


def checked_password(password: str, field: str = "password") -> str:
    """The password as it is hashed. Raises ``AccountRefused``."""
    sentence = password_refusal(password)
    if sentence is not None:
        raise AccountRefused("bad_password", sentence, field)
    return normalised(password)


def password_mark(hash: str | None) -> str:
    """Tells whether the password is still the one that it was when a letter was asked for."""
    return hashed(hash or "")[:16]


def _username(text: str) -> str:
    try:
        return check_username(text)
    except BadUsername as error:
        raise AccountRefused("bad_username", str(error), "username") from error


def _name_norm(name: str) -> str:
    """What to look a typed name up by; "", which nobody has, for what can be no name."""
    text = name.strip()
    if len(text) > LONGEST_NAME or not all(each.isprintable() for each in text):
        return ""
    return _address_norm(text) if "@" in text else username_norm(text)


def _address_norm(text: str) -> str:
    try:
        return parse_address(text).norm
    except BadAddress:
        return ""
