"""Who on this node listens to which channel, and how what happens on a channel reaches them.

Everything that arrives on a channel during one reactor turn (publications, joins, leaves) is queued on the channel and
delivered by one flush: encoded once per group of alike subscribers, joined into one byte string, written once to each.
The hub only tells facts ("first", "empty", "gap"); the node acts on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from rtserver.core.errors import NotJSON
from rtserver.core.flow import (
    GATE_LIMIT,
    Channel,
    Delivery,
    Flow,
    Group,
    Listener,
    Plan,
    Recipient,
    Subscription,
    as_sent,
    per_connection,
)
from rtserver.core.messages import ClientInfo, Join, Leave, Publication, Push, StreamPosition

PENDING_LIMIT = 16 * 1024 * 1024
"""Bytes of publications that may wait for a flush before the broker is asked to hold back."""

DELIVERY_SIZE = 500
"""What one waiting delivery costs in memory besides its data, roughly."""


class HubEvents(Protocol):
    """What the hub tells the node."""

    def on_hole(self, channel: Channel) -> None:
        """Positioned subscribers of this channel missed something: end their subscriptions."""

    def on_not_json(self, subscription: Subscription) -> None:
        """A payload cannot be carried by this subscriber's connection."""

    def on_write_failed(self, recipient: Recipient, failure: Exception) -> None:
        """Writing to one raised something unforeseen. The others get their bytes."""

    def on_flush_failed(self, channel: Channel, failure: Exception) -> None:
        """Encoding what a channel has to say raised something unforeseen: some of its subscribers have missed it."""

    def on_pressure(self, high: bool) -> None:
        """What waits for the next flush has grown above its bound, or is below it again."""


