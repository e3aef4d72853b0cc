"""Where and how the server can be reached: Unix sockets, internal ports, old HTTP, eager clients; and its log as JSON."""

import json
import socket
import subprocess

import pytest
from websockets.sync.client import unix_connect

from tests.live.frames import masked, read_until, upgrade
from tests.live.rtserver_process import API_KEY, LOOPBACK
from tests.live.settings import OPEN

OPEN_SERVER = {
    "client": {"allow_anonymous_connect_without_token": True},
    "channel": {"without_namespace": OPEN},
}
BODY = b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"c"}}'


def open_link(server):
    link = socket.create_connection(("127.0.0.1", server.port))
    link.settimeout(10)
    return link


def test_a_unix_socket_serves_websocket_streams_and_the_api(start_server, tmp_path):
    path = str(tmp_path / "web.sock")
    start_server({**OPEN_SERVER, "listen": [LOOPBACK.format(port=0), f"unix:{path}"]}, ports=1)
    with unix_connect(path, "ws://localhost/connection/websocket", compression=None) as client:
        client.send(BODY.decode())
        assert len([client.recv(5) for _ in range(2)]) == 2
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(10)
        link.connect(path)
        link.sendall(
            b"POST /connection/http_stream HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
        )
        read_until(link, b'"subscribe"')
        request = ["curl", "-sS", "--unix-socket", path, "-H", f"X-API-Key: {API_KEY}", "http://x/api/publish"]
        data = json.dumps({"channel": "c", "data": {"blob": "x" * 300_000}})
        done = subprocess.run([*request, "--data-binary", "@-"], input=data, capture_output=True, text=True, timeout=10)
        assert json.loads(done.stdout) == {"result": {}}
        assert len(client.recv(5)) > 300_000
        assert len(read_until(link, b"}}}\n")) > 300_000
        link.close()


def test_internal_ports_alone_serve_the_api_and_the_metrics(start_server):
    internal = {"http_server": {"internal": [LOOPBACK.format(port=0)]}}
    server = start_server({**OPEN_SERVER, **internal}, wait=False, ports=2)
    public, inner = server.ports
    server.port = inner
    server.wait_ready()
    assert server.publish("c", 1) == {}
    assert server.get("/metrics")[0] == 200
    assert server.get("/connection/sse?cf_connect=x")[0] == 404
    server.port = public
    assert server.post("/api/publish", b"{}", {"X-API-Key": API_KEY})[0] == 404
    assert server.get("/metrics")[0] == 404


@pytest.mark.parametrize("path", ["/connection/http_stream", "/connection/sse"])
def test_a_proxy_that_speaks_http_1_0_gets_its_stream_without_chunks(server, channel, path):
    link = open_link(server)
    body = BODY.replace(b'"c"', json.dumps(channel()).encode())
    link.sendall(b"POST %b HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body))
    head = read_until(link, b"\r\n\r\n")
    assert b" 200 " in head and b"chunked" not in head.lower()
    assert b'"subscribe"' in read_until(link, b'"subscribe"')
    server.publish(channel(), "over 1.0")
    assert b'"over 1.0"' in read_until(link, b'"over 1.0"')
    link.close()


def test_a_frame_that_comes_with_the_handshake_is_not_lost(server):
    """A client should wait for the answer (RFC 6455 section 4.1); those that do not are not left hanging."""
    link = open_link(server)
    link.sendall(upgrade(b"/connection/websocket") + masked(0x81, b'{"id":1,"connect":{}}'))
    assert b'"connect"' in read_until(link, b'"connect"')
    link.close()


def test_a_handshake_in_small_pieces_works(server):
    link = open_link(server)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in upgrade(b"/connection/websocket").replace(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"):
        link.sendall(bytes((byte,)))
    assert read_until(link, b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    for byte in masked(0x81, b'{"id":1,"connect":{}}'):
        link.sendall(bytes((byte,)))
    assert b'"connect"' in read_until(link, b'"connect"')
    link.close()


def test_requests_before_the_handshake_on_the_same_connection_work(server):
    link = open_link(server)
    for _ in range(3):
        link.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_until(link, b"{}").startswith(b"HTTP/1.1 200 ")
    link.sendall(upgrade(b"/connection/websocket"))
    assert read_until(link, b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    link.sendall(masked(0x81, b'{"id":1,"connect":{}}'))
    assert b'"connect"' in read_until(link, b'"connect"')
    link.close()


def test_the_log_can_be_one_json_object_a_line(start_server):
    server = start_server({**OPEN_SERVER, "log": {"format": "json", "level": "debug"}}, wait=False, ports=0)
    server.wait_log('"ready, node')
    server.stop()
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert all({"ts", "level", "msg"} <= line.keys() for line in lines)
    assert lines[-1]["msg"]
