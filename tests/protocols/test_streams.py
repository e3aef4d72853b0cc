"""Connections that are one long response, and the requests that bring their later commands (sections 1.5 to 1.8)."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import quote

import pytest

from rtserver.cluster import Cluster
from rtserver.core import errors
from rtserver.protocols.entrance import Entrance
from rtserver.protocols.outbound import Drain
from rtserver.protocols.streams import KINDS, EmulationResource, StreamParts, StreamResource
from tests.fakes import World
from tests.line import Port, chunks, parse
from tests.ws_client import ANYBODY

CONNECT = b'{"id":1,"connect":{}}'
PROTOBUF = {"Content-Type": "application/octet-stream"}


class House:
    """Every streaming transport at ``/<name>`` and ``/emulation``, bodies up to 1,000 bytes."""

    def __init__(self, **options):
        client = replace(ANYBODY, **options)
        self.world = World(client)
        self.clock = self.world.clock
        self.entrance = Entrance(client, self.clock.seconds, lambda: self.world.node.unready)
        self.drain = Drain(1.0, self.clock.seconds)
        self.cluster = Cluster(self.world.node, "here")
        parts = StreamParts(self.world.node, self.entrance, self.drain, self.clock, 1000)
        table = {f"/{name}": StreamResource(kind, parts) for name, kind in KINDS.items()}
        table["/emulation"] = EmulationResource(self.entrance, self.cluster.emulate, 1000)
        self.port = Port(self.clock, table)

    def stream(self, path="/http_stream", body=CONNECT, method="POST", version="HTTP/1.1", **headers):
        return Stream(self, self.port.begin(method, path, body, headers, version))

    @property
    def only_session(self):
        (session,) = self.world.node.open_sessions
        return session

    def emulate(self, session, *commands, node="n1", **headers):
        data = "\n".join(json.dumps(command) for command in commands)
        body = json.dumps({"node": node, "session": session, "data": data}).encode()
        return self.port.ask("POST", "/emulation", body, {"Content-Type": "application/json", **headers})


class Stream:
    def __init__(self, house, line):
        self.house = house
        self.line = line
        self.head, _, rest = line.take().partition(b"\r\n\r\n")
        self.answer = parse(self.head + b"\r\n\r\n")
        self.chunked = self.answer.header("transfer-encoding") == "chunked"
        line.io.write(rest)

    def body(self):
        """The bytes since the last time, without chunk marks."""
        data = self.line.take()
        return b"".join(chunks(data)) if self.chunked else data

    def messages(self):
        text = self.body().decode().removeprefix("\r\n")
        return [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line]


@pytest.fixture
def house():
    house = House()
    yield house
    house.world.log.check()


def test_a_stream_begins_with_its_head_and_the_connect_reply(house):
    stream = house.stream()
    assert stream.answer.status == 200
    names = ("x-accel-buffering", "cache-control", "pragma", "expire", "content-type")
    assert [stream.answer.header(name) for name in names] == [
        "no",
        "private, no-cache, no-store, must-revalidate, max-age=0",
        "no-cache",
        "0",
        "application/json; charset=utf-8",
    ]
    (reply,) = stream.messages()
    assert reply["connect"]["node"] == "n1" and reply["connect"]["session"]
    assert stream.line.no_delay and house.entrance.open == 1


def test_each_write_is_a_chunk_of_its_own(house):
    stream = house.stream(body=CONNECT + b'\n{"id":2,"subscribe":{"channel":"plain:a"}}')
    stream.body()
    house.world.publish("plain:a", 1)
    house.world.publish("plain:a", 2)
    house.world.turn()
    data = stream.line.take()
    frames = b'{"push":{"channel":"plain:a","pub":{"data":1}}}\n{"push":{"channel":"plain:a","pub":{"data":2}}}\n'
    assert data == b"%x\r\n%b\r\n" % (len(frames), frames)


def test_for_http_1_0_the_stream_goes_without_chunks_and_ends_with_the_connection(house):
    stream = house.stream(version="HTTP/1.0")
    assert not stream.chunked and stream.messages()[0]["id"] == 1
    house.only_session.close(errors.SHUTDOWN)
    assert stream.body() == b'{"push":{"disconnect":{"code":3001,"reason":"shutdown"}}}\n'
    house.world.turn()
    assert not stream.line.connected and house.entrance.open == 0


def test_protobuf_streams_are_length_prefixed(house):
    stream = house.stream(body=bytes.fromhex("0408012200"), **PROTOBUF)
    assert stream.answer.header("content-type") == "application/octet-stream"
    data = stream.body()
    assert data[0] == len(data) - 1
    house.only_session.write(house.only_session.wire.ping())
    assert stream.body() == b"\x00"


def test_an_event_stream_opens_with_a_line_end(house):
    stream = house.stream("/sse?cf_connect=" + quote(CONNECT), b"", "GET")
    assert stream.answer.header("content-type") == "text/event-stream; charset=utf-8"
    data = stream.body()
    assert data.startswith(b'\r\ndata: {"id":1,"connect":') and data.endswith(b"\n\n")


def test_an_event_stream_may_begin_with_a_post(house):
    assert house.stream("/sse").messages()[0]["id"] == 1


@pytest.mark.parametrize("path", ["/uni_http_stream", "/uni_sse"])
def test_unidirectional_streams_begin_with_a_connect_push(house, path):
    stream = house.stream(path, b'{"subs":{"a":{}}}')
    assert stream.messages()[0]["connect"]["subs"] == {"a": {}}
    house.world.publish("a", 1)
    house.world.turn()
    assert stream.messages() == [{"channel": "a", "pub": {"data": 1, "offset": 1}}]


def test_a_unidirectional_event_stream_needs_no_request(house):
    assert house.stream("/uni_sse", b"", "GET").messages()[0]["connect"]
    assert house.stream("/uni_sse?cf_connect=" + quote('{"name":"x"}'), b"", "GET").messages()[0]["connect"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/http_stream", b"", 400),
        ("POST", "/uni_http_stream", b"", 400),
        ("GET", "/sse", b"", 400),
        ("POST", "/http_stream", b"x" * 1001, 413),
        ("POST", "/uni_sse", b"x" * 1001, 413),
        ("GET", "/sse?cf_connect=" + "x" * 1001, b"", 413),
        ("GET", "/http_stream", b"", 405),
        ("PUT", "/sse", b"", 405),
        ("GET", "/uni_http_stream", b"", 405),
        ("DELETE", "/uni_sse", b"", 405),
    ],
)
def test_what_is_no_beginning_is_refused_with_a_sentence(house, method, path, body, status):
    answer = house.port.ask(method, path, body)
    assert answer.status == status and len(answer.text.split()) > 3
    assert house.entrance.open == 0 and house.world.node.open_sessions == {}
    if status == 405:
        assert answer.header("allow").endswith("OPTIONS")


def test_a_body_of_the_limit_is_no_error(house):
    assert house.stream(body=CONNECT.ljust(1000)).messages()[0]["id"] == 1


def test_a_foreign_page_and_an_unready_server_refuse_streams(house):
    assert house.port.ask("POST", "/http_stream", CONNECT, {"Origin": "https://a.com"}).status == 403
    house.world.node.draining = True
    assert house.port.ask("POST", "/http_stream", CONNECT).status == 503


def test_a_page_of_an_allowed_origin_may_read_the_stream():
    house = House(allowed_origins=("https://a.com",))
    stream = house.stream(Origin="https://a.com")
    assert stream.answer.header("access-control-allow-origin") == "https://a.com"
    assert house.emulate("x", {}, Origin="https://a.com").header("access-control-allow-origin") == "https://a.com"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/http_stream", "POST, OPTIONS"),
        ("/sse", "GET, POST, OPTIONS"),
        ("/uni_http_stream", "POST, OPTIONS"),
        ("/uni_sse", "GET, POST, OPTIONS"),
        ("/emulation", "POST, OPTIONS"),
    ],
)
def test_a_preflight_is_answered_and_makes_no_session(path, methods):
    house = House(allowed_origins=("https://a.com",))
    asked = {"Origin": "https://a.com", "Access-Control-Request-Headers": "content-type"}
    answer = house.port.ask("OPTIONS", path, headers=asked)
    assert answer.status == 204 and answer.header("access-control-allow-methods") == methods
    assert answer.header("access-control-max-age") == "300"
    assert answer.header("access-control-allow-headers") == "content-type"
    assert house.port.ask("OPTIONS", path, headers={"Origin": "https://b.com"}).status == 403
    assert house.world.node.open_sessions == {}


def test_a_content_type_in_no_encoding_is_json(house):
    assert house.stream(**{"Content-Type": b"\xff"}).messages()[0]["id"] == 1


# Ends


def test_a_disconnect_is_a_push_and_then_the_end_of_the_response(house):
    stream = house.stream()
    stream.body()
    house.only_session.close(errors.FORCE_DISCONNECT)
    body = b'{"push":{"disconnect":{"code":3503,"reason":"force disconnect"}}}\n'
    assert stream.line.take() == b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    assert house.entrance.open == 0 and stream.line.connected


def test_after_the_end_the_connection_serves_the_next_request(house):
    stream = house.stream()
    house.only_session.close(errors.FORCE_DISCONNECT)
    stream.line.take()
    stream.line.send(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
    assert parse(stream.line.take()).status == 404


def test_a_forged_token_is_a_disconnect_push(house):
    stream = house.stream(body=b'{"id":1,"connect":{"token":"forged"}}')
    assert stream.messages() == [{"push": {"disconnect": {"code": 3500, "reason": "invalid token"}}}]
    assert house.entrance.open == 0


def test_a_unidirectional_disconnect_is_a_bare_push(house):
    stream = house.stream("/uni_http_stream", b"{")
    assert stream.messages() == [{"disconnect": {"code": 3501, "reason": "bad request"}}]


def test_an_error_reply_to_connect_ends_the_response_after_a_while(house):
    stream = house.stream(body=b'{"id":1,"connect":{"token":"expired"}}')
    assert stream.messages()[0]["error"]["code"] == 109
    house.world.pass_time(4.5)
    assert house.entrance.open == 1
    house.world.pass_time(1)
    assert stream.line.take() == b"0\r\n\r\n" and house.entrance.open == 0


def test_a_client_that_leaves_ends_its_session_and_is_counted_out_once(house):
    stream = house.stream(body=CONNECT + b'\n{"id":2,"subscribe":{"channel":"a"}}')
    session = house.only_session
    stream.line.leave()
    assert session.closed_with == errors.CONNECTION_CLOSED and house.world.node.open_sessions == {}
    house.world.publish("a", 1)
    house.world.turn()
    house.world.pass_time(30)
    assert house.entrance.open == 0 and len(house.drain) == 0


def test_a_client_that_leaves_after_a_refused_connect_leaves_no_timer(house):
    stream = house.stream(body=b'{"id":1,"connect":{"token":"expired"}}')
    stream.line.leave()
    house.world.pass_time(10)
    assert house.entrance.open == 0


def test_a_slow_reader_is_cut_off_without_a_push():
    house = House(queue_max_size=1000)
    stream = house.stream(body=CONNECT + b'\n{"id":2,"subscribe":{"channel":"plain:a"}}')
    session = house.only_session
    waiting = stream.line._appSendBuffer = []
    stream.line.write = waiting.append
    for _ in range(3):
        house.world.publish("plain:a", "x" * 600)
        house.world.turn()
    assert session.closed_with == errors.SLOW and stream.line.aborted and len(waiting) == 2
    assert not stream.line.connected and house.entrance.open == 0
    house.world.log.check()


def test_the_idle_time_of_requests_does_not_end_a_stream(house):
    stream = house.stream(body=CONNECT)
    session = house.only_session
    for _ in range(10):
        house.clock.advance(20)
    assert stream.line.connected and session.closed_with is None


# Emulation


def test_commands_by_emulation_are_answered_on_the_stream(house):
    stream = house.stream()
    secret = stream.messages()[0]["connect"]["session"]
    answer = house.emulate(secret, {"id": 2, "subscribe": {"channel": "a"}}, {"id": 3, "presence": {"channel": "a"}})
    assert answer.status == 204 and answer.body == b""
    assert [message["id"] for message in stream.messages()] == [2, 3]


def test_a_pong_by_emulation_keeps_the_connection(house):
    stream = house.stream()
    secret = stream.messages()[0]["connect"]["session"]
    for _ in range(4):
        house.world.pass_time(25)
        house.emulate(secret, {})
    assert house.only_session.closed_with is None and {} in stream.messages()


def test_protobuf_by_emulation(house):
    stream = house.stream(body=bytes.fromhex("0408012200"), **PROTOBUF)
    secret = house.only_session.secret.encode()
    stream.body()
    command = bytes.fromhex("0d08022a090a07706c61696e3a61")
    body = b"\x0a\x02n1" + b"\x12%c" % len(secret) + secret + b"\x1a%c" % len(command) + command
    assert house.port.ask("POST", "/emulation", body, PROTOBUF).status == 204
    assert stream.body()[1:3] == b"\x08\x02"


def test_an_unknown_session_is_no_error_and_an_unknown_node_is(house):
    assert house.emulate("nobody", {}).status == 204
    assert house.emulate("nobody", {}, node="elsewhere").status == 404


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"node":1}', b'{"data":"\xff"}'])
def test_what_cannot_be_read_is_400(house, body):
    assert house.port.ask("POST", "/emulation", body, {"Content-Type": "application/json"}).status == 400


def test_an_emulation_request_that_is_too_large_is_413_and_a_get_405(house):
    assert house.port.ask("POST", "/emulation", b"x" * 1001).status == 413
    answer = house.port.ask("GET", "/emulation")
    assert answer.status == 405 and answer.header("allow") == "POST, OPTIONS"
    assert house.port.ask("POST", "/emulation", b"{}", {"Origin": "https://a.com"}).status == 403


def test_a_bad_frame_inside_ends_the_stream_with_a_push(house):
    stream = house.stream()
    secret = stream.messages()[0]["connect"]["session"]
    body = json.dumps({"node": "n1", "session": secret, "data": "no json"}).encode()
    assert house.port.ask("POST", "/emulation", body).status == 204
    assert stream.messages() == [{"push": {"disconnect": {"code": 3501, "reason": "bad request"}}}]


def test_the_session_of_a_websocket_or_of_one_who_left_cannot_be_named(house):
    stream = house.stream()
    secret = stream.messages()[0]["connect"]["session"]
    stream.line.leave()
    assert house.emulate(secret, {"id": 2, "subscribe": {"channel": "a"}}).status == 204
    websocket = house.world.connected()
    assert house.emulate("", {"id": 9, "subscribe": {"channel": "a"}}).status == 204
    assert websocket.take() == []
