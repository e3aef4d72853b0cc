"""The seams of the house: what the core asks of the world outside, and what the world may tell it.

Each Protocol has a real implementation in ``services`` or ``protocols`` and a memory one beside it; ``tests/contracts.py``
holds the tests that both must pass. Times are in seconds, sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from msgspec import Raw

from rtserver.core.errors import DisconnectReason
from rtserver.core.messages import EMPTY, ClientInfo, Command, ConnectRequest, Publication, Push, Reply, StreamPosition
from rtserver.core.options import ChannelOptions

Spawn = Callable[[Coroutine[Any, Any, None]], None]
"""Starts a coroutine and sees to it that its failure is logged."""


# The broker: streams, presence and the ways between nodes


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """How one publication is to be stored and delivered.

    ``history_size`` and ``history_ttl`` 0 (both): no history. ``meta_ttl`` > 0 always. ``version`` > 0: the publication is
    dropped when the stream already holds that version or a later one of the same (or empty) ``version_epoch``.
    ``idempotency_key``: a repeat within 5 minutes on the same channel delivers nothing and gets the first result.
    """

    history_size: int = 0
    history_ttl: float = 0
    meta_ttl: float = 720 * 3600
    idempotency_key: str = ""
    version: int = 0
    version_epoch: str = ""

    @property
    def has_history(self) -> bool:
        return self.history_size > 0 and self.history_ttl > 0


class PublishOutcome(NamedTuple):
    """``position`` is where the publication went, or the current top when it was ``suppressed`` (a repeat or an old
    version). Without history it is ``StreamPosition(0, "")``."""

    position: StreamPosition
    suppressed: bool = False


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which part of a stream: ``limit`` 0 only the position, negative everything. Forward means offsets above
    ``since.offset`` (or from the oldest kept), reverse means below it, newest first. ``since.epoch`` is not looked at."""

    limit: int = -1
    since: StreamPosition | None = None
    reverse: bool = False


class HistorySlice(NamedTuple):
    publications: list[Publication]
    top: StreamPosition


class Intake(Protocol):
    """What a broker must know of the node's rules to take publications of other programs (the doors into Redis)."""

    def publish_options(self, channel: str) -> PublishOptions | None:
        """How a publication of this channel is stored; None when its namespace is not configured."""

    def refusal(self, channel: str, data: bytes) -> str | None:
        """Why ``data`` may not be published on ``channel`` (empty, not JSON...), as a sentence; None when it may."""

    def history_prefixes(self) -> list[str]:
        """Beginnings of channel names that have history: "ns:" for a namespace, "" for channels without namespace."""

    def namespaces(self) -> Mapping[str, ChannelOptions]:
        """The options of every namespace by name; "" holds those of channels without a namespace."""


class BrokerEvents(Protocol):
    """What a broker tells the node. Every call returns at once."""

    def on_publication(self, channel: str, publication: Publication, epoch: str, at: int = 0) -> None:
        """A publication of a channel that this node is subscribed to, in stream order. ``epoch`` "" without history.
        ``at`` is the broker's Unix time in ms of storing it, 0 when that is now or not known."""

    def on_join(self, channel: str, info: ClientInfo) -> None: ...

    def on_leave(self, channel: str, info: ClientInfo) -> None: ...

    def on_control(self, message: bytes) -> None:
        """A control message of some node of the cluster, this one included."""

    def on_raw(self, channel: str, data: bytes) -> None:
        """Bytes that another program published for a subscribed channel without history, as they came."""

    def on_gap(self, channels: list[str]) -> None:
        """Messages of these channels may have been lost (a reconnect): positions must be checked against the broker."""


@dataclass(slots=True)
class BrokerStats:
    """What a broker counted since its start. "Raw" publications came by a plain PUBLISH of another program, "inbox" ones
    by the durable inbox."""

    reconnects: int = 0
    resubscribes: int = 0
    publications_received: int = 0
    raw_received: int = 0
    raw_refused: int = 0
    inbox_accepted: int = 0
    inbox_dead: int = 0
    commands_failed: int = 0


class Lease(Protocol):
    """A job that one node does at a time. ``gained`` and ``lost`` (given where it was made) are called in turn."""

    def start(self) -> None:
        """Want it. May be called again after ``stop``."""

    async def stop(self) -> None:
        """Give it up; ``lost`` is called first if it was held."""


