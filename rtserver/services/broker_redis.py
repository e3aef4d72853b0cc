"""The broker of a cluster: streams, presence and delivery through one Redis or several (version 7 or later).

Other programs have three doors to publish: plain ``PUBLISH`` (redis_raw.py), the function ``rt_publish``
(redis_functions.lua) and the durable inbox (redis_inbox.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from msgspec import Raw
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from rtserver.core.errors import BrokerError, BrokerUnavailable
from rtserver.core.messages import ClientInfo, Publication
from rtserver.core.ports import (
    PROBE_CHANNEL,
    BrokerEvents,
    BrokerStats,
    HistoryFilter,
    HistorySlice,
    Intake,
    PublishOptions,
    PublishOutcome,
)
from rtserver.services.redis_doors import DoorPlan, options_fields
from rtserver.services.redis_envelope import parse_info, parse_publication
from rtserver.services.redis_inbox import Inbox
from rtserver.services.redis_lease import Lease, LeaseEvents
from rtserver.services.redis_options import RedisOptions
from rtserver.services.redis_raw import RawDoor
from rtserver.services.redis_shard import RedisShard, ShardPlan
from rtserver.services.redis_sharding import shard_of
from rtserver.services.redis_wire import Sink

_log = Logger()

_TELL_INTERVAL = 5.0
"""Seconds between two writings of the namespaces' options; they are lost when somebody flushes Redis."""

_PAUSE = "node"


