"""Which channels the broker sends to this node: from the first local subscriber until a while after the last left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred

from rtserver.core.errors import BrokerError
from rtserver.core.ports import Broker, Spawn

LINGER = 1.0
"""Seconds a channel stays subscribed at the broker after its last subscriber: reconnects and reloads are quick."""


class Feed:
    """One channel's subscription at the broker. One change of it at a time; ``waiting`` wait for the end of that."""

    __slots__ = ("changing", "subscribed", "waiting")

    def __init__(self) -> None:
        self.changing = False
        self.subscribed = False
        self.waiting: list[Deferred[None]] = []


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
        feed = self._feeds.setdefault(channel, Feed())
        while not feed.subscribed or feed.changing:
            if feed.changing:
                await self._end_of_change(feed)
            else:
                await self._change(channel, feed, self._broker.subscribe, True)

    def release(self, channel: str) -> None:
        """The last subscriber left: ask again in a while whether the channel is still wanted."""
        self._later(LINGER, lambda: self._spawn(self._drop(channel)))

    async def _drop(self, channel: str) -> None:
        feed = self._feeds.get(channel)
        if feed is None or feed.changing or not feed.subscribed or self._is_wanted(channel):
            return
        try:
            await self._change(channel, feed, self._broker.unsubscribe, False)
        except BrokerError as failure:
            self._report(f"the broker still sends {channel!r}, which nobody here listens to", failure)

    def _end_of_change(self, feed: Feed) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        feed.waiting.append(waiter)
        return waiter

    async def _change(self, channel: str, feed: Feed, change: Callable[[str], Awaitable[None]], goal: bool) -> None:
        """Those who wait share the outcome: when the broker is gone, a thousand subscribers do not ask one by one."""
        feed.changing = True
        try:
            await change(channel)
        except BrokerError as failure:
            self._settle(channel, feed, feed.subscribed and goal, failure)
            raise
        self._settle(channel, feed, goal, None)

    def _settle(self, channel: str, feed: Feed, subscribed: bool, failure: BrokerError | None) -> None:
        feed.changing, feed.subscribed = False, subscribed
        waiting, feed.waiting = feed.waiting, []
        if not subscribed and (failure is not None or not waiting):
            self._feeds.pop(channel, None)
        for waiter in waiting:
            if failure is None:
                waiter.callback(None)
            else:
                waiter.errback(failure)

    def __len__(self) -> int:
        return len(self._feeds)