class Broker(Protocol):
    """Streams, presence and pub/sub of channels. Every call raises ``BrokerUnavailable`` when it cannot be done now and
    ``BrokerError`` when it cannot be done at all; each ends within the broker's own time limit.

    Delivery to subscribed nodes is at most once; streams repair what was lost. For one channel, the order of
    ``on_publication`` is the order of offsets.
    """

    stats: BrokerStats

    @property
    def shards(self) -> int:
        """How many independent ways publications go; every probe comes back once on each."""

    async def start(self, events: BrokerEvents) -> None:
        """Connect. Returns when the first connection is up; raises ``BrokerUnavailable`` when it is not to be had."""

    async def stop(self) -> None: ...

    async def subscribe(self, channel: str) -> None:
        """From the moment this returns, every publication of the channel reaches ``on_publication``."""

    async def unsubscribe(self, channel: str) -> None: ...

    def pause(self) -> None:
        """Hold publications back until ``resume``: the fan-out does not keep up. They wait at the broker, bounded there."""

    def resume(self) -> None: ...

    async def publish(self, channel: str, publication: Publication, options: PublishOptions) -> PublishOutcome:
        """Store (with history) and deliver, as one step. ``publication.offset`` is ignored; the broker gives it."""

    async def publish_join(self, channel: str, info: ClientInfo) -> None: ...

    async def publish_leave(self, channel: str, info: ClientInfo) -> None: ...

    async def history(self, channel: str, wanted: HistoryFilter, meta_ttl: float) -> HistorySlice:
        """Read a stream. Makes the epoch when there is none, and lengthens the life of the meta data."""

    async def remove_history(self, channel: str) -> None:
        """Drop the publications; offset and epoch stay."""

    async def add_presence(self, channel: str, client: str, info: ClientInfo) -> None:
        """Add or refresh; the entry lasts for the broker's presence TTL (60 s)."""

    async def remove_presence(self, channel: str, client: str) -> None: ...

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        """Client id to info, without expired entries."""

    async def presence_stats(self, channel: str) -> tuple[int, int]:
        """Number of clients and of distinct users ("" is one user)."""

    async def publish_control(self, message: bytes, node: str = "") -> None:
        """Send to every node (this one included), or to ``node`` only."""

    def lease(self, name: str, gained: Callable[[], None], lost: Callable[[], None]) -> Lease:
        """A lease of this name among all nodes, not started. With a broker of one node it is always free."""

    async def probe(self, token: str) -> None:
        """Send ``token`` the way publications go, on every shard. It comes back as ``on_publication`` on channel
        ``PROBE_CHANNEL`` with data ``<token>:<shard>``, shard from 0 to ``shards`` - 1: all seen, nothing is deaf."""

    async def refresh(self) -> None:
        """Drop the connections that publications come by and make new ones; ``on_gap`` follows. For a deaf node."""


PROBE_CHANNEL = "\x00probe"
"""No client can name it: channel names are printable."""


# Wires and connections


class Codec(Protocol):
    """Values to bytes and back, in one format. Pure; one instance serves every connection."""

    name: str
    """"json" or "protobuf"."""

    def decode_commands(self, frame: bytes) -> list[Command]:
        """Raises ``BadFrame`` for an empty frame or anything that is no frame."""

    def encode_reply(self, reply: Reply) -> bytes:
        """One message without framing. Raises ``NotJSON`` when a payload inside cannot be carried."""

    def encode_push(self, push: Push) -> bytes:
        """A bare push, for unidirectional transports. Raises ``NotJSON``."""

    def decode_connect_request(self, frame: bytes) -> ConnectRequest:
        """The bare request of a client on a unidirectional transport. Raises ``BadFrame``."""

    def decode_emulation(self, body: bytes) -> tuple[str, str, bytes]:
        """Node, session and frame of a request to the emulation endpoint. Raises ``BadFrame``."""

    def payload(self, data: Raw) -> bytes:
        """The very bytes that a client sees as this payload (delta bases are compared byte by byte). Raises ``NotJSON``."""

    def delta_data(self, delta: bytes | None, payload: bytes) -> tuple[Raw, bool]:
        """``Publication.data`` and ``.delta`` for a subscription with delta compression: the delta if it can be carried,
        else the full payload, in the form that this format prescribes."""


class Wire(Protocol):
    """One way of writing messages onto one kind of connection: a codec, an envelope and a frame."""

    @property
    def name(self) -> str: ...

    @property
    def codec(self) -> Codec: ...

    @property
    def unidirectional(self) -> bool: ...

    def reply(self, reply: Reply) -> bytes: ...

    def push(self, push: Push) -> bytes: ...


