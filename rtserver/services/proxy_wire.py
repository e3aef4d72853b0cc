"""Questions to a backend and its answers as JSON (protocol section 10).

A question leaves out what is empty, except the user. An answer is an object with "result", "error" or "disconnect": of these
the last that is given counts. A null counts as absent everywhere, because typed backends write every field they know.
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from rtserver.core.errors import BAD_REQUEST, ERRORS, CommandError, Disconnected, DisconnectReason, RtError
from rtserver.core.hooks import Admitted, Allowed, Caller, Identity, Refreshed
from rtserver.core.messages import EMPTY, MAX_NESTING, Error, is_json, nests_too_deep
from rtserver.core.ports import ServerSubscription, SubscriptionOverride
from rtserver.services.proxy_options import ProxyOptions, StatusTransform, check_disconnect, check_error_code

LATEST = 2**32 - 1
"""The last Unix second that ``expire_at`` can mean (in 2106). Above it, it was hardly meant in seconds."""

_T = TypeVar("_T")
_S = TypeVar("_S", bound=Struct)


class BadAnswer(RtError):
    """A backend did not answer, or not as agreed. The sentence holds no value of the answer."""


# Questions


class _Question(Struct, omit_defaults=True, kw_only=True):
    client: str
    transport: str
    protocol: str
    encoding: str
    data: Raw = EMPTY
    b64data: str = ""
    meta: Raw = EMPTY


class ConnectQuestion(_Question, kw_only=True):
    name: str = ""
    version: str = ""
    channels: tuple[str, ...] = ()


class UserQuestion(_Question, kw_only=True):
    user: str
    channel: str = ""
    method: str = ""
    token: str = ""


def question(kind: type[_Question], options: ProxyOptions, caller: Caller, data: Raw = EMPTY, **more: Any) -> bytes:
    """The body of a request. Raises ``CommandError`` 107 for data that is no JSON and would have to be."""
    made = kind(
        client=caller.client,
        transport=caller.transport,
        protocol=caller.protocol,
        encoding="binary" if options.binary_encoding else "json",
        **more,
    )
    if options.binary_encoding:
        made.b64data = binascii.b2a_base64(bytes(data), newline=False).decode()
    elif len(data):
        if caller.protocol != "json" and not is_json(bytes(data)):
            raise CommandError(BAD_REQUEST)
        made.data = data
    if options.include_connection_meta and len(caller.meta):
        made.meta = caller.meta
    return msgspec.json.encode(made)


def headers(options: ProxyOptions, caller: Caller) -> dict[str, str]:
    """The headers of a request, in lower case: those of the handshake come before those of the connect command and those of
    the configuration."""
    made = {name.lower(): value for name, value in options.http.static_headers.items()}
    made |= _listed(options.emulated_headers, caller.emulated_headers.get)
    made |= _listed(options.http_headers, caller.headers.get)
    made["content-type"] = "application/json"
    return made


def _listed(names: Iterable[str], value_of: Any) -> dict[str, str]:
    """A value with a line break or another control character is left out: it would be a header of its own."""
    found = ((name.lower(), value_of(name.lower())) for name in names)
    return {name: value for name, value in found if value is not None and value.isprintable()}


# Answers


class _Error(Struct):
    code: int
    message: str | None = None
    temporary: bool | None = None


class _Disconnect(Struct):
    code: int
    reason: str | None = None


class _Envelope(Struct):
    result: Raw = EMPTY
    error: _Error | None = None
    disconnect: _Disconnect | None = None


_envelopes = msgspec.json.Decoder(_Envelope)


def result_of(body: bytes) -> Raw:
    """The result of an answer, EMPTY when there is none. Raises ``CommandError`` or ``Disconnected`` when the backend says
    so, and ``BadAnswer``."""
    try:
        if not body.isascii():
            body.decode()
        envelope = _envelopes.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"the answer is no JSON object as agreed: {error}") from None
    if nests_too_deep(body):
        raise BadAnswer(f"the answer nests more than {MAX_NESTING} levels deep")
    if envelope.disconnect is not None:
        raise disconnected(envelope.disconnect.code, envelope.disconnect.reason or "")
    if envelope.error is not None:
        raise refused(envelope.error.code, envelope.error.message or "", envelope.error.temporary)
    return EMPTY if _absent(envelope.result) else envelope.result


def raise_for_status(status: int, transforms: Iterable[StatusTransform]) -> None:
    """What a status other than 200 means. Raises one of the errors of ``result_of``."""
    for each in transforms:
        if each.status_code == status:
            if each.to_disconnect.code:
                raise disconnected(each.to_disconnect.code, each.to_disconnect.reason)
            raise refused(each.to_error.code, each.to_error.message, each.to_error.temporary)
    raise BadAnswer(f"the answer has status {status}: answer 200, or name the status in status_to_code_transforms")


def refused(code: int, message: str, temporary: bool | None) -> RtError:
    """An error that the backend chose. For a code of this server the missing parts are this server's."""
    known = ERRORS.get(code, Error(code, "refused"))
    try:
        check_error_code(code)
    except ValueError as error:
        return BadAnswer(f"the answer's error cannot be sent to clients: {error}")
    return CommandError(Error(code, message or known.message, known.temporary if temporary is None else temporary))


def disconnected(code: int, reason: str) -> RtError:
    try:
        check_disconnect(code, reason)
    except ValueError as error:
        return BadAnswer(f"the answer's disconnect cannot be sent to clients: {error}")
    return Disconnected(DisconnectReason(code, reason))


# Results


class _Flag(Struct):
    value: bool | None = None


