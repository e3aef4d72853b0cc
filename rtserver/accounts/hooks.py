"""Who a realtime connection belongs to, by the session of the browser: with its cookie, or with a token given to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw

from rtserver.accounts.records import Account, Session
from rtserver.accounts.tokens import SESSION
from rtserver.core.hooks import Caller, ConnectAsked, ConnectHook, Hooks, Identity

FindByCookie = Callable[[str], Awaitable[tuple[Session, Account] | None]]
"""The session of a cookie and whose it is; None when nobody is signed in by it."""


@dataclass(frozen=True, slots=True)
class CookieRule:
    """Which cookie counts, and on pages of which origin ("https://example.com")."""

    name: str
    origin: str
    enabled: bool = True

    def cookie(self, caller: Caller) -> str:
        """The value of the cookie, "" when it does not count here. Browsers send an Origin with every WebSocket handshake and
        POST (Fetch, section 3.1), and say for other requests whether they come from a page of ours (Sec-Fetch-Site)."""
        if not self.enabled or caller.headers.get("origin", self.origin) != self.origin:
            return ""
        if caller.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return ""
        # Blanks and tabs only: cookies of our name behind some other space come from other hosts (see the name's prefix).
        pairs = (part.strip(" \t").partition("=") for part in caller.headers.get("cookie", "").split(";"))
        return next((value for name, _, value in pairs if name == self.name), "")


class AccountHooks:
    """Wraps the hooks of applications and backends: they are asked after it is known who connects.

    ``connect`` is the only question with an answer of its own; everything else goes to ``inner`` as it is.
    """

    def __init__(self, inner: Hooks, rule: CookieRule, find: FindByCookie) -> None:
        self._inner = inner
        self._rule = rule
        self._find = find
        self.refresh = inner.refresh
        self.subscribe = inner.subscribe
        self.publish = inner.publish
        self.sub_refresh = inner.sub_refresh
        self.rpc = inner.rpc
        self.disconnect = inner.disconnect
        self.left = inner.left

    def connect(self, token: bool) -> ConnectHook | None:
        return self._inner.connect(True) if token else self._without_token

    async def _without_token(self, asked: ConnectAsked) -> Identity | None:
        cookie = self._rule.cookie(asked.caller)
        found = await self._find(cookie) if cookie else None
        if found is None:
            hook = self._inner.connect(False)
            return None if hook is None else await hook(asked)
        known = identity_of(*found)
        hook = self._inner.connect(True)
        if hook is None:
            return known
        caller = replace(asked.caller, user=known.user, info=known.info, meta=known.meta)
        return joined(known, await hook(replace(asked, caller=caller, token=True)))


def identity_of(session: Session, account: Account) -> Identity:
    return Identity(
        user=account.id,
        info=Raw(msgspec.json.encode({"name": account.username})),
        meta=Raw(msgspec.json.encode({SESSION: session.id})),
    )


def joined(known: Identity, answer: Identity | None) -> Identity:
    """What an application added to who somebody is; what it left out stays."""
    if answer is None:
        return known
    return Identity(
        answer.user or known.user,
        answer.expire_at,
        answer.info if len(answer.info) else known.info,
        answer.data,
        answer.subs,
        answer.meta if len(answer.meta) else known.meta,
    )


def origin_of(url: str) -> str:
    """``scheme://host[:port]`` as browsers write it in Origin: small letters, no default port."""
    parts = urlsplit(url)
    port = "" if parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f":{parts.port}"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"