class Outbound(Protocol):
    """The writing side of one client connection."""

    def write(self, data: bytes) -> None:
        """Write now if the socket takes it, else queue. Over the byte bound the connection is closed as slow. A no-op on a
        closed connection."""

    def close(self, reason: DisconnectReason) -> None:
        """Flush, tell the client code and reason in the way of the transport, and close."""

    def finish(self) -> None:
        """End without a code after the client had time to read the last reply (an error reply to connect)."""

    def pause(self) -> None:
        """Stop reading from the client until ``resume``."""

    def resume(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Handshake:
    """What is known of a client before its first command. ``headers`` has lower-case names, ``remote`` is its address or ""."""

    transport: str
    """"websocket", "sse", "http_stream", "uni_websocket", "uni_sse" or "uni_http_stream"."""
    headers: Mapping[str, str] = field(default_factory=dict)
    remote: str = ""
    emulation: bool = False
    """Whether commands come by ``/emulation``: the connect reply then carries session and node."""
    app_ping: bool = True
    """False when the client asked for native WebSocket pings instead."""


# Tokens


def _nothing() -> Raw:
    return EMPTY


@dataclass(frozen=True, slots=True)
class SubscriptionOverride:
    """Token or API overrides of the options of one server-side subscription; None leaves the option as it is."""

    presence: bool | None = None
    join_leave: bool | None = None
    force_push_join_leave: bool | None = None
    force_positioning: bool | None = None
    force_recovery: bool | None = None
    auto_cache_recover: bool | None = None
    """Only backends and this process can say so, as ``cache_recover`` of a server-side subscription."""


@dataclass(frozen=True, slots=True)
class ServerSubscription:
    """A channel that the server subscribes a connection to."""

    info: Raw = field(default_factory=_nothing)
    data: Raw = field(default_factory=_nothing)
    override: SubscriptionOverride = SubscriptionOverride()
    expire_at: int = 0


@dataclass(frozen=True, slots=True)
class ConnectionClaims:
    """What a connection token says. ``expire_at`` in Unix seconds, 0: the connection does not expire."""

    user: str = ""
    expire_at: int = 0
    info: Raw = field(default_factory=_nothing)
    subs: dict[str, ServerSubscription] = field(default_factory=dict)
    meta: Raw = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class SubscriptionClaims:
    """What a subscription token says. ``expire_at`` as above, for the subscription."""

    user: str
    channel: str
    client: str = ""
    expire_at: int = 0
    info: Raw = field(default_factory=_nothing)
    data: Raw = field(default_factory=_nothing)
    override: SubscriptionOverride = SubscriptionOverride()


class TokenVerifier(Protocol):
    """Verifies JWTs. ``verify_*`` raise ``InvalidToken`` or ``ExpiredToken``; when a key cannot be fetched now they raise
    ``InvalidToken`` too, and log why."""

    def verify_connection(self, token: str) -> Awaitable[ConnectionClaims]: ...

    def verify_subscription(self, token: str) -> Awaitable[SubscriptionClaims]: ...


# The database: what must outlive the process

T = TypeVar("T")

Value = int | float | str | bytes | None
"""What a column holds. Times are integer milliseconds since 1970, JSON is text, ids are text made here, yes and no are 1
and 0 (``bool`` is taken as such)."""

Row = tuple[Any, ...]
"""The values of one row in the order of the columns that were asked for."""


class Transaction(Protocol):
    """Statements that happen together or not at all."""

    async def run(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        """One statement, as ``Database.run``. One at a time: await it before the next. After an error the transaction can
        only end, and is undone even when the error is caught."""


class Database(Protocol):
    """SQL on PostgreSQL or SQLite, in the language that both speak, with ``?`` for each value.

    Every call raises ``StoreUnavailable`` when it cannot be done now, ``Conflict`` for a unique value that exists and
    ``StoreError`` for everything else; each ends within the time limits of the configuration. A caller that is cancelled is
    freed at once; its single statement may still be done, its transaction is undone unless it was being committed.
    """

    @property
    def unready(self) -> str:
        """Why nothing can be stored now, as a sentence; "" when it can."""

    async def start(self) -> None:
        """Bring the schema up to date and connect. Returns when that is done, or when the database cannot be reached now
        (it is then tried until it can, see ``unready``). Raises ``StoreError`` when the schema is not ours to use."""

    async def stop(self) -> None:
        """Finish what was asked for, within the time limits, and refuse everything else."""

    async def run(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        """One statement by itself. Returns the rows of a SELECT (at most 100,000) or of RETURNING."""

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Call ``work`` in a transaction: its return commits, any exception undoes. Transactions see and change the data as
        if each were alone (serializable); when one cannot be, ``work`` is called again, so let it do nothing but this.
        Inside of it use the given transaction only, not the database."""

    def lease(self, name: str, gained: Callable[[], None], lost: Callable[[], None], wake: Callable[[], None]) -> Lease:
        """A lease of this name among all nodes that share the database, not started. While it is held, ``wake`` is called
        soon after rows were inserted into the table ``name``; now and then without need, and once in a while not at all."""
