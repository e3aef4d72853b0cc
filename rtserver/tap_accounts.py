"""The accounts of the server, put together: a part of ``tap``."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import jwt

from rtserver.accounts import users
from rtserver.accounts.confirming import Confirming
from rtserver.accounts.hooks import AccountHooks, CookieRule, origin_of
from rtserver.accounts.letters import LetterWriter
from rtserver.accounts.mailer import Mailer
from rtserver.accounts.notices import ChannelNotices
from rtserver.accounts.parts import Parts
from rtserver.accounts.passwords import Passwords
from rtserver.accounts.post import PostOffice, PostParts
from rtserver.accounts.providers import Providers
from rtserver.accounts.rates import Rates
from rtserver.accounts.records import Account, Session
from rtserver.accounts.sessions import Sessions
from rtserver.accounts.staff import appoint, staff_norms
from rtserver.accounts.tokens import (
    KEY_ID,
    ConnectionTokens,
    OwnTokensFirst,
    signing_key,
    token_options,
)
from rtserver.app.endpoint import Endpoint
from rtserver.app.given import User
from rtserver.app.openapi import Proofs
from rtserver.app.parameters import Given
from rtserver.config import Config
from rtserver.core.errors import CannotStart, RtError
from rtserver.core.hooks import Hooks
from rtserver.core.ports import Database, TokenVerifier
from rtserver.demo_provider import demo_provider_endpoints
from rtserver.node import Log
from rtserver.publisher import NodePublisher
from rtserver.services import MAILERS
from rtserver.services.identity_social import THREADS, THREADS_WAITING, SocialLogin
from rtserver.services.jwt_keys import JWTVerifier
from rtserver.services.links_signed import LinkSigner
from rtserver.services.mail_file import read, recent
from rtserver.services.mail_message import Composer
from rtserver.services.passwords_argon2 import AT_A_TIME, WAITING, Argon2Hasher
from rtserver.threads import Threads
from rtserver.web.accounts import Desk, Flows, Member, Visit, account_channels, account_endpoints, account_givers
from rtserver.web.accounts.cookies import Cookies
from rtserver.web.accounts.letters import Letters
from rtserver.web.accounts.templates import AccountPages
from rtserver.web.endpoints import Giver, TwistedIncoming


class FileShelf:
    """The letters of ``FileMailer``. Implements ``web.accounts.letters.Shelf``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def recent(self) -> list[Any]:
        return list(recent(self._folder))

    async def read(self, id: str) -> tuple[Any, str] | None:
        found = read(self._folder, id)
        return None if found is None else (found.head, found.text)


