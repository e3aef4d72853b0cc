"""How WebSocket connections end: close codes, slow clients, refused ones, those that do not answer (protocol 4.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import Raw
from twisted.internet.defer import Deferred

from rtserver.core import errors
from rtserver.protocols.ws import CLOSE_TIMEOUT
from tests.ws_client import ANYBODY, WSHouse


@pytest.fixture
def house():
    with WSHouse() as house:
        yield house
        house.world.log.check()


@pytest.mark.parametrize("reason", [errors.SHUTDOWN, errors.BAD_FRAME, errors.FORCE_DISCONNECT, errors.NO_PONG])
def test_the_code_and_the_text_come_in_the_close_frame(house, reason):
    client = house.connect()
    client.session.close(reason)
    assert client.closed_with() == tuple(reason)


def test_what_was_written_before_the_close_comes_before_it_and_nothing_after(house):
    client = house.connect()
    connection = client.line.protocol
    session = client.session
    session.write(b"\x81\x01a")
    write = session.write
    session.close(errors.SHUTDOWN)
    connection.write(b"\x81\x01b")
    write(b"\x81\x01c")
    assert [first for first, _ in client.frames()] == [0x81, 0x88]


def test_after_the_close_by_the_client_no_data_follows(house):
    client = house.connect()
    client.command(id=2, subscribe={"channel": "a"})
    client.messages()
    house.world.publish("a", 1)
    client.send_close(1000)
    house.world.turn()
    assert [first for first, _ in client.frames()] == [0x88]


def test_a_close_that_the_client_does_not_answer_is_ended_after_a_while(house):
    client = house.connect()
    client.session.close(errors.SHUTDOWN)
    house.pass_time(3)
    assert client.line.connected
    house.pass_time(4)
    assert not client.line.connected


def test_commands_after_our_close_frame_are_not_read(house):
    client = house.connect()
    client.session.close(errors.SHUTDOWN)
    client.frames()
    client.command(id=2, presence={"channel": "a"})
    assert client.frames() == []


@pytest.mark.parametrize("reason", [errors.SLOW, errors.WRITE_ERROR])
def test_a_slow_client_is_cut_off_without_a_close_frame(house, reason):
    client = house.connect()
    client.session.close(reason)
    assert client.frames() == [] and client.line.aborted


class Slow:
    """The client's end of a TLS connection that takes nothing: the transport keeps what is written."""

    def __init__(self, line):
        self.waiting = line._appSendBuffer = []
        line.write = self.waiting.append


def test_a_queue_above_its_limit_ends_the_session_as_slow_and_aborts():
    with WSHouse(replace(ANYBODY, queue_max_size=1000)) as house:
        client = house.connect()
        client.command(id=2, subscribe={"channel": "plain:a"})
        session = client.session
        slow = Slow(client.line)
        house.world.publish("plain:a", "x" * 600)
        house.world.turn()
        assert client.line.connected and session.closed_with is None
        house.world.publish("plain:a", "x" * 600)
        house.world.turn()
        assert session.closed_with == errors.SLOW and client.line.aborted
        assert len(slow.waiting) == 2
        house.world.log.check()


def test_a_subscribe_reply_above_the_limit_ends_the_session_as_slow():
    """The write of the reply closes the session; what would have followed it must not be done any more."""
    with WSHouse(replace(ANYBODY, queue_max_size=1000)) as house:
        client = house.connect()
        session = client.session
        Slow(client.line)
        session.write(b"x" * 990)
        client.command(id=2, subscribe={"channel": "a", "join_leave": True})
        assert session.closed_with == errors.SLOW and house.world.node.hub.channels.keys() == {"\x00probe"}
        house.world.log.check()


def test_a_client_that_takes_nothing_for_the_write_timeout_is_cut_off(house):
    client = house.connect()
    client.command(id=2, subscribe={"channel": "plain:a"})
    session = client.session
    Slow(client.line)
    house.world.publish("plain:a", 1)
    house.world.turn()
    house.drain.check()
    house.clock.advance(1)
    house.drain.check()
    assert session.closed_with == errors.WRITE_ERROR and client.line.aborted


def test_pongs_to_a_client_that_reads_nothing_are_bounded_too():
    with WSHouse(replace(ANYBODY, queue_max_size=1000)) as house:
        client = house.connect()
        session = client.session
        slow = Slow(client.line)
        for _ in range(20):
            client.send(b"x" * 125, 0x89)
        assert session.closed_with == errors.SLOW and client.line.aborted and len(slow.waiting) == 8


def test_a_ping_of_the_client_is_answered_with_its_own_payload(house):
    client = house.connect()
    client.send(b"hello", 0x89)
    client.send(b"", 0x89)
    assert client.frames() == [(0x8A, b"hello"), (0x8A, b"")]
    client.session.close(errors.SHUTDOWN)
    client.frames()
    client.send(b"late", 0x89)
    assert client.frames() == []


def test_a_client_that_closes_and_then_takes_nothing_is_cut_off(house):
    client = house.connect()
    line = client.line
    line.loseConnection = lambda: None
    client.send_close(1000)
    house.pass_time(CLOSE_TIMEOUT)
    assert line.connected
    house.pass_time(CLOSE_TIMEOUT + 1)
    assert line.aborted and not line.connected and house.entrance.open == 0


def test_the_answer_to_our_close_is_read_although_reading_was_stopped(house):
    async def never(asked):
        await Deferred()

    house.world.hooks.answers["rpc"] = never
    client = house.connect()
    for id in (2, 3):
        client.command(id=id, rpc={})
    assert client.line.producerState == "paused"
    client.session.close(errors.SHUTDOWN)
    assert client.closed_with() == tuple(errors.SHUTDOWN)
    client.send_close(3001)
    house.pass_time(0.25)
    assert not client.line.connected


# The end of a refused connect


def test_after_an_error_reply_the_client_has_five_seconds_to_leave(house):
    client = house.open()
    client.command(id=1, connect={"token": "expired"})
    assert client.messages()[0]["error"]["code"] == 109
    house.pass_time(CLOSE_TIMEOUT - 0.5)
    assert client.frames() == []
    house.pass_time(1)
    assert client.closed_with()[0] == 1000


def test_a_client_that_leaves_in_time_leaves_no_timer_behind(house):
    client = house.open()
    client.command(id=1, connect={"token": "expired"})
    client.line.leave()
    assert client.line.protocol._finishing is None or not client.line.protocol._finishing.active()
    house.pass_time(10)
    assert house.entrance.open == 0


def test_reading_stops_while_commands_wait_and_goes_on(house):
    gate = Deferred()

    async def slow(asked):
        return await gate

    house.world.hooks.answers["rpc"] = slow
    client = house.connect()
    client.command(id=2, rpc={})
    client.command(id=3, presence={"channel": "a"})
    assert client.line.producerState == "paused"
    client.command(id=4, presence={"channel": "a"})
    assert client.messages() == []
    gate.callback(Raw(b"1"))
    assert [message["id"] for message in client.messages()] == [2, 3, 4]
    assert client.line.producerState == "producing"
