"""The change of hands from HTTP to WebSocket inside one port, and that every connection is counted out once."""

from __future__ import annotations

import base64
import hashlib

import pytest
import txaio

from rtserver.core import errors
from rtserver.core.options import ClientOptions
from rtserver.protocols.entrance import Entrance
from rtserver.protocols.outbound import Drain
from rtserver.protocols.upgrade import UpgradeResource
from rtserver.protocols.ws import Connection, ConnectionFactory, WebSocketOptions
from rtserver.web.site import SiteLimits
from tests.fakes import World
from tests.line import Port, head, parse
from tests.ws_client import KEY, WSHouse, upgrade_headers


@pytest.fixture
def house():
    with WSHouse() as house:
        yield house
        house.world.log.check()


def test_the_handshake_is_answered_by_the_key_of_the_client(house):
    answer = parse(house.begin().take())
    digest = hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    assert answer.status == 101
    assert answer.header("sec-websocket-accept") == base64.b64encode(digest).decode()


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "DELETE"])
def test_another_method_than_get_is_405_and_says_which(house, method):
    answer = house.port.ask(method, "/ws", headers=upgrade_headers())
    assert answer.status == 405 and answer.header("allow") == "GET"
    assert method == "HEAD" or "GET" in answer.text


def test_a_plain_request_is_426_and_says_what_to_do(house):
    answer = house.port.ask("GET", "/ws")
    assert answer.status == 426 and answer.header("upgrade") == "websocket" and "ws://" in answer.text


def test_the_upgrade_header_is_read_in_any_case(house):
    assert parse(house.begin(Upgrade="WebSocket").take()).status == 101


def test_an_upgrade_header_in_no_encoding_is_426(house):
    assert house.port.ask("GET", "/ws", headers={"Upgrade": b"\xff"}).status == 426


def test_a_foreign_page_is_403_and_an_unready_server_503(house):
    answer = house.port.ask("GET", "/ws", headers={**upgrade_headers(), "Origin": "https://example.com"})
    assert answer.status == 403 and "client.allowed_origins" in answer.text
    house.world.node.draining = True
    answer = house.port.ask("GET", "/ws", headers=upgrade_headers())
    assert (answer.status, answer.text) == (503, "the server is shutting down\n")
    assert house.entrance.open == 0


@pytest.mark.parametrize(
    "headers",
    [{"Sec-WebSocket-Key": "short"}, {"Sec-WebSocket-Version": "12"}, {"Sec-WebSocket-Version": "x"}],
)
def test_a_broken_handshake_is_answered_with_400_and_counted_out(house, headers):
    line = house.begin(**headers)
    assert parse(line.take()).status == 400
    house.pass_time(6)
    assert not line.connected and house.entrance.open == 0


def test_a_handshake_without_its_key_is_refused(house):
    headers = upgrade_headers()
    del headers["Sec-WebSocket-Key"]
    assert house.port.ask("GET", "/ws", headers=headers).status == 400


def test_the_http_channel_lets_go_wholly(house):
    line = house.begin()
    assert isinstance(line.protocol, Connection)
    assert line.producer is None, "a producer of ours can be registered"
    line.registerProducer(object(), True)
    line.unregisterProducer()
    assert line.producerState == "producing"


def test_the_idle_and_head_timers_of_http_end_with_the_handshake():
    limits = SiteLimits(head_timeout=1, idle_timeout=2)
    with WSHouse(ClientOptions(stale_close_delay=0), limits=limits) as house:
        line = house.begin()
        house.clock.advance(60)
        assert line.connected and not line.disconnecting


def test_a_second_request_on_a_kept_alive_connection_can_upgrade(house):
    line = house.port.connect()
    line.send(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
    assert parse(line.take()).status == 404
    house.send_head(line)
    assert parse(line.take()).status == 101
    assert isinstance(line.protocol, Connection)


def test_several_values_of_a_header_reach_the_handshake_as_one(house):
    line = house.port.connect()
    line.send(
        b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: " + KEY.encode() + b"\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: centrifuge-json\r\n\r\n"
    )
    answer = parse(line.take())
    assert answer.status == 101 and answer.header("sec-websocket-protocol") == "centrifuge-json"


def test_a_first_frame_in_the_same_packet_as_the_handshake_is_read(house):
    line = house.port.connect()
    frame = b"\x81\x95\x00\x00\x00\x00" + b'{"id":1,"connect":{}}'
    line.send(head("GET", "/ws", upgrade_headers()) + frame[:10])
    assert parse(line.take()).status == 101
    line.send(frame[10:])
    assert b'{"id":1,"connect":' in line.take()


# Every connection that entered leaves once


def test_a_client_that_leaves_is_counted_out_once(house):
    line = house.connect().line
    assert house.entrance.open == 1
    line.leave()
    house.pass_time(10)
    assert house.entrance.open == 0


def test_a_close_by_the_client_is_counted_out_once(house):
    client = house.connect()
    client.send_close(1000)
    house.pass_time(10)
    assert not client.line.connected and house.entrance.open == 0


def test_a_close_by_the_server_is_counted_out_once(house):
    client = house.connect()
    client.session.close(errors.FORCE_DISCONNECT)
    house.pass_time(10)
    assert not client.line.connected and house.entrance.open == 0


def test_an_abort_is_counted_out_once(house):
    client = house.connect()
    client.session.close(errors.SLOW)
    house.pass_time(1)
    assert client.line.aborted and house.entrance.open == 0


def test_a_client_that_leaves_during_the_handshake_answer_is_counted_out_once(house):
    line = house.begin(**{"Sec-WebSocket-Key": "short"})
    line.leave()
    house.pass_time(10)
    assert house.entrance.open == 0


def test_the_limit_counts_what_is_open():
    with WSHouse(ClientOptions(allow_anonymous_connect_without_token=True, connection_limit=1)) as house:
        first = house.connect()
        answer = parse(house.begin().take())
        assert answer.status == 503 and "client.connection_limit" in answer.text
        first.line.leave()
        assert parse(house.begin().take()).status == 101


def test_two_transports_share_one_count():
    world = World()
    txaio.config.loop = world.clock
    entrance = Entrance(ClientOptions(), world.clock.seconds, lambda: "")
    drain = Drain(1, world.clock.seconds)
    table = {}
    for name in ("websocket", "uni_websocket"):
        factory = ConnectionFactory(world.node, WebSocketOptions(), drain, world.clock, name)
        table[f"/{name}"] = UpgradeResource(factory, entrance)
    port = Port(world.clock, table)
    lines = [port.begin("GET", path, headers=upgrade_headers()) for path in table]
    assert entrance.open == 2
    for line in lines:
        line.leave()
    assert entrance.open == 0
    txaio.config.loop = None
