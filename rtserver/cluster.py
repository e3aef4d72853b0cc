"""The nodes as one server: what addresses a user reaches every node, and every node knows of the others.

On a single node with the memory broker the same messages come straight back.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw
from twisted.internet.defer import Deferred

from rtserver.core import control, errors
from rtserver.core.control import (
    DisconnectUser,
    Emulated,
    Farewell,
    NodeInfo,
    RefreshUser,
    SubscribeUser,
    Survey,
    SurveyAnswer,
    Target,
    UnsubscribeUser,
)
from rtserver.core.errors import CommandError, Disconnected, DisconnectReason, RtError
from rtserver.core.flow import Subscription
from rtserver.core.messages import Push, Subscribe, SubscribeRequest, Unsubscribe
from rtserver.core.ports import SubscriptionOverride
from rtserver.core.session import Session
from rtserver.core.subscribing import Grant, enter, overridden
from rtserver.node import Node

INFO_INTERVAL = 3.0
"""Seconds between two messages about this node; a node is dead after ``NODE_TTL`` without one."""

NODE_TTL = 7.0
SURVEY_TIMEOUT = 2.0
"""Seconds to wait for the answers of all known nodes; what came by then is the answer."""


@dataclass(slots=True)
class Known:
    info: NodeInfo
    heard_at: float


class Collecting:
    """A survey under way: answers of nodes, and who waits for them."""

    def __init__(self, expected: set[str]) -> None:
        self.missing = expected
        self.channels: dict[str, int] = {}
        self.done: Deferred[None] = Deferred()

    def add(self, answer: SurveyAnswer) -> None:
        for name, count in answer.channels.items():
            self.channels[name] = self.channels.get(name, 0) + count
        self.missing.discard(answer.sender)
        if not self.missing:
            self.finish()

    def finish(self) -> None:
        if not self.done.called:
            self.done.callback(None)


class Cluster:
    """``name`` is this node's name for people."""

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        self.id = node.env.node_id
        self.name = name
        self.started_at = node.env.clock()
        self._known: dict[str, Known] = {}
        self._surveys: dict[str, Collecting] = {}
        node.on_control_message = self.received
        self._reactions: dict[type, Callable[[Any], None]] = {
            DisconnectUser: self._disconnect,
            UnsubscribeUser: self._unsubscribe,
            SubscribeUser: self._subscribe,
            RefreshUser: self._refresh,
            NodeInfo: self._meet,
            Farewell: self._part,
            Survey: self._answer,
            SurveyAnswer: self._collect,
            Emulated: self._emulated,
        }

    # What others ask of the cluster. All raise ``BrokerError``.

    async def disconnect(self, target: Target, reason: DisconnectReason) -> None:
        await self._send(DisconnectUser(self.id, target, reason.code, reason.reason))

    async def unsubscribe(self, target: Target, channel: str) -> None:
        await self._send(UnsubscribeUser(self.id, target, channel))

    async def subscribe(self, message: SubscribeUser) -> None:
        await self._send(message)

    async def refresh(self, message: RefreshUser) -> None:
        await self._send(message)

    async def channels(self, pattern: str) -> dict[str, int]:
        """Channels with subscribers on any node, and how many."""
        survey = Survey(self.id, self._node.env.new_id(), pattern)
        collecting = self._surveys[survey.id] = Collecting({*self._alive(), self.id})
        self._node.turn.later(SURVEY_TIMEOUT, collecting.finish)
        try:
            await self._send(survey)
            await collecting.done
        finally:
            del self._surveys[survey.id]
        return collecting.channels

    def nodes(self) -> list[NodeInfo]:
        return [self.info(), *(known.info for known in self._alive().values())]

    def emulate(self, node: str, session: str, frame: bytes) -> bool:
        """Bring a posted frame to the connection it belongs to. False: there is no such node."""
        if node == self.id:
            self._emulated(Emulated(self.id, session, frame))
            return True
        if node not in self._alive():
            return False
        self._node.env.spawn(self._forward(node, Emulated(self.id, session, frame)))
        return True

    async def _forward(self, node: str, message: Emulated) -> None:
        try:
            await self._node.broker.publish_control(control.encode(message), node)
        except RtError as failure:
            self._node.log("warn", f"a client's command could not be passed on: {failure}", node=node)

    async def _send(self, message: control.ControlMessage) -> None:
        await self._node.broker.publish_control(control.encode(message))

    # Meeting

    async def tell(self) -> None:
        """Tell the others of this node. Every ``INFO_INTERVAL`` seconds."""
        try:
            await self._send(self.info())
        except RtError as failure:
            self._node.log("debug", f"other nodes could not be told of this one: {failure}")

    async def leave(self) -> None:
        try:
            await self._send(Farewell(self.id))
        except RtError as failure:
            self._node.log("debug", f"other nodes could not be told that this one leaves: {failure}")

    def info(self) -> NodeInfo:
        hub = self._node.hub
        return NodeInfo(
            self.id,
            self.name,
            self._node.env.version,
            num_clients=len(self._node.sessions),
            num_users=len(self._node.users),
            num_channels=max(0, len(hub.channels) - 1),
            num_subs=max(0, sum(channel.size for channel in hub.channels.values()) - 1),
            uptime=int(self._node.env.clock() - self.started_at),
        )

    def _alive(self) -> dict[str, Known]:
        before = self._node.env.clock() - NODE_TTL
        self._known = {id: known for id, known in self._known.items() if known.heard_at >= before}
        return self._known

    def _meet(self, message: NodeInfo) -> None:
        if message.sender != self.id:
            self._known[message.sender] = Known(message, self._node.env.clock())

    def _part(self, message: Farewell) -> None:
        self._known.pop(message.sender, None)

    # Reactions

    def received(self, data: bytes) -> None:
        """A control message. One that this version does not know is passed over with a word."""
        try:
            message = control.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._node.log("warn", f"a control message cannot be read, nodes of other versions may be running: {error}")
            return
        self._reactions[type(message)](message)

    def _sessions(self, target: Target) -> list[Session]:
        return [session for session in self._node.sessions_of(target.user) if _is_meant(session, target)]

    def _disconnect(self, message: DisconnectUser) -> None:
        """Whoever is thrown out does not get in a moment later, being about to connect. Not where some may stay: of two who
        connect at once to be alone (``Node.replace_others``) each would end the other."""
        target, reason = message.target, DisconnectReason(message.code, message.reason)
        connecting = [] if target.whitelist else self._node.connecting_of(target.user)
        for session in [*self._sessions(target), *(each for each in connecting if _is_meant(each, target))]:
            session.close(reason)

    def _unsubscribe(self, message: UnsubscribeUser) -> None:
        why = errors.SERVER_UNSUBSCRIBE
        for session in self._sessions(message.target):
            sub = session.subs.get(message.channel)
            if sub is not None:
                session.drop(sub, why)
            else:
                session.push(Push(channel=message.channel, unsubscribe=Unsubscribe(why.code, why.reason)))

    def _refresh(self, message: RefreshUser) -> None:
        env = self._node.env
        for session in self._sessions(message.target):
            if message.info:
                session.info = Raw(message.info)
            ttl = max(0, int(message.expire_at - env.unix())) if message.expire_at else 0
            session.expire(message.expired or (message.expire_at > 0 and ttl == 0), ttl)

    def _subscribe(self, message: SubscribeUser) -> None:
        for session in self._sessions(message.target):
            if message.channel not in session.subs:
                self._node.env.spawn(self._enter(session, message))

    async def _enter(self, session: Session, message: SubscribeUser) -> None:
        request = SubscribeRequest(
            channel=message.channel,
            recover=message.recover_offset is not None,
            offset=message.recover_offset or 0,
            epoch=message.recover_epoch,
        )
        try:
            entry = await enter(session, request, self._grant(message))
        except Disconnected as end:
            session.close(end.reason, end.detail)
            return
        except (CommandError, errors.BrokerError) as failure:
            self._node.report(session, "server-side subscribe", failure)
            return
        session.push(_told(entry.sub, entry.result.epoch, entry.result.offset, entry.result.data))
        entry.open()

    def _grant(self, message: SubscribeUser) -> Grant:
        """Raises ``CommandError`` 102 when the namespace is not configured here."""
        options = self._node.env.channels.options(message.channel)
        known = {name: value for name, value in message.override.items() if name in SubscriptionOverride.__slots__}
        override = SubscriptionOverride(**known)
        info, data = Raw(message.info), Raw(message.data)
        return Grant(overridden(options, override), info, data, message.expire_at, server_side=True)

    def _emulated(self, message: Emulated) -> None:
        """Unidirectional clients have a secret too, by which backends name them; they have no commands."""
        session = self._node.secrets.get(message.session)
        if session is not None and session.handshake.emulation:
            session.received_frame(message.frame)

    # Surveys

    def _answer(self, message: Survey) -> None:
        channels = {
            name: channel.size
            for name, channel in self._node.hub.channels.items()
            if name.isprintable() and (not message.pattern or fnmatch.fnmatchcase(name, message.pattern))
        }
        answer = SurveyAnswer(self.id, message.id, channels)
        if message.sender == self.id:
            self._collect(answer)
        else:
            self._node.env.spawn(self._reply(message.sender, answer))

    async def _reply(self, to: str, answer: SurveyAnswer) -> None:
        try:
            await self._node.broker.publish_control(control.encode(answer), to)
        except RtError as failure:
            self._node.log("warn", f"a survey could not be answered: {failure}", node=to)

    def _collect(self, message: SurveyAnswer) -> None:
        collecting = self._surveys.get(message.id)
        if collecting is not None:
            collecting.add(message)


def _told(sub: Subscription, epoch: str, offset: int, data: Raw) -> Push:
    positioned = sub.flow.positioned
    return Push(
        channel=sub.channel,
        subscribe=Subscribe(sub.recoverable, epoch, offset if positioned else 0, positioned, data),
    )


def _is_meant(session: Session, target: Target) -> bool:
    return (
        (not target.client or session.id == target.client)
        and (not target.session or session.secret == target.session)
        and session.id not in target.whitelist
    )
