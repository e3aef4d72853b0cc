"""One Redis server: its two connections, and the operations of the broker on the channels that live there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred

from rtserver.core.messages import ClientInfo, Publication, StreamPosition
from rtserver.core.ports import BrokerStats, HistoryFilter, HistorySlice, PublishOptions, PublishOutcome
from rtserver.services.redis_commands import CommandLimits, Commands
from rtserver.services.redis_endpoint import endpoint_of
from rtserver.services.redis_envelope import (
    BadEnvelope,
    build_info,
    build_meta,
    build_publication,
    parse_info,
    read_publication,
)
from rtserver.services.redis_greeting import command_greeting
from rtserver.services.redis_library import Library, build_library
from rtserver.services.redis_link import LinkPlan
from rtserver.services.redis_options import Address, RedisOptions
from rtserver.services.redis_subscriber import Subscriber, SubscriberPlan
from rtserver.services.redis_wire import Sink

_VERSION_DIGITS = 20
"""Versions are compared as text in Redis, whose numbers are exact only up to 2**53."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """What a shard is made of. ``index`` counts the servers from 0."""

    index: int
    address: Address
    options: RedisOptions
    node_id: str
    on_gap: Callable[[int], None]


class RedisShard:
    """The broker's operations on one Redis server."""

    def __init__(self, plan: ShardPlan, reactor: Any, stats: BrokerStats) -> None:
        options, address = plan.options, plan.address
        self.plan = plan
        self.index = plan.index
        self.reactor = reactor
        self.stats = stats
        self.library: Library = build_library(options.prefix)
        self._endpoint = endpoint_of(address, options, reactor)
        self.commands = self.connect_commands("commands", options.io_timeout, self.library)
        link = LinkPlan(f"publications at {address.label}", self._endpoint, options.io_timeout)
        greeting = command_greeting(address, self._name("sub"))
        gap = SubscriberPlan(link, greeting, options.io_timeout, lambda: plan.on_gap(plan.index))
        self.subscriber = Subscriber(gap, reactor, stats)

    def connect_commands(self, purpose: str, timeout: float, library: Library | None = None) -> Commands:
        """A command connection to this server; ``purpose`` is for the log and for CLIENT LIST."""
        options, address = self.plan.options, self.plan.address
        link = LinkPlan(f"{purpose} at {address.label}", self._endpoint, options.io_timeout)
        limits = CommandLimits(timeout, options.max_waiting, options.max_waiting_bytes)
        return Commands(link, self.reactor, command_greeting(address, self._name(purpose), library), limits, self.stats)

    @property
    def is_up(self) -> bool:
        return self.commands.link.is_up and self.subscriber.link.is_up

    def start(self) -> None:
        self.commands.start()
        self.subscriber.start()

    async def stop(self) -> None:
        await self.subscriber.stop()
        await self.commands.stop()

    def name(self, *parts: str) -> str:
        """A key or pub/sub channel of ours."""
        return ".".join((self.plan.options.prefix, *parts))

    def raw_name(self, channel: str) -> bytes:
        """The pub/sub channel that other programs publish to."""
        return (self.plan.options.publish_prefix + channel).encode()

    # Channels

    async def subscribe(self, sinks: Mapping[bytes, Sink]) -> None:
        await self.subscriber.subscribe(sinks)

    def client_name(self, channel: str) -> bytes:
        return self.name("client", channel).encode()

    def send_publication(self, channel: str, publication: Publication, options: PublishOptions) -> Deferred[Any]:
        """Start a publish; the order of calls is the order in the stream. Fires with ``PublishOutcome``."""
        meta, data = build_meta(publication), bytes(publication.data)
        if not options.has_history and not options.idempotency_key:
            # Nothing to store and nothing to look up: no function needed.
            sent = self.commands.call("PUBLISH", self.client_name(channel), build_publication(meta, data))
            return sent.addCallback(_passed)
        return self.function(
            "publish",
            channel,
            data,
            meta,
            options.history_size if options.has_history else 0,
            _milliseconds(options.history_ttl),
            _milliseconds(options.meta_ttl),
            str(options.version).zfill(_VERSION_DIGITS) if options.version > 0 else "",
            options.version_epoch,
            options.idempotency_key,
        ).addCallback(_outcome)

    async def publish(self, channel: str, publication: Publication, options: PublishOptions) -> PublishOutcome:
        outcome: PublishOutcome = await self.send_publication(channel, publication, options)
        return outcome

    async def publish_join(self, channel: str, info: ClientInfo) -> None:
        await self.commands.call("PUBLISH", self.client_name(channel), b"j" + build_info(info))

    async def publish_leave(self, channel: str, info: ClientInfo) -> None:
        await self.commands.call("PUBLISH", self.client_name(channel), b"l" + build_info(info))

    async def publish_bytes(self, name: str, message: bytes) -> None:
        """Send to one of our own pub/sub channels."""
        await self.commands.call("PUBLISH", name, message)

    async def history(self, channel: str, wanted: HistoryFilter, meta_ttl: float) -> HistorySlice:
        since = "" if wanted.since is None else str(wanted.since.offset)
        reverse = "1" if wanted.reverse else "0"
        top, epoch, entries = await self.function(
            "history", channel, wanted.limit, since, reverse, _milliseconds(meta_ttl)
        )
        return HistorySlice([_entry(*entry) for entry in entries], StreamPosition(top, epoch.decode()))

    async def remove_history(self, channel: str) -> None:
        await self.function("remove_history", channel)

    # Presence

    async def add_presence(self, channel: str, client: str, info: ClientInfo) -> None:
        ttl = _milliseconds(self.plan.options.presence_ttl)
        await self.function("presence_add", channel, client, build_info(info), ttl)

    async def remove_presence(self, channel: str, client: str) -> None:
        await self.function("presence_remove", channel, client)

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        flat = await self.function("presence", channel)
        return {client.decode(): parse_info(info) for client, info in zip(flat[::2], flat[1::2], strict=True)}

    async def presence_stats(self, channel: str) -> tuple[int, int]:
        clients, users = await self.function("presence_stats", channel)
        return clients, users

    # Leases

    async def take_lease(self, name: str, ttl: float) -> bool:
        """Take or renew; ``ttl`` in seconds."""
        return bool(await self.function("lease", name, self.plan.node_id, _milliseconds(ttl)))

    async def release_lease(self, name: str) -> None:
        await self.function("lease_release", name, self.plan.node_id)

    def function(self, name: str, subject: str, *args: str | bytes | int) -> Deferred[Any]:
        """Call one of our functions in Redis; ``subject`` is the channel, lease or stream that it is about."""
        return self.commands.function(self.library, name, subject, *args)

    def _name(self, purpose: str) -> str:
        return f"rtserver-{purpose}-{self.plan.node_id}".replace(" ", "_")


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _passed(_: int) -> PublishOutcome:
    return PublishOutcome(StreamPosition())


def _outcome(reply: list[Any]) -> PublishOutcome:
    offset, epoch, suppressed = reply
    return PublishOutcome(StreamPosition(offset, epoch.decode()), bool(suppressed))


def _entry(entry_id: bytes, fields: list[bytes]) -> Publication:
    offset = int(entry_id.partition(b"-")[0])
    if fields[0] != b"d":
        raise BadEnvelope("a stream entry without data: let nothing else write below redis.prefix")
    return read_publication(offset, fields[3] if len(fields) > 3 else b"", fields[1])
