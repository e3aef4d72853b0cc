"""The node: the only place where the hub's facts become actions of the broker, and what sessions and HTTP ask for.

Nothing here knows how clients are connected or how messages are written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import Raw

from rtserver.core import asking, commands, connecting, control, errors  # noqa: F401  (they register the commands)
from rtserver.core.control import DisconnectUser, Target
from rtserver.core.deadlines import Deadlines
from rtserver.core.errors import BackendUnavailable, BrokerError, Disconnected, DisconnectReason
from rtserver.core.flow import Channel, Flow, Recipient, Subscription
from rtserver.core.hooks import DisconnectHook
from rtserver.core.host import Environment
from rtserver.core.hub import Hub
from rtserver.core.intake import ChannelIntake
from rtserver.core.messages import ClientInfo, Publication, StreamPosition
from rtserver.core.options import ChannelOptions
from rtserver.core.ports import (
    PROBE_CHANNEL,
    Broker,
    HistoryFilter,
    HistorySlice,
    PublishOptions,
    PublishOutcome,
)
from rtserver.core.probe import Hearing, Probe, ProbeOptions
from rtserver.core.session import Session, State
from rtserver.feeds import Feeds

TICK_LIMIT = 5000
"""Deadlines looked at in one turn of the node's clock; the rest waits for the next."""


