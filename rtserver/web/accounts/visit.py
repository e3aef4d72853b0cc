"""One request to accounts: the browser, its session, who is signed in, and what the browser is to be told beside the answer."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from rtserver.accounts import users
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.parts import Asker
from rtserver.accounts.records import Account, Session
from rtserver.app.endpoint import HTTPError
from rtserver.app.parameters import Given
from rtserver.core.accounts import SESSION_REMOTE, network
from rtserver.web.accounts.cookies import SESSION
from rtserver.web.accounts.desk import Desk
from rtserver.web.endpoints import TwistedIncoming

TYPED = ("email", "username", "name")
"""Fields that a form shows again. Passwords and codes are not among them."""

BROWSER_TIME = 3_600
"""Seconds that a browser is known after the last of its letters has expired."""


@dataclass(frozen=True, slots=True)
class Manners:
    """``shows_page``: browsers that ask with GET get HTML. ``is_guarded``: what changes something must come from a page
    of ours."""

    shows_page: bool = False
    is_guarded: bool = True


class Visit(Given):
    """``open`` it before anything else. ``session`` None: the browser has none; ``account`` None: nobody is signed in.

    ``mistakes`` {field, or "" for the whole form: sentence}, ``status`` and ``code`` are those of a page that shows a form
    again."""

    def __init__(self, desk: Desk, incoming: TwistedIncoming, manners: Manners) -> None:
        self._desk = desk
        self._incoming = incoming
        self._manners = manners
        self.session: Session | None = None
        self.account: Account | None = None
        self.browser = incoming.cookie(desk.cookies.browser) or ""
        self.mistakes: Mapping[str, str] = {}
        self.status = 200
        self.code = ""
        self.cookies: dict[str, str] = {}
        """Cookies to be set, by name."""

    async def open(self) -> Visit:
        """Raises ``AccountRefused`` for what a page of others sent in this browser's name."""
        is_guarded = self.method not in ("GET", "HEAD") and self._manners.is_guarded
        if is_guarded:
            self._desk.origins.check(self._incoming.header("origin"))
        await self._find_session()
        if is_guarded:
            self._check_token()
        return self

    async def _find_session(self) -> None:
        cookie = self.cookie
        session = await self._desk.parts.sessions.find(cookie) if cookie else None
        if session is not None and session.user_id:
            self.account = await users.find(self._desk.parts.database, session.user_id)
            session = session if self.account is not None else None
        self.session = session

    def _check_token(self) -> None:
        """A form always needs the token of its page. JSON comes from pages of others after a question only (CORS), and needs
        one when it can do anything in somebody's name."""
        if not self.is_form and self.session is None:
            return
        given = (self._incoming.header("x-csrf-token") or [self.field("csrf")])[0]
        wanted = self.session.csrf if self.session is not None else ""
        if not wanted or not hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode()):
            raise AccountRefused(
                "csrf",
                "This page was open for too long, or you signed in or out meanwhile: look it over and send it again."
                if self.is_form
                else "Send the csrf of GET /auth/session as X-CSRF-Token, it changes when you sign in.",
                status=403,
            )

    # The request

    @property
    def method(self) -> str:
        method: bytes = self._incoming.request.method
        return method.decode("latin-1")

    @property
    def cookie(self) -> str | None:
        """Of the session, whether it is still good or not."""
        return self._incoming.cookie(self._desk.cookies.session)

    @property
    def is_form(self) -> bool:
        return self.method == "POST" and self._incoming.form is not None

    @property
    def wants_page(self) -> bool:
        """Browsers ask for HTML and send forms; programs say JSON in one way or the other."""
        accepted = ",".join(self._incoming.header("accept")).lower()
        if "application/json" in accepted and "text/html" not in accepted:
            return False
        return self.is_form if self.method == "POST" else self._manners.shows_page

    @property
    def place(self) -> str:
        """The path and the query that were asked for."""
        uri: bytes = self._incoming.request.uri
        return uri.decode("latin-1")

    @property
    def id(self) -> str:
        """What the log calls this request."""
        return self._incoming.id

    def field(self, name: str) -> str:
        """The last value in the form, else in the query."""
        return self._last(self._incoming.form or {}, name) or self._last(self._incoming.query, name)

    @staticmethod
    def _last(values: Mapping[str, list[str]], name: str) -> str:
        return values.get(name, [""])[-1]

    @property
    def all_values(self) -> dict[str, str]:
        """The query, and the form over it."""
        found = {**self._incoming.query, **(self._incoming.form or {})}
        return {name: values[-1] for name, values in found.items()}

    @property
    def typed(self) -> dict[str, str]:
        """What forms show again."""
        return {name: self.field(name) for name in TYPED if self.field(name)}

    @property
    def next(self) -> str:
        """Where the browser wants to go afterwards, checked; "" when it did not say."""
        text = self.field("next")
        return self._desk.target(text) if text else ""

    @property
    def agent(self) -> str:
        return (self.header("user-agent") or [""])[0]

    def header(self, name: str) -> list[str]:
        return self._incoming.header(name)

    @property
    def remote(self) -> str:
        return self._desk.remote(self._incoming)

    @property
    def asker(self) -> Asker:
        user_id = self.account.id if self.account is not None else ""
        return Asker(self.session, user_id, self.browser, self.remote)

    @property
    def csrf(self) -> str:
        return self.session.csrf if self.session is not None else ""

    # What changes

    async def begin(self) -> Session | None:
        """The session of the browser, a new one if need be. Who asks with HEAD wants nothing to be begun, and who asks with GET
        by the cookie before the present one may not lose that: its answer may be the last to arrive. Raises ``RateLimited``."""
        if self.session is None and self.method != "HEAD" and not await self._is_overtaken():
            if self.remote:
                await self._desk.parts.rates.spend(SESSION_REMOTE, network(self.remote))
            self.session, cookie = await self._desk.parts.sessions.begin(self.agent, self.remote)
            self._set(self._desk.cookies.session, cookie)
        return self.session

    async def _is_overtaken(self) -> bool:
        """Whether the browser has signed in while this was under way. A form is answered in any case: if the answer with the
        new cookie was lost, the browser gets a session by sending it again."""
        cookie = self.cookie
        return self.method == "GET" and cookie is not None and await self._desk.parts.sessions.was_replaced(cookie)

    def know(self) -> str:
        """The key of this browser, a new one if need be, for as long as a letter is good."""
        if not self.browser:
            self.browser = self._desk.parts.token(32)
        self._set(self._desk.cookies.browser, self.browser, int(self._desk.options.proof_ttl) + BROWSER_TIME)
        return self.browser

    async def sign_in(self, account: Account, password_hash: str | None = None) -> None:
        """The browser has a session of its own from now on; the one before is over, with its token and its connections.
        ``password_hash``: by which a password was right (see ``Sessions.sign_in``)."""
        before, sessions = self.account, self._desk.parts.sessions
        self.session, cookie = await sessions.sign_in(self.session, account.id, self.agent, self.remote, password_hash)
        self.account = account
        self._set(self._desk.cookies.session, cookie, int(self._desk.options.session_max))
        if before is not None:
            await self._desk.parts.notices.signed_out(before.id, everywhere=False)

    def leave(self) -> None:
        """The session is over."""
        self.session = self.account = None
        self.cookies[self._desk.cookies.session] = self._desk.cookies.dropped(self._desk.cookies.session)

    def _set(self, name: str, value: str, seconds: int | None = None) -> None:
        self.cookies[name] = self._desk.cookies.kept(name, value, seconds)


class Member(Given):
    """A visit of somebody who is signed in."""

    security = (
        "session",
        {
            "type": "apiKey",
            "in": "cookie",
            "name": SESSION,
            "description": f"What a sign-in sets; `__Host-{SESSION}` where the server is reached by https. Every POST with it "
            "needs the `csrf` of `GET /auth/session` as `X-CSRF-Token`.",
        },
    )

    def __init__(self, visit: Visit, account: Account, session: Session) -> None:
        self.visit = visit
        self.account = account
        self.session = session

    @staticmethod
    def absent() -> HTTPError:
        return HTTPError(401, "Nobody is signed in")

    @staticmethod
    def of(visit: Visit) -> Member:
        """Raises ``AccountRefused``."""
        if visit.account is None or visit.session is None:
            raise AccountRefused("sign_in_needed", "Sign in first.", status=401)
        return Member(visit, visit.account, visit.session)


def sign_in_place(next: str) -> str:
    """The address of the page to sign in, which leads to ``next`` then."""
    return f"/auth/sign-in?next={quote(next, safe='/')}" if next else "/auth/sign-in"
