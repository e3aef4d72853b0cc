"""Connections to backends that are broken, slow to end, or worse; in memory."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectingCancelledError, ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseFailed, ResponseNeverReceived
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from rtserver.services.http_body import BodyTooLarge, CollectedBody, SentBody
from rtserver.services.proxy_connections import MAX_HEAD, Connections, given_up, reason_of
from rtserver.services.proxy_http import client_over

HEAD = b"HTTP/1.1 200 OK\r\n"
EMPTY = HEAD + b"Content-Length: 0\r\n\r\n"


class Wire(StringTransport):
    """The backend's end of a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.reading, self.writing = os.pipe()
        self.aborted = False

    def fileno(self) -> int:
        return self.reading

    def abortConnection(self) -> None:
        self.aborted = self.disconnecting = True

    def close(self) -> None:
        for each in self.reading, self.writing:
            os.close(each)


@implementer(IAgentEndpointFactory)
class Backend:
    """Every connection to it is a ``Wire``. Implements the endpoint too."""

    def __init__(self) -> None:
        self.wires: list[Wire] = []
        self.exchanges: list[Any] = []
        self.clock = Clock()
        self.pool = Connections(self.clock, 10, 1.5)
        self.agent = Agent.usingEndpointFactory(self.clock, self, pool=self.pool)

    def endpointForURI(self, uri: Any) -> Backend:
        return self

    def connect(self, factory: Any) -> Deferred[Any]:
        exchange, wire = factory.buildProtocol(None), Wire()
        self.wires.append(wire)
        self.exchanges.append(exchange)
        exchange.makeConnection(wire)
        return succeed(exchange)

    def ask(self, *answer: bytes) -> list[Any]:
        """Outcomes of one request: none as long as it waits. The answer comes on the newest connection."""
        outcomes: list[Any] = []
        asking = client_over(self.agent).post("http://b.example/", data=SentBody(b"{}"), unbuffered=True)
        asking.addCallback(CollectedBody(1000).read).addBoth(outcomes.append)
        for piece in answer:
            self.exchanges[-1].dataReceived(piece)
        return outcomes


@pytest.fixture
def backend() -> Iterator[Backend]:
    made = Backend()
    yield made
    for wire in made.wires:
        wire.close()


def reason(outcomes: list[Any]) -> str:
    (failure,) = outcomes
    return reason_of(failure.value)


def test_a_connection_is_used_again(backend: Backend) -> None:
    assert [backend.ask(EMPTY), backend.ask(EMPTY)] == [[b""], [b""]]
    assert len(backend.wires) == 1


def test_an_unused_connection_is_closed_after_a_while(backend: Backend) -> None:
    backend.ask(EMPTY)
    backend.clock.advance(1.5)
    assert backend.wires[0].disconnecting


def test_nothing_is_sent_on_a_connection_that_the_backend_has_closed_and_the_reactor_has_not_noticed(
    backend: Backend,
) -> None:
    backend.ask(EMPTY)
    os.write(backend.wires[0].writing, b"x")
    backend.wires[0].clear()
    assert backend.ask(EMPTY) == [b""]
    assert (len(backend.wires), backend.wires[0].value()) == (2, b"")
    backend.clock.advance(2)
    assert backend.clock.getDelayedCalls() == []


def test_nothing_is_sent_on_a_connection_that_is_lost(backend: Backend) -> None:
    backend.ask(EMPTY)
    backend.exchanges[0].connectionLost(Failure(ConnectionDone()))
    assert backend.ask(EMPTY) == [b""]
    assert len(backend.wires) == 2


@pytest.mark.parametrize(
    "answer",
    [
        EMPTY + b"HTTP/1.1 200 OK\r\n",
        HEAD + b"Content-Length: 0\r\nConnection: Close\r\n\r\n",
        HEAD + b"Content-Length: 0\r\nConnection: x, close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["more than one answer", "Close", "close among others", "HTTP/1.0"],
)
def test_a_connection_is_used_once_when_its_next_answer_could_not_be_told_or_is_not_to_come(
    answer: bytes, backend: Backend
) -> None:
    assert [backend.ask(answer), backend.ask(EMPTY)] == [[b""], [b""]]
    assert backend.wires[0].disconnecting
    assert len(backend.wires) == 2


@pytest.mark.parametrize(
    "piece",
    [b"X: " + b"y" * 1000 + b"\r\n", b"a:b\r\n" * 100, b" folded\r\n", b"\r\n" + HEAD.replace(b"200", b"100")],
    ids=["long", "many", "folded", "interim"],
)
def test_headers_without_end_are_given_up(piece: bytes, backend: Backend) -> None:
    head = HEAD.replace(b"200", b"100") if piece.startswith(b"\r\n") else HEAD + b"X: 1\r\n"
    outcomes = backend.ask(head, *[piece] * (MAX_HEAD // len(piece) + 1))
    assert reason(outcomes) == f"the headers of the answer are larger than {MAX_HEAD} bytes"
    assert backend.wires[0].aborted


def test_interim_answers_leave_no_line(backend: Backend) -> None:
    lines: list[Any] = []
    globalLogPublisher.addObserver(lines.append)
    try:
        assert backend.ask(b"HTTP/1.1 103 Early Hints\r\n\r\n", EMPTY) == [b""]
    finally:
        globalLogPublisher.removeObserver(lines.append)
    assert lines == []


def test_a_packed_answer_is_unpacked_in_small_pieces_and_no_further_than_its_limit(backend: Backend) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(b" " * 50_000_000) + packer.flush()
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    outcomes = backend.ask(head + packed)
    assert reason(outcomes) == "the answer is larger than 1000 bytes"
    assert backend.wires[0].aborted


def test_an_answer_that_is_too_long_ends_the_connection_without_a_goodbye(backend: Backend) -> None:
    outcomes = backend.ask(HEAD + b"\r\n" + b" " * 1001)
    assert outcomes[0].check(BodyTooLarge)
    assert backend.wires[0].aborted


@pytest.mark.parametrize(
    "answer",
    [
        b"sesame\r\n",
        b"HTTP/1.1 sesame\r\n",
        b"HTTP/sesame 200 OK\r\n",
        HEAD + b"sesame\r\n\r\n",
        HEAD + b"Content-Length: sesame\r\n\r\n",
        HEAD + b"Transfer-Encoding: sesame\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nsesame\r\n",
    ],
    ids=repr,
)
def test_the_reason_holds_nothing_of_what_was_answered(answer: bytes, backend: Backend) -> None:
    outcomes = backend.ask(answer)
    assert reason(outcomes).startswith("the answer is no HTTP that can be read (")
    assert "sesame" not in reason(outcomes)


def test_the_reason_of_a_connection_that_failed_is_told() -> None:
    lost = ResponseNeverReceived([Failure(ConnectionLost())])
    assert reason_of(lost) == "ConnectionLost: Connection to the other side was lost in a non-clean fashion"
    assert reason_of(ConnectionRefusedError()) == "ConnectionRefusedError: Connection was refused by other side"


def test_a_request_that_was_stopped_is_told_from_one_that_failed() -> None:
    assert given_up(ConnectingCancelledError(None))
    assert given_up(ResponseFailed([Failure(CancelledError())]))
    assert not given_up(ResponseFailed([Failure(ConnectionDone())]))
