"""Frames that break the rules: each gets the answer of the protocol, the log one clear line, and everybody else service."""

import json
import zlib

import pytest

from tests.live.frames import close_code, handshake, masked
from tests.live.raw import RawClient, delimited


@pytest.fixture
def server(strict):
    return strict


def test_a_message_over_the_limit_closes_with_1009(server):
    with RawClient(server) as client:
        client.connect()
        client.socket.send('{"id":2,"rpc":{"data":"' + "x" * 65_536 + '"}}')
        assert client.end()[0] == 1009


def test_a_message_at_the_limit_is_taken(server):
    frame = '{"id":2,"publish":{"channel":"c","data":"%s"}}'
    with RawClient(server) as client:
        client.connect()
        client.socket.send(frame % ("x" * (65_536 - len(frame) + 2)))
        assert client.receive() == {"id": 2, "publish": {}}


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "",
        "\n",
        "nonsense",
        "[]",
        "7",
        '{"id":-1,"rpc":{}}',
        '{"id":4294967296,"rpc":{}}',
        '{"id":1.5,"rpc":{}}',
        '{"id":"1","rpc":{}}',
        '{"id":2,"rpc":[]}',
        '{"id":2,"rpc":{}}\n\n{"id":3,"rpc":{}}',
        '{"id":2,"rpc":{}}{"id":3,"rpc":{}}',
        "[" * 30_000,
        '{"id":2,"publish":{"channel":"c","data":' + "[" * 30_000 + "}}",
        '{"id":2,"publish":{"channel":"c","data":NaN}}',
    ],
    ids=lambda frame: repr(frame[:40]),
)
def test_a_malformed_frame_ends_with_3501(server, frame):
    with RawClient(server) as client:
        client.connect()
        client.socket.send(frame)
        assert client.end() == (3501, "bad request")
    server.wait_line("disconnect: 3501: bad request")


@pytest.mark.parametrize(
    "frame",
    [
        b"\x05\x08\x01",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x80",
        b"",
        b"\x02\xff\xff",
        delimited({"id": 2, "rpc": {}}) + b"\x7f",
        delimited({"id": 2, "rpc": {}})[:-1],
        b"\x05\x08\x02\x2a\x7f\x00",
    ],
    ids=lambda frame: frame.hex(),
)
def test_a_malformed_protobuf_frame_ends_with_3501(server, frame):
    with RawClient(server, protobuf=True) as client:
        client.connect()
        client.socket.send(frame)
        assert client.end() == (3501, "bad request")
    server.wait_line("disconnect: 3501: bad request")


def test_text_that_is_no_utf_8_closes_with_1007(server):
    link, _ = handshake(server)
    link.sendall(masked(0x81, b'{"id":1,"connect":{"name":"\xff\xfe"}}'))
    assert close_code(link) == 1007


def test_utf_8_that_is_wrong_in_a_binary_frame_ends_with_3501(server):
    with RawClient(server) as client:
        client.socket.send(b'{"id":1,"connect":{"name":"\xff\xfe"}}')
        assert client.end() == (3501, "bad request")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x02{}", 1002),
        (b"\xc1\x80\x00\x00\x00\x00", 1002),
        (b"\x83\x80\x00\x00\x00\x00", 1002),
        (b"\x80\x80\x00\x00\x00\x00", 1002),
        (b"\x89\xfe\x00\x7e\x00\x00\x00\x00", 1002),
        (b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009),
        (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1002),
    ],
    ids=["unmasked", "reserved bit", "reserved opcode", "stray continuation", "long ping", "huge", "negative length"],
)
def test_what_is_no_websocket_frame_is_a_protocol_error(server, frame, code):
    link, _ = handshake(server)
    link.sendall(frame)
    assert close_code(link) == code


def test_fragments_count_together_against_the_limit(server):
    link, _ = handshake(server)
    link.sendall(masked(0x01, b"x" * 60_000) + masked(0x00, b"x" * 60_000))
    assert close_code(link) == 1009


def test_ten_thousand_commands_in_a_frame_do_not_hold_up_others(server):
    """As many as useful ones fit in 64 KiB are answered; thousands of useless ones end the connection."""
    with RawClient(server) as client:
        client.connect()
        client.socket.send("\n".join(['{"id":9,"rpc":{}}'] * 3_600))
        got = [client.receive() for _ in range(3_600)]
        assert {reply["error"]["code"] for reply in got} == {108}
        client.socket.send("\n".join(["{}"] * 20_000))
        assert client.call(10, presence_stats={"channel": "c"})["presence_stats"]
        client.socket.send("\n".join(['{"id":9}'] * 7_000))
        assert client.end() == (3013, "too many requests")


def test_a_compression_bomb_is_refused_with_bounded_memory(server):
    """60 MB of zeros in 60 KB: refused when it has grown over the limit of a message, not inflated to its end."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(squeeze.compress(bytes(1_000_000)) for _ in range(60)) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 65_536
    before = server.memory()
    link, answer = handshake(server, b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n")
    assert b"permessage-deflate" in answer
    link.sendall(masked(0xC1, bomb))
    assert close_code(link) == 1009
    assert server.memory() - before < 30_000_000


def test_compressed_conversations_work(server):
    with RawClient(server, compression="deflate") as client:
        client.connect()
        client.call(2, subscribe={"channel": "packed"})
        for data in ({"pad": "größe " * 3000}, {"n": 1}, "x" * 60_000):
            assert client.call(3, rpc={"data": data})["error"]["code"] == 108
            server.publish("packed", data)
            assert client.receive()["push"]["pub"]["data"] == data


def test_the_wire_helpers_speak_websocket(server):
    link, answer = handshake(server)
    assert answer.startswith(b"HTTP/1.1 101 ")
    link.sendall(masked(0x81, b'{"id":1,"connect":{}}'))
    reply = link.recv(4096)
    assert json.loads(reply[4:] if reply[1] == 126 else reply[2:])["id"] == 1
    link.close()
