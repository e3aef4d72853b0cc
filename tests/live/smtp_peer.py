"""A mail server that is played: it says what a test says, whatever it hears."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as running
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

reactor: Any = running


class Peer(Protocol):
    """Says what the test says, line after line of what it hears."""

    factory: Any

    def connectionMade(self) -> None:
        self.factory.connected.append(self)
        self.says = list(self.factory.says)
        self.say()

    def dataReceived(self, data: bytes) -> None:
        self.factory.heard += data
        self.say()

    def connectionLost(self, reason: Any = None) -> None:
        if not self.factory.lost.called:
            self.factory.lost.callback(None)

    def say(self) -> None:
        transport: Any = self.transport
        if self.says:
            transport.write(self.says.pop(0))
        elif self.factory.then_drops:
            transport.abortConnection()


class Speaking:
    """A server on a free port that says ``says`` on each connection, and then nothing or ``then_drops`` it."""

    def __init__(self, *says: bytes, then_drops: bool = False) -> None:
        self.factory: Any = Factory.forProtocol(Peer)
        self.factory.says = says
        self.factory.then_drops = then_drops
        self.factory.connected = []
        self.factory.heard = b""
        self.factory.lost = Deferred()

    async def __aenter__(self) -> Speaking:
        self._port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        self.port = self._port.getHost().port
        return self

    async def __aexit__(self, *_: object) -> None:
        for peer in self.factory.connected:
            peer.transport.abortConnection()
        await self._port.stopListening()
