"""Which channels the broker sends to this node: from the first local subscriber until a while after the last left."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import DeferredLock

from rtserver.core.errors import BrokerError
from rtserver.core.ports import Broker, Spawn

LINGER = 1.0
"""Seconds a channel stays subscribed at the broker after its last subscriber: reconnects and reloads are quick."""


class Feed:
    """One channel's subscription at the broker. Changes of it happen one at a time, under ``lock``."""

    __slots__ = ("lock", "subscribed", "users")

    def __init__(self) -> None:
        self.lock = DeferredLock()
        self.subscribed = False
        self.users = 0
        """Coroutines that hold or wait for the lock; the feed is forgotten when none is left and it is idle."""


class Feeds:
    """``is_wanted`` says whether a channel has subscribers now; ``later`` calls a function after some seconds."""

    def __init__(
        self,
        broker: Broker,
        is_wanted: Callable[[str], bool],
        later: Callable[[float, Callable[[], None]], object],
        spawn: Spawn,
        report: Callable[[str, BaseException], None],
    ) -> None:
        self._broker = broker
        self._is_wanted = is_wanted
        self._later = later
        self._spawn = spawn
        self._report = report
        self._feeds: dict[str, Feed] = {}

    async def need(self, channel: str) -> None:
        """Returns when the broker sends the channel. Raises ``BrokerError``."""
        await self._locked(channel, self._subscribe)

    def release(self, channel: str) -> None:
        """The last subscriber left: ask again in a while whether the channel is still wanted."""
        self._later(LINGER, lambda: self._spawn(self._locked(channel, self._unsubscribe)))

    async def _locked(self, channel: str, change: Callable[[str, Feed], object]) -> None:
        feed = self._feeds.setdefault(channel, Feed())
        feed.users += 1
        await feed.lock.acquire()
        try:
            await change(channel, feed)  # type: ignore[misc]
        finally:
            feed.lock.release()
            feed.users -= 1
            if not feed.users and not feed.subscribed:
                self._feeds.pop(channel, None)

    async def _subscribe(self, channel: str, feed: Feed) -> None:
        if not feed.subscribed:
            await self._broker.subscribe(channel)
            feed.subscribed = True

    async def _unsubscribe(self, channel: str, feed: Feed) -> None:
        if self._is_wanted(channel) or not feed.subscribed:
            return
        try:
            await self._broker.unsubscribe(channel)
        except BrokerError as failure:
            self._report(f"the broker still sends {channel!r}, which nobody here listens to", failure)
        feed.subscribed = False

    def __len__(self) -> int:
        return len(self._feeds)
