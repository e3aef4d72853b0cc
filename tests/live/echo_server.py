"""A WebSocket server that answers every message with itself, on the connection class and the writing path of rtserver.

``python -m tests.live.echo_server`` prints its port and runs until its standard input ends.
"""

import time
from types import SimpleNamespace

from twisted.internet import reactor, stdio
from twisted.internet.protocol import Protocol

from rtserver.core.options import ClientOptions
from rtserver.protocols.entrance import Entrance
from rtserver.protocols.outbound import Drain
from rtserver.protocols.upgrade import UpgradeResource
from rtserver.protocols.wires import BINARY, TEXT, deflated, websocket_frame
from rtserver.protocols.ws import Connection, ConnectionFactory, WebSocketOptions
from rtserver.web.site import Paths, RtSite, SiteLimits

SIZE = 64 * 1024 * 1024
"""Bytes: the suite sends messages of 16 MiB."""

DEFLATED = {TEXT: deflated(TEXT, 0), BINARY: deflated(BINARY, 0)}


class EchoConnection(Connection):
    """Sends every message back as what it came as, text or binary, compressed where the handshake agreed on that."""

    def onMessage(self, payload, isBinary):
        first = BINARY if isBinary else TEXT
        packed = self._perMessageCompress is not None
        self.write(DEFLATED[first](payload) if packed else websocket_frame(first, payload))

    def closed(self):
        self.factory.gone(self)


class UntilEndOfInput(Protocol):
    def connectionLost(self, reason):
        reactor.stop()


def main():
    client = ClientOptions(queue_max_size=SIZE)
    host = SimpleNamespace(env=SimpleNamespace(client=client))
    drain = Drain(60.0, time.monotonic)
    options = WebSocketOptions(message_size_limit=SIZE, compression=True, compression_min_size=0)
    factory = ConnectionFactory(host, options, drain, reactor)
    factory.protocol = EchoConnection
    upgrade = UpgradeResource(factory, Entrance(client, time.monotonic, lambda: ""))
    port = reactor.listenTCP(0, RtSite(Paths({"/": upgrade}), reactor, SiteLimits()), interface="127.0.0.1")
    stdio.StandardIO(UntilEndOfInput())
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
