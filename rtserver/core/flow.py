"""What a channel on this node is made of: its subscribers, the groups they form, and what is on its way to them.

A subscriber passes through three places of its channel, always in this order:

``gated``
    from before the broker subscription until its subscribe reply is written; what arrives meanwhile is kept for it;
``newcomers``
    after the reply, while its own position and the channel's differ: it gets only what is later than its position;
``groups``
    joined to the channel's flow: no state of its own any more, the channel's position is its position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rtserver.core import fossil
from rtserver.core.messages import ClientInfo, Publication, Push, StreamPosition
from rtserver.core.ports import Wire
from rtserver.core.tags import TagsFilter

if TYPE_CHECKING:
    from rtserver.core.session import Session


GATE_LIMIT = 4096
"""Publications kept for one subscriber while it subscribes; more than that is answered as insufficient state."""


class Recipient(Protocol):
    """Where a plan writes: a subscription, or all those of one connection."""

    @property
    def live(self) -> bool: ...

    @property
    def session(self) -> object:
        """Whose connection it is: what goes to one connection in one turn is written at once."""

    @property
    def write(self) -> Callable[[bytes], None]: ...


Plan = list[tuple[list[Recipient], bytes]]
"""Who gets which bytes, in order."""


class Flow(NamedTuple):
    """What makes subscribers alike: one encoding of a turn's deliveries serves all with the same flow."""

    wire: Wire
    positioned: bool
    join_leave: bool
    delta: bool
    tags: TagsFilter | None


class Subscription:
    """One client's subscription to one channel. ``write`` is the connection's, bound once for the hot loop."""

    __slots__ = (
        "channel",
        "session",
        "write",
        "flow",
        "recoverable",
        "server_side",
        "by_token",
        "client_refresh",
        "info",
        "presence",
        "join_leave",
        "joined",
        "expire_at",
        "live",
        "from_seq",
        "from_offset",
        "gate",
    )

    def __init__(self, session: Session, channel: str, flow: Flow) -> None:
        self.session = session
        self.channel = channel
        self.write = session.write
        self.flow = flow
        self.recoverable = False
        self.server_side = False
        self.by_token = False
        """A server-side subscription that the connection token lists."""
        self.client_refresh = True
        """Whether the client is to bring new tokens (no hook refreshes the subscription)."""
        self.info: ClientInfo | None = None
        self.presence = False
        self.join_leave = False
        """Whether the channel tells others of this subscription's coming and going."""
        self.joined = False
        """Others were told of its coming, so they must be told of its going."""
        self.expire_at = 0.0
        self.live = True
        self.from_seq = 0
        self.from_offset = 0
        self.gate: list[tuple[Publication, str]] | None = None


class Listener:
    """Something inside the server that hears a channel."""

    __slots__ = ("write", "session")
    live = True

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write
        self.session = self


class Delivery:
    """One event of a channel on its way out, encoded at most once per wire and form."""

    __slots__ = ("seq", "push", "publication", "repeated", "delta", "_frames")

    def __init__(self, seq: int, push: Push, repeated: bool = False, delta: bool = False) -> None:
        self.seq = seq
        self.push = push
        self.publication = push.pub
        self.delta = delta
        """The publisher wants deltas to be sent to those who can apply them."""
        self.repeated = repeated
        """The channel had this offset already: positioned subscribers must not get it again."""
        self._frames: dict[Wire, bytes] = {}

    def frame(self, wire: Wire) -> bytes:
        """Raises ``NotJSON``."""
        frame = self._frames.get(wire)
        if frame is None:
            frame = self._frames[wire] = wire.push(self.push)
        return frame

    def delta_frame(self, wire: Wire, base: bytes | None) -> tuple[bytes, bytes]:
        """The frame for a delta subscription whose last payload was ``base``, and this payload. Raises ``NotJSON``."""
        publication = self.publication
        assert publication is not None
        payload = wire.codec.payload(publication.data)
        delta = fossil.create(base, payload) if base is not None and self.delta else None
        if delta is not None and len(delta) >= len(payload):
            delta = None
        data, is_delta = wire.codec.delta_data(delta, payload)
        carried = Publication(data, publication.info, publication.offset, publication.tags, is_delta)
        return wire.push(Push(channel=self.push.channel, pub=carried)), payload

    def is_for(self, flow: Flow) -> bool:
        if self.publication is None:
            return flow.join_leave
        if self.repeated and flow.positioned:
            return False
        return flow.tags is None or flow.tags.matches(self.publication.tags)


