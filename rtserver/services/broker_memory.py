"""The broker of a single node: streams, presence and delivery in this process's memory."""

from __future__ import annotations

import random
from collections.abc import Callable

from msgspec import Raw
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from rtserver.core.errors import BrokerUnavailable
from rtserver.core.history import StreamLimits, Streams, make_epoch
from rtserver.core.messages import ClientInfo, Publication
from rtserver.core.ports import (
    PROBE_CHANNEL,
    BrokerEvents,
    BrokerStats,
    HistoryFilter,
    HistorySlice,
    PublishOptions,
    PublishOutcome,
)
from rtserver.core.presence import Presence

_SWEEP_INTERVAL = 1.0
"""Seconds between two looks at what has expired; each frees a bounded number of entries."""


class FreeLease:
    """Implements ``ports.Lease`` where nobody else could hold it."""

    def __init__(self, gained: Callable[[], None], lost: Callable[[], None]) -> None:
        self._gained = gained
        self._lost = lost
        self._held = False

    def start(self) -> None:
        self._held = True
        self._gained()

    async def stop(self) -> None:
        if self._held:
            self._held = False
            self._lost()


class MemoryBroker:
    """Implements ``ports.Broker`` for one node. Every call completes at once; events come from inside ``publish``.

    ``node_id`` "" takes control messages for any node.
    """

    shards = 1

    def __init__(self, clock: IReactorTime, node_id: str = "", limits: StreamLimits | None = None) -> None:
        chance = random.SystemRandom()
        self._now: Callable[[], float] = clock.seconds  # type: ignore[misc]  # zope methods have no self
        self._node_id = node_id
        self._streams = Streams(lambda: make_epoch(chance.choice), limits)
        self._presence = Presence()
        self._subscribed: set[str] = set()
        self._events: BrokerEvents | None = None
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = clock
        self.stats = BrokerStats()

    async def start(self, events: BrokerEvents) -> None:
        self._events = events
        self._sweeping.start(_SWEEP_INTERVAL, now=False)

    async def stop(self) -> None:
        self._events = None
        if self._sweeping.running:
            self._sweeping.stop()

    async def refresh(self) -> None:
        """Nothing to renew: there is no connection."""

    def pause(self) -> None:
        """Nothing waits here: events come from inside ``publish``."""

    def resume(self) -> None:
        """Nothing was held back."""

    async def subscribe(self, channel: str) -> None:
        self._started()
        self._subscribed.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        self._subscribed.discard(channel)

    async def publish(self, channel: str, publication: Publication, options: PublishOptions) -> PublishOutcome:
        events = self._started()
        outcome, delivered = self._streams.publish(channel, publication, options, self._now())
        if delivered is not None and channel in self._subscribed:
            self.stats.publications_received += 1
            events.on_publication(channel, delivered, outcome.position.epoch)
        return outcome

    async def publish_join(self, channel: str, info: ClientInfo) -> None:
        events = self._started()
        if channel in self._subscribed:
            events.on_join(channel, info)

    async def publish_leave(self, channel: str, info: ClientInfo) -> None:
        events = self._started()
        if channel in self._subscribed:
            events.on_leave(channel, info)

    async def history(self, channel: str, wanted: HistoryFilter, meta_ttl: float) -> HistorySlice:
        self._started()
        return self._streams.read(channel, wanted, meta_ttl, self._now())

    async def remove_history(self, channel: str) -> None:
        self._started()
        self._streams.remove(channel)

    async def add_presence(self, channel: str, client: str, info: ClientInfo) -> None:
        self._started()
        self._presence.add(channel, client, info, self._now())

    async def remove_presence(self, channel: str, client: str) -> None:
        self._started()
        self._presence.remove(channel, client)

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        self._started()
        return self._presence.get(channel, self._now())

    async def presence_stats(self, channel: str) -> tuple[int, int]:
        self._started()
        return self._presence.stats(channel, self._now())

    async def publish_control(self, message: bytes, node: str = "") -> None:
        events = self._started()
        if not node or not self._node_id or node == self._node_id:
            events.on_control(message)

    def lease(self, name: str, gained: Callable[[], None], lost: Callable[[], None]) -> FreeLease:
        return FreeLease(gained, lost)

    async def probe(self, token: str) -> None:
        self._started().on_publication(PROBE_CHANNEL, Publication(data=Raw(f"{token}:0".encode())), "")

    def _started(self) -> BrokerEvents:
        if self._events is None:
            raise BrokerUnavailable("the memory broker is not running: start it before use, and not after stop")
        return self._events

    def _sweep(self) -> None:
        now = self._now()
        self._streams.sweep(now)
        self._presence.sweep(now)