class Accounts:
    """Sessions and tokens, which the realtime server asks about; the rest is there after ``attach``."""

    sweep_interval = 60.0
    proofs: Proofs = {User: (User.security, Member.security)}
    """See ``givers``."""

    def __init__(self, reactor: Any, config: Config, database: Database) -> None:
        self._reactor = reactor
        self._config = config
        self._options = config.accounts
        self._database = database
        self._sessions = Sessions(database, self._options, time.time, secrets.token_urlsafe)
        self._sign = partial(jwt.encode, key=signing_key(self._options.secret_key), headers={"kid": KEY_ID})
        boundary = config.channel.namespace_boundary
        self._tokens = ConnectionTokens(self._options, self._sign, time.time, boundary)
        self.channels = account_channels(boundary)
        self._hashing = Threads(reactor, "passwords", AT_A_TIME, WAITING)
        self._has_staff = False
        self._signing_in = Threads(reactor, "accounts", THREADS, THREADS_WAITING)

    # What the realtime server asks

    def hooks(self, inner: Hooks) -> Hooks:
        name = Cookies(self._options.base_url.startswith("https:")).session
        rule = CookieRule(name, origin_of(self._options.base_url), self._options.cookie_connections)
        return AccountHooks(inner, rule, self._found)

    def verifier(self, others: TokenVerifier) -> TokenVerifier:
        header = self._sign({}).partition(".")[0]
        own = JWTVerifier(token_options(self._options), time.time)
        return OwnTokensFirst(header, own, others, self._sessions.lives)

    async def _found(self, cookie: str) -> tuple[Session, Account] | None:
        session = await self._sessions.find(cookie)
        account = await users.find(self._database, session.user_id) if session and session.user_id else None
        return (session, account) if session and account else None

    # Pages and endpoints

    def attach(self, publisher: NodePublisher, log: Log, allows: Callable[[str], bool]) -> None:
        """``allows`` judges origins of pages beside our own. Raises ``CannotStart``."""
        try:
            self._attach(publisher, log, allows)
        except (RtError, ValueError) as error:  # a template, a provider, a certificate
            raise CannotStart(str(error)) from error

    def _attach(self, publisher: NodePublisher, log: Log, allows: Callable[[str], bool]) -> None:
        staff_norms(self._options)
        notices = ChannelNotices(publisher.publish, publisher.disconnect, self._tokens.channel)
        self.post = self._post_office()
        self.parts = Parts(
            database=self._database,
            options=self._options,
            hasher=Argon2Hasher(self._hashing),
            signer=LinkSigner((self._options.secret_key, *self._options.old_secret_keys)),
            post=self.post,
            notices=notices,
            sessions=self._sessions,
            rates=Rates(self._database, time.time),
            unix=time.time,
            token=secrets.token_urlsafe,
            new_id=_new_id,
        )
        providers = Providers(self.parts, SocialLogin(self.parts, self._signing_in))
        flows = Flows(Passwords(self.parts), Confirming(self.parts, providers.resume), providers, self._tokens)
        websocket = self._config.websocket.handler_prefix
        pages = AccountPages(self._options.templates)
        self.desk = Desk(self.parts, flows, pages, log, allows, websocket)

    def endpoints(self) -> list[Endpoint]:
        found = account_endpoints(self.desk)
        if self._config.environment == "development" and self._config.mail.transport == "file":
            folder = Path(self._config.state_dir) / self._config.mail.directory
            found += Letters(self.desk, FileShelf(folder)).endpoints()
        if self._config.demo.enabled:
            found += demo_provider_endpoints(self._options.base_url, time.time, secrets.token_urlsafe)
        return found

    def givers(self, bearer: Giver) -> dict[type[Given], Giver]:
        """``bearer`` gives the user of a token in the Authorization header. Without such a header the session of the browser
        counts."""
        found = account_givers(self.desk)

        async def user(incoming: TwistedIncoming) -> Given | None:
            given = bearer(incoming)
            given = await given if isinstance(given, Awaitable) else given
            scheme = (incoming.header("authorization") or [""])[0].partition(" ")[0]
            if given is not None or scheme.lower() == "bearer":
                return given
            visit = found[Visit](incoming)
            visit = await visit if isinstance(visit, Awaitable) else visit
            account = visit.account if isinstance(visit, Visit) else None
            return User(account.id, {"name": account.username}) if account else None

        return {**found, User: user}

    # Running

    async def start(self) -> None:
        if self._config.environment == "production" and self._config.mail.transport != "smtp":
            self.desk.log("warn", 'letters reach nobody: set mail.transport = "smtp", or environment = "development"')
        await self._hashing.start()
        await self._signing_in.start()
        await self.post.start()
        await self._appoint()

    async def _appoint(self) -> None:
        """Once, when there is a database, which may come later than the server."""
        if self._has_staff or self._database.unready:
            return
        for user_id in await appoint(self._database, self._options):
            await self.parts.notices.signed_out(user_id, everywhere=False)
        self._has_staff = True

    async def stop(self) -> None:
        await self.post.stop()
        await self._signing_in.stop()
        await self._hashing.stop()

    async def sweep(self) -> None:
        """Connections of sessions that have ended by themselves are told. Whatever the database cannot do now waits."""
        if self._database.unready:
            return
        await self._appoint()
        for user_id in await self._sessions.sweep():
            await self.parts.notices.signed_out(user_id, everywhere=False)

    def _post_office(self) -> PostOffice:
        mail = self._config.mail
        module, _, name = MAILERS[mail.transport].partition(":")
        mailer: Mailer = getattr(import_module(module), name)(mail, Path(self._config.state_dir), self._reactor)
        write = LetterWriter(mail.sender_name, self._options.templates).write
        compose = Composer(mail).compose
        parts = PostParts(self._database, mailer, write, compose, mail.connections, self._reactor, time.time, _new_id)
        return PostOffice(parts)


def _new_id() -> str:
    return uuid.uuid4().hex
