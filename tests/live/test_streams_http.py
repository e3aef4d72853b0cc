"""The HTTP transports byte by byte: heads, framing, disconnect pushes, emulation, pages of other sites, one-way forms."""

import http.client
import json
from urllib.parse import quote

import pytest

from tests.live.frames import handshake
from tests.live.raw import RawClient, delimited, undelimited
from tests.live.rtserver_process import RtServer
from tests.live.settings import OPEN, PRESENCE
from tests.live.tokens import token

CONNECT = b'{"id":1,"connect":{}}'
NO_CACHE = {
    "X-Accel-Buffering": "no",
    "Cache-Control": "private, no-cache, no-store, must-revalidate, max-age=0",
    "Pragma": "no-cache",
}
GOOD = "https://good.example"


@pytest.fixture(scope="module")
def uni_server(tmp_path_factory):
    """A server with every transport, and one page that may connect."""
    transports = ("uni_websocket", "uni_sse", "uni_http_stream")
    settings = {
        "client": {
            "allow_anonymous_connect_without_token": True,
            "allowed_origins": [GOOD],
            "user_id_http_header": "X-User-Id",
            "connect_include_server_time": True,
            "ping_interval": "1s",
            "pong_timeout": "900ms",
        },
        "channel": {"without_namespace": {**OPEN, **PRESENCE}},
        **{name: {"enabled": True} for name in transports},
    }
    server = RtServer(tmp_path_factory.mktemp("uni"), settings).start()
    yield server
    server.stop()


@pytest.fixture
def server(uni_server):
    yield uni_server
    uni_server.check_log()


class Stream:
    """A streaming response: its head, and what is in it line by line."""

    def __init__(self, server, method, path, body=None, headers=None):
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        self._connection.request(method, path, body, headers or {})
        self.response = self._connection.getresponse()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.response.close()
        self._connection.close()

    def line(self):
        """The next line as JSON; pings are passed over, None at the end."""
        while True:
            line = self.response.readline()
            if not line:
                return None
            text = line.removeprefix(b"data: ").strip()
            if text and text != b"{}":
                return json.loads(text)


def opened(server, path, **more):
    return Stream(server, "POST", path, CONNECT, **more)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/connection/http_stream", "application/json; charset=utf-8"),
        ("/connection/sse", "text/event-stream; charset=utf-8"),
    ],
)
def test_a_stream_begins_with_its_head_and_the_connect_reply(server, path, kind):
    with opened(server, path) as stream:
        headers = stream.response.headers
        assert (stream.response.status, headers["Content-Type"]) == (200, kind)
        assert {name: headers[name] for name in NO_CACHE} == NO_CACHE
        connected = stream.line()["connect"]
        assert {"client", "session", "node", "ping", "pong", "time", "version"} == connected.keys()


def test_sse_takes_the_first_frame_in_the_address(server):
    with Stream(server, "GET", "/connection/sse?cf_connect=" + quote(CONNECT)) as stream:
        assert stream.response.readline() == b"\r\n"
        assert stream.response.readline().startswith(b'data: {"id":1,"connect":{')
        assert stream.response.readline() == b"\n"


def test_the_first_frame_may_hold_several_commands(server):
    with Stream(
        server, "POST", "/connection/http_stream", CONNECT + b'\n{"id":2,"subscribe":{"channel":"c"}}'
    ) as stream:
        assert stream.line()["id"] == 1
        assert stream.line() == {"id": 2, "subscribe": {}}
        server.publish("c", {"n": 1})
        assert stream.line() == {"push": {"channel": "c", "pub": {"data": {"n": 1}}}}


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/octet-stream; a=b"])
def test_an_http_stream_speaks_protobuf_when_asked(server, kind):
    frame = delimited({"id": 1, "connect": {}})
    with Stream(server, "POST", "/connection/http_stream", frame, {"Content-Type": kind}) as stream:
        head = stream.response.read(2)
        (reply,) = undelimited(head + stream.response.read((head[0] & 0x7F) + (head[1] << 7)))
        assert reply.id == 1 and reply.connect.client and reply.connect.session


@pytest.mark.parametrize("path", ["/connection/http_stream", "/connection/sse"])
def test_a_disconnect_is_a_push_and_the_end_of_the_response(server, path):
    body = b'{"id":1,"connect":{"token":"bad"}}'
    with Stream(server, "POST", path, body) as stream:
        assert stream.line() == {"push": {"disconnect": {"code": 3500, "reason": "invalid token"}}}
        assert stream.line() is None


