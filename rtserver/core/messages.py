"""The values of the client protocol: commands, replies and pushes, and what they are made of.

One struct per message of the Centrifuge client protocol (generation "v2"). Field names are the protocol's own snake_case
names, which are also its JSON keys. Conventions of the wire that the structs carry:

* a field with a default is left out of JSON when it has that default; a field without one is always present;
* ``Raw`` fields are payloads: raw JSON values on a JSON connection, opaque bytes on a Protobuf one. They are never parsed
  and re-serialised here, because delta compression needs the very bytes the publisher wrote;
* a result struct that is present but empty is still written (``{"id":3,"subscribe":{}}``).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

EMPTY = Raw(b"")
"""The absent payload."""

# The integers of the wire. msgspec holds decoded values to these bounds; those of Uint64 reach beyond what it can check
# (int64), so its upper end is the codec's to look at.
Uint32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Uint64 = Annotated[int, Meta(ge=0)]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class StreamPosition(Struct, omit_defaults=True, frozen=True):
    """A place in a channel's stream: ``offset`` counts publications from 1, ``epoch`` names the life of the stream."""

    offset: Uint64 = 0
    epoch: str = ""


class ClientInfo(Struct, omit_defaults=True):
    """Who is behind a connection. ``user`` "" is an anonymous user; ``client`` is the connection's UUID."""

    user: str
    client: str
    conn_info: Raw = EMPTY
    chan_info: Raw = EMPTY


class Publication(Struct, omit_defaults=True):
    """One message of a channel. ``offset`` is 0 in channels without history."""

    data: Raw = EMPTY
    info: ClientInfo | None = None
    offset: int = 0
    tags: dict[str, str] | None = None
    delta: bool = False


class FilterNode(Struct, omit_defaults=True):
    """A node of a tags filter: a leaf compares one tag, "and", "or" and "not" combine other nodes."""

    op: str = ""
    key: str = ""
    cmp: str = ""
    val: str = ""
    vals: list[str] = []
    nodes: list[FilterNode] = []


# Requests


class SubscribeRequest(Struct, omit_defaults=True):
    """``flag`` bit 1 offers channel compaction (never granted), bit 2 asks for error 112 instead of recovered=false."""

    channel: str = ""
    token: str = ""
    recover: bool = False
    epoch: str = ""
    offset: Uint64 = 0
    data: Raw = EMPTY
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    delta: str = ""
    tf: FilterNode | None = None
    flag: Int64 = 0
    type: Int32 = 0
    phase: Int32 = 0
    cursor: str = ""
    limit: Int32 = 0
    asc: bool = False


class ConnectRequest(Struct, omit_defaults=True):
    """``subs`` carries the recovery positions of server-side subscriptions."""

    token: str = ""
    data: Raw = EMPTY
    subs: dict[str, SubscribeRequest] = {}
    name: str = ""
    version: str = ""
    headers: dict[str, str] = {}


class UnsubscribeRequest(Struct, omit_defaults=True):
    channel: str = ""


class PublishRequest(Struct, omit_defaults=True):
    """``type`` 1 is a map publication, which this server answers with 108."""

    channel: str = ""
    data: Raw = EMPTY
    type: Int32 = 0
    key: str = ""
    removed: bool = False


class PresenceRequest(Struct, omit_defaults=True):
    channel: str = ""


class PresenceStatsRequest(Struct, omit_defaults=True):
    channel: str = ""


class HistoryRequest(Struct, omit_defaults=True):
    """``limit`` 0: only the position; above: at most so many; below: all (up to the server's cap)."""

    channel: str = ""
    limit: Int32 = 0
    since: StreamPosition | None = None
    reverse: bool = False


class PingRequest(Struct, omit_defaults=True):
    pass


class SendRequest(Struct, omit_defaults=True):
    data: Raw = EMPTY


class RPCRequest(Struct, omit_defaults=True):
    data: Raw = EMPTY
    method: str = ""


class RefreshRequest(Struct, omit_defaults=True):
    token: str = ""


class SubRefreshRequest(Struct, omit_defaults=True):
    channel: str = ""
    token: str = ""
    type: Int32 = 0


class Command(Struct, omit_defaults=True):
    """What a client sends. The first request that is set, in the order of the fields here, is the one that counts."""

    id: Uint32 = 0
    connect: ConnectRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: UnsubscribeRequest | None = None
    publish: PublishRequest | None = None
    presence: PresenceRequest | None = None
    presence_stats: PresenceStatsRequest | None = None
    history: HistoryRequest | None = None
    rpc: RPCRequest | None = None
    send: SendRequest | None = None
    refresh: RefreshRequest | None = None
    sub_refresh: SubRefreshRequest | None = None
    ping: PingRequest | None = None


class EmulationRequest(Struct, omit_defaults=True):
    """A later frame of a client on SSE or HTTP streaming. In JSON ``data`` is a string, in Protobuf bytes."""

    node: str = ""
    session: str = ""
    data: str = ""


