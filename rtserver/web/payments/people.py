"""Who asks for payments: the account of the browser's session, or of a connection token."""

from __future__ import annotations

from typing import Any, cast

from rtserver.accounts import users
from rtserver.accounts.records import Account
from rtserver.app.endpoint import Incoming
from rtserver.app.given import User
from rtserver.app.parameters import Given
from rtserver.payments.errors import PaymentRefused
from rtserver.payments.parts import Payer
from rtserver.web.accounts.visit import Manners, Member, Visit
from rtserver.web.endpoints import TwistedIncoming
from rtserver.web.payments.desk import Desk

GUARDED = Manners()
"""What changes something comes from a page of ours, with its token."""


class Person(Given):
    """Somebody with an account."""

    security = (User.security, Member.security)
    absent = Member.absent

    def __init__(self, payer: Payer) -> None:
        self.payer = payer


class Staff(Person):
    """Somebody who may do what is for staff."""


class Asked:
    """A request as an endpoint of payments sees it. Implements ``app.endpoint.Incoming``."""

    def __init__(self, incoming: Incoming, desk: Desk) -> None:
        self._incoming = incoming
        self._desk = desk
        self.header = incoming.header
        self.cookie = incoming.cookie

    @property
    def query(self) -> Any:
        return self._incoming.query

    @property
    def body(self) -> bytes:
        return self._incoming.body

    @property
    def form(self) -> Any:
        return self._incoming.form

    async def give(self, kind: type[Given]) -> Given | None:
        """Raises ``AccountRefused`` and ``PaymentRefused``."""
        if not issubclass(kind, Person):
            return await self._incoming.give(kind)
        account = await self._account()
        if issubclass(kind, Staff) and not account.is_staff:
            raise PaymentRefused("not_staff", "Only staff may do this.", status=403)
        return kind(Payer(account.id, account.email, account.username, account.is_staff))

    async def _account(self) -> Account:
        """No page of others can send a token, so it needs no guard."""
        if self._incoming.header("authorization"):
            return await self._holder()
        visit = Visit(self._desk.accounts, cast(TwistedIncoming, self._incoming), GUARDED)
        return Member.of(await visit.open()).account

    async def _holder(self) -> Account:
        user = await self._incoming.give(User)
        if user is None:
            raise User.absent()
        account = await users.find(self._desk.parts.database, cast(User, user).id)
        if account is None or not account.is_active:
            raise PaymentRefused("no_account", "The user of this token has no account here: sign up first.", status=403)
        return account
