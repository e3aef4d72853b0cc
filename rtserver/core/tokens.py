"""What connection and subscription tokens (JWTs) say, and whether it counts.

Input is the payload of a token, the JSON text between its two dots; the signature is another module's business. Claims are
typed: a ``sub`` that is a number is no user, and makes the token invalid. Sources: RFC 7519 section 4.1 for exp, nbf, aud
and iss; the Centrifuge documentation ("Client authentication", "Channel token authorization") for the rest.
"""

from __future__ import annotations

import binascii
import math
import re
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from rtserver.core.errors import ExpiredToken, InvalidToken
from rtserver.core.messages import EMPTY, is_json
from rtserver.core.options import TokenOptions
from rtserver.core.ports import ConnectionClaims, ServerSubscription, SubscriptionClaims, SubscriptionOverride

MAX_LIFETIME = 2**31 - 1
"""Seconds. Who expires later than in 68 years does not expire: the time left would not fit the wire's 32 bits."""

MAX_MATCHED = 2048
"""Characters of ``iss`` or of one ``aud`` that a regular expression is held against."""

_S = TypeVar("_S", bound=Struct)


class _Flag(Struct):
    value: bool = False


class _Override(Struct):
    presence: _Flag | None = None
    join_leave: _Flag | None = None
    force_push_join_leave: _Flag | None = None
    force_positioning: _Flag | None = None
    force_recovery: _Flag | None = None


class _Extras(Struct):
    """What a token may say of one subscription, under its own top or under ``subs``."""

    info: Raw = EMPTY
    b64info: str | None = None
    data: Raw = EMPTY
    b64data: str | None = None
    override: _Override | None = None


class _Claims(_Extras):
    sub: str | None = None
    exp: int | float | None = None
    nbf: int | float | None = None
    expire_at: int | None = None
    aud: str | list[str] | None = None
    iss: str | None = None
    channel: str | None = None


class _ConnectionClaims(_Claims):
    channels: list[str] | None = None
    subs: dict[str, _Extras | None] | None = None
    meta: Raw = EMPTY


class _SubscriptionClaims(_Claims):
    client: str | None = None


class ClaimRules:
    """The rules of one set of ``TokenOptions``. Raises ``ValueError`` for options that cannot be followed."""

    def __init__(self, options: TokenOptions) -> None:
        self._user_claim = options.user_id_claim
        self._audience = options.audience
        self._issuer = options.issuer
        self._audience_regex = _compiled("audience_regex", options.audience_regex)
        self._issuer_regex = _compiled("issuer_regex", options.issuer_regex)
        self._placeholders = _placeholders(options)

    def connection(self, payload: bytes, now: float) -> ConnectionClaims:
        """Raises ``InvalidToken`` or ``ExpiredToken``."""
        claims = _decode(_ConnectionClaims, payload)
        self._check(claims, now)
        if claims.channel:
            raise InvalidToken("The token has a channel claim: it is a subscription token, not a connection token.")
        return ConnectionClaims(
            user=self._user(claims, payload),
            expire_at=_expire_at(claims, now),
            info=_value("info", claims.info, claims.b64info),
            subs=_subscriptions(claims),
            meta=_meta(claims.meta),
        )

    def subscription(self, payload: bytes, now: float) -> SubscriptionClaims:
        """Raises ``InvalidToken`` or ``ExpiredToken``. Whether user, channel and client are those of the connection is for
        the session to look at."""
        claims = _decode(_SubscriptionClaims, payload)
        self._check(claims, now)
        if not claims.channel:
            raise InvalidToken("The token has no channel claim: a subscription token must name its channel.")
        return SubscriptionClaims(
            user=self._user(claims, payload),
            channel=claims.channel,
            client=claims.client or "",
            expire_at=_expire_at(claims, now),
            info=_value("info", claims.info, claims.b64info),
            data=_value("data", claims.data, claims.b64data),
            override=_override(claims.override),
        )

    def endpoint_values(self, payload: bytes) -> dict[str, str]:
        """What the placeholders of the JWKS address stand for, out of ``iss`` and ``aud`` of a token that is not verified
        yet. Only values that the regular expressions spell out are taken. Raises ``InvalidToken``."""
        if not self._placeholders:
            return {}
        claims = _decode(_Claims, payload)
        groups: dict[str, str] = {}
        for match in (self._issuer_match(claims), self._audience_match(claims)):
            groups.update(
                (name, value) for name, value in (match.groupdict() if match else {}).items() if value is not None
            )
        values = {name: groups.get(name, "") for name in self._placeholders}
        if any(values[name] not in allowed for name, allowed in self._placeholders.items()):
            raise InvalidToken("The token's iss and aud do not tell the address of its keys.")
        return values

    def _check(self, claims: _Claims, now: float) -> None:
        if claims.exp is not None and claims.exp <= now:
            raise ExpiredToken("The token is past its exp.")
        if claims.nbf is not None and claims.nbf > now:
            raise ExpiredToken("The token is before its nbf.")
        self._issuer_match(claims)
        self._audience_match(claims)

    def _issuer_match(self, claims: _Claims) -> re.Match[str] | None:
        if self._issuer and claims.iss != self._issuer:
            raise InvalidToken("The token's iss is not the configured issuer.")
        return _search(self._issuer_regex, "iss", [claims.iss or ""])

    def _audience_match(self, claims: _Claims) -> re.Match[str] | None:
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud or []
        if self._audience and self._audience not in audiences:
            raise InvalidToken("The token's aud does not name the configured audience.")
        return _search(self._audience_regex, "aud", audiences)

    def _user(self, claims: _Claims, payload: bytes) -> str:
        if not self._user_claim:
            return claims.sub or ""
        value = msgspec.json.decode(payload, type=dict[str, Raw]).get(self._user_claim, EMPTY)
        if _absent(value):
            return ""
        try:
            return msgspec.json.decode(value, type=str)
        except msgspec.ValidationError:
            raise InvalidToken(f"The token's {self._user_claim} claim is no string.") from None


