"""What only the server's own end of a connection can tell: a whole server in this process."""

import signal
import socket

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Protocol

from rtserver.config import load
from rtserver.tap import build
from tests.deadline import deadline

CONFIG = """
listen = ["tcp:0:interface=127.0.0.1"]
[client]
allow_anonymous_connect_without_token = true
[client.token]
hmac_secret_key = "a key of this test that is long enough"
[http_api]
key = "key"
"""

UPGRADE = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
STREAM = (
    b"POST /connection/http_stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b'Content-Length: 21\r\n\r\n{"id":1,"connect":{}}'
)


class Talker(Protocol):
    """Sends some bytes and waits for an answer with some others in it."""

    def __init__(self, sent, awaited, done):
        self._sent, self._awaited, self._done = sent, awaited, done
        self._got = b""

    def connectionMade(self):
        self.transport.write(self._sent)

    def dataReceived(self, data):
        self._got += data
        if self._awaited in self._got and not self._done.called:
            self._done.callback(self._got)


def talk(port, sent, awaited):
    done = Deferred()
    factory = ClientFactory()
    factory.buildProtocol = lambda address: Talker(sent, awaited, done)
    return reactor.connectTCP("127.0.0.1", port, factory), done


@pytest.mark.parametrize(("asked", "awaited"), [(UPGRADE, b"\r\n\r\n"), (STREAM, b'"connect"')], ids=["ws", "stream"])
@deadline(10)
async def test_nagle_is_off_on_every_client_connection(asked, awaited):
    """With it a message to a quiet client waits up to 40 ms for the acknowledgement of the one before."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    server = build(reactor, load(CONFIG, {}), lambda *arguments, **fields: None)
    server.startService()
    await server._starting
    try:
        client, done = talk(server._ports[0].getHost().port, asked, awaited)
        await done
        (session,) = server._node.open_sessions
        transport = getattr(session.outbound, "transport", None) or session.outbound._transport
        assert transport.getHandle().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        client.disconnect()
    finally:
        await server.stopService()
        for number, handler in handlers.items():
            signal.signal(number, handler)
