"""Signing up, in and out with a password, and what people change of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtserver.accounts.ending import end_session, end_sessions
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.lasting import to_its_end
from rtserver.accounts.passwords import checked_password
from rtserver.accounts.proving import address_of
from rtserver.accounts.records import Proof
from rtserver.app.endpoint import Endpoint, Response
from rtserver.core.accounts import BadUsername, check_username
from rtserver.web.accounts.answers import Mistakes, go_on, json
from rtserver.web.accounts.bodies import (
    Done,
    Forgotten,
    LetterSent,
    NewAddress,
    NewPassword,
    Onward,
    Person,
    SessionFacts,
    SignedIn,
    SignIn,
    SignUp,
)
from rtserver.web.accounts.desk import Desk
from rtserver.web.accounts.endpoint import MEANINGS, AccountEndpoint, Door
from rtserver.web.accounts.views import Views, mail_place
from rtserver.web.accounts.visit import Member, Visit


class Signing:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._passwords = desk.flows.passwords
        self._views = Views(desk)

    def endpoints(self) -> list[Endpoint]:
        views = self._views
        unproven = {403: f"{MEANINGS[403]}, or the present password is wrong"}
        doors: dict[Callable[..., Any], Door] = {
            self.session: Door("GET", "/auth/session"),
            self.sign_up: Door("POST", "/auth/sign-up", again=views.sign_up, status=202, others=(409, 429)),
            self.sign_in: Door("POST", "/auth/sign-in", again=views.sign_in, others=(401, 429)),
            self.sign_out: Door("POST", "/auth/sign-out"),
            self.sign_out_everywhere: Door("POST", "/auth/sign-out-everywhere"),
            self.forgotten: Door("POST", "/auth/forgotten", again=views.forgotten, status=202, others=(429,)),
            self.password: Door("POST", "/auth/password", again=views.profile, others=(429,), meanings=unproven),
            self.change_address: Door(
                "POST", "/auth/change-address", again=views.profile, status=202, others=(409, 429), meanings=unproven
            ),
        }
        return [AccountEndpoint(self._desk, door, function) for function, door in doors.items()]

    async def session(self, visit: Visit) -> SessionFacts | Response:
        """Who is signed in, and the token that every POST needs

        A browser without a session gets one. ``csrf`` is "" for a browser that signs in at this very moment and asked with the
        cookie of before: ask again."""
        await visit.begin()
        user = Person.of(visit.account) if visit.account is not None else None
        return json(SessionFacts(user=user, csrf=visit.csrf))

    async def sign_up(self, visit: Visit, body: SignUp) -> LetterSent | Response:
        """Ask for an account

        A letter goes to the address; the account is made when it is confirmed, on any device. The answer is the same when there
        is an account with this address: only its owner is told, by a letter."""
        check_all(
            lambda: address_of(body.email),
            lambda: _check_username(body.username),
            lambda: checked_password(body.password),
        )
        proof = await self._passwords.sign_up(
            body.email, body.username, body.password, self._desk.target(body.next), visit.know(), visit.remote
        )
        return await self._sent(visit, proof)

    async def sign_in(self, visit: Visit, body: SignIn) -> SignedIn | Response:
        """Sign in with a username or an address, and a password

        The session begins anew: its cookie and its ``csrf`` change."""
        account, hash = await self._passwords.sign_in(body.name, body.password, visit.remote)
        await visit.sign_in(account, hash)
        target = self._desk.target(body.next)
        if visit.wants_page:
            return go_on(target)
        return json(SignedIn(user=Person.of(account), csrf=visit.csrf, next=target))

    async def sign_out(self, visit: Visit, body: Onward = Onward()) -> SessionFacts | Response:  # noqa: B008
        """Sign out in this browser

        Its realtime connections are closed too."""
        if visit.session is not None:
            await to_its_end(end_session(self._desk.parts, visit.session))
        return self._left(visit, body, "signed_out")

    async def sign_out_everywhere(self, member: Member, body: Onward = Onward()) -> SessionFacts | Response:  # noqa: B008
        """Sign out in every browser

        All realtime connections of the account are closed."""
        await to_its_end(end_sessions(self._desk.parts, member.account.id, everywhere=True))
        return self._left(member.visit, body, "signed_out_everywhere")

    def _left(self, visit: Visit, body: Onward, notice: str) -> Response:
        visit.leave()
        if visit.wants_page:
            return go_on(self._desk.target(body.next) if body.next else f"/auth/sign-in?notice={notice}")
        return json(SessionFacts(user=None, csrf=""))

    async def forgotten(self, visit: Visit, body: Forgotten) -> LetterSent | Response:
        """Ask for a letter to set a new password

        The answer is the same when there is no account with this address."""
        proof = await self._passwords.forgotten(body.email, visit.know(), self._desk.target(body.next), visit.remote)
        return await self._sent(visit, proof)

    async def password(self, member: Member, body: NewPassword) -> Done | Response:
        """Set another password

        All other sessions end. Somebody who has signed in with providers only sets a first one, without ``current``."""
        account, session = member.account, member.session
        if account.has_password:
            await self._passwords.change(account, body.current, body.new, session)
        else:
            checked_password(body.new, "new")
            await self._passwords.set_first(account, body.new, session)
        if member.visit.wants_page:
            return go_on(f"/auth/profile?notice={'password_saved' if account.has_password else 'password_set'}")
        return json(Done())

    async def change_address(self, member: Member, body: NewAddress) -> LetterSent | Response:
        """Ask for another address

        A letter goes to the new one; the old one stays until it is confirmed."""
        visit = member.visit
        proof = await self._passwords.change_address(
            member.account, body.email, body.password, visit.know(), "", visit.remote
        )
        return await self._sent(visit, proof)

    async def _sent(self, visit: Visit, proof: Proof) -> Response:
        if visit.wants_page:
            return go_on(mail_place(proof))
        return json(LetterSent(proof=proof.id, email=proof.email), 202)


def check_all(*checks: Callable[[], Any]) -> None:
    """Raises ``Mistakes`` with all that do not pass."""
    found = []
    for check in checks:
        try:
            check()
        except AccountRefused as error:
            found.append(error)
    if found:
        raise Mistakes(found)


def _check_username(text: str) -> None:
    """None is as good: one is made of the address."""
    try:
        if text.strip():
            check_username(text)
    except BadUsername as error:
        raise AccountRefused("bad_username", str(error), "username") from error