class Hub:
    """Channel name to subscribers. ``clock`` gives seconds; ``defer`` runs a function in the next reactor turn;
    a flush works for at most ``slice_seconds`` before it lets the reactor turn."""

    def __init__(
        self,
        events: HubEvents,
        clock: Callable[[], float],
        defer: Callable[[Callable[[], None]], object],
        slice_seconds: float = 0.05,
    ) -> None:
        self._events = events
        self._clock = clock
        self._defer = defer
        self._slice = slice_seconds
        self.channels: dict[str, Channel] = {}
        self._dirty: list[Channel] = []
        self._flushing = False
        self._pending_size = 0
        self._pressure = False
        self.deliveries = 0
        """Writes of a publication to a subscriber since start, for metrics (one per subscriber and publication)."""

    # Coming and going

    def attach(self, sub: Subscription) -> bool:
        """Put ``sub`` behind the gate of its channel. True: it is the channel's first subscriber on this node."""
        channel = self.channels.get(sub.channel)
        first = channel is None
        if channel is None:
            channel = self.channels[sub.channel] = Channel(sub.channel)
            channel.heard_at = self._clock()
        sub.gate = []
        channel.gated.add(sub)
        channel.size += 1
        return first

    def open(self, sub: Subscription, position: StreamPosition | None) -> None:
        """Let ``sub`` through: its subscribe reply is written. ``position`` (positioned only) is where its client stands."""
        channel = self.channels[sub.channel]
        channel.gated.discard(sub)
        sub.gate = None
        sub.from_seq = channel.seq
        if position is not None:
            self._set_position(channel, position)
            sub.from_offset = position.offset
        if self._in_step(channel, sub) and not sub.flow.delta:
            channel.groups.setdefault(sub.flow, Group()).members.add(sub)
        else:
            channel.newcomers.append(sub)

    def detach(self, sub: Subscription) -> bool:
        """Remove ``sub`` wherever it stands. True: the channel is empty now."""
        sub.live = False
        channel = self.channels.get(sub.channel)
        if channel is None or not self._remove(channel, sub):
            return False
        channel.size -= 1
        if channel.size == 0:
            del self.channels[sub.channel]
            return True
        return False

    def _remove(self, channel: Channel, sub: Subscription) -> bool:
        if sub in channel.gated:
            channel.gated.discard(sub)
            return True
        group = channel.groups.get(sub.flow)
        if group is not None and sub in group.members:
            group.members.discard(sub)
            if not group.members:
                del channel.groups[sub.flow]
            return True
        if sub in channel.newcomers:
            channel.newcomers.remove(sub)
            return True
        return False

    def _set_position(self, channel: Channel, position: StreamPosition) -> None:
        """A subscriber knows the stream's position. Another epoch than the channel's means the stream began anew."""
        if channel.epoch is not None and channel.epoch != position.epoch and channel.positioned:
            self._events.on_hole(channel)
            channel.epoch = None
        if channel.epoch is None or not channel.positioned:
            if channel.epoch != position.epoch or position.offset > channel.offset:
                channel.offset, channel.epoch = position.offset, position.epoch

    def _in_step(self, channel: Channel, sub: Subscription) -> bool:
        """Whether whatever is delivered next is right for ``sub`` too."""
        return not channel.pending and (not sub.flow.positioned or channel.offset >= sub.from_offset)

    def listen(self, name: str, flow: Flow, heard: Callable[[bytes], None]) -> None:
        """Let something inside the server hear a channel that no client can name."""
        channel = self.channels[name] = Channel(name)
        channel.size = 1
        channel.groups[flow] = Group()
        channel.groups[flow].members.add(Listener(heard))

    # What happens on channels

    def on_publication(self, name: str, publication: Publication, epoch: str) -> None:
        channel = self.channels.get(name)
        if channel is None:
            return
        repeated = False
        if publication.offset:
            repeated = channel.epoch == epoch and publication.offset <= channel.offset
            if not repeated:
                self._advance(channel, publication.offset, epoch)
        channel.heard_at = self._clock()
        for sub in channel.gated:
            assert sub.gate is not None
            if len(sub.gate) <= GATE_LIMIT:
                sub.gate.append((publication, epoch))
        if channel.size > len(channel.gated):
            self._queue(channel, as_sent(name, publication), repeated, publication.delta)

    def _advance(self, channel: Channel, offset: int, epoch: str) -> None:
        known = channel.epoch is not None
        if known and (channel.epoch != epoch or offset != channel.offset + 1) and channel.positioned:
            self._events.on_hole(channel)
        channel.offset, channel.epoch = offset, epoch

    def on_join(self, name: str, info: ClientInfo) -> None:
        channel = self.channels.get(name)
        if channel is not None:
            self._queue(channel, Push(channel=name, join=Join(info)))

    def on_leave(self, name: str, info: ClientInfo) -> None:
        channel = self.channels.get(name)
        if channel is not None:
            self._queue(channel, Push(channel=name, leave=Leave(info)))

    def _queue(self, channel: Channel, push: Push, repeated: bool = False, delta: bool = False) -> None:
        if not channel.pending:
            if not self._dirty and not self._flushing:
                self._defer(self._flush)
            self._dirty.append(channel)
        channel.seq += 1
        channel.pending.append(Delivery(channel.seq, push, repeated, delta))
        self._pending_size += DELIVERY_SIZE + (len(push.pub.data) if push.pub is not None else 0)
        if self._pending_size > PENDING_LIMIT and not self._pressure:
            self._pressure = True
            self._events.on_pressure(True)

    # The flush: one for all that arrived in a reactor turn

    def _flush(self) -> None:
        self._flushing = True
        dirty, self._dirty = self._dirty, []
        self._pending_size = 0
        if self._pressure:
            self._pressure = False
            self._events.on_pressure(False)
        plan: Plan = []
        for channel in dirty:
            try:
                plan.extend(self._take(channel))
            except Exception as failure:
                self._events.on_flush_failed(channel, failure)
        if len(dirty) > 1:
            plan = per_connection(plan)
        self._continue(self._run(plan))

    def _continue(self, run: Iterator[None]) -> None:
        """Work for one slice of time. Until the run is over nothing else is flushed, so order holds by itself."""
        for _ in run:
            self._defer(lambda: self._continue(run))
            return
        self._flushing = False
        if self._dirty:
            self._defer(self._flush)

    def _run(self, plan: Plan) -> Iterator[None]:
        deadline = self._clock() + self._slice
        resumed = False
        for members, frames in plan:
            for start in range(0, len(members), 64):
                some = members[start : start + 64]
                self._write(iter([sub for sub in some if sub.live] if resumed else some), frames)
                if self._clock() > deadline:
                    yield
                    resumed = True
                    deadline = self._clock() + self._slice

    def _write(self, recipients: Iterator[Recipient], frames: bytes) -> None:
        """One that raises does not keep the others from theirs."""
        try:
            for sub in recipients:
                sub.write(frames)
        except Exception as failure:
            self._events.on_write_failed(sub, failure)
            self._write(recipients, frames)

    def _take(self, channel: Channel) -> Iterator[tuple[list[Recipient], bytes]]:
        """Everybody of a dirty channel with the bytes they get. The channel is clean afterwards."""
        deliveries, channel.pending = channel.pending, []
        for flow, group in list(channel.groups.items()):
            try:
                frames = group.encode(flow, deliveries)
            except NotJSON:
                for sub in [member for member in group.members if isinstance(member, Subscription)]:
                    self._events.on_not_json(sub)
                continue
            if frames:
                self.deliveries += len(group.members) * len(frames)
                yield list(group.members), b"".join(frames)
        if channel.newcomers:
            yield from self._take_newcomers(channel, deliveries)

    def _take_newcomers(self, channel: Channel, deliveries: list[Delivery]) -> Iterator[tuple[list[Recipient], bytes]]:
        """Newcomers get what is later than their own position, deltas in full, and join the flow when they are in step."""
        staying = []
        for sub in list(channel.newcomers):
            fresh = [delivery for delivery in deliveries if _is_later(delivery, sub)]
            alone = Group()
            try:
                frames = alone.encode(sub.flow, fresh)
            except NotJSON:
                self._events.on_not_json(sub)
                continue
            if frames:
                self.deliveries += len(frames)
                yield [sub], b"".join(frames)
            if not self._join_flow(channel, sub, alone.base):
                staying.append(sub)
        channel.newcomers = [sub for sub in staying if sub.live]

    def _join_flow(self, channel: Channel, sub: Subscription, base: bytes | None) -> bool:
        if not sub.live:
            return True
        if sub.flow.positioned and channel.offset < sub.from_offset:
            return False
        if sub.flow.delta and base is None:
            return False
        group = channel.groups.setdefault(sub.flow, Group())
        if not group.members:
            group.base = base
        group.members.add(sub)
        return True


def _is_later(delivery: Delivery, sub: Subscription) -> bool:
    if delivery.seq <= sub.from_seq:
        return False
    publication = delivery.publication
    return publication is None or not publication.offset or publication.offset > sub.from_offset
