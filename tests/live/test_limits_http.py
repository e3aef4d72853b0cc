"""HTTP that breaks the rules: heads, addresses, origins and bodies."""

import socket

import pytest

from tests.live.frames import handshake, upgrade


@pytest.fixture
def server(strict):
    return strict


@pytest.mark.parametrize(
    "byte",
    [b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8", b"\x00", b"\x01", b"\x7f"],
)
@pytest.mark.parametrize("path", [b"/connection/websocket", b"/connection/sse?cf_connect=%7B%7D"])
def test_bytes_that_some_take_for_line_ends_are_answered_400(server, byte, path):
    link = socket.create_connection(("127.0.0.1", server.port))
    link.settimeout(5)
    link.sendall(upgrade(path, b"X-Any: a" + byte + b"Origin: https://good.example\r\n"))
    assert link.recv(4096).startswith(b"HTTP/1.1 400 ")
    link.close()


def test_such_bytes_in_the_address_are_answered_400(server):
    link = socket.create_connection(("127.0.0.1", server.port))
    link.settimeout(5)
    link.sendall(upgrade(b"/connection/websocket?a=\x85b"))
    assert link.recv(4096).startswith(b"HTTP/1.1 400 ")
    link.close()


@pytest.mark.parametrize(
    "headers",
    [
        b"X-Big: " + b"x" * 20_000 + b"\r\n",
        b"".join(b"X-%d: y\r\n" % n for n in range(5_000)),
        b"X" * 100_000 + b"\r\n",
    ],
    ids=["long", "many", "no colon"],
)
def test_a_huge_head_is_refused(server, headers):
    link = socket.create_connection(("127.0.0.1", server.port))
    link.settimeout(5)
    try:
        link.sendall(upgrade(b"/connection/websocket", headers))
        answer = link.recv(4096)
    except ConnectionError:
        answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    link.close()


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (b"https://good.example", 101),
        (b"HTTPS://GOOD.example", 101),
        (b"https://a.good.example", 101),
        (b"https://bad.example", 403),
        (b"https://good.example.bad.example", 403),
        (b"http://good.example", 403),
        (b"null", 403),
        (b"", 403),
    ],
)
def test_only_allowed_origins_come_in(server, origin, status):
    link, answer = handshake(server, b"Origin: " + origin + b"\r\n")
    link.close()
    assert answer.startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("path", ["/connection/http_stream", "/connection/sse", "/emulation"])
def test_other_sites_are_refused_on_every_http_transport(server, path):
    assert server.post(path, b'{"id":1,"connect":{}}', {"Origin": "https://bad.example"})[0] == 403


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /connection/websocket HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"405"),
        (b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
        (b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", b"426"),
        (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"GET /connection/websocket/ HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"NONSENSE\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", None),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", None),
        (
            b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n",
            b"400",
        ),
        (
            b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 7\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            b"400",
        ),
        (
            b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            b"400",
        ),
    ],
)
def test_what_is_no_handshake_gets_a_status(server, head, status):
    link = socket.create_connection(("127.0.0.1", server.port))
    link.settimeout(5)
    link.sendall(head)
    try:
        answer = link.recv(4096)
    except ConnectionError:
        answer = b""
    link.close()
    assert status is None or answer.split(b" ")[1] == status


# Bodies


@pytest.mark.parametrize("path", ["/connection/http_stream", "/connection/sse", "/emulation", "/api/publish"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_answered_413(server, path, chunked):
    size = 1_100_000 if path.startswith("/api") else 70_000
    link = socket.create_connection(("127.0.0.1", server.port))
    link.settimeout(5)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {server.settings['http_api']['key']}\r\n".encode()
    length = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size if chunked else b"Content-Length: %d\r\n\r\n" % size
    try:
        link.sendall(head + length + b" " * size + (b"\r\n0\r\n\r\n" if chunked else b""))
    except ConnectionError:
        assert link.recv(100).startswith(b"HTTP/1.1 413 ")
        return
    assert link.recv(100).startswith(b"HTTP/1.1 413 ")
    link.close()
