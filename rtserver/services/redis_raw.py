"""Door 1: ``PUBLISH <publish_prefix><channel> <bytes>`` by any program, with history kept by the server.

Channels without history need nothing of this: every node subscribes to their raw names itself. For channels with history one
node at a time listens to all raw names and stores what comes, in order, as publications of its own. What is published while
no node listens is lost, as with any PUBLISH; the inbox is the durable way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtserver.core.errors import BrokerError
from rtserver.services.redis_doors import NO_NAMESPACE, DoorPlan
from rtserver.services.redis_lease import Lease, LeaseEvents
from rtserver.services.redis_shard import RedisShard
from rtserver.services.throttle import Throttle

_log = Logger()

MAX_IN_FLIGHT = 1000
MAX_BYTES_IN_FLIGHT = 8 * 1024 * 1024
"""Publications on their way into streams, and their data; at either bound the subscriber connection is paused."""

_PAUSE = "raw"


def patterns(publish_prefix: str, beginnings: Iterable[str]) -> list[bytes]:
    """Patterns for PSUBSCRIBE that match every raw name with one of these beginnings, and each name once."""
    shortest = [
        one for one in set(beginnings) if not any(one != other and one.startswith(other) for other in beginnings)
    ]
    return [escape_pattern(publish_prefix + beginning).encode() + b"*" for beginning in sorted(shortest)]


def escape_pattern(text: str) -> str:
    """``text`` as a Redis glob pattern that matches only itself."""
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", text)


class RawDoor:
    """Takes raw publications of channels with history while this node holds the lease."""

    def __init__(self, shard: RedisShard, plan: DoorPlan) -> None:
        self._shard = shard
        self._plan = plan
        self._prefix = shard.raw_name("")
        self._patterns = patterns(shard.plan.options.publish_prefix, plan.intake.history_prefixes())
        self._in_flight = 0
        self._bytes = 0
        self._deaf = False
        self._throttle = Throttle(shard.reactor.seconds)
        self.lease = Lease(shard, "raw", LeaseEvents(self._fit, self._open, self._close))

    def start(self) -> None:
        if self._patterns:
            self.lease.start()

    async def stop(self) -> None:
        await self.lease.stop()

    def _open(self) -> None:
        opening = Deferred.fromCoroutine(self._shard.subscriber.psubscribe(dict.fromkeys(self._patterns, self._take)))
        opening.addErrback(self._not_opened)

    def _not_opened(self, failure: Failure) -> None:
        failure.trap(BrokerError)
        _log.warn("raw publications are not taken for now: {why}", why=failure.getErrorMessage())
        self._deaf = True

    def _fit(self) -> bool:
        """A node that could not open its ears leaves the lease to others, and may try again after that."""
        return self._shard.subscriber.link.is_up and not self._deaf

    def _close(self) -> None:
        self._deaf = False
        self._shard.subscriber.punsubscribe(self._patterns)

    def _take(self, name: bytes, data: bytes) -> None:
        if not self.lease.is_held:
            return
        try:
            channel = name[len(self._prefix) :].decode()
        except UnicodeDecodeError:
            self._refuse(repr(name[:80]), "the channel name is not UTF-8: publish to a name that is")
            return
        intake = self._plan.intake
        options = intake.publish_options(channel)
        if options is not None and not options.has_history:
            return
        refusal = NO_NAMESPACE if options is None else intake.refusal(channel, data)
        if options is None or refusal is not None:
            self._refuse(channel, str(refusal))
            return
        self._shard.stats.raw_received += 1
        self._in_flight += 1
        self._bytes += len(data)
        if self._in_flight >= MAX_IN_FLIGHT or self._bytes >= MAX_BYTES_IN_FLIGHT:
            self._shard.subscriber.pause(_PAUSE)
        sent = self._plan.publish(channel, self._plan.publication(channel, data), options)
        sent.addErrback(self._not_stored, channel).addBoth(self._stored, len(data))

    def _stored(self, _: Any, size: int) -> None:
        self._in_flight -= 1
        self._bytes -= size
        if self._in_flight <= MAX_IN_FLIGHT // 2 and self._bytes <= MAX_BYTES_IN_FLIGHT // 2:
            self._shard.subscriber.resume(_PAUSE)

    def _not_stored(self, failure: Failure, channel: str) -> None:
        failure.trap(BrokerError)
        self._warn("was lost", channel, failure.getErrorMessage())

    def _refuse(self, channel: str, why: str) -> None:
        self._shard.stats.raw_refused += 1
        self._warn("was refused", channel, why)

    def _warn(self, what: str, channel: str, why: str) -> None:
        if self._throttle.ready():
            _log.warn(
                "a raw publication {what} on {channel}: {why} ({n} more since the last such line)",
                what=what,
                channel=channel,
                why=why,
                n=self._throttle.take_skipped(),
            )
