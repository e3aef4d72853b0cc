"""Application streams: async generators that feed a channel while it has subscribers, on one node at a time."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from msgspec import Raw
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from rtserver.app.calling import Gathering, InThread
from rtserver.app.events import Stream
from rtserver.app.given import Clock, Publisher
from rtserver.app.parameters import Given, Parameter, Wanted, where
from rtserver.app.patterns import PatternTable
from rtserver.app.shapes import Invalid, Mistake
from rtserver.core.ports import Lease
from rtserver.node import Node, Watch

LINGER = 1.0
"""Seconds that a stream goes on after its last subscriber: reconnects and reloads are quick."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until a stream that failed is started again; doubled each time."""

BREATH = 100
"""Values after which a stream that never waits lets others run."""


class ReactorClock(Clock):
    """Implements ``app.Clock``."""

    def __init__(self, reactor: Any, unix: Callable[[], float]) -> None:
        self._reactor = reactor
        self._unix = unix

    def now(self) -> float:
        return self._unix()

    async def sleep(self, seconds: float) -> None:
        if not seconds >= 0:
            raise ValueError(f"sleep({seconds}): seconds are 0 or more; where clients choose, say Field(ge=0)")
        await deferLater(self._reactor, seconds)


Giver = Callable[[], Given]
"""Makes what a stream asks for by type."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all streams share."""

    node: Node
    publisher: Publisher
    clock: Clock
    in_thread: InThread
    givers: Mapping[type[Given], Giver]


class StreamSource:
    """One channel, as the values of a call. Implements ``calling.Source``."""

    def __init__(self, named: Mapping[str, str], givers: Mapping[type[Given], Giver]) -> None:
        self._named = named
        self._givers = givers

    def read(self, parameter: Parameter) -> Any:
        return parameter.shape.parse(self._named[parameter.alias], ("channel", parameter.alias))

    async def give(self, wanted: Wanted) -> Given | None:
        given = self._givers[wanted.kind]()
        return await given if isinstance(given, Awaitable) else given


class FeedState(enum.Enum):
    """Of the lease. A feeder that is leaving asks for it again only when it has left for good."""

    IDLE = "idle"
    ASKED = "asked"
    HELD = "held"
    LEAVING = "leaving"


