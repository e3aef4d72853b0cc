"""Jobs that exactly one node does at a time: a lease in Redis that is taken, renewed and given up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from rtserver.core.errors import BrokerError
from rtserver.services.redis_shard import RedisShard

_log = Logger()

TTL = 5.0
"""Seconds after which the lease of a node that died is free."""

INTERVAL = 1.5
"""Seconds between two attempts to take or renew."""


class LeaseState(Enum):
    IDLE = auto()
    """Not started, or stopped."""
    WANTED = auto()
    HELD = auto()


@dataclass(frozen=True, slots=True)
class LeaseEvents:
    """Called at once, in turn. ``fit`` says whether this node could do the job now; if not, the lease is left to others."""

    fit: Callable[[], bool]
    gained: Callable[[], None]
    lost: Callable[[], None]


class Lease:
    """One named lease. By our own clock it ends before it ends in Redis, so that two nodes never both believe in it."""

    def __init__(self, shard: RedisShard, name: str, events: LeaseEvents) -> None:
        self._shard = shard
        self._name = name
        self._events = events
        self._until = float("-inf")
        self._trying: Deferred[None] | None = None
        self._rounds = LoopingCall(self._try)
        self._rounds.clock = shard.reactor
        self.state = LeaseState.IDLE

    @property
    def is_held(self) -> bool:
        return self.state is LeaseState.HELD and bool(self._shard.reactor.seconds() < self._until)

    def start(self) -> None:
        self.state = LeaseState.WANTED
        # The holder that gives up says so, and the next one need not wait for its round.
        self._shard.subscriber.add({self._shard.name("lease", self._name).encode(): lambda _: self._try()})
        self._rounds.start(INTERVAL)

    async def stop(self) -> None:
        """Give the lease up; ``lost`` is called first."""
        if self._rounds.running:
            self._rounds.stop()
        was_held = self.state is LeaseState.HELD
        self._lose()
        self.state = LeaseState.IDLE
        self._shard.subscriber.unsubscribe([self._shard.name("lease", self._name).encode()])
        if self._trying is not None:
            await self._trying
        if was_held or self._shard.reactor.seconds() < self._until:
            await self._release()

    def _try(self) -> None:
        if self._trying is None and self.state is not LeaseState.IDLE:
            self._trying = Deferred.fromCoroutine(self._round())
            self._trying.addErrback(lambda failure: _log.failure("the lease failed", failure))
            self._trying.addBoth(self._tried)

    def _tried(self, _: None) -> None:
        self._trying = None

    async def _round(self) -> None:
        asked = self._shard.reactor.seconds()
        if not self._events.fit():
            await self._leave()
            return
        try:
            held = await self._shard.take_lease(self._name, TTL)
        except BrokerError:
            # The link has logged it. Until the time is over the lease is still ours.
            held = self.is_held
        else:
            self._until = asked + TTL if held else float("-inf")
        if held and self.state is LeaseState.WANTED:
            self.state = LeaseState.HELD
            _log.info("this node now holds the lease {name}", name=self._name)
            self._events.gained()
        elif not held:
            self._lose()

    async def _leave(self) -> None:
        if self.state is LeaseState.HELD:
            self._lose()
            await self._release()

    async def _release(self) -> None:
        if not self._shard.commands.link.is_up:
            return
        try:
            await self._shard.release_lease(self._name)
        except BrokerError as error:
            _log.info("the lease {name} is left to expire: {why}", name=self._name, why=str(error))

    def _lose(self) -> None:
        if self.state is LeaseState.HELD:
            self.state = LeaseState.WANTED
            self._until = float("-inf")
            self._events.lost()
