"""WebSocket connections: encodings, limits, compression, unidirectional ones (protocol 1.2, 1.8)."""

from __future__ import annotations

import json
import zlib

import pytest
from msgspec import Raw

from rtserver.core import errors
from rtserver.core.messages import Publication
from rtserver.protocols.wires import WINDOW_BITS
from rtserver.protocols.ws import CLOSE_TIMEOUT, WebSocketOptions
from tests.fakes import World
from tests.line import parse
from tests.ws_client import WSHouse


@pytest.fixture
def house():
    with WSHouse() as house:
        yield house
        house.world.log.check()


# Sub-protocols and encodings (section 1.2)


@pytest.mark.parametrize(
    ("offered", "echoed", "format"),
    [
        (None, None, "json"),
        ("centrifuge-json", "centrifuge-json", "json"),
        ("centrifuge-protobuf", "centrifuge-protobuf", "protobuf"),
        ("centrifuge-protobuf, centrifuge-json", "centrifuge-protobuf", "protobuf"),
        ("other, centrifuge-json", "centrifuge-json", "json"),
        ("other", None, "json"),
        ("", None, "json"),
    ],
)
def test_a_sub_protocol_is_echoed_only_when_it_was_offered(house, offered, echoed, format):
    headers = {} if offered is None else {"Sec-WebSocket-Protocol": offered}
    client = house.open(**headers)
    assert client.answer.header("sec-websocket-protocol") == echoed
    assert client.session.wire.name == f"websocket/{format}"


@pytest.mark.parametrize("query", ["format=protobuf", "cf_protocol=protobuf", "cf_protocol_version=v2&format=protobuf"])
def test_the_query_can_ask_for_protobuf(house, query):
    client = house.open(f"/ws?{query}")
    assert client.session.wire.name == "websocket/protobuf"
    assert client.answer.header("sec-websocket-protocol") is None


def test_json_goes_in_text_frames_and_protobuf_in_binary_ones(house):
    client = house.open()
    client.command(id=1, connect={})
    assert client.frames()[0][0] == 0x81
    client = house.open("/ws?format=protobuf")
    client.send(bytes.fromhex("0408012200"), 0x82)
    assert client.frames()[0][0] == 0x82


def test_the_type_of_a_received_frame_does_not_matter(house):
    client = house.open()
    client.send(b'{"id":1,"connect":{}}', 0x82)
    assert client.messages()[0]["id"] == 1


def test_native_pings_take_the_place_of_ours():
    with WSHouse(options=WebSocketOptions(frame_ping_interval=25, frame_ping_timeout=10)) as house:
        client = house.connect("/ws?cf_ws_frame_ping_pong=true")
        assert client.session.handshake.app_ping is False and client.session.ping_at == 0
        house.pass_time(27)
        assert [first for first, _ in client.frames()] == [0x89]
        house.pass_time(12)
        assert not client.line.connected


def test_a_client_with_native_pings_is_not_told_of_ours(house):
    client = house.open("/ws?cf_ws_frame_ping_pong=true")
    client.command(id=1, connect={})
    reply = client.messages()[0]["connect"]
    assert "ping" not in reply and "pong" not in reply


def test_nagle_is_switched_off(house):
    assert house.open().line.no_delay


def test_headers_and_address_of_the_client_are_known(house):
    handshake = house.open(**{"X-User": "42"}).session.handshake
    assert handshake.headers["x-user"] == "42" and handshake.remote == "127.0.0.1"
    assert handshake.transport == "websocket" and not handshake.emulation


# Limits


def test_a_message_of_the_limit_passes_and_a_larger_one_is_1009():
    with WSHouse(options=WebSocketOptions(message_size_limit=1000)) as house:
        client = house.connect()
        client.send(json.dumps({"id": 2, "presence": {"channel": "a"}}).encode().ljust(1000))
        assert client.messages()[0]["id"] == 2
        client.send(b"x" * 1001)
        assert client.closed_with()[0] == 1009
        house.pass_time(10)
        assert not client.line.connected and house.entrance.open == 0


def test_fragments_count_together():
    with WSHouse(options=WebSocketOptions(message_size_limit=1000)) as house:
        client = house.connect()
        client.send(b" " * 600, 0x01)
        client.send(b" " * 600, 0x80)
        assert client.closed_with()[0] == 1009


def test_an_unmasked_frame_and_bad_utf8_are_protocol_errors(house):
    client = house.connect()
    client.line.send(b"\x81\x02{}")
    assert client.closed_with()[0] == 1002
    client = house.connect()
    client.send(b"\xff\xfe")
    assert client.closed_with()[0] == 1007


def test_a_handshake_that_does_not_end_in_time_is_dropped(house):
    factory = house.factories["websocket"]
    assert factory.openHandshakeTimeout == 5 and factory.closeHandshakeTimeout == CLOSE_TIMEOUT
    assert factory.maxMessagePayloadSize == factory.maxFramePayloadSize == 65_536
    assert factory.requireMaskedClientFrames and factory.utf8validateIncoming and not factory.failByDrop


