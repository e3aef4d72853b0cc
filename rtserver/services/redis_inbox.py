"""Door 3, the durable one: ``XADD <publish_prefix>in * channel C data D [key K]`` by any program.

One node at a time (a lease) reads the stream as a consumer of the group named like ``redis.prefix``, publishes the entries in
order and deletes each when its publish was accepted. An entry is published with its key, or its id, as idempotency key, so
that one that is delivered twice is published once. An entry that can never be published goes to the stream
``<publish_prefix>in:dead`` with the reason. When Redis cannot publish now, the entry stays and is tried again.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rtserver.services.redis_doors import DoorPlan
from rtserver.services.redis_inbox_reader import InboxReader
from rtserver.services.redis_lease import Lease, LeaseEvents
from rtserver.services.redis_shard import RedisShard

_log = Logger()


class Inbox:
    """Has the inbox of one Redis server read while this node holds its lease."""

    def __init__(self, shard: RedisShard, plan: DoorPlan) -> None:
        self._shard = shard
        self._plan = plan
        self._reader: InboxReader | None = None
        self._running: set[Deferred[None]] = set()
        self.lease = Lease(shard, "inbox", LeaseEvents(lambda: shard.commands.link.is_up, self._open, self._close))

    def start(self) -> None:
        self.lease.start()

    async def stop(self) -> None:
        """What was read is published first; the rest stays in the stream."""
        await self.lease.stop()
        for running in list(self._running):
            await running

    def _open(self) -> None:
        self._reader = InboxReader(self._shard, self._plan)
        running = Deferred.fromCoroutine(self._reader.run())
        self._running.add(running)
        running.addErrback(lambda failure: _log.failure("reading the inbox ended", failure))
        running.addBoth(self._ended, running)

    def _ended(self, _: Any, running: Deferred[None]) -> None:
        self._running.discard(running)

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.stop()
            self._reader = None
