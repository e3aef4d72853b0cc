"""The HTTP API for backends: publish, and look and reach into channels and connections (protocol section 9.2).

A method is a request struct, an ``async`` function, and a line in ``METHODS``; how requests come in is ``api_http``'s.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from rtserver.cluster import Cluster
from rtserver.core import errors
from rtserver.core.channels import data_refusal
from rtserver.core.control import RefreshUser, SubscribeUser, Target
from rtserver.core.errors import CommandError, DisconnectReason, RtError
from rtserver.core.messages import (
    EMPTY,
    MAX_NESTING,
    ClientInfo,
    Error,
    Publication,
    StreamPosition,
    is_json,
    nests_too_deep,
)
from rtserver.core.options import ChannelOptions
from rtserver.core.ports import HistoryFilter, PublishOptions
from rtserver.node import Node
from rtserver.web.readable import readable, readable_info

NOT_FOUND = Error(104, "not found")
CONFLICT = Error(113, "conflict")


class BadApiRequest(RtError):
    """The request is understood and wrong; the sentence says what to change. Answered as error 107."""


# Requests and results


class _Data(Struct, omit_defaults=True):
    """What every publishing request has. ``b64data`` wins over ``data``."""

    data: Raw = EMPTY
    b64data: str = ""
    skip_history: bool = False
    tags: dict[str, str] = {}
    idempotency_key: str = ""
    delta: bool = False
    version: int = 0
    version_epoch: str = ""


class PublishBody(_Data):
    channel: str = ""


class BroadcastBody(_Data):
    channels: list[str] = []


class Since(Struct):
    offset: int = 0
    epoch: str = ""


class Flag(Struct):
    value: bool = False


class SubscribeBody(Struct):
    user: str = ""
    channel: str = ""
    info: Raw = EMPTY
    b64info: str = ""
    client: str = ""
    session: str = ""
    data: Raw = EMPTY
    b64data: str = ""
    recover_since: Since | None = None
    override: dict[str, Flag | None] = {}
    expire_at: int = 0


class UnsubscribeBody(Struct):
    user: str = ""
    channel: str = ""
    client: str = ""
    session: str = ""


class CloseBody(Struct):
    code: int = 3503
    reason: str = "force disconnect"


class DisconnectBody(Struct):
    user: str = ""
    client: str = ""
    session: str = ""
    whitelist: list[str] = []
    disconnect: CloseBody | None = None


class RefreshBody(Struct):
    user: str = ""
    client: str = ""
    session: str = ""
    expired: bool = False
    expire_at: int = 0
    info: Raw = EMPTY


class ChannelBody(Struct):
    channel: str = ""


class HistoryBody(Struct):
    channel: str = ""
    limit: int = 0
    since: Since | None = None
    reverse: bool = False


class ChannelsBody(Struct):
    pattern: str = ""


class InfoBody(Struct):
    pass


class RpcBody(Struct):
    method: str = ""
    params: Raw = EMPTY


class Empty(Struct):
    pass


class Published(Struct, omit_defaults=True):
    offset: int = 0
    epoch: str = ""


class Broadcast(Struct):
    responses: list[dict[str, Any]]


class Presence(Struct):
    presence: dict[str, ClientInfo]


class PresenceStats(Struct):
    num_clients: int
    num_users: int


class History(Struct):
    publications: list[Publication]
    epoch: str
    offset: int


class ChannelCount(Struct):
    num_clients: int


class Channels(Struct):
    channels: dict[str, ChannelCount]


class NodeResult(Struct):
    uid: str
    name: str
    version: str
    num_clients: int
    num_users: int
    num_channels: int
    num_subs: int
    uptime: int


class Info(Struct):
    nodes: list[NodeResult]


class Api:
    """The methods, over a node and its cluster. Each raises ``CommandError`` or ``BadApiRequest`` for a refusal and lets
    ``BrokerError`` through."""

    def __init__(self, node: Node, cluster: Cluster) -> None:
        self._node = node
        self._cluster = cluster

    async def publish(self, body: PublishBody) -> Published:
        return await self._publish(body.channel, body)

    async def broadcast(self, body: BroadcastBody) -> Broadcast:
        """One after the other: the order of publications on a channel named twice is the order of the list."""
        if not body.channels:
            raise BadApiRequest("channels is empty: name at least one")
        responses: list[dict[str, Any]] = []
        for channel in body.channels:
            try:
                responses.append({"result": await self._publish(channel, body)})
            except (CommandError, BadApiRequest, errors.BrokerError) as failure:
                responses.append({"error": error_of(failure)})
        return Broadcast(responses)

    async def _publish(self, channel: str, body: _Data) -> Published:
        options = self._options(channel)
        data = _payload(body.data, body.b64data)
        refusal = data_refusal(options, data)
        if refusal is not None:
            raise BadApiRequest(refusal)
        publication = Publication(data, tags=body.tags or None, delta=body.delta or options.delta_publish)
        plain = self._node.env.channels.publish_options(options, skip_history=body.skip_history)
        wanted = PublishOptions(
            plain.history_size,
            plain.history_ttl,
            plain.meta_ttl,
            body.idempotency_key,
            body.version,
            body.version_epoch,
        )
        outcome = await self._node.publish(channel, publication, wanted)
        return Published(outcome.position.offset, outcome.position.epoch)

    async def subscribe(self, body: SubscribeBody) -> Empty:
        self._options(body.channel)
        since = body.recover_since
        await self._cluster.subscribe(
            SubscribeUser(
                self._cluster.id,
                Target(body.user, body.client, body.session),
                body.channel,
                bytes(_payload(body.info, body.b64info)),
                bytes(_payload(body.data, body.b64data)),
                since.offset if since else None,
                since.epoch if since else "",
                _overrides(body.override),
                body.expire_at,
            )
        )
        return Empty()

    async def unsubscribe(self, body: UnsubscribeBody) -> Empty:
        """An empty channel would crash SDKs, so it is refused."""
        self._options(body.channel)
        await self._cluster.unsubscribe(Target(body.user, body.client, body.session), body.channel)
        return Empty()

    async def disconnect(self, body: DisconnectBody) -> Empty:
        close = body.disconnect or CloseBody()
        if body.disconnect is not None and not 4000 <= close.code <= 4999:
            raise BadApiRequest(
                "disconnect.code must be from 4000 to 4499 (clients reconnect) or 4500 to 4999 (they do not)"
            )
        if len(close.reason.encode()) > 123:
            raise BadApiRequest("disconnect.reason is longer than 123 bytes")
        if is_json(close.reason.encode()):
            raise BadApiRequest("disconnect.reason is a JSON value, which SDKs would take apart: write words")
        target = Target(body.user, body.client, body.session, body.whitelist)
        await self._cluster.disconnect(target, DisconnectReason(close.code, close.reason))
        return Empty()

    async def refresh(self, body: RefreshBody) -> Empty:
        target = Target(body.user, body.client, body.session)
        await self._cluster.refresh(
            RefreshUser(self._cluster.id, target, body.expired, body.expire_at, bytes(body.info))
        )
        return Empty()

    async def presence(self, body: ChannelBody) -> Presence:
        self._need(self._options(body.channel).presence)
        found = await self._node.presence(body.channel)
        return Presence({client: readable_info(info) for client, info in found.items()})

    async def presence_stats(self, body: ChannelBody) -> PresenceStats:
        self._need(self._options(body.channel).presence)
        return PresenceStats(*await self._node.presence_stats(body.channel))

    async def history(self, body: HistoryBody) -> History:
        options = self._options(body.channel)
        self._need(options.has_history)
        since = StreamPosition(body.since.offset, body.since.epoch) if body.since else None
        if body.reverse and since is not None and since.offset == 0:
            raise CommandError(errors.INTERNAL)
        read = await self._node.history(body.channel, options, HistoryFilter(body.limit, since, body.reverse))
        if since is not None and since.epoch and since.epoch != read.top.epoch:
            raise CommandError(errors.UNRECOVERABLE_POSITION)
        return History([readable(item) for item in read.publications], read.top.epoch, read.top.offset)

    async def history_remove(self, body: ChannelBody) -> Empty:
        self._need(self._options(body.channel).has_history)
        await self._node.broker.remove_history(body.channel)
        return Empty()

    async def channels(self, body: ChannelsBody) -> Channels:
        found = await self._cluster.channels(body.pattern)
        return Channels({name: ChannelCount(count) for name, count in sorted(found.items())})

    async def info(self, body: InfoBody) -> Info:
        return Info(
            [
                NodeResult(
                    node.sender,
                    node.name,
                    node.version,
                    node.num_clients,
                    node.num_users,
                    node.num_channels,
                    node.num_subs,
                    node.uptime,
                )
                for node in self._cluster.nodes()
            ]
        )

    async def rpc(self, body: RpcBody) -> Empty:
        raise CommandError(errors.METHOD_NOT_FOUND)

    def _options(self, channel: str) -> ChannelOptions:
        if not channel:
            raise BadApiRequest("channel is missing")
        return self._node.env.channels.options(channel)

    def _need(self, feature: bool) -> None:
        if not feature:
            raise CommandError(errors.NOT_AVAILABLE)


Method = tuple[type[Struct], Callable[[Api, Any], Awaitable[Struct]]]

METHODS: dict[str, Method] = {
    "publish": (PublishBody, Api.publish),
    "broadcast": (BroadcastBody, Api.broadcast),
    "subscribe": (SubscribeBody, Api.subscribe),
    "unsubscribe": (UnsubscribeBody, Api.unsubscribe),
    "disconnect": (DisconnectBody, Api.disconnect),
    "refresh": (RefreshBody, Api.refresh),
    "presence": (ChannelBody, Api.presence),
    "presence_stats": (ChannelBody, Api.presence_stats),
    "history": (HistoryBody, Api.history),
    "history_remove": (ChannelBody, Api.history_remove),
    "channels": (ChannelsBody, Api.channels),
    "info": (InfoBody, Api.info),
    "rpc": (RpcBody, Api.rpc),
}


def error_of(failure: Exception) -> Error:
    """The error object that a backend gets for a failure."""
    if isinstance(failure, CommandError):
        return failure.error
    if isinstance(failure, BadApiRequest):
        return Error(errors.BAD_REQUEST.code, f"{errors.BAD_REQUEST.message}: {failure}")
    if isinstance(failure, errors.BrokerError):
        return Error(errors.INTERNAL.code, f"{errors.INTERNAL.message}: {failure}", True)
    return errors.INTERNAL


def _payload(value: Raw, base64_text: str) -> Raw:
    if not base64_text:
        if nests_too_deep(bytes(value)):
            raise BadApiRequest(f"the data nests deeper than {MAX_NESTING} levels, which subscribers could not be sent")
        return EMPTY if bytes(value) == b"null" else value
    try:
        return Raw(base64.b64decode(base64_text, validate=True))
    except (binascii.Error, ValueError):
        raise BadApiRequest("a b64 field is not base64 (standard alphabet, with padding)") from None


def _overrides(flags: dict[str, Flag | None]) -> dict[str, bool]:
    known = ("presence", "join_leave", "force_push_join_leave", "force_positioning", "force_recovery")
    for name in flags:
        if name not in known:
            raise BadApiRequest(f"override.{name} is not known: there are {', '.join(known)}")
    return {name: flag.value for name, flag in flags.items() if flag is not None}


decoders = {name: msgspec.json.Decoder(kind) for name, (kind, _) in METHODS.items()}