class Feeder:
    """One channel of a stream. It runs while this node has subscribers and holds the stream's lease: so every publication is
    made once, however many nodes there are. ``forget`` is called when there is nothing left to do."""

    def __init__(self, stream: Stream, channel: str, around: Surroundings, forget: Callable[[], None]) -> None:
        self._stream = stream
        self._channel = channel
        self._around = around
        self._forget = forget
        self._later = around.node.turn.later
        self._audience = 0
        """How often there was a first subscriber, negative while there is none: so a late look knows whether it matters."""
        self._life = 0
        """Counts the runs of the generator; one of an earlier life publishes nothing more."""
        self._pause = FIRST_PAUSE
        self._running: Deferred[None] | None = None
        self._state = FeedState.IDLE
        self._lease: Lease = around.node.broker.lease(f"stream.{channel}", self._gained, self._lost)

    # What the channel tells

    def began(self) -> None:
        self._audience = abs(self._audience) + 1
        self._ask()

    def ended(self) -> None:
        self._audience = left = -self._audience
        self._later(LINGER, lambda: self._look_again(left))

    def _look_again(self, left: int) -> None:
        if self._audience == left:
            self._around.node.env.spawn(self._leave())

    def _ask(self) -> None:
        if self._state is FeedState.IDLE and self._audience > 0:
            self._state = FeedState.ASKED
            self._lease.start()

    async def _leave(self) -> None:
        await self.stop()
        self._ask()
        if self._state is FeedState.IDLE:
            self._forget()

    async def stop(self) -> None:
        """Give the lease up, so that a node with subscribers can take it."""
        if self._state in (FeedState.ASKED, FeedState.HELD):
            self._state = FeedState.LEAVING
            try:
                await self._lease.stop()
            finally:
                self._state = FeedState.IDLE

    # What the lease tells

    def _gained(self) -> None:
        """Those who subscribe in this turn shall not miss the first value."""
        self._state = FeedState.HELD
        self._later(0, self._start)

    def _lost(self) -> None:
        """The lease is still wanted, unless it is this side that gives it up."""
        if self._state is FeedState.HELD:
            self._state = FeedState.ASKED
        self._life += 1
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    # The work

    def _start(self) -> None:
        if self._state is FeedState.HELD and self._running is None:
            self._life += 1
            life = self._life
            self._running = Deferred.fromCoroutine(self._run(life))
            self._running.addErrback(self._failed, life)

    async def _run(self, life: int) -> None:
        around, stream = self._around, self._stream
        named = {"channel": self._channel, **(stream.pattern.match(self._channel) or {})}
        gathering = Gathering(StreamSource(named, around.givers), around.in_thread)
        async with gathering.endings:
            await gathering.take(stream.signature.all_wanted())
            values = stream.function(**await gathering.values(stream.signature))
            async with aclosing(values):  # type: ignore[type-var]
                await self._feed(values, life)

    async def _feed(self, values: AsyncIterator[Any], life: int) -> None:
        count = 0
        async for value in values:
            if life != self._life:
                return  # it was cancelled and took that for a mishap of its own
            await self._around.publisher.publish(self._channel, Raw(self._stream.result.dump(value)))
            self._pause = FIRST_PAUSE
            count += 1
            if count % BREATH == 0:
                await self._around.clock.sleep(0)

    def _failed(self, failure: Failure, life: int) -> None:
        """A stream that fails is started again after a pause that grows; one that ends by itself stays ended."""
        is_over = life != self._life
        if is_over and failure.check(CancelledError):
            return
        after = "when it was ended" if is_over else f"and starts again in {self._pause:g} s"
        text = f"the stream {where(self._stream.function)} failed {after}"
        self._around.node.log("error", text, failure.value, channel=self._channel)
        if is_over:
            return
        self._running = None
        self._later(self._pause, self._start)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


class Feeders:
    """All streams of the applications. Raises TypeError when one wants what streams are not given, or is declared twice."""

    def __init__(self, streams: Sequence[Stream], around: Surroundings) -> None:
        self._around = around
        self._table: PatternTable[Stream] = PatternTable()
        self._feeders: dict[str, Feeder] = {}
        for stream in streams:
            self._check(stream)
            self._table.add(stream.pattern, stream, where(stream.function))
        around.node.find_watch = self._watch

    def _check(self, stream: Stream) -> None:
        for each in stream.signature.all_wanted():
            if each.kind not in self._around.givers:
                known = ", ".join(sorted(kind.__name__ for kind in self._around.givers))
                name = where(stream.function)
                raise TypeError(f"{name}: {each.name}: streams are given {known}, but no {each.kind.__name__}")

    def refusal(self, channel: str) -> Invalid | None:
        """Why a channel can have no stream although it looks like one."""
        found = self._table.find(channel)
        if found is None:
            return None
        mistakes: list[Mistake] = []
        source = StreamSource({"channel": channel, **found[1]}, {})
        for each in found[0].signature.all_parameters():
            try:
                source.read(each)
            except Invalid as error:
                mistakes += error.mistakes
        return Invalid(mistakes) if mistakes else None

    async def stop(self) -> None:
        for feeder in list(self._feeders.values()):
            await feeder.stop()

    def _watch(self, channel: str) -> Watch | None:
        feeder = self._feeders.get(channel)
        if feeder is None:
            found = self._table.find(channel)
            if found is None or self.refusal(channel) is not None:
                return None
            feeder = Feeder(found[0], channel, self._around, lambda: self._forget(channel))
            self._feeders[channel] = feeder
        return Watch(feeder.began, feeder.ended)

    def _forget(self, channel: str) -> None:
        del self._feeders[channel]
