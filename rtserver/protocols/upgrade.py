"""From an HTTP request to a WebSocket: the place where a transport changes hands inside one port."""

from __future__ import annotations

from twisted.protocols.policies import ProtocolWrapper
from twisted.web.http import HTTPChannel, Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from rtserver.protocols.entrance import Entrance, Refusal, header, refuse
from rtserver.protocols.ws import Connection, ConnectionFactory


class UpgradeResource(Resource):
    """A path where WebSocket connections are made."""

    isLeaf = True

    def __init__(self, factory: ConnectionFactory, entrance: Entrance) -> None:
        super().__init__()
        self._factory = factory
        self._entrance = entrance
        factory.on_gone = entrance.left

    def render(self, request: Request) -> bytes | int:
        refusal = _not_websocket(request) or self._entrance.refuse(request)
        if refusal is not None:
            return refuse(request, refusal)
        self._entrance.entered()
        connection = self._factory.buildProtocol(request.getClientAddress())
        _hand_over(request, connection)
        self._factory.clock.callLater(0, _untie, request.channel, request)
        return NOT_DONE_YET


def _not_websocket(request: Request) -> Refusal | None:
    """RFC 6455 section 4.2.1; what is left of it Autobahn checks."""
    if request.method != b"GET":
        request.setHeader(b"allow", b"GET")
        return Refusal(405, "a WebSocket handshake is a GET request")
    if (header(request, "upgrade") or "").lower() != "websocket":
        request.setHeader(b"upgrade", b"websocket")
        return Refusal(426, "this address speaks WebSocket only: connect with ws:// or wss://")
    if request.channel is None or request.channel.transport is None:
        return Refusal(426, "a WebSocket needs an HTTP/1.1 connection")
    return None


def _hand_over(request: Request, connection: Connection) -> None:
    """Give the request's transport to ``connection`` and let it answer the handshake.

    The HTTP channel must let go of it wholly: its idle timer, and its place as the transport's producer (else a producer
    of ours could not be registered, and its buffers would stay in memory).
    """
    channel = request.channel
    channel.setTimeout(None)
    transport, channel.transport = channel.transport, None
    channel.rawDataReceived = connection.dataReceived  # what came in one packet with the handshake
    transport.unregisterProducer()
    if isinstance(transport, ProtocolWrapper):
        transport.wrappedProtocol = connection
    elif isinstance(transport.protocol, ProtocolWrapper):
        transport.protocol.wrappedProtocol = connection
    else:
        transport.protocol = connection
    connection.makeConnection(transport)
    transport.resumeProducing()
    connection.dataReceived(_head(request))


def _untie(channel: HTTPChannel, request: Request) -> None:
    """Channel and request hold each other, and what holds itself stays in memory until the collector's next full walk. In the
    turn of the handshake Twisted still works with both."""
    channel.requests.clear()
    channel.__dict__.pop("rawDataReceived", None)
    request.channel = None


def _head(request: Request) -> bytes:
    """The request once more, for Autobahn's own parser. Its header bytes were checked by ``Entrance``."""
    lines = [request.method + b" " + request.uri + b" HTTP/1.1"]
    for name, values in request.requestHeaders.getAllRawHeaders():
        lines.append(name + b": " + b", ".join(values))
    return b"\r\n".join(lines) + b"\r\n\r\n"
