"""Application streams: async generators that feed a channel while it has subscribers, on one node at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Raw
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from rtserver.app.events import Stream
from rtserver.app.given import Clock, Publisher
from rtserver.app.parameters import Given, where
from rtserver.core.ports import Lease
from rtserver.node import Node, Watch

LINGER = 1.0
"""Seconds that a stream goes on after its last subscriber: reconnects and reloads are quick."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until a stream that failed is started again; doubled each time."""


class ReactorClock(Clock):
    """Implements ``app.Clock``."""

    def __init__(self, reactor: Any, unix: Callable[[], float]) -> None:
        self._reactor = reactor
        self._unix = unix

    def now(self) -> float:
        return self._unix()

    async def sleep(self, seconds: float) -> None:
        await deferLater(self._reactor, seconds)


class Feeder:
    """One stream. It runs while this node has subscribers and holds the stream's lease: so every publication is made once,
    however many nodes there are."""

    def __init__(self, stream: Stream, node: Node, publisher: Publisher, clock: ReactorClock) -> None:
        self._stream = stream
        self._node = node
        self._publisher = publisher
        self._clock = clock
        self._wanted = False
        self._pause = FIRST_PAUSE
        self._running: Deferred[None] | None = None
        self._lease: Lease | None = None

    def watch(self) -> Watch:
        return Watch(self._began, self._ended)

    def _began(self) -> None:
        self._wanted = True
        if self._lease is None:
            self._lease = self._node.broker.lease(f"stream.{self._stream.channel}", self._start, self._stop)
            self._lease.start()

    def _ended(self) -> None:
        self._wanted = False
        self._node.turn.later(LINGER, lambda: self._node.env.spawn(self.stop_if_unwanted()))

    async def stop_if_unwanted(self) -> None:
        if not self._wanted:
            await self.stop()

    async def stop(self) -> None:
        """Give the lease up, so that a node with subscribers can take it."""
        lease, self._lease = self._lease, None
        if lease is not None:
            await lease.stop()

    def _start(self) -> None:
        if self._running is None:
            self._running = Deferred.fromCoroutine(self._run())
            self._running.addErrback(self._failed)

    def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    async def _run(self) -> None:
        given = {wanted.name: self._give(wanted.kind) for wanted in self._stream.signature.wanted}
        values = self._stream.function(**given)
        try:
            async for value in values:
                await self._publisher.publish(self._stream.channel, Raw(self._stream.result.dump(value)))
                self._pause = FIRST_PAUSE
        finally:
            await values.aclose()  # type: ignore[attr-defined]

    def _failed(self, failure: Failure) -> None:
        """A stream that fails is started again after a pause that grows; one that ends by itself stays ended."""
        if failure.check(CancelledError):
            return
        name = where(self._stream.function)
        self._node.log("error", f"the stream {name} failed and starts again in {self._pause:g} s", failure.value)
        self._running = None
        self._node.turn.later(self._pause, self._again)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _again(self) -> None:
        if self._lease is not None:
            self._start()

    def _give(self, kind: type[Given]) -> Given | None:
        return {Publisher: self._publisher, Clock: self._clock}.get(kind)


class Feeders:
    """All streams of the applications."""

    def __init__(self, streams: Sequence[Stream], node: Node, publisher: Publisher, clock: ReactorClock) -> None:
        self._feeders = [Feeder(stream, node, publisher, clock) for stream in streams]
        node.watches.update(
            {stream.channel: feeder.watch() for stream, feeder in zip(streams, self._feeders, strict=True)}
        )

    async def stop(self) -> None:
        for feeder in self._feeders:
            await feeder.stop()