class _Override(Struct):
    presence: _Flag | bool | None = None
    join_leave: _Flag | bool | None = None
    force_push_join_leave: _Flag | bool | None = None
    force_positioning: _Flag | bool | None = None
    force_recovery: _Flag | bool | None = None


class _Payloads(Struct, kw_only=True):
    info: Raw = EMPTY
    b64info: str | None = None
    data: Raw = EMPTY
    b64data: str | None = None


class _Subscription(_Payloads, kw_only=True):
    override: _Override | None = None
    expire_at: int | float | None = None


class _ServerSubscription(_Subscription, kw_only=True):
    cache_recover: bool | None = None


class _Identity(_Payloads, kw_only=True):
    user: str | None = None
    expire_at: int | float | None = None
    channels: list[str] | None = None
    subs: dict[str, _ServerSubscription | None] | None = None
    meta: Raw = EMPTY


class _Admitted(_Payloads, kw_only=True):
    skip_history: bool | None = None
    tags: dict[str, str] | None = None
    idempotency_key: str | None = None
    delta: bool | None = None
    version: int | None = None
    version_epoch: str | None = None


class _Refreshed(_Payloads, kw_only=True):
    expired: bool | None = None
    expire_at: int | float | None = None
    meta: Raw = EMPTY


def identity(result: Raw) -> Identity | None:
    """None: the backend does not know who it is."""
    if _absent(result):
        return None
    given = _decoded(_Identity, result)
    plain = _ServerSubscription()
    subs = {channel: _server_subscription(plain) for channel in given.channels or ()}
    subs |= {channel: _server_subscription(each or plain) for channel, each in (given.subs or {}).items()}
    if "" in subs:
        raise BadAnswer("the answer subscribes the client to a channel without a name")
    return Identity(
        user=given.user or "",
        expire_at=_time(given.expire_at),
        info=_payload("info", given.info, given.b64info),
        data=_payload("data", given.data, given.b64data),
        subs=subs,
        meta=_meta(given.meta),
    )


def _server_subscription(given: _ServerSubscription) -> ServerSubscription:
    override = _override(given.override)
    return ServerSubscription(
        info=_payload("info", given.info, given.b64info),
        data=_payload("data", given.data, given.b64data),
        override=replace(override, auto_cache_recover=True) if given.cache_recover else override,
        expire_at=_time(given.expire_at),
    )


def allowed(result: Raw) -> Allowed:
    given = _decoded(_Subscription, _present(result))
    return Allowed(
        info=_payload("info", given.info, given.b64info),
        data=_payload("data", given.data, given.b64data),
        override=_override(given.override),
        expire_at=_time(given.expire_at),
    )


def admitted(result: Raw) -> Admitted:
    given = _decoded(_Admitted, _present(result))
    version = given.version or 0
    if not 0 <= version < 2**63:
        raise BadAnswer("the answer's version is not from 0 to 2^63 - 1")
    data = _payload("data", given.data, given.b64data)
    return Admitted(
        data=data if len(data) else None,
        skip_history=bool(given.skip_history),
        tags=given.tags or {},
        idempotency_key=given.idempotency_key or "",
        delta=given.delta,
        version=version,
        version_epoch=given.version_epoch or "",
    )


def refreshed(result: Raw) -> Refreshed:
    """An answer without result says that it is over."""
    if _absent(result):
        return Refreshed(expired=True)
    given = _decoded(_Refreshed, result)
    info, meta = _payload("info", given.info, given.b64info), _meta(given.meta)
    return Refreshed(
        expired=bool(given.expired),
        expire_at=_time(given.expire_at),
        info=info if len(info) else None,
        meta=meta if len(meta) else None,
    )


def rpc_data(result: Raw) -> Raw:
    """What the client gets. A null is a value here, if it is given."""
    given = _decoded(_Payloads, _present(result))
    return given.data.copy() if not given.b64data and len(given.data) else _payload("data", EMPTY, given.b64data)


def _decoded(kind: type[_S], result: Raw) -> _S:
    try:
        return msgspec.json.decode(result, type=kind)
    except msgspec.DecodeError as error:
        raise BadAnswer(f"the answer's result is not as agreed: {error}") from None


def _present(result: Raw) -> Raw:
    """Nothing is allowed by an answer that says nothing: it may be that of another page."""
    if _absent(result):
        raise BadAnswer('the answer has neither "result" nor "error" nor "disconnect"')
    return result


def _absent(value: Raw) -> bool:
    return len(value) in (0, 4) and bytes(value) in (b"", b"null")


def _payload(name: str, value: Raw, encoded: str | None) -> Raw:
    """Raw JSON under its own name, or any bytes in base64 under "b64" and its name, which wins. Copied, for the answer
    around it is not to be kept."""
    if encoded:
        try:
            return Raw(binascii.a2b_base64(encoded.encode(), strict_mode=True))
        except binascii.Error:
            raise BadAnswer(f"the answer's b64{name} is no standard base64") from None
    return EMPTY if _absent(value) else value.copy()


def _meta(value: Raw) -> Raw:
    if _absent(value):
        return EMPTY
    if bytes(value)[:1] != b"{":
        raise BadAnswer("the answer's meta is no JSON object")
    return value.copy()


def _time(at: float | None) -> int:
    if at is None:
        return 0
    if not 0 <= at <= LATEST:
        raise BadAnswer("the answer's expire_at is no time in Unix seconds (0: no end)")
    return math.floor(at)


def _override(flags: _Override | None) -> SubscriptionOverride:
    """Each as {"value": true}, or as a plain true."""
    if flags is None:
        return SubscriptionOverride()
    given = {
        name: flag.value if isinstance(flag, _Flag) else flag for name, flag in msgspec.structs.asdict(flags).items()
    }
    return SubscriptionOverride(**given)
