"""Who may come in: what every transport asks of a request before it becomes a connection (section 1.2, 12.2).

One place for origins, connection limits and header bytes, so that WebSocket and HTTP transports cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from twisted.web.http import Request

from rtserver.core.options import ClientOptions

_LINE_BREAKS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
"""What some parser takes for the end of a header line and another for part of its value (``str.splitlines``); Twisted
and Autobahn differ here, so none of it may pass from one to the other."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer instead of a connection. ``why`` is a sentence for the client and the log."""

    status: int
    why: str


class Entrance:
    """Counts connections of all transports. ``unready`` says why nothing is accepted now, "" when it is."""

    def __init__(
        self,
        options: ClientOptions,
        clock: Callable[[], float],
        unready: Callable[[], str],
    ) -> None:
        self._options = options
        self._clock = clock
        self._unready = unready
        self._patterns = [pattern.lower() for pattern in options.allowed_origins]
        self.open = 0
        self.refused = 0
        self._second = 0
        self._this_second = 0

    def refuse(self, request: Request) -> Refusal | None:
        """Why this request may not become a connection; None when it may. Counts towards the rate."""
        refusal = self._refuse(request)
        if refusal is not None:
            self.refused += 1
        return refusal

    def _refuse(self, request: Request) -> Refusal | None:
        if not clean_headers(request):
            return Refusal(400, "a header contains a control character or a line break")
        origin = header(request, "origin")
        if origin is not None and not self.allows(origin):
            return Refusal(403, "this origin is not allowed: add it to client.allowed_origins")
        unready = self._unready()
        if unready:
            return Refusal(503, unready)
        limit = self._options.connection_limit
        if limit and self.open >= limit:
            return Refusal(503, "client.connection_limit is reached")
        if not self._within_rate():
            return Refusal(503, "client.connection_rate_limit is reached: try again in a second")
        return None

    def allows(self, origin: str) -> bool:
        """Globs against the whole lower-case origin; nothing configured means that no page may connect. Browsers write
        origins in ASCII."""
        lowered = origin.lower()
        return origin.isascii() and any(fnmatchcase(lowered, pattern) for pattern in self._patterns)

    def _within_rate(self) -> bool:
        rate = self._options.connection_rate_limit
        if not rate:
            return True
        second = int(self._clock())
        if second != self._second:
            self._second, self._this_second = second, 0
        self._this_second += 1
        return self._this_second <= rate

    def entered(self) -> None:
        self.open += 1

    def left(self) -> None:
        self.open -= 1


def header(request: Request, name: str) -> str | None:
    """The last value of a header, a character for each byte: ``getHeader`` of a str fails on what is not UTF-8."""
    value = request.getHeader(name.encode())
    return None if value is None else value.decode("latin-1")


def clean_headers(request: Request) -> bool:
    """Whether every parser reads the same header lines."""
    for name, values in request.requestHeaders.getAllRawHeaders():
        for part in (name, *values):
            if _LINE_BREAKS.search(part.decode("utf-8", "replace")) or _LINE_BREAKS.search(part.decode("latin-1")):
                return False
    return _LINE_BREAKS.search(request.uri.decode("latin-1")) is None


def refuse(request: Request, refusal: Refusal) -> bytes:
    """Write a refusal as the answer."""
    request.setResponseCode(refusal.status)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    if refusal.status == 503:
        request.setHeader(b"retry-after", b"1")
    return refusal.why.encode() + b"\n"


def allow_origin(request: Request) -> None:
    """CORS of the connection endpoints, once the origin is known to be allowed (section 1.7)."""
    origin = header(request, "origin")
    if origin is None:
        return
    request.setHeader("access-control-allow-origin", origin)
    request.setHeader("access-control-allow-credentials", "true")
    request.setHeader("vary", "origin")
    asked = header(request, "access-control-request-headers")
    if asked:
        request.setHeader("access-control-allow-headers", asked)


def preflight(request: Request, methods: str) -> bytes:
    """The answer to OPTIONS."""
    request.setResponseCode(204)
    request.setHeader("access-control-max-age", "300")
    request.setHeader("access-control-allow-methods", methods)
    return b""
