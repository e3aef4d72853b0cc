"""HTTP by requests, for threads: an answer has an end, whatever the other side does.

requests knows a time for each wait for some bytes. Whoever sends a byte now and then is waited for without end, in the headers
as in the body, and an answer may be as long as it likes, also when it is packed.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, ReadTimeoutError

CHUNK = 64 * 1024

Failed = requests.RequestException
"""Whatever goes wrong. Its text has the address that was asked, with all that stands there."""

KINDS: tuple[tuple[type[Failed] | tuple[type[Failed], ...], str], ...] = (
    (requests.exceptions.SSLError, "tls_error"),
    (requests.Timeout, "timeout"),
    (
        (
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.MissingSchema,
        ),
        "invalid_setting",
    ),
    (requests.ConnectionError, "connection_failed"),
    (requests.HTTPError, "http_error"),
)
"""What went wrong, in one word. The order matters: some are of two kinds."""


def kind_of(error: Failed) -> str:
    """ "" for what has no word."""
    return next((word for kinds, word in KINDS if isinstance(error, kinds)), "")


class Bounds:
    """``seconds`` from now on, for all that is asked within them, and ``size``, bytes of each answer when unpacked."""

    def __init__(self, seconds: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = size
        self._clock = clock
        self._latest = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds; 0 and less when they are over."""
        return self._latest - self._clock()


def ask(method: str, url: str, bounds: Bounds, timeout: float, **settings: Any) -> requests.Response:
    """As ``requests.request``, with the answer read. ``timeout``: seconds for the connection, and without any byte. Looking up
    a name is left to the system, which has limits of its own. Raises ``Failed``."""
    with requests.Session() as session:
        for scheme in ("https://", "http://"):
            session.mount(scheme, BoundedAdapter(bounds))
        return session.request(method, url, timeout=timeout, **settings)


def parts(raw: Any, bounds: Bounds) -> Iterator[bytes]:
    """The body of an answer, from the ``raw`` of a response of requests. Raises ``Failed``."""
    size = 0
    while chunk := _part(raw):
        size += len(chunk)
        if size > bounds.size:
            raise Failed("the answer is too long")
        if bounds.left <= 0:
            raise requests.ReadTimeout("the answer takes too long")
        yield chunk


def _part(raw: Any) -> bytes:
    """What is there: ``read`` would wait for a whole chunk, however slowly it comes."""
    try:
        return bytes(raw.read1(CHUNK, decode_content=True))
    except ReadTimeoutError:
        raise requests.ReadTimeout("the answer takes too long") from None
    except HTTPError:
        raise requests.ConnectionError("the answer broke off") from None


class BoundedAdapter(HTTPAdapter):
    """Everything that one session asks, redirects too, is within the same ``bounds``."""

    def __init__(self, bounds: Bounds) -> None:
        super().__init__()
        self._bounds = bounds

    def get_connection_with_tls_context(self, *values: Any, **named: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*values, **named)
        pool.ConnectionCls = type("Timed", (pool.ConnectionCls,), {"response_class": timed_response(self._bounds)})
        return pool

    def send(self, request: Any, *values: Any, **settings: Any) -> requests.Response:
        """requests gives all but the first by name."""
        left = self._bounds.left
        if left <= 0:
            raise requests.Timeout("the other side has had its time", request=request)
        response = super().send(request, *values, **{**settings, "timeout": min(settings["timeout"], left)})
        response.raw = BoundedBody(response.raw, self._bounds)
        return response


class BoundedBody:
    """The ``raw`` of a response, from which requests takes the body by ``stream``."""

    def __init__(self, raw: Any, bounds: Bounds) -> None:
        self._raw = raw
        self._bounds = bounds

    def stream(self, _size: int, decode_content: bool = True) -> Iterator[bytes]:
        return parts(self._raw, self._bounds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def timed_response(bounds: Bounds) -> type[HTTPResponse]:
    """How connections read an answer: http.client goes from byte to byte through the headers, and a time of the socket is that
    of one read."""

    class TimedResponse(HTTPResponse):
        def __init__(self, sock: Any, *values: Any, **named: Any) -> None:
            super().__init__(TimedSocket(sock, bounds), *values, **named)  # type: ignore[arg-type]

    return TimedResponse


class TimedSocket:
    """What ``HTTPResponse`` needs of a socket."""

    def __init__(self, sock: Any, bounds: Bounds) -> None:
        self._sock = sock
        self._bounds = bounds

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(TimedReads(self._sock, self._bounds))


class TimedReads(io.RawIOBase):
    def __init__(self, sock: Any, bounds: Bounds) -> None:
        super().__init__()
        self._sock = sock
        self._file = sock.makefile("rb", buffering=0)
        self._bounds = bounds
        self._longest_wait: float = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._bounds.left
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(min(left, self._longest_wait))
        count: int | None = self._file.readinto(buffer)
        return count

    def close(self) -> None:
        """The socket is closed with the last file of it."""
        self._file.close()
        super().close()