# Compression (RFC 7692)

DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}


@pytest.fixture
def squeezing():
    with WSHouse(options=WebSocketOptions(compression=True, compression_min_size=200)) as house:
        yield house
        house.world.log.check()


def test_compression_is_refused_unless_it_is_configured(house):
    assert house.open(**DEFLATE).answer.header("sec-websocket-extensions") is None


def test_with_compression_all_get_the_same_deflated_bytes(squeezing):
    clients = [squeezing.connect(**DEFLATE) for _ in range(2)]
    assert "client_no_context_takeover" in clients[0].answer.header("sec-websocket-extensions")
    for client in clients:
        client.command(id=2, subscribe={"channel": "plain:a"})
        client.frames()
    squeezing.world.publish("plain:a", "x" * 1000)
    squeezing.world.publish("plain:a", "small")
    squeezing.world.turn()
    frames = [client.frames() for client in clients]
    assert frames[0] == frames[1] and [first for first, _ in frames[0]] == [0xC1, 0x81]
    inflated = zlib.decompressobj(-WINDOW_BITS).decompress(frames[0][0][1] + b"\x00\x00\xff\xff")
    assert json.loads(inflated)["push"]["pub"]["data"] == "x" * 1000


def test_a_client_that_offers_no_compression_gets_none(squeezing):
    client = squeezing.connect()
    client.command(id=2, subscribe={"channel": "plain:a"})
    client.frames()
    squeezing.world.publish("plain:a", "x" * 1000)
    squeezing.world.turn()
    assert client.frames()[0][0] == 0x81


def test_a_window_smaller_than_ours_is_not_agreed_to(squeezing):
    client = squeezing.open(**{"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=9"})
    assert client.answer.header("sec-websocket-extensions") is None


def test_what_a_message_inflates_to_is_bounded(squeezing):
    client = squeezing.connect(**DEFLATE)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = (squeeze.compress(b" " * 10_000_000) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]
    assert len(bomb) < 65_536
    client.send(bomb, 0xC1)
    assert client.closed_with()[0] == 1009


# Unidirectional (section 1.8)


def test_a_unidirectional_client_connects_by_its_first_message_and_says_no_more(house):
    client = house.open("/uni")
    client.send(b"{}")
    push = client.messages()[0]["connect"]
    assert push["client"] and push["session"] and "pong" not in push
    client.send(b"{}")
    client.send(b"no json at all")
    assert client.frames() == [] and client.session.closed_with is None


def test_a_unidirectional_client_may_connect_by_the_query(house):
    client = house.open("/uni?cf_connect=%7B%22subs%22%3A%7B%22a%22%3A%7B%7D%7D%7D")
    assert client.messages()[0]["connect"]["subs"] == {"a": {}}


def test_no_sub_protocol_is_echoed_to_unidirectional_clients(house):
    client = house.open("/uni", **{"Sec-WebSocket-Protocol": "centrifuge-json"})
    assert client.answer.header("sec-websocket-protocol") is None and client.session.wire.name == "uni_websocket/json"


def test_a_unidirectional_client_gets_a_disconnect_push_and_the_close_frame(house):
    client = house.open("/uni")
    client.send(b"{}")
    client.frames()
    client.session.close(errors.FORCE_DISCONNECT)
    (first, push), (close, payload) = client.frames()
    assert json.loads(push) == {"disconnect": {"code": 3503, "reason": "force disconnect"}}
    assert close == 0x88 and payload[2:] == b"force disconnect"


def test_a_bad_connect_of_a_unidirectional_client_ends_it(house):
    client = house.open("/uni")
    client.send(b"{")
    assert client.closed_with() == (3501, "bad request")
    client = house.open("/uni?cf_connect=%7B")
    assert client.closed_with() == (3501, "bad request")


def test_a_unidirectional_connect_with_an_expired_token_is_3005(house):
    client = house.open("/uni")
    client.send(b'{"token":"expired"}')
    assert client.closed_with() == (3005, "connection expired")


def test_a_slow_unidirectional_client_gets_nothing_more(house):
    client = house.open("/uni")
    client.send(b"{}")
    client.frames()
    client.session.close(errors.SLOW)
    assert client.frames() == [] and client.line.aborted


def test_a_payload_that_is_not_json_closes_with_3506():
    with WSHouse(world=World()) as house:
        client = house.connect()
        client.command(id=2, subscribe={"channel": "plain:a"})
        client.frames()
        house.world.node.on_publication("plain:a", Publication(Raw(b"\x00\x01")), "")
        house.world.turn()
        assert client.closed_with() == tuple(errors.INAPPROPRIATE_PROTOCOL)


def test_a_request_for_the_page_of_autobahn_gets_none(house):
    assert parse(house.begin(Upgrade="h2c").take()).status == 426