class Group:
    """The subscribers of one channel with the same flow. ``base`` is the payload that the next delta refers to."""

    __slots__ = ("members", "base")

    def __init__(self) -> None:
        self.members: set[Recipient] = set()
        self.base: bytes | None = None

    def encode(self, flow: Flow, deliveries: list[Delivery]) -> list[bytes]:
        """What this group gets of ``deliveries``, a frame each. Raises ``NotJSON``."""
        if not flow.delta:
            return [delivery.frame(flow.wire) for delivery in deliveries if delivery.is_for(flow)]
        frames = []
        for delivery in deliveries:
            if not delivery.is_for(flow):
                continue
            if delivery.publication is None:
                frames.append(delivery.frame(flow.wire))
                continue
            frame, self.base = delivery.delta_frame(flow.wire, self.base)
            frames.append(frame)
        return frames


class Channel:
    """A channel with at least one subscriber on this node."""

    __slots__ = ("name", "groups", "newcomers", "gated", "pending", "seq", "offset", "epoch", "heard_at", "size")

    def __init__(self, name: str) -> None:
        self.name = name
        self.groups: dict[Flow, Group] = {}
        self.newcomers: list[Subscription] = []
        self.gated: set[Subscription] = set()
        self.pending: list[Delivery] = []
        self.seq = 0
        self.offset = 0
        self.epoch: str | None = None
        """None: the position of this channel is not known yet."""
        self.heard_at = 0.0
        self.size = 0

    def subscriptions(self) -> Iterator[Subscription]:
        """Everybody whose subscribe reply is written."""
        for group in self.groups.values():
            yield from (member for member in group.members if isinstance(member, Subscription))
        yield from self.newcomers

    @property
    def positioned(self) -> bool:
        return any(flow.positioned for flow in self.groups) or any(sub.flow.positioned for sub in self.newcomers)

    @property
    def position(self) -> StreamPosition | None:
        return None if self.epoch is None else StreamPosition(self.offset, self.epoch)


class Bundle:
    """The several subscriptions of one connection that get something in the same turn: one write for all of them."""

    __slots__ = ("parts", "session")
    live = True

    def __init__(self, parts: list[tuple[Recipient, bytes]]) -> None:
        self.parts = parts
        self.session = parts[0][0].session

    def write(self, _: bytes) -> None:
        frames = b"".join([frames for sub, frames in self.parts if sub.live])
        if frames:
            self.parts[0][0].write(frames)


def per_connection(plan: Plan) -> Plan:
    """The same plan with at most one write per connection, for a turn in which several channels spoke.

    Subscriptions that are alone on their connection keep their shared bytes.
    """
    gathered: dict[object, list[tuple[Recipient, bytes]]] = {}
    for members, frames in plan:
        for sub in members:
            gathered.setdefault(sub.session, []).append((sub, frames))
    bundles: list[Recipient] = [Bundle(parts) for parts in gathered.values() if len(parts) > 1]
    alone: dict[bytes, list[Recipient]] = {}
    for parts in gathered.values():
        if len(parts) == 1:
            alone.setdefault(parts[0][1], []).append(parts[0][0])
    return [(bundles, b""), *((members, frames) for frames, members in alone.items())]


def as_sent(channel: str, publication: Publication) -> Push:
    """The push of a publication. On the wire ``delta`` says "this data is a delta", which is decided per subscriber."""
    if publication.delta:
        publication = Publication(publication.data, publication.info, publication.offset, publication.tags)
    return Push(channel=channel, pub=publication)
