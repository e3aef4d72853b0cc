"""Clients that take too long, want too much or read too slowly; the others are served."""

import socket
import time

import pytest

from tests.live.frames import handshake, masked, read_until, upgrade
from tests.live.raw import RawClient
from tests.live.settings import OPEN
from tests.live.tokens import token


@pytest.fixture
def server(strict):
    return strict


# Time


def test_a_connection_without_connect_ends_with_3502(server):
    with RawClient(server) as client:
        assert client.end() == (3502, "stale")


def test_a_client_without_pong_ends_with_3012(server):
    with RawClient(server, pong=False) as client:
        client.connect()
        assert client.end() == (3012, "no pong")


def test_a_client_that_only_answers_pings_stays(server):
    with RawClient(server) as client:
        client.connect()
        client.call(2, subscribe={"channel": "patient"})
        with pytest.raises(TimeoutError):
            client.receive(3.2)
        server.publish("patient", 1)
        assert client.receive()["push"]["pub"]["data"] == 1


@pytest.mark.parametrize("start", [b"", b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\n", b"POST /api/info HT"])
def test_a_head_that_never_ends_is_cut_off(server, start):
    link = socket.create_connection(("127.0.0.1", server.port))
    link.settimeout(5)
    began = time.monotonic()
    link.sendall(start)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while time.monotonic() - began < 5:
            link.sendall(b"a" if start.endswith(b"T") else b"a: b\r\n" if start else b"G")
            time.sleep(0.1)
    link.close()


def test_a_body_that_never_ends_is_cut_off(server):
    link = socket.create_connection(("127.0.0.1", server.port))
    link.settimeout(8)
    link.sendall(b"POST /api/info HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert link.recv(1000) == b""
    link.close()


# Counts


def test_a_subscription_over_the_limit_is_answered_106(server):
    with RawClient(server) as client:
        client.connect()
        codes = [client.call(n, subscribe={"channel": f"c{n}"}).get("error", {}).get("code") for n in range(2, 9)]
        assert codes == [None] * 5 + [106, 106]
        client.call(9, unsubscribe={"channel": "c2"})
        assert client.call(10, subscribe={"channel": "c9"})["subscribe"] == {}


def test_a_token_with_too_many_channels_ends_with_3505(server):
    with RawClient(server) as client:
        client.send({"id": 1, "connect": {"token": token("42", channels=[f"c{n}" for n in range(6)])}})
        assert client.end() == (3505, "channel limit")


def test_a_user_has_only_so_many_connections(server):
    with RawClient(server) as first, RawClient(server) as second, RawClient(server) as third:
        first.connect(token=token("42"))
        second.connect(token=token("42"))
        third.send({"id": 1, "connect": {"token": token("42")}})
        assert third.end() == (3504, "connection limit")


def test_a_user_may_have_one_connection_only(start_server):
    personal = {"enabled": True, "personal_channel_namespace": "me", "single_connection": True}
    server = start_server(
        {
            "client": {"subscribe_to_user_personal_channel": personal},
            "channel": {"namespaces": [{"name": "me", "presence": True}]},
        }
    )
    with RawClient(server) as first, RawClient(server) as other, RawClient(server) as second:
        first.connect(token=token("42"))
        other.connect(token=token("43"))
        assert second.connect(token=token("42"))["subs"] == {"me:#42": {}}
        assert first.end() == (3504, "connection limit")
        assert other.call(2, subscribe={"channel": "me:x"})["error"]["code"] == 103


def test_connections_over_the_limit_are_answered_503(start_server):
    server = start_server({"client": {"connection_limit": 2, "allow_anonymous_connect_without_token": True}})
    with RawClient(server) as first:
        first.connect()
        stream = socket.create_connection(("127.0.0.1", server.port))
        body = b'{"id":1,"connect":{}}'
        stream.sendall(
            b"POST /connection/http_stream HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        read_until(stream, b'"connect"')
        link, answer = handshake(server)
        link.close()
        assert answer.startswith(b"HTTP/1.1 503 ") and b"client.connection_limit is reached" in answer
        assert server.post("/connection/http_stream", body)[0] == 503
        assert server.get("/readyz")[0] == 200
        stream.close()
        server.wait_for("the stream to be gone", lambda: server.metric("rtserver_connections") == 1)
        with RawClient(server) as second:
            second.connect()


def test_new_connections_over_the_rate_are_answered_503(start_server):
    server = start_server({"client": {"connection_rate_limit": 3}})
    answers = []
    for _ in range(8):
        link, answer = handshake(server)
        link.close()
        answers.append(answer.split(b" ")[1])
    assert set(answers) == {b"101", b"503"} and 3 <= answers.count(b"101") <= 6


# Slow readers


def deaf(server):
    """A connection with room for a few kilobytes, which nobody needs to read."""
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.settimeout(10)
    link.connect(("127.0.0.1", server.port))
    return link


def test_a_client_that_does_not_read_is_dropped_and_others_are_not_delayed(server):
    """Its queue fills up while everybody else gets every publication."""
    slow = deaf(server)
    handshake(server, link=slow)
    slow.sendall(masked(0x81, b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"fast"}}'))
    read_until(slow, b'"subscribe"')
    with RawClient(server) as client:
        client.connect()
        client.call(2, subscribe={"channel": "fast"})
        count = 0
        deadline = time.monotonic() + 10
        while not server.lines("code=3008", server.seen) and not server.lines("code=3009", server.seen):
            assert time.monotonic() < deadline, "the slow client is still there"
            server.publish("fast", "x" * 50_000)
            assert client.receive()["push"]["pub"]["data"] == "x" * 50_000
            count += 1
    assert count < 400
    slow.close()


def test_a_client_whose_socket_takes_nothing_is_dropped_after_the_write_timeout(start_server):
    """Little waits for it, so its queue is not the reason; and no ping was due yet."""
    server = start_server(
        {
            "client": {"allow_anonymous_connect_without_token": True},
            "websocket": {"write_timeout": "1s"},
            "channel": {"without_namespace": OPEN},
        }
    )
    stuck = deaf(server)
    stuck.sendall(upgrade(b"/connection/websocket"))
    read_until(stuck, b"\r\n\r\n")
    stuck.sendall(masked(0x81, b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"little"}}'))
    read_until(stuck, b'"subscribe"')
    while server.metric("rtserver_slow_connections") == 0:
        server.publish("little", "x" * 20_000)
    server.wait_line("code=3009")
    stuck.close()


def test_a_stream_that_is_not_read_is_dropped_too(server):
    slow = deaf(server)
    body = b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"fast"}}'
    slow.sendall(b"POST /connection/http_stream HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    read_until(slow, b'"subscribe"')
    deadline = time.monotonic() + 10
    while not server.lines("code=3008", server.seen) and not server.lines("code=3009", server.seen):
        assert time.monotonic() < deadline, "the slow client is still there"
        server.publish("fast", "x" * 50_000)
    slow.close()