def test_an_answered_connect_error_leaves_the_response_open(server):
    body = json.dumps({"id": 1, "connect": {"token": token("42", -5)}}).encode()
    with Stream(server, "POST", "/connection/http_stream", body) as stream:
        assert stream.line()["error"]["code"] == 109
        stream._connection.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            stream.response.readline()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/connection/sse", None, 400),
        ("GET", "/connection/sse?cf_connect=", None, 400),
        ("POST", "/connection/sse", b"", 400),
        ("POST", "/connection/http_stream", b"", 400),
        ("GET", "/connection/http_stream", None, 405),
        ("PUT", "/connection/sse", b"x", 405),
        ("GET", "/emulation", None, 405),
        ("POST", "/emulation", b"nonsense", 400),
        ("POST", "/emulation", b"", 400),
        ("POST", "/emulation", b'{"session":7}', 400),
        ("POST", "/connection/uni_http_stream", b"", 400),
    ],
)
def test_requests_that_are_no_stream_get_a_status(server, method, path, body, status):
    with Stream(server, method, path, body) as stream:
        assert stream.response.status == status
        assert stream.response.read()


def emulate(server, connected, *commands, **more):
    frame = "\n".join(map(json.dumps, commands))
    wanted = {"session": connected["session"], "node": connected["node"], "data": frame, **more}
    return server.post("/emulation", json.dumps(wanted).encode(), {"Content-Type": "application/json"})


def test_emulated_commands_are_answered_204_and_on_the_stream(server):
    with opened(server, "/connection/http_stream") as stream:
        connected = stream.line()["connect"]
        commands = [{"id": 2, "subscribe": {"channel": "e"}}, {"id": 3, "publish": {"channel": "e", "data": 1}}]
        assert emulate(server, connected, *commands) == (204, b"")
        got = [stream.line() for _ in range(3)]
        assert got[0] == {"id": 2, "subscribe": {}}
        assert {"id": 3, "publish": {}} in got
        assert emulate(server, connected, {"id": 4, "rpc": {}}, session="unknown") == (204, b"")
        assert emulate(server, connected, {"id": 4, "rpc": {}}, node="unknown")[0] == 404


def test_a_stream_without_pongs_ends_and_one_with_pongs_stays(server):
    with opened(server, "/connection/http_stream") as silent, opened(server, "/connection/http_stream") as alive:
        silent.line()
        connected = alive.line()["connect"]
        for _ in range(3):
            assert alive.response.readline() == b"{}\n"
            emulate(server, connected, {})
        assert silent.line() == {"push": {"disconnect": {"code": 3012, "reason": "no pong"}}}
        emulate(server, connected, {"id": 2, "presence_stats": {"channel": "e"}})
        assert alive.line()["id"] == 2


def test_a_malformed_emulated_frame_ends_the_connection(server):
    with opened(server, "/connection/http_stream") as stream:
        connected = stream.line()["connect"]
        emulate(server, connected, data="nonsense")
        assert stream.line() == {"push": {"disconnect": {"code": 3501, "reason": "bad request"}}}


def test_a_client_that_goes_leaves_the_channel(server):
    with opened(server, "/connection/http_stream") as stream:
        connected = stream.line()["connect"]
        emulate(server, connected, {"id": 2, "subscribe": {"channel": "gone"}})
        stream.line()
    server.wait_for("nobody", lambda: server.api("presence", channel="gone")["result"]["presence"] == {})


# Pages


