"""Connections to backends: kept for the next request, bounded in what they take, and silent.

Twisted's client reads headers without end, hands the pages of a packed answer out as large as they unpack, and writes a line
for each connection. What is private there is touched in this file only.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed
from twisted.internet.protocol import Factory
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure
from twisted.web import _newclient, client
from zope.interface import implementer

from rtserver.services.http_body import BodyTooLarge, Response

# These are half typed, and their zope interfaces say nothing to a type checker.
HTTP11ClientProtocol: Any = _newclient.HTTP11ClientProtocol
HTTPConnectionPool: Any = client.HTTPConnectionPool

MAX_HEAD = 32 * 1024
"""Bytes of status lines and headers of one answer, those of interim answers (1xx) too."""

PIECE = 4096
"""Bytes that are read at a time: packed, they may stand for a thousand times as many."""


@implementer(ILogObserver)
class Unheard:
    """For lines that are not worth one."""

    def __call__(self, event: Any) -> None:
        """Nobody reads it."""


_nobody: Any = Unheard()
_unheard = Logger(observer=_nobody)


class Exchange(HTTP11ClientProtocol):  # type: ignore[misc]
    """One connection."""

    _head = 0

    @property
    def is_stale(self) -> bool:
        """Whether the other side has closed an unused connection, or sent what nobody asked for. The reactor may not have
        noticed yet."""
        if self.state != "QUIESCENT" or self.transport.disconnecting:
            return True
        ready = select.poll()
        ready.register(self.transport.fileno(), select.POLLIN)
        return bool(ready.poll(0))

    def request(self, request: Any) -> Deferred[Response]:
        self._head = 0
        answer: Deferred[Response] = super().request(request)
        if self._parser is not None:
            self._parser._log = _unheard  # it has a line for each interim answer
            # Over TLS, who loses a connection waits for the other side to say goodbye, which may never do so.
            self._transportProxy.loseConnection = self.transport.abortConnection
        return answer

    def dataReceived(self, data: bytes) -> None:
        for at in range(0, len(data), PIECE):
            if self.transport.disconnecting:
                self.transport.abortConnection()
                return
            self._read(data[at : at + PIECE])

    def _read(self, piece: bytes) -> None:
        if self._parser is not None and self._parser.state in ("STATUS", "HEADER"):
            self._head += len(piece)
            if self._head > MAX_HEAD:
                self.transport.abortConnection()
                self._giveUp(Failure(BodyTooLarge(f"the headers of the answer are larger than {MAX_HEAD} bytes")))
                return
        super().dataReceived(piece)

    def _finishResponse(self, rest: bytes) -> None:
        """What stands behind an answer would be taken for the next one. (Of "close" Twisted knows only one spelling.)"""
        if self._parser is not None:
            said = b",".join(self._parser.connHeaders.getRawHeaders(b"connection", ()))
            closes = b"close" in [word.strip().lower() for word in said.split(b",")]
            if rest or closes or self._parser.response.version < (b"HTTP", 1, 1):
                self._currentRequest.persistent = False
        super()._finishResponse(rest)


class Exchanges(Factory):
    noisy = False

    def __init__(self, quiescent: Callable[[Any], None], metadata: str) -> None:
        self._quiescent = quiescent

    def buildProtocol(self, address: Any) -> Exchange:
        return Exchange(self._quiescent)


class Connections(HTTPConnectionPool):  # type: ignore[misc]
    """Keeps up to ``count`` unused connections to each host for ``seconds``. A request is never sent twice: instead none is
    sent on a connection that has ended already."""

    _factory = Exchanges
    retryAutomatically = False

    def __init__(self, reactor: Any, count: int, seconds: float) -> None:
        super().__init__(reactor, persistent=True)
        self.maxPersistentPerHost = count
        self.cachedConnectionTimeout = seconds

    def getConnection(self, key: Any, endpoint: Any) -> Deferred[Any]:
        unused = self._connections.get(key, [])
        for each in [each for each in unused if each.is_stale]:
            self._timeouts[each].cancel()
            self._removeConnection(key, each)
        found: Deferred[Any] = super().getConnection(key, endpoint)
        return found

    def _removeConnection(self, key: Any, connection: Exchange) -> None:
        super()._removeConnection(key, connection)
        tcp = getattr(connection.transport, "transport", None)
        if tcp is not None:  # TLS has said goodbye, and does not wait for an answer
            tcp.loseConnection()


GIVEN_UP = (CancelledError, ConnectingCancelledError)

TELLING = (OSError, ConnectError, ConnectionClosed)
TELLING_LIBRARIES = ("OpenSSL", "service_identity")
"""What says why, and nothing of what was answered: errors of the network and of certificates."""


def given_up(failure: Exception) -> bool:
    """Whether a request failed because it was stopped here."""
    return any(isinstance(each, GIVEN_UP) for each in _reasons(failure))


def reason_of(failure: Exception) -> str:
    """Why a request failed, without anything of the answer."""
    return "; ".join(_sentence(each) for each in _reasons(failure))


def _reasons(failure: BaseException) -> list[BaseException]:
    found = [inner for each in getattr(failure, "reasons", None) or () for inner in _reasons(each.value)]
    return found or [failure]


def _sentence(failure: BaseException) -> str:
    if isinstance(failure, BodyTooLarge):
        return str(failure)
    kind = type(failure)
    if isinstance(failure, TELLING) or kind.__module__.partition(".")[0] in TELLING_LIBRARIES:
        return f"{kind.__name__}: {failure}".removesuffix(".")
    return f"the answer is no HTTP that can be read ({kind.__name__})"
