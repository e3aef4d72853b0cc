"""Tokens for the realtime server that signed-in people get, and their way back in.

They are JWTs as any other, signed with a key that is made from ``accounts.secret_key``: whatever keys ``client.token`` has,
tokens of others go on counting beside them. A token names the session that it was given to, so it ends with that session.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import Raw, Struct

from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.options import AccountsOptions
from rtserver.accounts.records import Account, Proof, Session
from rtserver.core.errors import ExpiredToken
from rtserver.core.options import ChannelOptions, ChannelRules, TokenOptions
from rtserver.core.ports import ConnectionClaims, SubscriptionClaims, TokenVerifier

KEY_ID = "rt-accounts"
"""The ``kid`` of our tokens (RFC 7515 section 4.1.4), by which they are told from those of others."""

SESSION = "rt_session"
"""The key in the ``meta`` of a token, and of a connection, under which the id of the session stands."""

NAMESPACE = "rt_auth"
"""The namespace of the channels by which a window learns that its letter was answered."""

Sign = Callable[[Mapping[str, Any]], str]


def signing_key(secret_key: str) -> str:
    """The key of tokens: one of its own, so that nothing that is signed for another use is a token."""
    return hmac.new(secret_key.encode(), b"connection tokens", hashlib.sha256).hexdigest()


def token_options(options: AccountsOptions) -> TokenOptions:
    """How our tokens are verified. The first of the old keys is still good."""
    previous = signing_key(options.old_secret_keys[0]) if options.old_secret_keys else ""
    return TokenOptions(hmac_secret_key=signing_key(options.secret_key), hmac_previous_secret_key=previous)


def with_own_namespace(rules: ChannelRules) -> ChannelRules:
    """The rules of channels, with the namespace in which windows wait for an answer to a letter."""
    return replace(rules, namespaces={**rules.namespaces, NAMESPACE: ChannelOptions()})


class OwnTokensFirst:
    """Implements ``ports.TokenVerifier``: our tokens by ``own``, all others by ``others``. ``header`` is the first part of our
    tokens, which is the same in all of them. ``lives`` says whether a session (its id) of a user (the second) goes on."""

    def __init__(
        self, header: str, own: TokenVerifier, others: TokenVerifier, lives: Callable[[str, str], Awaitable[bool]]
    ) -> None:
        self._prefix = f"{header}."
        self._own = own
        self._others = others
        self._lives = lives

    async def verify_connection(self, token: str) -> ConnectionClaims:
        """A token that was given to a session ends with it, whatever its time: for connections, for their refreshes and for
        requests that bring it."""
        claims = await self._verifier(token).verify_connection(token)
        session = session_of(claims.meta)
        if session and self._is_own(token) and not await self._lives(session, claims.user):
            raise ExpiredToken("The session that the token was given to has ended.")
        return claims

    async def verify_subscription(self, token: str) -> SubscriptionClaims:
        return await self._verifier(token).verify_subscription(token)

    def _verifier(self, token: str) -> TokenVerifier:
        return self._own if self._is_own(token) else self._others

    def _is_own(self, token: str) -> bool:
        return token.startswith(self._prefix)


class _Meta(Struct):
    rt_session: str = ""


def session_of(meta: Raw) -> str:
    """The id of the session in the meta of a connection, "" when there is none."""
    if not len(meta):
        return ""
    try:
        return msgspec.json.decode(meta, type=_Meta).rt_session
    except (msgspec.DecodeError, RecursionError):
        return ""


class ConnectionTokens:
    """Gives tokens. ``sign`` makes a JWT of claims; ``boundary`` is what stands between a namespace and the rest."""

    def __init__(self, options: AccountsOptions, sign: Sign, unix: Callable[[], float], boundary: str = ":") -> None:
        self._seconds = int(options.token_ttl)
        self._patterns = options.subscription_channels
        self._staff_patterns = options.staff_channels
        self._proof_seconds = int(options.proof_ttl)
        self._sign = sign
        self._unix = unix
        self._boundary = boundary

    def connection(self, account: Account, session: Session) -> tuple[str, int]:
        """A connection token, and for how many seconds it is good."""
        claims = {"sub": account.id, "info": {"name": account.username}, "meta": {SESSION: session.id}}
        return self._signed(claims, self._seconds), self._seconds

    def subscription(self, account: Account, channel: str) -> tuple[str, int]:
        """A subscription token. Raises ``AccountRefused`` for a channel that is not this person's."""
        patterns = (*self._patterns, *(self._staff_patterns if account.is_staff else ()))
        if not any(fits(pattern, account.id, channel) for pattern in patterns):
            raise AccountRefused(
                "channel_denied",
                "This channel is not yours: ask for one of accounts.subscription_channels.",
                "channel",
                403,
            )
        return self._signed({"sub": account.id, "channel": channel}, self._seconds), self._seconds

    def waiting(self, proof: Proof) -> str:
        """For the window that waits for an answer to a letter: nothing but the channel of that letter."""
        return self._signed({"sub": "", "subs": {self.channel(proof): {}}}, self._proof_seconds)

    def channel(self, proof: Proof) -> str:
        return f"{NAMESPACE}{self._boundary}{proof.id}"

    def _signed(self, claims: Mapping[str, Any], seconds: int) -> str:
        now = int(self._unix())
        return self._sign({**claims, "iat": now, "exp": now + seconds})


def fits(pattern: str, user_id: str, channel: str) -> bool:
    """Whether a channel is one of a pattern in which ``{user}`` is that person and ``*`` anything."""
    literals = [re.escape(each.replace("{user}", user_id)) for each in pattern.split("*")]
    return re.fullmatch(".*".join(literals), channel, re.DOTALL) is not None
