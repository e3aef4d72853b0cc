"""Clients of a whole port without a socket: bytes go in, bytes come out, and only tests move the clock."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.server import Site

from rtserver.core.forwarded import TrustedProxies
from rtserver.web.site import Paths, RtSite, SiteLimits

HERE = IPv4Address("TCP", "127.0.0.1", 8000)
THERE = IPv4Address("TCP", "127.0.0.1", 50_000)


class Line(StringTransport):
    """One connection. As real transports do, it ends in a later turn, reads nothing while paused or closing, and hands
    ``connectionLost`` to its protocol once."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(HERE, THERE, lenient=True)
        self.clock = clock
        self.protocol: Any = None
        self.no_delay = False
        self.aborted = False
        self._unread = b""

    def send(self, data: bytes) -> None:
        """What the client writes."""
        self._unread += data
        self._read()

    def leave(self) -> None:
        """The client is gone."""
        self._end(ConnectionDone())

    def take(self) -> bytes:
        """What the client has got since the last time."""
        data = self.value()
        self.clear()
        return data

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self._read()

    def unregisterProducer(self) -> None:
        self.producer = self.streaming = None

    def loseConnection(self) -> None:
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            self.clock.callLater(0, self._end, ConnectionDone())

    def abortConnection(self) -> None:
        self.aborted = self.disconnecting = True
        self.clock.callLater(0, self._end, ConnectionAborted())

    def _read(self) -> None:
        if self.connected and not self.disconnecting and self.producerState == "producing":
            data, self._unread = self._unread, b""
            if data:
                self.protocol.dataReceived(data)

    def _end(self, reason: Exception) -> None:
        if self.connected:
            self.connected = False
            self.protocol.connectionLost(Failure(reason))


@dataclass
class Answer:
    """One HTTP response. ``body`` is without chunk marks."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        values = self.headers.getRawHeaders(name)
        return values[-1] if values else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


def parse(data: bytes) -> Answer:
    """A response as far as it has come."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = Headers()
    for line in lines:
        name, _, value = line.partition(b":")
        headers.addRawHeader(name, value.strip())
    if headers.getRawHeaders("transfer-encoding") == ["chunked"]:
        body = b"".join(chunks(body))
    return Answer(int(first.split()[1]), headers, body)


def chunks(data: bytes) -> list[bytes]:
    """The chunks of a chunked body, without the last empty one."""
    found = []
    while data:
        size, _, rest = data.partition(b"\r\n")
        count = int(size, 16)
        assert rest[count : count + 2] == b"\r\n", rest[:100]
        found.append(rest[:count])
        data = rest[count + 2 :]
    return [chunk for chunk in found if chunk]


def head(method: str, path: str, headers: dict[str, str | bytes], version: str = "HTTP/1.1") -> bytes:
    lines = [f"{method} {path} {version}".encode("latin-1")]
    for name, value in {"Host": "localhost", **headers}.items():
        lines.append(name.encode("latin-1") + b": " + (value if isinstance(value, bytes) else value.encode()))
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Port:
    """Serves a table of paths, or a whole site, to lines."""

    peer: Any = THERE
    """Where the next lines come from."""

    def __init__(
        self,
        clock: Clock,
        table: dict[str, Any],
        limits: SiteLimits | None = None,
        site: Site | None = None,
        proxies: tuple[str, ...] = (),
    ) -> None:
        self.clock = clock
        self.site = site or RtSite(Paths(table), clock, limits or SiteLimits(), TrustedProxies(proxies))

    def connect(self) -> Line:
        line = Line(self.clock)
        line.peerAddr = self.peer
        line.protocol = self.site.buildProtocol(self.peer)
        line.protocol.makeConnection(line)
        return line

    def begin(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, Any] | None = None,
        version: str = "HTTP/1.1",
    ) -> Line:
        """A request on a connection of its own; the answer stays in the line."""
        line = self.connect()
        sized = {"Content-Length": str(len(body))} if body or method == "POST" else {}
        line.send(head(method, path, {**sized, **(headers or {})}, version) + body)
        return line

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, Any] | None = None) -> Answer:
        line = self.begin(method, path, body, headers)
        return parse(line.take())
