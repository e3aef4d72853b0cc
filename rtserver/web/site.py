"""The HTTP side of a port: exact paths, bounded requests, no HTTP/2 (WebSocket does not work over it here)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

from rtserver.core.forwarded import NOBODY, TrustedProxies
from rtserver.eager import PLAIN, write_now
from rtserver.web.endpoints import EndpointsResource
from rtserver.web.outgoing import Outgoing

LINGER = 2.0
"""Seconds that a client has to stop sending a body that was refused. Closed at once, with bytes of it unread, TCP would
reset the connection and the client could not read why (RFC 9112 section 9.6)."""


class BoundedRequest(Request):
    """Refuses bodies above ``max_body`` bytes with 413, chunked ones too, before they are kept."""

    max_body = 1_048_576
    proxies = NOBODY
    _received = 0
    _refused = False
    _closing: IDelayedCall | None = None

    def gotLength(self, length: int | None) -> None:
        if length is not None and length > self.max_body:
            self._refuse()
            super().gotLength(0)
        else:
            super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > self.max_body:
            self._refuse()
        elif not self._refused:
            super().handleContentChunk(data)

    def process(self) -> None:
        if self._refused:
            self.channel.transport.loseConnection()
        else:
            super().process()

    def connectionLost(self, reason: Failure) -> None:
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        super().connectionLost(reason)

    def getClientAddress(self) -> IAddress:
        """Of the client and not of a trusted proxy before it. The port of a client behind a proxy is not known: 0."""
        peer: IAddress = super().getClientAddress()
        if not self.proxies or not isinstance(peer, IPv4Address | IPv6Address | UNIXAddress):
            return peer
        host = getattr(peer, "host", "")
        forwarded = b",".join(self.requestHeaders.getRawHeaders(b"x-forwarded-for", ()))
        client = self.proxies.client(host, forwarded.decode("latin-1")) if forwarded else host
        if client == host:
            return peer
        return (IPv6Address if ":" in client else IPv4Address)("TCP", client, 0)

    def answer(self, body: bytes, head: bytes = b"") -> None:
        """The whole answer, its head as set until now and then ``head``, which is whole lines. ``write`` and ``finish`` would
        make a write of every part."""
        parts = [self.clientproto, b" %d " % self.code, self.code_message, b"\r\n"]
        for name, values in self.responseHeaders.getAllRawHeaders():
            for value in values:
                parts += (name, b": ", value, b"\r\n")
        parts += (head, b"\r\n", body)
        self.startedWriting = 1
        self.channel.send(b"".join(parts))
        self.finish()

    def _refuse(self) -> None:
        """Answer at once, keep nothing of what still comes, and do not tell the client to go on (100)."""
        if self._refused:
            return
        self._refused = True
        self.requestHeaders.removeHeader(b"expect")
        text = b'{"detail":"the body is larger than %d bytes"}' % self.max_body
        transport = self.channel.transport
        transport.write(
            b"HTTP/1.1 413 Request Entity Too Large\r\nConnection: close\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(text), text)
        )
        self._closing = self.channel.callLater(LINGER, transport.loseConnection)


class BoundedChannel(HTTPChannel):
    """Gives a client ``head_timeout`` seconds in all for the first request's head, however slowly its bytes drip in.

    Whole answers wait for the end of the turn (see ``outgoing``). What comes after one on the same connection, the next
    request or the end, sends it first.
    """

    head_timeout = 5.0
    outgoing: Outgoing
    _head_timer: IDelayedCall | None = None
    _answer = b""
    _host: IAddress | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self._head_timer = self.callLater(self.head_timeout, self._too_late)

    def allHeadersReceived(self) -> None:
        self._stop_timer()
        self.flush()
        super().allHeadersReceived()

    def getHost(self) -> IAddress:
        """Every request asks for it; Twisted would ask the kernel every time."""
        if self._host is None:
            self._host = super().getHost()
        return self._host

    def send(self, answer: bytes) -> None:
        """One whole answer."""
        if self.persistent and self.transport.__class__ in PLAIN:
            self._answer = answer
            self.outgoing.add(self)
        else:
            self.transport.write(answer)

    def flush(self) -> None:
        if self._answer:
            answer, self._answer = self._answer, b""
            write_now(self.transport, answer)

    def loseConnection(self) -> None:
        self.flush()
        super().loseConnection()

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.flush()
        super()._respondToBadRequestAndDisconnect()

    def connectionLost(self, reason: Failure) -> None:
        self._stop_timer()
        super().connectionLost(reason)

    def _too_late(self) -> None:
        self._head_timer = None
        self.transport.abortConnection()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Paths(Resource):
    """Whole paths to resources; a path that ends in "/*" takes everything below it, ``rest`` whatever is left. Raises TypeError
    for an endpoint of ``rest`` that is never reached."""

    def __init__(self, table: dict[str, IResource], rest: IResource | None = None) -> None:
        super().__init__()
        self._rest = rest or NotFound()
        if isinstance(rest, EndpointsResource):
            rest.leave(table.keys())
        self._exact = {path.encode(): resource for path, resource in table.items() if not path.endswith("/*")}
        self._below = {path[:-1].encode(): resource for path, resource in table.items() if path.endswith("/*")}

    def getChildWithDefault(self, path: bytes, request: Request) -> Any:
        whole = request.uri.partition(b"?")[0]
        resource = self._exact.get(whole)
        if resource is not None:
            request.postpath = []
            return resource
        for prefix, below in self._below.items():
            if whole.startswith(prefix):
                request.postpath = whole[len(prefix) :].split(b"/")
                return below
        return self._rest


class NotFound(Resource):
    isLeaf = True

    def render(self, request: Request) -> bytes:
        request.setResponseCode(404)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"nothing is served at this address\n"


@dataclass(frozen=True, slots=True)
class SiteLimits:
    """Sizes in bytes, times in seconds. ``idle_timeout`` bounds a request's arrival and the pause between two."""

    body_size: int = 1_048_576
    header_size: int = 16_384
    head_timeout: float = 5.0
    idle_timeout: float = 60.0


class RtSite(Site):
    """There is no access log: a line per request costs more than the request."""

    def __init__(
        self, root: IResource, reactor: IReactorTime, limits: SiteLimits, proxies: TrustedProxies = NOBODY
    ) -> None:
        sized = {"max_body": limits.body_size, "proxies": proxies}
        request_class = type("SizedRequest", (BoundedRequest,), sized)
        super().__init__(
            root,
            requestFactory=request_class,
            timeout=limits.idle_timeout,
            reactor=reactor,
            parsePOSTFormSubmission=False,
        )
        self.protocol = type(
            "SizedChannel",
            (BoundedChannel,),
            {
                "totalHeadersSize": limits.header_size,
                "head_timeout": limits.head_timeout,
                "outgoing": Outgoing(reactor),
            },
        )
        self.displayTracebacks = False

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]

    def log(self, request: Request) -> None:
        """See the class."""
