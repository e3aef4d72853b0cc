"""What this node is subscribed to on one Redis, kept true over every loss of the connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from rtserver.core.errors import BrokerError, BrokerUnavailable
from rtserver.core.ports import BrokerStats
from rtserver.services.redis_commands import Greeting
from rtserver.services.redis_link import Link, LinkPlan, LinkState
from rtserver.services.redis_wire import PatternSink, Routes, Sink, SubscriberSession, WireEvents
from rtserver.services.throttle import Throttle

_HEARTBEATS = 4
"""PINGs in the time after which silence means a dead connection."""


@dataclass(slots=True, eq=False)
class _Waiter:
    missing: int
    done: Deferred[None]


@dataclass(frozen=True, slots=True)
class SubscriberPlan:
    """``timeout`` in seconds: for an acknowledgement, and for silence. ``on_gap`` is called after every reconnect, when all
    subscriptions are acknowledged again."""

    link: LinkPlan
    greeting: Greeting
    timeout: float
    on_gap: Callable[[], None]


class Subscriber:
    """Subscriptions by name, each with the sink that gets its payloads."""

    def __init__(self, plan: SubscriberPlan, reactor: Any, stats: BrokerStats) -> None:
        self._plan = plan
        self._reactor = reactor
        self._stats = stats
        self._routes = Routes()
        self._waiters: dict[bytes, list[_Waiter]] = {}
        self._session: SubscriberSession | None = None
        self._silent = 0
        self._paused_by: set[str] = set()
        self._events = WireEvents(self._began, self._acknowledged, self._refused)
        self._throttle = Throttle(reactor.seconds)
        self._heartbeat = LoopingCall(self._beat)
        self._heartbeat.clock = reactor
        self.link = Link(plan.link, reactor, self._build, self._up, self._down)

    def start(self) -> None:
        self.link.start()
        self._heartbeat.start(self._plan.timeout / _HEARTBEATS, now=False)

    async def stop(self) -> None:
        if self._heartbeat.running:
            self._heartbeat.stop()
        await self.link.stop()
        self._refused(self.link.unavailable())

    async def subscribe(self, sinks: Mapping[bytes, Sink]) -> None:
        """Returns when Redis has acknowledged every name. Raises ``BrokerError``; then none of them is subscribed."""
        self._routes.channels.update(sinks)
        try:
            await self._request(b"SUBSCRIBE", list(sinks))
        except BrokerError:
            self.unsubscribe(sinks)
            raise

    def unsubscribe(self, names: Iterable[bytes]) -> None:
        self._forget(b"UNSUBSCRIBE", self._routes.channels, names)

    async def psubscribe(self, sinks: Mapping[bytes, PatternSink]) -> None:
        """The same for patterns."""
        self._routes.patterns.update(sinks)
        try:
            await self._request(b"PSUBSCRIBE", list(sinks))
        except BrokerError:
            self.punsubscribe(sinks)
            raise

    def punsubscribe(self, names: Iterable[bytes]) -> None:
        self._forget(b"PUNSUBSCRIBE", self._routes.patterns, names)

    def add(self, sinks: Mapping[bytes, Sink]) -> None:
        """Subscribe without waiting: it is done as soon as there is a connection."""
        self._routes.channels.update(sinks)
        if self._is_live():
            self._session.subscribe(b"SUBSCRIBE", sinks)  # type: ignore[union-attr]

    def pause(self, who: str) -> None:
        """Take no more messages until everyone who paused has resumed."""
        self._paused_by.add(who)
        if self._session is not None and self.link.is_up:
            self._session.pause()

    def resume(self, who: str) -> None:
        if who not in self._paused_by:
            return
        self._paused_by.remove(who)
        if self._session is not None and not self._paused_by:
            self._session.resume()

    def resubscribe_fresh(self) -> None:
        """Drop the connection and subscribe to everything on a new one."""
        self.link.drop("a fresh connection was asked for")

    def _is_live(self) -> bool:
        return self._session is not None and self._session.live

    async def _request(self, verb: bytes, names: list[bytes]) -> None:
        if self.link.state is LinkState.STOPPED:
            raise self.link.unavailable()
        if not names:
            return
        waiter = _Waiter(len(names), Deferred())
        for name in names:
            self._waiters.setdefault(name, []).append(waiter)
        if self._is_live():
            self._session.subscribe(verb, names)  # type: ignore[union-attr]
        try:
            await waiter.done.addTimeout(self._plan.timeout, self._reactor)
        except TimeoutError as error:
            self._forget_waiter(waiter, names)
            if not self.link.is_up:
                raise self.link.unavailable() from error
            raise BrokerUnavailable("Redis did not acknowledge a subscription in time: look at its load") from error

    def _forget_waiter(self, waiter: _Waiter, names: list[bytes]) -> None:
        for name in names:
            left = [other for other in self._waiters.pop(name, []) if other is not waiter]
            if left:
                self._waiters[name] = left

    def _forget(self, verb: bytes, routes: dict[bytes, Any], names: Iterable[bytes]) -> None:
        known = [name for name in names if routes.pop(name, None) is not None]
        if known and self._is_live():
            self._session.unsubscribe(verb, known)  # type: ignore[union-attr]

    def _acknowledged(self, name: bytes) -> None:
        for waiter in self._waiters.pop(name, ()):
            waiter.missing -= 1
            if waiter.missing == 0 and not waiter.done.called:
                waiter.done.callback(None)

    def _refused(self, error: BrokerError) -> None:
        """Redis does not say which subscription it refused, so all that wait are told; each may be tried again."""
        waiters, self._waiters = self._waiters, {}
        for waiter in {id(waiter): waiter for group in waiters.values() for waiter in group}.values():
            if not waiter.done.called:
                waiter.done.errback(error)

    def _build(self) -> SubscriberSession:
        return SubscriberSession(self._routes, self._plan.greeting, self._events, self._throttle)

    def _began(self, session: SubscriberSession) -> None:
        self._session = session
        self._silent = 0

    def _up(self, session: SubscriberSession) -> None:
        if self.link.sessions > 1:
            self._stats.reconnects += 1
            self._stats.resubscribes += 1
            self._plan.on_gap()
        if self._paused_by:
            session.pause()

    def _down(self, _: Failure) -> None:
        self._session = None

    def _beat(self) -> None:
        session = self._session
        if session is None or not self.link.is_up:
            return
        if session.heard or session.paused:
            session.heard = False
            self._silent = 0
        else:
            self._silent += 1
        if self._silent >= _HEARTBEATS:
            self.link.drop(f"silent for {self._plan.timeout:g} seconds")
        else:
            session.ping()
