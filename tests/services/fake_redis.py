"""A Redis of a few lines behind an endpoint that opens no socket. It answers as fast as a function call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hiredis
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.python.failure import Failure

Reply = bytes | None
"""Bytes of the protocol; None: no answer."""


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


def array(*items: bytes | int) -> bytes:
    inside = [b":%d\r\n" % item if isinstance(item, int) else bulk(item) for item in items]
    return b"*%d\r\n" % len(items) + b"".join(inside)


class FakeTransport:
    """The server's side of one connection: what was asked, and a way to send and to hang up."""

    def __init__(self, protocol: Any, server: FakeRedis) -> None:
        self.protocol = protocol
        self.server = server
        self.asked: list[tuple[bytes, ...]] = []
        self.open = True
        self.reading = True
        self.disconnecting = False
        self._reader = hiredis.Reader()

    def write(self, data: bytes) -> None:
        self._reader.feed(data)
        while (command := self._reader.gets()) is not False:
            self.asked.append(tuple(command))
            for reply in self.server.answer(tuple(command)):
                self.server.later.append((self, reply))

    def send(self, data: bytes) -> None:
        if self.open:
            self.protocol.dataReceived(data)

    def abortConnection(self) -> None:
        self.server.later.append((self, None))

    loseConnection = abortConnection

    def hang_up(self) -> None:
        if self.open:
            self.open = False
            self.protocol.connectionLost(Failure(ConnectionLost()))

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True


class FakeRedis:
    """Is its own endpoint. ``replies`` maps a command's first word to what answers it, in place of the usual answer."""

    def __init__(self) -> None:
        self.replies: dict[bytes, Callable[[tuple[bytes, ...]], list[Reply]]] = {}
        self.up = True
        self.connections: list[FakeTransport] = []
        self.attempts = 0
        self.later: list[tuple[FakeTransport, Reply]] = []
        """What the next ``turn`` delivers: bytes, or None for the end of a connection."""

    def connect(self, factory: Any) -> Deferred[Any]:
        self.attempts += 1
        result: Deferred[Any] = Deferred()
        if not self.up:
            result.errback(ConnectionRefusedError())
            return result
        protocol = factory.buildProtocol(None)
        transport = FakeTransport(protocol, self)
        self.connections.append(transport)
        protocol.makeConnection(transport)
        result.callback(protocol)
        return result

    @property
    def connection(self) -> FakeTransport:
        return self.connections[-1]

    def answer(self, command: tuple[bytes, ...]) -> list[Reply]:
        verb = command[0]
        if verb in self.replies:
            return self.replies[verb](command)
        if verb in (b"SUBSCRIBE", b"PSUBSCRIBE", b"UNSUBSCRIBE", b"PUNSUBSCRIBE"):
            return [array(verb.lower(), name, 1) for name in command[1:]]
        if verb == b"PING":
            return [array(b"pong", b"")]
        return [b"+OK\r\n"]

    def turn(self) -> None:
        """Deliver everything that is under way, as reactor turns would."""
        while self.later:
            transport, reply = self.later.pop(0)
            if reply is None:
                transport.hang_up()
            else:
                transport.send(reply)