class RedisBroker:
    """Implements ``ports.Broker``. With several addresses each channel lives on one of them."""

    def __init__(self, options: RedisOptions, intake: Intake, reactor: Any, node_id: str) -> None:
        self.stats = BrokerStats()
        self._options = options
        self._intake = intake
        self._reactor = reactor
        self._node_id = node_id
        self._events: BrokerEvents | None = None
        self._channels: list[set[str]] = [set() for _ in options.address]
        self._shards = [
            RedisShard(ShardPlan(index, address, options, node_id, self._gap), reactor, self.stats)
            for index, address in enumerate(options.addresses())
        ]
        door = DoorPlan(intake, self._send_publication)
        opened = self._shards if options.publish_prefix else []
        self._doors = [kind(shard, door) for shard in opened for kind in (RawDoor, Inbox)]
        self._telling = LoopingCall(self._tell_options)
        self._telling.clock = reactor

    @property
    def shards(self) -> int:
        return len(self._shards)

    async def start(self, events: BrokerEvents) -> None:
        self._events = events
        for shard in self._shards:
            shard.subscriber.add(self._internal_sinks(shard))
            shard.start()
        await self._first_connection()
        self._telling.start(_TELL_INTERVAL)
        for door in self._doors:
            door.start()

    async def stop(self) -> None:
        if self._telling.running:
            self._telling.stop()
        stopping = [Deferred.fromCoroutine(door.stop()) for door in self._doors]
        await DeferredList(stopping, consumeErrors=True)
        for shard in self._shards:
            await shard.stop()
        self._events = None

    async def refresh(self) -> None:
        for shard in self._shards:
            shard.subscriber.resubscribe_fresh()

    def pause(self) -> None:
        for shard in self._shards:
            shard.subscriber.pause(_PAUSE)

    def resume(self) -> None:
        for shard in self._shards:
            shard.subscriber.resume(_PAUSE)

    # Channels

    async def subscribe(self, channel: str) -> None:
        home = self._home(channel)
        sinks: dict[bytes, Sink] = {home.client_name(channel): functools.partial(self._on_client, channel)}
        raw = self._raw_sink(channel)
        await home.subscribe({**sinks, **raw})
        self._channels[home.index].add(channel)
        for shard in self._shards:
            # Other programs do not know where a channel lives, so their messages are listened for everywhere.
            if raw and shard is not home:
                shard.subscriber.add(raw)

    async def unsubscribe(self, channel: str) -> None:
        home = self._home(channel)
        self._channels[home.index].discard(channel)
        raw = home.raw_name(channel)
        for shard in self._shards:
            shard.subscriber.unsubscribe([home.client_name(channel), raw] if shard is home else [raw])

    async def publish(self, channel: str, publication: Publication, options: PublishOptions) -> PublishOutcome:
        outcome: PublishOutcome = await self._send_publication(channel, publication, options)
        return outcome

    async def publish_join(self, channel: str, info: ClientInfo) -> None:
        await self._home(channel).publish_join(channel, info)

    async def publish_leave(self, channel: str, info: ClientInfo) -> None:
        await self._home(channel).publish_leave(channel, info)

    async def history(self, channel: str, wanted: HistoryFilter, meta_ttl: float) -> HistorySlice:
        return await self._home(channel).history(channel, wanted, meta_ttl)

    async def remove_history(self, channel: str) -> None:
        await self._home(channel).remove_history(channel)

    async def add_presence(self, channel: str, client: str, info: ClientInfo) -> None:
        await self._home(channel).add_presence(channel, client, info)

    async def remove_presence(self, channel: str, client: str) -> None:
        await self._home(channel).remove_presence(channel, client)

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        return await self._home(channel).presence(channel)

    async def presence_stats(self, channel: str) -> tuple[int, int]:
        return await self._home(channel).presence_stats(channel)

    # Between nodes

    async def publish_control(self, message: bytes, node: str = "") -> None:
        parts = ("node", node) if node else ("control",)
        problem: BrokerError = BrokerUnavailable("there is no Redis to send control messages by: check redis.address")
        for shard in sorted(self._shards, key=lambda shard: not shard.is_up):
            try:
                await shard.publish_bytes(shard.name(*parts), message)
                return
            except BrokerUnavailable as error:
                problem = error
        raise problem

    def lease(self, name: str, gained: Callable[[], None], lost: Callable[[], None]) -> Lease:
        shard = self._home(name)
        return Lease(shard, f"app.{name}", LeaseEvents(lambda: shard.subscriber.link.is_up, gained, lost))

    async def probe(self, token: str) -> None:
        sending = [
            Deferred.fromCoroutine(shard.publish_bytes(self._probe_name(shard), f"{token}:{shard.index}".encode()))
            for shard in self._shards
        ]
        results: list[tuple[bool, Any]] = await DeferredList(sending, consumeErrors=True)
        for sent, outcome in results:
            if not sent:
                outcome.raiseException()

    # What comes from Redis

    def _internal_sinks(self, shard: RedisShard) -> dict[bytes, Sink]:
        return {
            shard.name("control").encode(): self._on_control,
            shard.name("node", self._node_id).encode(): self._on_control,
            self._probe_name(shard).encode(): self._on_probe,
        }

    def _on_client(self, channel: str, message: bytes) -> None:
        """The hot path: one call for each message of a subscribed channel."""
        events = self._events
        if events is None:
            return
        if message[:2] == b"p:":
            publication, epoch, at = parse_publication(message)
            self.stats.publications_received += 1
            events.on_publication(channel, publication, epoch, at)
        else:
            take = events.on_join if message[:1] == b"j" else events.on_leave
            take(channel, parse_info(message[1:]))

    def _on_raw(self, channel: str, data: bytes) -> None:
        if self._events is not None:
            self.stats.raw_received += 1
            self._events.on_raw(channel, data)

    def _on_control(self, message: bytes) -> None:
        if self._events is not None:
            self._events.on_control(message)

    def _on_probe(self, message: bytes) -> None:
        if self._events is not None:
            self._events.on_publication(PROBE_CHANNEL, Publication(data=Raw(message)), "")

    def _gap(self, index: int) -> None:
        if self._events is not None and self._channels[index]:
            self._events.on_gap(sorted(self._channels[index]))

    # Inside

    def _home(self, channel: str) -> RedisShard:
        return self._shards[shard_of(channel, len(self._shards)) if len(self._shards) > 1 else 0]

    def _send_publication(self, channel: str, publication: Publication, options: PublishOptions) -> Deferred[Any]:
        return self._home(channel).send_publication(channel, publication, options)

    def _probe_name(self, shard: RedisShard) -> str:
        return shard.name("probe", self._node_id)

    def _raw_sink(self, channel: str) -> dict[bytes, Sink]:
        """Channels with history get their raw publications from the node that holds the lease of the raw door."""
        options = self._intake.publish_options(channel)
        if not self._options.publish_prefix or options is None or options.has_history:
            return {}
        return {self._shards[0].raw_name(channel): functools.partial(self._on_raw, channel)}

    async def _first_connection(self) -> None:
        """Wait until a server is up; with several, give the others the same time."""
        patience = self._options.connect_timeout + self._options.io_timeout
        deadline = self._reactor.seconds() + patience
        while not all(shard.is_up for shard in self._shards) and self._reactor.seconds() < deadline:
            await deferLater(self._reactor, 0.02)
            if self._events is None:
                raise BrokerUnavailable("the broker was stopped while it connected")
        if not any(shard.is_up for shard in self._shards):
            problem = self._shards[0].commands.link.unavailable()
            await self.stop()
            raise problem

    def _tell_options(self) -> None:
        """Let the public function in Redis know how each namespace stores."""
        fields = options_fields(self._intake.namespaces(), len(self._shards))
        for shard in self._shards:
            if shard.commands.link.is_up:
                shard.function("options", "", *fields).addErrback(
                    lambda failure: _log.debug("{why}", why=failure.getErrorMessage())
                )
