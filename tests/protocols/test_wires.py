"""Frames of every kind of connection (RFC 6455 section 5.2, RFC 7692, server-sent events, lines)."""

from __future__ import annotations

import zlib

import pytest
from msgspec import Raw

from rtserver.core.messages import Publication, Push, Reply
from rtserver.protocols.wires import (
    BINARY,
    COMPRESSED,
    TEXT,
    WINDOW_BITS,
    binary_frame,
    deflated,
    deflated_wire,
    event,
    line,
    text_frame,
    websocket_frame,
    wire,
)

WIRES = (
    "websocket/json",
    "websocket/protobuf",
    "http_stream/json",
    "http_stream/protobuf",
    "sse/json",
    "uni_websocket/json",
    "uni_sse/json",
    "uni_http_stream/json",
)


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, "8100"),
        (125, "817d"),
        (126, "817e007e"),
        (65_535, "817effff"),
        (65_536, "817f0000000000010000"),
    ],
)
def test_the_length_of_a_frame_takes_as_few_bytes_as_the_rfc_asks(size, header):
    frame = text_frame(b"x" * size)
    assert frame == bytes.fromhex(header) + b"x" * size


def test_text_and_binary_frames_are_final_and_unmasked():
    assert text_frame(b"a")[0] == 0x81 and binary_frame(b"a")[0] == 0x82
    assert text_frame(b"a")[1] & 0x80 == 0


def inflate(frame):
    """The payload of a compressed frame, as a client gets it (RFC 7692 section 7.2.2)."""
    size, start = frame[1], 2
    if size == 126:
        size, start = int.from_bytes(frame[2:4], "big"), 4
    payload = frame[start:]
    assert len(payload) == size
    inflater = zlib.decompressobj(-WINDOW_BITS)
    return inflater.decompress(payload + b"\x00\x00\xff\xff")


def test_a_deflated_frame_has_rsv1_and_inflates_in_the_agreed_window():
    payload = b'{"push":{"channel":"news"}}' * 400
    frame = deflated(TEXT, 512)(payload)
    assert frame[0] == TEXT | COMPRESSED and len(frame) < len(payload) / 10
    assert inflate(frame) == payload


def test_a_long_payload_inflates_although_it_is_larger_than_the_window():
    payload = b"".join(b"%d," % number for number in range(20_000))
    frame = deflated(BINARY, 0)(payload)
    assert frame[0] == BINARY | COMPRESSED
    inflater = zlib.decompressobj(-WINDOW_BITS)
    assert inflater.decompress(frame[4 if frame[1] == 126 else 10 :] + b"\x00\x00\xff\xff") == payload


def test_each_deflated_frame_stands_alone_so_that_connections_can_share_it():
    squeeze = deflated(TEXT, 0)
    payload = b"the same words " * 50
    assert squeeze(payload) == squeeze(payload)


def test_what_is_small_or_does_not_shrink_goes_plain():
    squeeze = deflated(TEXT, 100)
    assert squeeze(b"a" * 99) == websocket_frame(TEXT, b"a" * 99)
    assert squeeze(b"a" * 100)[0] == TEXT | COMPRESSED
    random = bytes((number * number * 7919 >> 3) & 0xFF ^ (number >> 5) for number in range(8))
    assert deflated(TEXT, 0)(random) == websocket_frame(TEXT, random)


def test_lines_and_events_end_as_their_readers_expect():
    assert line(b"{}") == b"{}\n"
    assert event(b"{}") == b"data: {}\n\n"


@pytest.mark.parametrize("name", WIRES)
def test_there_is_one_wire_of_each_kind(name):
    assert wire(name) is wire(name) and wire(name).name == name


def test_a_wire_that_is_not_known_is_an_error():
    with pytest.raises(KeyError):
        wire("sse/protobuf")


def test_unidirectional_wires_send_bare_pushes_and_the_others_replies():
    push = Push(channel="a", pub=Publication(Raw(b"1")))
    assert wire("uni_sse/json").push(push) == b'data: {"channel":"a","pub":{"data":1}}\n\n'
    assert wire("sse/json").push(push) == b'data: {"push":{"channel":"a","pub":{"data":1}}}\n\n'
    assert wire("http_stream/json").reply(Reply(id=1)) == b'{"id":1}\n'


@pytest.mark.parametrize(
    ("name", "ping"),
    [
        ("websocket/json", b"\x81\x02{}"),
        ("websocket/protobuf", b"\x82\x01\x00"),
        ("http_stream/json", b"{}\n"),
        ("http_stream/protobuf", b"\x00"),
        ("sse/json", b"data: {}\n\n"),
        ("uni_websocket/json", b"\x81\x02{}"),
        ("uni_sse/json", b"data: {}\n\n"),
        ("uni_http_stream/json", b"{}\n"),
    ],
)
def test_a_ping_is_the_empty_message(name, ping):
    assert wire(name).ping() == ping


def test_a_payload_with_line_breaks_cannot_break_a_line_or_an_event():
    push = Push(channel="a", pub=Publication(Raw(b'{\r\n"a":\n1}')))
    for name in ("http_stream/json", "uni_http_stream/json"):
        assert wire(name).push(push).count(b"\n") == 1
    for name in ("sse/json", "uni_sse/json"):
        frame = wire(name).push(push)
        assert frame.endswith(b"\n\n") and b"\n" not in frame[:-2] and b"\r" not in frame


def test_deflated_wires_carry_the_same_messages():
    push = Push(channel="a", pub=Publication(Raw(b'"' + b"x" * 1000 + b'"')))
    for name in ("websocket/json", "websocket/protobuf", "uni_websocket/json"):
        plain, squeezed = wire(name).push(push), deflated_wire(name, 512).push(push)
        assert squeezed[0] == plain[0] | COMPRESSED
        assert inflate(squeezed) == plain[4:]
        assert deflated_wire(name, 512).ping() == wire(name).ping()
        assert deflated_wire(name, 512) is not wire(name)


def test_deflated_wires_are_shared_too():
    assert deflated_wire("websocket/json", 512) is deflated_wire("websocket/json", 512)
