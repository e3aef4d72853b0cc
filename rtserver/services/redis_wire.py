"""Pub/sub on the wire: one connection in subscriber mode, from bytes to calls of sinks.

Redis documentation, "Pub/Sub", RESP2: after SUBSCRIBE the connection carries arrays: ``[message, name, payload]``,
``[pmessage, pattern, name, payload]``, and one acknowledgement ``[subscribe, name, count]`` for each name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import hiredis
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtserver.core.errors import BrokerError, BrokerUnavailable
from rtserver.services.redis_commands import Greeting
from rtserver.services.redis_errors import reply_error
from rtserver.services.redis_link import nobody
from rtserver.services.throttle import Throttle

_log = Logger()

CHUNK = 1000
"""Names in one SUBSCRIBE of a new connection."""

Sink = Callable[[bytes], None]
PatternSink = Callable[[bytes, bytes], None]
"""Gets the channel's name and the payload."""


@dataclass(slots=True)
class Routes:
    """What is subscribed, and who gets the payloads: the truth that every new connection is given."""

    channels: dict[bytes, Sink] = field(default_factory=dict)
    patterns: dict[bytes, PatternSink] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WireEvents:
    """``began``: a connection is about to be prepared. ``acknowledged``: Redis has confirmed the newest subscription to a
    name. ``refused``: it refused one."""

    began: Callable[[SubscriberSession], None]
    acknowledged: Callable[[bytes], None]
    refused: Callable[[BrokerError], None]


class SubscriberSession(Protocol):
    """One connection in subscriber mode."""

    transport: Any

    def __init__(self, routes: Routes, greeting: Greeting, events: WireEvents, throttle: Throttle) -> None:
        self._routes = routes
        self._greeting = greeting
        self.on_lost: Callable[[Failure], None] = nobody
        self._events = events
        self._throttle = throttle
        self._reader = hiredis.Reader()
        self._asked: deque[Deferred[Any]] = deque()
        self._unconfirmed: dict[bytes, int] = {}
        self._settled: Deferred[None] | None = None
        self._paused = False
        self.live = False
        """Whether the subscriptions were sent, so that later ones must be sent one by one."""
        self.heard = True
        """Set by every byte that comes."""

    # Called by the link

    def prepare(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._prepare())

    async def _prepare(self) -> None:
        self._events.began(self)
        await self._greeting(self._ask)
        self.live = True
        self._send_all(b"SUBSCRIBE", self._routes.channels)
        self._send_all(b"PSUBSCRIBE", self._routes.patterns)
        if self._unconfirmed:
            self._settled = Deferred()
            await self._settled

    # Called by the subscriber

    def subscribe(self, verb: bytes, names: Iterable[bytes]) -> None:
        """``verb`` is SUBSCRIBE or PSUBSCRIBE; each name is told to ``acknowledged`` in time."""
        command = (verb, *names)
        for name in command[1:]:
            self._unconfirmed[name] = self._unconfirmed.get(name, 0) + 1
        self.transport.write(hiredis.pack_command(command))

    def unsubscribe(self, verb: bytes, names: Iterable[bytes]) -> None:
        self.transport.write(hiredis.pack_command((verb, *names)))

    def ping(self) -> None:
        self.transport.write(hiredis.pack_command((b"PING",)))

    @property
    def paused(self) -> bool:
        return self._paused

    def pause(self) -> None:
        """Stop reading, also what is parsed but not delivered yet."""
        if not self._paused:
            self._paused = True
            self.transport.pauseProducing()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()
            self._parse()

    # Called by Twisted

    def dataReceived(self, data: bytes) -> None:
        self.heard = True
        self._reader.feed(data)
        self._parse()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.on_lost(reason)
        asked, self._asked = self._asked, deque()
        for answer in asked:
            if not answer.called:
                answer.errback(BrokerUnavailable("the connection to Redis was lost before it was ready: try again"))

    def _parse(self) -> None:
        gets = self._reader.gets
        sinks = self._routes.channels
        while not self._paused:
            try:
                # The hot loop: one turn a message, nothing but a look-up and a call.
                while not self._paused:
                    item = gets()
                    if item is False:
                        return
                    if type(item) is list and item[0] == b"message":
                        sink = sinks.get(item[1])
                        if sink is not None:
                            sink(item[2])
                    else:
                        self._take(item)
            except hiredis.ProtocolError:
                _log.error("Redis sent bytes that are no RESP: the connection is closed and made anew")
                self.transport.abortConnection()
                return
            except Exception:
                # One bad message must not end the delivery of all others.
                if self._throttle.ready():
                    _log.failure("a message of Redis was not delivered ({n} more)", n=self._throttle.take_skipped())

    def _take(self, item: Any) -> None:
        """Anything but a message of a subscribed channel."""
        take = _KINDS.get(item[0]) if type(item) is list and item and type(item[0]) is bytes else None
        if take is not None:
            take(self, item)
        elif self._asked:
            self._answer(item)
        elif isinstance(item, hiredis.ReplyError):
            self._refuse(reply_error(str(item)))

    def _take_pattern_message(self, item: list[Any]) -> None:
        sink = self._routes.patterns.get(item[1])
        if sink is not None:
            sink(item[2], item[3])

    def _take_acknowledgement(self, item: list[Any]) -> None:
        name = item[1]
        left = self._unconfirmed.get(name, 1) - 1
        if left:
            # An older subscription to the same name; there was an unsubscription in between.
            self._unconfirmed[name] = left
            return
        self._unconfirmed.pop(name, None)
        self._events.acknowledged(name)
        if not self._unconfirmed and self._settled is not None:
            settled, self._settled = self._settled, None
            settled.callback(None)

    def _ignore(self, item: list[Any]) -> None:
        """Answers to PING and to unsubscriptions say only that Redis lives, and ``heard`` knows that."""

    def _answer(self, item: Any) -> None:
        answer = self._asked.popleft()
        if isinstance(item, hiredis.ReplyError):
            answer.errback(reply_error(str(item)))
        else:
            answer.callback(item)

    def _refuse(self, error: BrokerError) -> None:
        if self._settled is not None:
            settled, self._settled = self._settled, None
            settled.errback(error)
        else:
            self._events.refused(error)

    def _ask(self, *args: Any) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        self._asked.append(answer)
        self.transport.write(hiredis.pack_command(args))
        return answer

    def _send_all(self, verb: bytes, names: Iterable[bytes]) -> None:
        every = list(names)
        for start in range(0, len(every), CHUNK):
            self.subscribe(verb, every[start : start + CHUNK])


_KINDS: dict[bytes, Callable[[SubscriberSession, list[Any]], None]] = {
    b"pmessage": SubscriberSession._take_pattern_message,
    b"subscribe": SubscriberSession._take_acknowledgement,
    b"psubscribe": SubscriberSession._take_acknowledgement,
    b"unsubscribe": SubscriberSession._ignore,
    b"punsubscribe": SubscriberSession._ignore,
    b"pong": SubscriberSession._ignore,
}
