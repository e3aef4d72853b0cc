"""Bodies of HTTP exchanges with other servers, without waiting turns of the reactor and without surprises in size."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from rtserver.core.errors import RtError

# zope's interfaces say nothing to a type checker.
Response = Any


class BodyTooLarge(RtError):
    """More than was bargained for."""


class CollectedBody(Protocol):
    """Collects the body of a response up to a size. Giving up, by size or by cancellation, closes the connection."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._done: Deferred[bytes] = Deferred(self._give_up)

    def read(self, response: Response) -> Deferred[bytes]:
        """Fails with ``BodyTooLarge``, or with what happened to the connection."""
        response.deliverBody(self)
        return self._done

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._limit:
            self._parts.append(data)
        elif not self._done.called:
            self._give_up(self._done)
            self._done.errback(BodyTooLarge(f"the answer is larger than {self._limit} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self._done.callback(b"".join(self._parts))
        else:
            self._done.errback(reason)

    def _give_up(self, _done: Deferred[bytes]) -> None:
        self._parts.clear()
        if self.transport is not None:
            transport: Any = self.transport
            transport.loseConnection()


@implementer(IBodyProducer)
class SentBody:
    """The body of a request, written in one piece when the connection is there."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Everything is written already."""

    resumeProducing = stopProducing = pauseProducing