class Log(Protocol):
    """Writes one line. ``level`` is "debug", "info", "warn" or "error"; fields are scalars, never secrets."""

    def __call__(self, level: str, text: str, failure: BaseException | None = None, /, **fields: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Watch:
    """Called at once: a channel has its first subscriber here, or none any more."""

    began: Callable[[], None]
    ended: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Turn:
    """The reactor, as much of it as the node needs. ``later`` takes seconds."""

    later: Callable[[float, Callable[[], None]], object]
    soon: Callable[[Callable[[], None]], object]


class Node:
    """See the module. Implements ``core.host.Host``, ``ports.BrokerEvents`` and ``core.hub.HubEvents``."""

    def __init__(self, broker: Broker, env: Environment, turn: Turn, log: Log, probe: ProbeOptions) -> None:
        self.broker = broker
        self.env = env
        self.turn = turn
        self.log = log
        self.intake = ChannelIntake(env.channels)
        self.hub = Hub(self, env.clock, turn.soon)
        self.deadlines: Deadlines[Session] = Deadlines()
        self.sessions: dict[str, Session] = {}
        self.users: dict[str, set[Session]] = {}
        self.secrets: dict[str, Session] = {}
        """Sessions by the secret that clients of emulation transports name them by."""
        self.find_watch: Callable[[str], Watch | None] = lambda channel: None
        """What wants to know when a channel gets its first and loses its last subscriber on this node."""
        self.closed: Counter[int] = Counter()
        """Ended connections by close code. Texts are not counted by: backends choose them freely."""
        self.gaps = 0
        self.refused_raw = 0
        self.started = False
        self.draining = False
        self.open_sessions: dict[Session, None] = {}
        """Every connection, also those that did not connect yet, oldest first."""
        self.probe = Probe(probe, broker.shards, env.clock())
        self.on_control_message: Callable[[bytes], None] = lambda message: None
        self._feeds = Feeds(broker, self._is_wanted, turn.later, env.spawn, self._warn)
        self._max_lag = env.client.channel_position_max_time_lag * 1000
        self._probes = 0
        self._refused_at = 0.0

    # Life

    async def start(self) -> None:
        """Raises ``BrokerError`` when the broker is not to be had."""
        await self.broker.start(self)
        self.probe.heard_at = self.env.clock()
        self.hub.listen(PROBE_CHANNEL, Flow(self.probe, False, False, False, None), self._probe_heard)

    async def stop(self) -> None:
        await self.broker.stop()

    def tick(self) -> None:
        """To be called about four times a second: deadlines of connections."""
        now = self.env.clock()
        for session in self.deadlines.due(now, TICK_LIMIT):
            session.tick(now)

    @property
    def unready(self) -> str:
        """Why this node should not get new connections, as a sentence; "" when it should."""
        if not self.started:
            return "the server is starting"
        if self.draining:
            return "the server is shutting down"
        if self.probe.hearing is not Hearing.GOOD:
            age = self.env.clock() - self.probe.heard_at
            return f"no probe came back through the broker for {age:.1f} s: check the broker and the way to it"
        return ""

    async def listen_in(self) -> None:
        """Send a probe, judge the last ones, and act when the node does not hear. Once per probe interval."""
        self._probes += 1
        try:
            await self.broker.probe(self.probe.send(f"{self.env.node_id}/{self._probes}", self.env.clock()))
        except BrokerError as failure:
            self.log("debug", "the probe could not be sent", failure)
        changed = self.probe.judge(self.env.clock())
        if not changed:
            return
        self.log("warn" if self.probe.hearing is not Hearing.GOOD else "info", f"hearing is {self.probe.hearing.value}")
        if self.probe.hearing is Hearing.LATE:
            await self.broker.refresh()
        elif self.probe.hearing is Hearing.DEAF:
            for session in list(self.open_sessions):
                session.close(errors.FORCE_RECONNECT)

    def _probe_heard(self, data: bytes) -> None:
        self.probe.heard(data, self.env.clock())

    # Sessions

    def opened(self, session: Session) -> None:
        self.open_sessions[session] = None

    def admit(self, session: Session) -> None:
        mine = self.users.setdefault(session.user, set())
        limit = self.env.client.user_connection_limit
        if session.user and limit and len(mine) >= limit:
            raise Disconnected(errors.CONNECTION_LIMIT, "client.user_connection_limit is reached")
        mine.add(session)
        self.sessions[session.id] = session
        if session.secret:
            self.secrets[session.secret] = session

    def forget(self, session: Session, subs: list[Subscription]) -> None:
        self.open_sessions.pop(session, None)
        self.sessions.pop(session.id, None)
        self.secrets.pop(session.secret, None)
        mine = self.users.get(session.user)
        if mine is not None:
            mine.discard(session)
            if not mine:
                del self.users[session.user]
        reason = session.closed_with or errors.CONNECTION_CLOSED
        self.closed[reason.code] += 1
        self.env.hooks.left(session.id)
        hook = self.env.hooks.disconnect()
        if hook is not None and session.was_connected:
            self.env.spawn(self._tell_disconnect(session, hook, reason))
        for sub in subs:
            self.detach(sub)
            self.env.spawn(self.farewell(sub))
        self.log(
            "info",
            "connection closed",
            client=session.id,
            user=session.user,
            transport=session.handshake.transport,
            seconds=round(self.env.clock() - session.opened_at, 1),
            code=reason.code,
            reason=reason.reason,
        )

    def refresh(self, session: Session) -> None:
        hook = self.env.hooks.refresh()
        if hook is None:
            session.close(errors.CONNECTION_EXPIRED)
        else:
            self.env.spawn(asking.refresh_connection(session, hook))

    def refresh_subscription(self, session: Session, sub: Subscription) -> None:
        options = self.env.channels.find(sub.channel)
        hook = self.env.hooks.sub_refresh(sub.channel, options) if options is not None else None
        if hook is None:
            session.drop(sub, errors.UNSUBSCRIBED_EXPIRED)
        else:
            self.env.spawn(asking.refresh_subscription(session, sub, hook))

    async def _tell_disconnect(self, session: Session, hook: DisconnectHook, reason: DisconnectReason) -> None:
        try:
            await hook(asking.caller(session), reason.code, reason.reason)
        except Exception as failure:
            self.report(session, "disconnect hook", failure)

    def sessions_of(self, user: str) -> list[Session]:
        return [session for session in self.users.get(user, ()) if session.state is State.CONNECTED]

    def connecting_of(self, user: str) -> list[Session]:
        """Those who were let in and wait for their channels still."""
        return [session for session in self.users.get(user, ()) if session.state is State.CONNECTING]

    async def replace_others(self, session: Session, channel: str) -> None:
        target = Target(session.user, whitelist=[session.id])
        reason = errors.CONNECTION_LIMIT
        message = DisconnectUser(self.env.node_id, target, reason.code, reason.reason)
        await self.broker.publish_control(control.encode(message))

    # Subscriptions

    def _is_wanted(self, channel: str) -> bool:
        return channel in self.hub.channels

    async def attach(self, sub: Subscription) -> None:
        watch = self.find_watch(sub.channel) if self.hub.attach(sub) else None
        if watch is not None:
            watch.began()
        await self._feeds.need(sub.channel)

    def detach(self, sub: Subscription) -> None:
        if self.hub.detach(sub):
            self._feeds.release(sub.channel)
            watch = self.find_watch(sub.channel)
            if watch is not None:
                watch.ended()

    async def announce(self, sub: Subscription) -> None:
        if sub.info is not None and sub.live:
            try:
                await self.broker.publish_join(sub.channel, sub.info)
            except BrokerError as failure:
                self._warn("a join was not told", failure)

    async def farewell(self, sub: Subscription) -> None:
        """Presence ends by itself when the broker cannot be told now: its entries expire."""
        try:
            if sub.presence:
                await self.broker.remove_presence(sub.channel, sub.session.id)
            if sub.joined and sub.info is not None:
                await self.broker.publish_leave(sub.channel, sub.info)
        except BrokerError as failure:
            self._warn("a leave was not told", failure)

    # Channels

    async def publish(self, channel: str, publication: Publication, options: PublishOptions) -> PublishOutcome:
        return await self.broker.publish(channel, publication, options)

    async def history(self, channel: str, options: ChannelOptions, wanted: HistoryFilter) -> HistorySlice:
        return await self.broker.history(channel, wanted, self.env.channels.meta_ttl(options))

    async def add_presence(self, sub: Subscription) -> None:
        if sub.info is not None:
            await self.broker.add_presence(sub.channel, sub.session.id, sub.info)

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        return await self.broker.presence(channel)

    async def presence_stats(self, channel: str) -> tuple[int, int]:
        return await self.broker.presence_stats(channel)

    # What the broker tells

    def on_publication(self, channel: str, publication: Publication, epoch: str, at: int = 0) -> None:
        if at and self._max_lag and self.env.unix() * 1000 - at > self._max_lag:
            late = self.hub.channels.get(channel)
            if late is not None:
                self.on_hole(late)
        self.hub.on_publication(channel, publication, epoch)

    def on_join(self, channel: str, info: ClientInfo) -> None:
        self.hub.on_join(channel, info)

    def on_leave(self, channel: str, info: ClientInfo) -> None:
        self.hub.on_leave(channel, info)

    def on_control(self, message: bytes) -> None:
        self.on_control_message(message)

    def on_raw(self, channel: str, data: bytes) -> None:
        refusal = self.intake.refusal(channel, data)
        if refusal is None:
            self.hub.on_publication(channel, Publication(Raw(data)), "")
            return
        self.refused_raw += 1
        now = self.env.clock()
        if now - self._refused_at >= 1.0:
            self._refused_at = now
            self.log("warn", f"a publication of another program was refused: {refusal}", channel=channel)

    def on_gap(self, channels: list[str]) -> None:
        """Messages may be missing. Those with a position can be told apart by it."""
        self.env.spawn(self.check_positions([name for name in channels if name in self.hub.channels]))

    # What the hub tells

    def on_hole(self, channel: Channel) -> None:
        """End the positioned subscriptions of a channel; their clients come back at once and recover."""
        self.gaps += 1
        for sub in [sub for sub in channel.subscriptions() if sub.flow.positioned]:
            sub.session.drop(sub, errors.UNSUBSCRIBED_INSUFFICIENT)

    def on_not_json(self, subscription: Subscription) -> None:
        subscription.session.close(errors.INAPPROPRIATE_PROTOCOL, f"{subscription.channel}: a payload is not JSON")

    def on_write_failed(self, recipient: Recipient, failure: Exception) -> None:
        session = recipient.session
        self.log("error", "a write failed", failure, client=getattr(session, "id", ""))
        if isinstance(session, Session):
            session.close(errors.SERVER_ERROR)

    def on_flush_failed(self, channel: Channel, failure: Exception) -> None:
        self.log("error", "what happened on a channel could not be delivered", failure, channel=channel.name)
        self.on_hole(channel)

    def on_pressure(self, high: bool) -> None:
        (self.broker.pause if high else self.broker.resume)()

    # Positions

    async def check_positions(self, names: list[str]) -> None:
        """Compare the position of channels with the top of their streams; a difference is a gap."""
        for name in names:
            channel = self.hub.channels.get(name)
            options = self.env.channels.find(name)
            if channel is None or options is None or not channel.positioned:
                continue
            before = channel.offset
            try:
                top = (await self.history(name, options, HistoryFilter(limit=0))).top
            except BrokerError as failure:
                self._warn("a position could not be checked; it is checked again later", failure)
                return
            self._compare(channel, top, before)

    def _compare(self, channel: Channel, top: StreamPosition, before: int) -> None:
        """``before`` is the channel's offset when the question was sent: publications may have come since, but a top below
        it means that the broker lost what it had given out (a failover)."""
        if self.hub.channels.get(channel.name) is not channel or channel.position is None:
            return
        if channel.epoch != top.epoch or not before <= top.offset <= channel.offset:
            self.on_hole(channel)
            channel.epoch = None
        channel.heard_at = self.env.clock()

    def quiet_channels(self) -> list[str]:
        """Positioned channels that nothing was heard of for ``channel_position_check_delay``."""
        before = self.env.clock() - self.env.client.channel_position_check_delay
        return [name for name, channel in self.hub.channels.items() if channel.heard_at < before and channel.positioned]

    # The log

    def report(self, session: Session, what: str, failure: BaseException) -> None:
        if isinstance(failure, BackendUnavailable):
            return  # its line, written seldom, is in the log already
        expected = isinstance(failure, errors.RtError)
        fields: dict[str, Any] = {"client": session.id, "user": session.user}
        if expected:
            self.log("warn", f"{what}: {failure}", **fields)
        else:
            self.log("error", f"{what} failed", failure, **fields)

    def _warn(self, text: str, failure: BaseException) -> None:
        self.log("warn", f"{text}: {failure}")
