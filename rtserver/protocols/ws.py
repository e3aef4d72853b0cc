"""Autobahn meets the session: frames, limits, close codes, the queue of one WebSocket connection.

``Connection`` is the WebSocket protocol alone and knows no client protocol; ``ClientConnection`` puts a session on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime

from rtserver.core import errors
from rtserver.core.errors import BadFrame, DisconnectReason
from rtserver.core.host import Host
from rtserver.core.messages import ConnectRequest
from rtserver.core.ports import Handshake
from rtserver.core.session import Session, State
from rtserver.core.wire import FramedWire
from rtserver.protocols.outbound import Drain, EagerWriter
from rtserver.protocols.whole_frames import whole_message
from rtserver.protocols.wires import PONG, WINDOW_BITS, deflated_wire, websocket_frame, wire

CLOSE_TIMEOUT = 5
"""Seconds that a client has to answer a close frame, or to read the error that its connect was refused with."""

FORMATS = {"centrifuge-json": "json", "centrifuge-protobuf": "protobuf"}


@dataclass(frozen=True, slots=True)
class WebSocketOptions:
    """Sizes in bytes, times in seconds. ``frame_ping`` is for clients that ask for native pings (section 1.2)."""

    message_size_limit: int = 65_536
    write_timeout: float = 1.0
    compression: bool = False
    compression_min_size: int = 512
    handshake_timeout: float = 5.0
    frame_ping_interval: float = 25.0
    frame_ping_timeout: float = 10.0


class Connection(WebSocketServerProtocol):  # type: ignore[misc]
    """A WebSocket whose frames take the production path. Subclasses get ``opened``, ``received`` and ``closed``."""

    factory: ConnectionFactory
    writer: EagerWriter | None = None
    remote = ""
    """The client's address, "" when it is not known."""
    _finishing: IDelayedCall | None = None
    _leaving: IDelayedCall | None = None

    # What subclasses say

    def opened(self) -> None:
        """The handshake is done."""

    def received(self, payload: bytes) -> None:
        """A whole message, text or binary."""

    def closed(self) -> None:
        """The connection is over."""

    # The writing side (``core.ports.Outbound``)

    def write(self, data: bytes) -> None:
        """Write whole frames. From the open handshake to the close frame the writer's own method stands in its place."""

    def close(self, reason: DisconnectReason) -> None:
        if reason in (errors.SLOW, errors.WRITE_ERROR):
            self._abort()
        elif self.state == self.STATE_OPEN:
            self.sendClose(reason.code, reason.reason)
            self.resume()
        elif self.state == self.STATE_CONNECTING:
            self._abort()

    def finish(self) -> None:
        self._finishing = self.factory.clock.callLater(CLOSE_TIMEOUT, self._finish)

    def _finish(self) -> None:
        self._finishing = None
        if self.state == self.STATE_OPEN:
            self.sendClose(1000)

    def pause(self) -> None:
        self.transport.pauseProducing()

    def resume(self) -> None:
        self.transport.resumeProducing()

    def _abort(self) -> None:
        """Nothing that waits is sent: there is too much of it, or nobody to read it."""
        self.dropConnection(abort=True)

    # What Autobahn and Twisted call

    def dataReceived(self, data: bytes) -> None:
        """As the base class, without its log line per chunk; messages that came whole take the short way."""
        at = 0
        while self._at_start_of_frame():
            found = whole_message(data, at, self.factory.options.message_size_limit)
            if found is None:
                break
            at = found.end
            self.onMessage(found.payload, found.is_binary)
        if at < len(data):
            self._dataReceived(data[at:] if at else data)

    def _at_start_of_frame(self) -> bool:
        """Open, with nothing begun that Autobahn has to go on with, and no ping of ours that any frame would answer."""
        return (
            self.state == self.STATE_OPEN
            and not self.data
            and self.current_frame is None
            and not self.inside_message
            and self.autoPingTimeoutCall is None
        )

    def onOpen(self) -> None:
        """Autobahn's own tcpNoDelay option is read before it is set and never takes effect; Nagle costs 40 ms."""
        if hasattr(self.transport, "setTcpNoDelay") and self.factory.is_tcp(self.transport):
            self.transport.setTcpNoDelay(True)
        self.writer = EagerWriter(self.transport, self.factory.queue_max_size, self.factory.drain, self.too_slow)
        self.write = self.writer.write
        self.opened()

    def sendCloseFrame(self, *args: Any, **named: Any) -> None:
        """No data frame may follow a close frame (RFC 6455 section 5.5.1). A client that has answered ours, or whose own we
        answer, may still not take what waits for it; nobody else watches over that any more."""
        if self.writer is not None:
            self.writer.stop()
        super().sendCloseFrame(*args, **named)
        if self._leaving is None:
            self._leaving = self.factory.clock.callLater(2 * CLOSE_TIMEOUT, self.transport.abortConnection)

    def onPing(self, payload: bytes) -> None:
        """Through the writer, whose queue is bounded: Autobahn's own pongs would wait without limit."""
        self.write(websocket_frame(PONG, payload))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.received(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        for timer in (self._finishing, self._leaving):
            if timer is not None and timer.active():
                timer.cancel()
        if self.writer is not None:
            self.writer.stop()
        self.closed()
        self._let_go()

    def _let_go(self) -> None:
        """Break the circles among connection, session and writer: what is over is freed at once, not by the collector, whose
        walk over ten thousand connections takes a tenth of a second."""
        self.writer = None
        self.__dict__.pop("write", None)
        self.is_open = self.is_closed = None

    def too_slow(self, reason: DisconnectReason) -> None:
        self._abort()


class ClientConnection(Connection):
    """A client on the Centrifuge protocol, bidirectional (``websocket``) or not (``uni_websocket``)."""

    session: Session | None = None
    _wire: FramedWire
    _handshake: Handshake
    _first: str = ""

    def onConnect(self, request: Any) -> str | None:
        """Choose the encoding (section 1.2). A sub-protocol is echoed only when the client offered it."""
        chosen = next((name for name in request.protocols if name in FORMATS), None)
        query = request.params
        wants_protobuf = "protobuf" in query.get("format", []) + query.get("cf_protocol", [])
        format = "protobuf" if wants_protobuf or chosen == "centrifuge-protobuf" else "json"
        transport = self.factory.transport_name
        name = f"{transport}/json" if transport == "uni_websocket" else f"{transport}/{format}"
        native_pings = "true" in query.get("cf_ws_frame_ping_pong", [])
        if native_pings:
            self.autoPingInterval = self.factory.options.frame_ping_interval
            self.autoPingTimeout = self.factory.options.frame_ping_timeout
        self._wire = wire(name)
        self._handshake = Handshake(transport, request.headers, self.remote, app_ping=not native_pings)
        self._first = (query.get("cf_connect") or [""])[0]
        return chosen if transport == "websocket" else None

    def opened(self) -> None:
        if self._perMessageCompress is not None:
            self._wire = deflated_wire(self._wire.name, self.factory.options.compression_min_size)
        self.session = Session(self.factory.host, self._wire, self, self._handshake)
        if self._wire.unidirectional and self._first:
            self.received(self._first.encode())

    def received(self, payload: bytes) -> None:
        if self.session is None:
            return
        if not self._wire.unidirectional:
            self.session.received_frame(payload)
        elif self.session.state is State.WAITING:
            connect_unidirectional(self.session, payload)

    def too_slow(self, reason: DisconnectReason) -> None:
        if self.session is not None:
            self.session.close(reason)

    def close(self, reason: DisconnectReason) -> None:
        """A unidirectional client gets a disconnect push and the close frame."""
        if self.session is not None and self._wire.unidirectional and reason not in (errors.SLOW, errors.WRITE_ERROR):
            self.write(self.session.goodbye(reason))
        super().close(reason)

    def closed(self) -> None:
        self.factory.gone(self)
        if self.session is not None:
            self.session.lost()
            self.session = None


def connect_unidirectional(session: Session, body: bytes) -> None:
    """The bare connect request of a client that sends nothing else."""
    try:
        request: ConnectRequest = session.wire.codec.decode_connect_request(body)
    except BadFrame as error:
        session.close(errors.BAD_FRAME, str(error))
        return
    session.host.env.spawn(session.connect_unidirectional(request))


class ConnectionFactory(WebSocketServerFactory):  # type: ignore[misc]
    """Makes the connections of one transport ("websocket" or "uni_websocket") and holds what they share."""

    protocol = ClientConnection

    def __init__(
        self, host: Host, options: WebSocketOptions, drain: Drain, clock: IReactorTime, transport: str = "websocket"
    ) -> None:
        super().__init__()
        self.host = host
        self.options = options
        self.drain = drain
        self.clock = clock
        self.transport_name = transport
        self.queue_max_size = host.env.client.queue_max_size
        self.on_gone: Callable[[], None] = lambda: None
        self.startFactory()
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            utf8validateIncoming=True,
            requireMaskedClientFrames=True,
            maskServerFrames=False,
            maxFramePayloadSize=options.message_size_limit,
            maxMessagePayloadSize=options.message_size_limit,
            autoFragmentSize=0,
            failByDrop=False,
            echoCloseCodeReason=False,
            openHandshakeTimeout=options.handshake_timeout,
            closeHandshakeTimeout=CLOSE_TIMEOUT,
            tcpNoDelay=True,
            allowedOrigins=["*"],
            allowNullOrigin=True,
            perMessageCompressionAccept=self._accept_deflate if options.compression else _refuse_compression,
        )

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        """``addr`` is the client's, which need not be the other end of the transport."""
        connection: Connection = super().buildProtocol(addr)
        connection.remote = getattr(addr, "host", "")
        return connection

    def _accept_deflate(self, offers: list[Any]) -> PerMessageDeflateOfferAccept | None:
        """Deflate without context takeover and with a small window: frames can be shared, memory stays bounded.

        What a message inflates to counts against the message limit as well."""
        for offer in offers:
            if isinstance(offer, PerMessageDeflateOffer) and (offer.request_max_window_bits or 15) >= WINDOW_BITS:
                return PerMessageDeflateOfferAccept(
                    offer,
                    request_no_context_takeover=offer.accept_no_context_takeover,
                    no_context_takeover=True,
                    window_bits=WINDOW_BITS,
                    mem_level=4,
                    max_message_size=self.options.message_size_limit,
                )
        return None

    def gone(self, connection: Connection) -> None:
        self.on_gone()

    def is_tcp(self, transport: Any) -> bool:
        return not transport.getHost().__class__.__name__.startswith("UNIX")


def _refuse_compression(offers: list[Any]) -> None:
    return None