# Results and pushes


class Error(Struct, omit_defaults=True):
    code: int
    message: str
    temporary: bool = False


class SubscribeResult(Struct, omit_defaults=True):
    """``offset`` is the request's offset when recovered, else the top of the stream. ``ttl`` in whole seconds."""

    expires: bool = False
    ttl: int = 0
    recoverable: bool = False
    epoch: str = ""
    publications: list[Publication] = []
    recovered: bool = False
    offset: int = 0
    positioned: bool = False
    data: Raw = EMPTY
    was_recovering: bool = False
    delta: bool = False


class ConnectResult(Struct, omit_defaults=True):
    """``ping`` in whole seconds, ``time`` in milliseconds since 1970. Also the body of a unidirectional connect push."""

    client: str
    version: str
    expires: bool = False
    ttl: int = 0
    data: Raw = EMPTY
    subs: dict[str, SubscribeResult] = {}
    ping: int = 0
    pong: bool = False
    session: str = ""
    node: str = ""
    time: int = 0


class UnsubscribeResult(Struct, omit_defaults=True):
    pass


class PublishResult(Struct, omit_defaults=True):
    pass


class PresenceResult(Struct, omit_defaults=True):
    presence: dict[str, ClientInfo]


class PresenceStatsResult(Struct, omit_defaults=True):
    num_clients: int
    num_users: int


class HistoryResult(Struct, omit_defaults=True):
    """``offset`` and ``epoch`` are the current top of the stream."""

    publications: list[Publication]
    epoch: str
    offset: int


class RPCResult(Struct, omit_defaults=True):
    data: Raw = EMPTY


class RefreshResult(Struct, omit_defaults=True):
    expires: bool = False
    ttl: int = 0


class SubRefreshResult(Struct, omit_defaults=True):
    expires: bool = False
    ttl: int = 0


class Join(Struct, omit_defaults=True):
    info: ClientInfo


class Leave(Struct, omit_defaults=True):
    info: ClientInfo


class Unsubscribe(Struct, omit_defaults=True):
    code: int
    reason: str


class Subscribe(Struct, omit_defaults=True):
    """The push that tells a client of a server-side subscription added at run time."""

    recoverable: bool = False
    epoch: str = ""
    offset: int = 0
    positioned: bool = False
    data: Raw = EMPTY


class Message(Struct, omit_defaults=True):
    data: Raw = EMPTY


class Disconnect(Struct, omit_defaults=True):
    code: int
    reason: str


class Refresh(Struct, omit_defaults=True):
    expires: bool = False
    ttl: int = 0


class Push(Struct, omit_defaults=True):
    """What the server sends unasked. Exactly one of the message fields is set."""

    channel: str = ""
    pub: Publication | None = None
    join: Join | None = None
    leave: Leave | None = None
    unsubscribe: Unsubscribe | None = None
    message: Message | None = None
    subscribe: Subscribe | None = None
    connect: ConnectResult | None = None
    disconnect: Disconnect | None = None
    refresh: Refresh | None = None


class Reply(Struct, omit_defaults=True):
    """What the server sends: an answer (``id`` > 0), a push, or, with nothing set, a ping."""

    id: int = 0
    error: Error | None = None
    push: Push | None = None
    connect: ConnectResult | None = None
    subscribe: SubscribeResult | None = None
    unsubscribe: UnsubscribeResult | None = None
    publish: PublishResult | None = None
    presence: PresenceResult | None = None
    presence_stats: PresenceStatsResult | None = None
    history: HistoryResult | None = None
    rpc: RPCResult | None = None
    refresh: RefreshResult | None = None
    sub_refresh: SubRefreshResult | None = None


# Payloads

MAX_NESTING = 512
"""How deep the arrays and objects of a JSON payload may nest. The parser's own limit shrinks with the depth of the call
stack; a fixed one far below it makes whatever a publisher may send also sendable to every subscriber."""

_BRACKETS = b"[]{}"
_OTHERS = bytes(byte for byte in range(256) if byte not in _BRACKETS)
_values = msgspec.json.Decoder(Raw)


def is_json(data: bytes) -> bool:
    """Whether ``data`` is exactly one JSON value in valid UTF-8 that does not nest too deep."""
    try:
        _values.decode(data)
        if not data.isascii():
            data.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return not nests_too_deep(data)


def nests_too_deep(text: bytes) -> bool:
    """Whether a valid JSON text nests deeper than ``MAX_NESTING``."""
    if text.count(b"[") + text.count(b"{") <= MAX_NESTING:
        return False
    levels = 0
    brackets = b"".join(_outside_strings(text)).translate(None, _OTHERS)
    while brackets:
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        levels += 1
    return levels > MAX_NESTING


def _outside_strings(text: bytes) -> list[bytes]:
    r"""The parts of a valid JSON text around its strings: without ``\\`` and ``\"`` every quote left bounds a string."""
    return text.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