@pytest.mark.parametrize("path", ["/connection/http_stream", "/connection/sse", "/emulation"])
def test_an_allowed_page_gets_its_cross_origin_answer(server, path):
    asked = {"Origin": GOOD, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    with Stream(server, "OPTIONS", path, None, asked) as stream:
        headers = stream.response.headers
        assert (stream.response.status, headers["Access-Control-Allow-Origin"]) == (204, GOOD)
        assert headers["Access-Control-Allow-Credentials"] == "true"
        assert headers["Access-Control-Allow-Headers"] == "content-type"
        assert "POST" in headers["Access-Control-Allow-Methods"] and headers["Access-Control-Max-Age"] == "300"
    with Stream(server, "POST", path, CONNECT, {"Origin": GOOD}) as stream:
        assert stream.response.headers["Access-Control-Allow-Origin"] == GOOD


def test_another_page_gets_none(server):
    with Stream(server, "OPTIONS", "/connection/sse", None, {"Origin": "https://bad.example"}) as stream:
        assert stream.response.status == 403
        assert stream.response.headers["Access-Control-Allow-Origin"] is None


def test_the_user_may_come_from_a_header_of_the_proxy(server):
    with RawClient(server, additional_headers={"X-User-Id": "4711"}) as client:
        me = client.connect()["client"]
        client.call(2, subscribe={"channel": "header"})
        assert client.call(3, presence={"channel": "header"})["presence"]["presence"][me]["user"] == "4711"
    with opened(server, "/connection/http_stream", headers={"x-user-id": "4712"}) as stream:
        connected = stream.line()["connect"]
        emulate(server, connected, {"id": 2, "subscribe": {"channel": "header"}})
        stream.line()
        users = [each["user"] for each in server.api("presence", channel="header")["result"]["presence"].values()]
        assert "4712" in users


# One way only

SUBSCRIBED = token("42", channels=["u"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/connection/uni_sse?cf_connect=" + quote(json.dumps({"token": SUBSCRIBED})), None),
        ("POST", "/connection/uni_sse", json.dumps({"token": SUBSCRIBED}).encode()),
        ("POST", "/connection/uni_http_stream", json.dumps({"token": SUBSCRIBED}).encode()),
    ],
)
def test_a_unidirectional_stream_gets_bare_pushes(server, method, path, body):
    with Stream(server, method, path, body) as stream:
        connected = stream.line()["connect"]
        assert connected["subs"] == {"u": {}} and connected["session"] and "pong" not in connected
        server.publish("u", {"n": 1})
        assert stream.line() == {"channel": "u", "pub": {"data": {"n": 1}}}
        server.api("disconnect", user="42")
        assert stream.line() == {"disconnect": {"code": 3503, "reason": "force disconnect"}}
        assert stream.line() is None


def test_a_unidirectional_stream_without_request_is_anonymous_and_may_ask_for_channels(server):
    with Stream(server, "GET", "/connection/uni_sse") as stream:
        assert stream.line()["connect"]["client"]
    with Stream(server, "POST", "/connection/uni_http_stream", b'{"subs":{"open":{}}}') as stream:
        assert stream.line()["connect"]["subs"] == {"open": {}}
        server.publish("open", 1)
        assert stream.line()["pub"] == {"data": 1}
        assert stream.response.readline() == b"{}\n"


@pytest.mark.parametrize(("seconds", "code"), [(-5, 3005), (None, 3500)])
def test_a_unidirectional_connect_error_is_a_disconnect(server, seconds, code):
    bad = token("42", seconds) if seconds else "bad"
    with Stream(server, "POST", "/connection/uni_http_stream", json.dumps({"token": bad}).encode()) as stream:
        assert stream.line()["disconnect"]["code"] == code
        assert stream.line() is None


@pytest.mark.parametrize("by_query", [False, True])
def test_a_unidirectional_websocket_gets_bare_pushes_and_both_ends(server, by_query):
    request = json.dumps({"token": SUBSCRIBED})
    query = "?cf_connect=" + quote(request) if by_query else ""
    with RawClient(server, path="/connection/uni_websocket", query=query, pong=False) as client:
        if not by_query:
            client.socket.send(request)
        assert client.receive()["connect"]["subs"] == {"u": {}}
        server.publish("u", 1)
        assert client.receive() == {"channel": "u", "pub": {"data": 1}}
        server.api("disconnect", user="42")
        assert client.receive()["disconnect"]["code"] == 3503
        assert client.end() == (3503, "force disconnect")


def test_another_page_cannot_open_a_websocket(server):
    link, answer = handshake(server, b"Origin: https://bad.example\r\n")
    link.close()
    assert answer.startswith(b"HTTP/1.1 403 ")


def test_health_and_metrics(server):
    assert server.get("/health") == (200, b"{}")
    assert server.get("/livez")[0] == 200
    assert json.loads(server.get("/readyz")[1]) == {"ready": True}
    text = server.get("/metrics")[1].decode()
    assert "# TYPE rtserver_connections gauge" in text and "rtserver_disconnects_total{code=" in text
