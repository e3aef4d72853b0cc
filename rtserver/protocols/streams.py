"""Connections that are one long HTTP response: ``http_stream``, ``sse`` and their unidirectional forms (1.5, 1.6, 1.8).

The client's later commands come by ``/emulation``. A disconnect is a push and then the end of the response.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from rtserver.core import errors
from rtserver.core.errors import DisconnectReason
from rtserver.core.host import Host
from rtserver.core.ports import Handshake
from rtserver.core.session import Session
from rtserver.protocols.entrance import Entrance, Refusal, allow_origin, header, preflight, refuse
from rtserver.protocols.outbound import Drain, EagerWriter
from rtserver.protocols.wires import wire
from rtserver.protocols.ws import CLOSE_TIMEOUT, connect_unidirectional

_NO_CACHE = {
    "x-accel-buffering": "no",
    "cache-control": "private, no-cache, no-store, must-revalidate, max-age=0",
    "pragma": "no-cache",
    "expire": "0",
}


@dataclass(frozen=True, slots=True)
class StreamKind:
    """One of the transports. ``opening`` are the first bytes of the response; ``needs_body`` as section 1.8 says."""

    name: str
    content_type: str
    methods: tuple[bytes, ...]
    opening: bytes = b""
    unidirectional: bool = False
    needs_body: bool = True


EVENT_STREAM = "text/event-stream; charset=utf-8"
KINDS = {
    kind.name: kind
    for kind in (
        StreamKind("http_stream", "application/json; charset=utf-8", (b"POST",)),
        StreamKind("sse", EVENT_STREAM, (b"GET", b"POST"), b"\r\n"),
        StreamKind("uni_http_stream", "application/json; charset=utf-8", (b"POST",), unidirectional=True),
        StreamKind("uni_sse", EVENT_STREAM, (b"GET", b"POST"), b"\r\n", unidirectional=True, needs_body=False),
    )
}


@dataclass(frozen=True, slots=True)
class StreamParts:
    """What all streaming resources share. ``max_body`` in bytes."""

    host: Host
    entrance: Entrance
    drain: Drain
    clock: IReactorTime
    max_body: int = 65_536


class StreamOutbound:
    """``core.ports.Outbound`` on the response of a request. Chunks are written by us, eagerly, past ``Request.write``."""

    def __init__(self, request: Request, parts: StreamParts) -> None:
        self._request = request
        self._clock = parts.clock
        self._chunked = bool(request.chunked)
        self._transport = request.channel.transport
        self._writer = EagerWriter(self._transport, parts.host.env.client.queue_max_size, parts.drain, self._too_slow)
        self._over = False
        self._finishing: IDelayedCall | None = None
        self.session: Session | None = None

    def write(self, data: bytes) -> None:
        if not self._over:
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def close(self, reason: DisconnectReason) -> None:
        if self._over:
            return
        if reason in (errors.SLOW, errors.WRITE_ERROR):
            self.ended()
            self._transport.abortConnection()
            return
        if self.session is not None:
            self.write(self.session.goodbye(reason))
        self._finish()

    def finish(self) -> None:
        """The client ends its request when it has read the error; a response that ended at once reads as a reconnect."""
        self._finishing = self._clock.callLater(CLOSE_TIMEOUT, self._finish)

    def _finish(self) -> None:
        if not self._over:
            self.ended()
            self._request.finish()

    def pause(self) -> None:
        """Commands come by other requests; the session bounds how many may wait."""

    def resume(self) -> None:
        """See ``pause``."""

    def ended(self) -> None:
        """The response is over, by us or by the client."""
        self._over = True
        self._writer.stop()
        if self._finishing is not None and self._finishing.active():
            self._finishing.cancel()

    def _too_slow(self, reason: DisconnectReason) -> None:
        if self.session is not None:
            self.session.close(reason)


class StreamResource(Resource):
    """The path of one streaming transport."""

    isLeaf = True

    def __init__(self, kind: StreamKind, parts: StreamParts) -> None:
        super().__init__()
        self._kind = kind
        self._parts = parts

    def render(self, request: Request) -> bytes | int:
        if request.method == b"OPTIONS":
            return self._preflight(request)
        body = _first_frame(request, self._kind, self._parts.max_body)
        refusal = body if isinstance(body, Refusal) else self._parts.entrance.refuse(request)
        if refusal is not None:
            return refuse(request, refusal)
        assert isinstance(body, bytes)
        self._begin(request, body)
        return NOT_DONE_YET

    def _preflight(self, request: Request) -> bytes:
        origin = header(request, "origin")
        if origin is not None and not self._parts.entrance.allows(origin):
            return refuse(request, Refusal(403, "this origin is not allowed: add it to client.allowed_origins"))
        allow_origin(request)
        return preflight(request, b", ".join((*self._kind.methods, b"OPTIONS")).decode())

    def _begin(self, request: Request, body: bytes) -> None:
        protobuf = self._kind.name == "http_stream" and _is_protobuf(request)
        name = f"{self._kind.name}/{'protobuf' if protobuf else 'json'}"
        self._answer(request, "application/octet-stream" if protobuf else self._kind.content_type)
        outbound = StreamOutbound(request, self._parts)
        session = Session(self._parts.host, wire(name), outbound, self._handshake(request))
        outbound.session = session
        self._parts.entrance.entered()
        request.notifyFinish().addBoth(self._over, outbound, session)
        if self._kind.opening:
            outbound.write(self._kind.opening)
        if self._kind.unidirectional:
            connect_unidirectional(session, body or b"{}")
        else:
            session.received_frame(body)

    def _answer(self, request: Request, content_type: str) -> None:
        """Send the head of the response now; what follows goes past the request object."""
        allow_origin(request)
        for name, value in _NO_CACHE.items():
            request.setHeader(name, value)
        request.setHeader("content-type", content_type)
        transport = request.channel.transport
        if hasattr(transport, "setTcpNoDelay") and not transport.getHost().__class__.__name__.startswith("UNIX"):
            transport.setTcpNoDelay(True)
        request.write(b"")

    def _handshake(self, request: Request) -> Handshake:
        return Handshake(
            self._kind.name,
            headers_of(request),
            getattr(request.getClientAddress(), "host", ""),
            emulation=not self._kind.unidirectional,
        )

    def _over(self, result: Failure | None, outbound: StreamOutbound, session: Session) -> None:
        outbound.ended()
        self._parts.entrance.left()
        session.lost()


def _first_frame(request: Request, kind: StreamKind, limit: int) -> bytes | Refusal:
    if request.method not in kind.methods:
        request.setHeader(b"allow", b", ".join((*kind.methods, b"OPTIONS")))
        return Refusal(405, "this address takes " + b" and ".join(kind.methods).decode())
    if request.method == b"GET":
        body = (request.args.get(b"cf_connect") or [b""])[0]
    else:
        body = request.content.read(limit + 1)
    if len(body) > limit:
        return Refusal(413, f"the first frame is larger than {limit} bytes")
    if not body and kind.needs_body:
        return Refusal(400, "the connect command is missing: send it as the body or as cf_connect")
    return body


def _is_protobuf(request: Request) -> bool:
    return (header(request, "content-type") or "").partition(";")[0].strip() == "application/octet-stream"


def headers_of(request: Request) -> dict[str, str]:
    """Lower-case names to values, several values of a name joined as RFC 9110 section 5.3 allows."""
    return {
        name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
        for name, values in request.requestHeaders.getAllRawHeaders()
    }


Deliver = Callable[[str, str, bytes], bool]
"""Node id, session secret and frame; False when there is no such node."""


class EmulationResource(Resource):
    """Takes the later frames of clients whose connection is a response. An unknown session still answers 204 (1.7)."""

    isLeaf = True

    def __init__(self, entrance: Entrance, deliver: Deliver, max_body: int = 65_536) -> None:
        super().__init__()
        self._entrance = entrance
        self._deliver = deliver
        self._max_body = max_body

    def render(self, request: Request) -> bytes:
        origin = header(request, "origin")
        if origin is not None and not self._entrance.allows(origin):
            return refuse(request, Refusal(403, "this origin is not allowed: add it to client.allowed_origins"))
        allow_origin(request)
        if request.method == b"OPTIONS":
            return preflight(request, "POST, OPTIONS")
        if request.method != b"POST":
            request.setHeader(b"allow", b"POST, OPTIONS")
            return refuse(request, Refusal(405, "this address takes POST"))
        body = request.content.read(self._max_body + 1)
        if len(body) > self._max_body:
            return refuse(request, Refusal(413, f"the body is larger than {self._max_body} bytes"))
        return self._take(request, body)

    def _take(self, request: Request, body: bytes) -> bytes:
        name = "http_stream/protobuf" if _is_protobuf(request) else "http_stream/json"
        codec = wire(name).codec
        try:
            node, session, frame = codec.decode_emulation(body)
        except errors.BadFrame as error:
            return refuse(request, Refusal(400, str(error)))
        if not self._deliver(node, session, frame):
            return refuse(request, Refusal(404, "no such node: connect again"))
        request.setResponseCode(204)
        return b""
