"""The pages that are asked for by GET: they change nothing, but a browser without a session gets one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtserver.app.endpoint import Endpoint, Response
from rtserver.web.accounts.answers import go_on
from rtserver.web.accounts.bodies import Line, Place
from rtserver.web.accounts.desk import Desk
from rtserver.web.accounts.endpoint import AccountEndpoint, Door
from rtserver.web.accounts.views import Views
from rtserver.web.accounts.visit import Manners, Member, Visit

PAGE = Manners(shows_page=True)


class Pages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._views = Views(desk)

    def endpoints(self) -> list[Endpoint]:
        table: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
            "/auth/sign-in": (self.sign_in_page, ()),
            "/auth/sign-up": (self.sign_up_page, ()),
            "/auth/forgotten": (self.forgotten_page, ()),
            "/auth/address": (self.address_page, (404,)),
            "/auth/mail": (self.mail_page, (404,)),
            "/auth/profile": (self.profile_page, (303,)),
            "/auth/error": (self.error_page, ()),
        }
        return [
            AccountEndpoint(self._desk, Door("GET", path, PAGE, others=others), function)
            for path, (function, others) in table.items()
        ]

    async def sign_in_page(self, visit: Visit, next: Place = "", notice: Line = "") -> Response:
        """Page: sign in

        ``next`` is where to go afterwards: a path of this server, or an address at one of ``accounts.allowed_targets``.
        ``notice`` is the name of a line of good news."""
        return await self._views.sign_in(visit)

    async def sign_up_page(self, visit: Visit, next: Place = "", email: Line = "") -> Response:
        """Page: make an account"""
        return await self._views.sign_up(visit)

    async def forgotten_page(self, visit: Visit, email: Line = "") -> Response:
        """Page: ask for a letter to set a new password"""
        return await self._views.forgotten(visit)

    async def address_page(self, visit: Visit, token: Line) -> Response:
        """Page: the address that a provider did not give"""
        return await self._views.address(visit)

    async def mail_page(self, visit: Visit, proof: Line, quiet: Line = "") -> Response:
        """Page: wait for the answer to a letter

        For the browser that asked for it. It goes on by itself when the letter is confirmed anywhere; with ``quiet`` it is not
        loaded anew where there is no JavaScript."""
        return await self._views.mail(visit)

    async def profile_page(self, member: Member, notice: Line = "") -> Response:
        """Page: the account, its ways to sign in, and where it is signed in"""
        return await self._views.profile(member.visit)

    async def error_page(self, visit: Visit, code: Line = "") -> Response:
        """Page: what went wrong, by the code of an error"""
        return await self._views.trouble(visit, code)


def error_place(code: str) -> Response:
    return go_on(f"/auth/error?code={code}")