# Claims


def _decode(kind: type[_S], payload: bytes) -> _S:
    # The parser skips over payloads without looking at their encoding and depth.
    if not is_json(payload):
        raise InvalidToken("The token's payload is no JSON in UTF-8.")
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidToken(f"The token's claims have the wrong types: {error}.") from None


def _absent(value: Raw) -> bool:
    return bytes(value) in (b"", b"null")


def _value(name: str, value: Raw, encoded: str | None) -> Raw:
    """A payload claim: raw JSON under its own name, or any bytes in base64 under "b64" and its name, which wins."""
    if encoded:
        try:
            return Raw(binascii.a2b_base64(encoded.encode(), strict_mode=True))
        except binascii.Error:
            raise InvalidToken(f"The token's b64{name} is no standard base64.") from None
    return EMPTY if _absent(value) else value.copy()


def _meta(value: Raw) -> Raw:
    if _absent(value):
        return EMPTY
    if bytes(value)[:1] != b"{":
        raise InvalidToken("The token's meta is no JSON object.")
    return value.copy()


def _expire_at(claims: _Claims, now: float) -> int:
    """Unix seconds; ``expire_at`` wins over ``exp``, and 0 is never."""
    if claims.expire_at is not None:
        at = claims.expire_at
    elif claims.exp is not None:
        at = math.floor(claims.exp)
    else:
        return 0
    if at < 0:
        raise InvalidToken("The token's expire_at is negative: it must be Unix seconds, or 0 for no end.")
    return at if at - now <= MAX_LIFETIME else 0


def _subscriptions(claims: _ConnectionClaims) -> dict[str, ServerSubscription]:
    named: dict[str, _Extras | None] = claims.subs or dict.fromkeys(claims.channels or ())
    if "" in named:
        raise InvalidToken("The token subscribes to a channel without a name.")
    return {channel: _subscription(extras or _Extras()) for channel, extras in named.items()}


def _subscription(extras: _Extras) -> ServerSubscription:
    return ServerSubscription(
        info=_value("info", extras.info, extras.b64info),
        data=_value("data", extras.data, extras.b64data),
        override=_override(extras.override),
    )


def _override(flags: _Override | None) -> SubscriptionOverride:
    if flags is None:
        return SubscriptionOverride()
    given = {name: flag.value for name, flag in msgspec.structs.asdict(flags).items() if flag is not None}
    return SubscriptionOverride(**given)


# Issuer and audience


def _compiled(key: str, pattern: str) -> re.Pattern[str] | None:
    if not pattern:
        return None
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{key} is no regular expression: {error}.") from None


def _search(pattern: re.Pattern[str] | None, claim: str, values: list[str]) -> re.Match[str] | None:
    """The match in one of the values; None when there is no pattern."""
    if pattern is None:
        return None
    for value in values:
        match = pattern.search(value) if len(value) <= MAX_MATCHED else None
        if match:
            return match
    raise InvalidToken(f"The token's {claim} does not match the configured regular expression.")


# The address of the keys

_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}", re.ASCII)


def _placeholders(options: TokenOptions) -> dict[str, frozenset[str]]:
    """The names between double braces in the JWKS address, each with all that it can stand for. They come from tokens that
    are not verified yet: a group like ``.*`` would let anybody choose the server that vouches for them."""
    names = set(_PLACEHOLDER.findall(options.jwks_public_endpoint))
    values = {name: _alternatives(name, options.issuer_regex, options.audience_regex) for name in names}
    for name, allowed in values.items():
        if not allowed:
            raise ValueError(
                f"jwks_public_endpoint uses {{{{{name}}}}}: give issuer_regex or audience_regex a group of spelled-out "
                f"alternatives of this name, such as (?P<{name}>one|two)."
            )
    return values


def _alternatives(name: str, *patterns: str) -> frozenset[str]:
    """What the named group can be, when it is a list of plain words; else nothing."""
    group = re.compile(rf"\(\?P<{name}>((?:[A-Za-z0-9_-]|\\[.-]|\|)+)\)")
    found = [match[1] for pattern in patterns for match in group.finditer(pattern)]
    return frozenset(word.replace("\\", "") for words in found for word in words.split("|") if word)


def fill_endpoint(template: str, values: dict[str, str]) -> str:
    """The JWKS address with its placeholders filled in."""
    return _PLACEHOLDER.sub(lambda placeholder: values[placeholder[1]], template)
