"""Several requests on one connection, sent at once: the answers come whole and in order, whatever makes them."""

import json
import socket

import pytest

from tests.live.rtserver_process import API_KEY

TIME = 10.0


def request(line, body=b"", **headers):
    lines = [line, "Host: localhost", f"Content-Length: {len(body)}", f"X-API-Key: {API_KEY}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def publish(name, number):
    return request("POST /api/publish HTTP/1.1", json.dumps({"channel": name, "data": number}).encode())


class Line:
    """One connection; ``answers`` reads it to its end."""

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port), TIME)
        self._got = b""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def answer(self):
        """Status and body of the next answer."""
        while b"\r\n\r\n" not in self._got:
            self._more()
        head, _, self._got = self._got.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines)
        size = int(headers.get(b"content-length", 0))
        while len(self._got) < size:
            self._more()
        body, self._got = self._got[:size], self._got[size:]
        return int(first.split()[1]), body

    def _more(self):
        data = self.socket.recv(65536)
        assert data, f"the connection ended after {self._got!r}"
        self._got += data

    def ended(self):
        return not self._got and self.socket.recv(1) == b""


def test_answers_come_in_the_order_of_their_requests(server, channel):
    with Line(server) as line:
        line.socket.sendall(b"".join(publish(channel("full"), number) for number in range(50)))
        found = [line.answer() for _ in range(50)]
    assert [status for status, _ in found] == [200] * 50
    assert [json.loads(body)["result"]["offset"] for _, body in found] == list(range(1, 51))


@pytest.mark.parametrize(
    ("second", "status"),
    [
        (b"no request at all\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400),
        (b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\n\r\n", 426),
        (b"POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", 413),
    ],
    ids=["no HTTP", "a bad length", "an unknown path", "no handshake", "too long"],
)
def test_a_refusal_does_not_overtake_the_answer_before(server, channel, second, status):
    with Line(server) as line:
        line.socket.sendall(publish(channel(), 1) + second)
        assert [line.answer()[0], line.answer()[0]] == [200, status]


def test_an_upgrade_does_not_overtake_the_answer_before(server, channel):
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    with Line(server) as line:
        key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        handshake = request("GET /connection/websocket HTTP/1.1", **upgrade, **key)
        line.socket.sendall(publish(channel(), 1) + handshake)
        assert [line.answer()[0], line.answer()[0]] == [200, 101]


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_connection_that_is_to_close_brings_its_answer_first(server, channel, version):
    body = json.dumps({"channel": channel(), "data": 1}).encode()
    with Line(server) as line:
        line.socket.sendall(request(f"POST /api/publish HTTP/{version}", body, Connection="close"))
        line.socket.shutdown(socket.SHUT_WR)
        assert line.answer()[0] == 200
        assert line.ended()


def test_an_answer_larger_than_the_socket_takes_at_once_comes_whole(server, channel):
    name = channel("full")
    for _ in range(8):
        server.publish(name, "x" * 500_000)
    body = json.dumps({"channel": name, "limit": 100}).encode()
    with Line(server) as line:
        line.socket.sendall(request("POST /api/history HTTP/1.1", body) + publish(name, "after"))
        status, answer = line.answer()
        assert (status, len(json.loads(answer)["result"]["publications"])) == (200, 8)
        assert json.loads(line.answer()[1])["result"]["offset"] == 9
