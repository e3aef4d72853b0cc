"""What application functions act with: channels and connections of this server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from rtserver.app.given import Position, Publisher
from rtserver.app.shapes import as_json
from rtserver.cluster import Cluster
from rtserver.core.channels import data_refusal
from rtserver.core.control import Target
from rtserver.core.errors import DisconnectReason, RtError
from rtserver.core.messages import Publication
from rtserver.core.options import ChannelOptions
from rtserver.core.ports import HistoryFilter, PublishOptions
from rtserver.node import Node


class Unpublishable(RtError):
    """The application published something that its namespace does not take; the sentence says what to change."""


class NodePublisher(Publisher):
    """Implements ``app.Publisher``. The application is trusted: permissions of clients do not bind it."""

    def __init__(self, node: Node, cluster: Cluster) -> None:
        self._node = node
        self._cluster = cluster

    async def publish(
        self,
        channel: str,
        data: Any,
        *,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str = "",
        skip_history: bool = False,
    ) -> Position:
        options = self._options(channel)
        payload = as_payload(data)
        refusal = data_refusal(options, payload)
        if refusal is not None:
            raise Unpublishable(f"channel {channel!r}: {refusal}")
        plain = self._node.env.channels.publish_options(options, skip_history=skip_history)
        wanted = PublishOptions(plain.history_size, plain.history_ttl, plain.meta_ttl, idempotency_key)
        publication = Publication(payload, tags=dict(tags) if tags else None, delta=options.delta_publish)
        outcome = await self._node.publish(channel, publication, wanted)
        return Position(outcome.position.offset, outcome.position.epoch)

    async def presence(self, channel: str) -> dict[str, str]:
        self._options(channel)
        return {client: info.user for client, info in (await self._node.presence(channel)).items()}

    async def history(self, channel: str, limit: int = 100, *, reverse: bool = False) -> list[Any]:
        read = await self._node.history(channel, self._options(channel), HistoryFilter(limit, reverse=reverse))
        return [as_value(item.data) for item in read.publications]

    async def disconnect(self, user: str, code: int = 4500, reason: str = "force disconnect") -> None:
        await self._cluster.disconnect(Target(user), DisconnectReason(code, reason))

    async def unsubscribe(self, user: str, channel: str) -> None:
        await self._cluster.unsubscribe(Target(user), channel)

    def _options(self, channel: str) -> ChannelOptions:
        options = self._node.env.channels.find(channel)
        if not channel or not channel.isprintable():
            raise Unpublishable(f"channel {channel!r}: give a name of printable characters")
        if options is None:
            raise Unpublishable(f"channel {channel!r}: its namespace is not configured")
        return options


def as_payload(value: Any) -> Raw:
    """Any JSON value, model or struct as the bytes that subscribers get; ``Raw`` goes as it is. Raises ``shapes.Unfit``."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, msgspec.Struct):
        return Raw(msgspec.json.encode(value))
    return Raw(as_json(value))


def as_value(data: Raw) -> Any:
    """What a payload says; what is no JSON as the bytes that it is, and nothing as None."""
    try:
        return msgspec.json.decode(data) if len(data) else None
    except (msgspec.DecodeError, RecursionError):
        return bytes(data)
