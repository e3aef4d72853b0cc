"""The writing side of a connection: Twisted's own TCP transport on a socket that takes as much as the test says."""

from __future__ import annotations

from errno import EPIPE, EWOULDBLOCK

import pytest
from twisted.internet import tcp
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor, StringTransport

from rtserver.core import errors
from rtserver.eager import backlog
from rtserver.protocols.outbound import Drain, EagerWriter


class Socket:
    """Takes ``room`` bytes and then no more."""

    def __init__(self, room):
        self.room = room
        self.taken = b""
        self.sends = 0
        self.broken = False

    def setblocking(self, flag):
        assert not flag

    def fileno(self):
        return 1_000_000

    def send(self, data):
        self.sends += 1
        if self.broken:
            raise OSError(EPIPE, "broken")
        if not self.room:
            raise OSError(EWOULDBLOCK, "full")
        part = bytes(data[: self.room])
        self.room -= len(part)
        self.taken += part
        return len(part)


class Side:
    """A writer on a real ``tcp.Server`` whose socket is the test's. ``turn`` is a turn of the reactor."""

    def __init__(self, room=10**9, limit=1000, timeout=1.0):
        self.clock = Clock()
        self.socket = Socket(room)
        self.reactor = MemoryReactor()
        address = ("127.0.0.1", 50_000)
        self.transport = tcp.Server(self.socket, Protocol(), address, None, 1, self.reactor)
        self.drain = Drain(timeout, self.clock.seconds)
        self.failures = []
        self.writer = EagerWriter(self.transport, limit, self.drain, self.failures.append)

    def turn(self, room=0):
        self.socket.room += room
        if self.transport in self.reactor.getWriters():
            self.transport.doWrite()

    def wait(self, seconds):
        for _ in range(round(seconds * 2)):
            self.clock.advance(0.5)
            self.drain.check()


def test_with_nothing_waiting_the_bytes_are_sent_at_once():
    side = Side()
    side.writer.write(b"one")
    side.writer.write(b"two")
    assert side.socket.taken == b"onetwo" and side.reactor.getWriters() == []
    assert len(side.drain) == 0 and side.writer.waiting == 0 and side.writer.drained == 6


def test_what_the_socket_does_not_take_waits_and_order_is_kept():
    side = Side(room=2)
    side.writer.write(b"one")
    side.socket.room = 10
    side.writer.write(b"two")
    assert side.socket.taken == b"on", "nothing may overtake what waits"
    assert side.writer.waiting == 4 and len(side.drain) == 1
    side.turn()
    assert side.socket.taken == b"onetwo" and side.writer.waiting == 0
    side.writer.write(b"three")
    assert side.socket.taken == b"onetwothree" and side.socket.sends == 3


def test_order_is_kept_through_every_size_of_socket():
    for room in range(1, 12):
        side = Side(room=room, limit=10_000)
        expected = b""
        for number in range(40):
            piece = b"%d;" % number * (number % 5 + 1)
            expected += piece
            side.writer.write(piece)
            side.turn(room)
        while side.writer.waiting:
            side.turn(room)
        assert side.socket.taken == expected


def test_a_message_larger_than_one_send_arrives_whole():
    side = Side(limit=10**7)
    data = bytes(range(256)) * 2000
    side.writer.write(data)
    while side.writer.waiting:
        side.turn()
    assert side.socket.taken == data


def test_a_full_socket_takes_nothing_and_all_waits():
    side = Side(room=0)
    side.writer.write(b"one")
    assert side.socket.taken == b"" and side.writer.waiting == 3 and side.writer.drained == 0


def test_a_closing_transport_is_not_written_to_past_its_queue():
    side = Side()
    side.transport.loseConnection()
    side.writer.write(b"late")
    assert side.socket.sends == 0


def test_a_broken_socket_is_left_to_twisted():
    side = Side()
    side.socket.broken = True
    side.writer.write(b"one")
    assert side.failures == [] and side.writer.waiting == 3


def test_other_transports_get_their_own_write():
    transport = StringTransport()
    drain = Drain(1.0, lambda: 0.0)
    writer = EagerWriter(transport, 10, drain, lambda reason: None)
    writer.write(b"x" * 100)
    assert transport.value() == b"x" * 100
    drain.check()
    assert len(drain) == 0


class TLS(StringTransport):
    """Keeps application data back as a TLS transport does that waits for its peer."""

    def __init__(self, below=None):
        super().__init__()
        self._appSendBuffer = []
        self.transport = below

    def write(self, data):
        self._appSendBuffer.append(data)


def test_the_backlog_of_tls_counts_what_waits_above_and_below():
    below = Side(room=0)
    below.transport.write(b"12345")
    tls = TLS(below.transport)
    tls.write(b"123")
    assert backlog(tls) == 8 and backlog(TLS()) == 0


def test_over_the_limit_the_client_is_slow_once_and_nothing_is_written_after():
    side = Side(room=0, limit=10)
    side.writer.write(b"x" * 10)
    assert side.failures == []
    side.writer.write(b"y")
    assert side.failures == [errors.SLOW]
    side.writer.write(b"z")
    assert side.failures == [errors.SLOW] and backlog(side.transport) == 11
    assert len(side.drain) == 0 and side.writer.waiting == 0
    side.wait(5)
    assert side.failures == [errors.SLOW]


def test_one_message_above_the_limit_passes_when_the_socket_takes_it():
    side = Side(limit=10)
    side.writer.write(b"x" * 500)
    assert side.failures == [] and len(side.socket.taken) == 500


def test_a_connection_that_moves_nothing_for_the_timeout_is_given_up_once():
    side = Side(room=1, timeout=1.0)
    side.writer.write(b"abc")
    side.wait(0.5)
    assert side.failures == []
    side.wait(1)
    assert side.failures == [errors.WRITE_ERROR]
    side.wait(5)
    assert side.failures == [errors.WRITE_ERROR]


def test_a_connection_that_moves_a_byte_now_and_then_is_kept():
    side = Side(room=1, timeout=1.0)
    side.writer.write(b"a" * 20)
    for _ in range(15):
        side.turn(room=1)
        side.wait(0.5)
    assert side.failures == [] and side.writer.waiting == 4


def test_new_messages_do_not_pass_for_movement():
    side = Side(room=0, timeout=1.0)
    side.writer.write(b"a")
    for _ in range(3):
        side.wait(0.5)
        side.writer.write(b"a")
    assert side.failures == [errors.WRITE_ERROR]


def test_a_connection_that_has_drained_is_watched_no_more():
    side = Side(room=1)
    side.writer.write(b"abc")
    side.turn(room=10)
    side.drain.check()
    assert len(side.drain) == 0


@pytest.mark.parametrize("room", [0, 1])
def test_a_stopped_writer_is_forgotten_and_writes_nothing(room):
    side = Side(room=room)
    side.writer.write(b"abc")
    side.writer.stop()
    side.writer.stop()
    side.writer.write(b"def")
    assert len(side.drain) == 0 and backlog(side.transport) == 3 - room
    side.wait(5)
    assert side.failures == []
