"""Messages that came whole take a short way; everything must be as if Autobahn had read them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver.protocols.whole_frames import unmasked, whole_message
from rtserver.protocols.ws import Connection, WebSocketOptions
from tests.line import Line
from tests.ws_client import WSHouse

LIMIT = 300
MASK = b"\x12\x34\x56\x78"


def frame(payload, first=0x81, mask=MASK, length=0):
    """A frame as clients send it; ``mask`` None: unmasked, ``length``: bytes of the extended length, 0: as it should be."""
    size = len(payload)
    length = length or (0 if size < 126 else 2 if size < 65_536 else 8)
    short = {0: size, 2: 126, 8: 127}[length]
    head = bytes((first, short | (0 if mask is None else 0x80))) + (size.to_bytes(length, "big") if length else b"")
    return head + (payload if mask is None else mask + unmasked(payload, mask))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 125, 126, 127, 255, 256, 300])
@pytest.mark.parametrize("first", [0x81, 0x82])
def test_a_whole_frame_gives_its_message_and_where_the_next_begins(size, first):
    payload = ("ä" * size).encode()[:size] if first == 0x82 else b"x" * size
    data = b"before" + frame(payload, first) + b"after"
    found = whole_message(data, 6, LIMIT)
    assert found == (payload, first == 0x82, len(data) - 5)


@pytest.mark.parametrize(
    "data",
    [
        frame(b""),
        frame(b"text", mask=None),
        frame(b"text", 0x01),
        frame(b"text", 0x80),
        frame(b"text", 0xC1),
        frame(b"ping", 0x89),
        frame(b"\x03\xe8", 0x88),
        frame(b"short", length=2),
        frame(b"short", length=8),
        frame(b"x" * 301),
        frame(b"\xff\xfe"),
        frame("ä".encode()[:1]),
    ],
    ids=[
        *("empty", "unmasked", "begin of fragments", "end of fragments", "compressed", "ping", "close"),
        *("long length", "longer length", "above the limit", "no UTF-8", "half a character"),
    ],
)
def test_what_is_not_simple_is_left_to_autobahn(data):
    assert whole_message(data, 0, LIMIT) is None


def test_a_frame_that_is_not_there_wholly_is_left_to_autobahn():
    for data in (frame(b"text"), frame(b"x" * 200)):
        for end in range(len(data)):
            assert whole_message(data[:end], 0, LIMIT) is None


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_the_mask_is_taken_off_as_section_5_3_says(data, mask):
    assert unmasked(data, mask) == bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


class Recording(Connection):
    """What came, as the application sees it. Some messages make it close or answer."""

    def opened(self):
        self.factory.seen = []

    def onMessage(self, payload, isBinary):
        self.factory.seen.append((bytes(payload), isBinary))
        if payload == b"close":
            self.sendClose(3000, "enough")


class ByAutobahn(Recording):
    def dataReceived(self, data):
        self._dataReceived(data)


def outcome(kind, chunks, options):
    """Messages, bytes written, and whether the connection lives, after these chunks."""
    with WSHouse(options=options) as house:
        factory = house.factories["websocket"]
        factory.protocol = kind
        line: Line = house.begin()
        line.take()
        for chunk in chunks:
            if line.connected:
                line.send(chunk)
        house.pass_time(1)
        return factory.seen, line.take(), line.connected


payloads = st.one_of(
    st.sampled_from([b"", b"close", b'{"id":1}', b"\xff", "größe".encode(), b"x" * 126, b"x" * 300, b"x" * 301]),
    st.binary(max_size=20),
    st.text(max_size=20).map(str.encode),
)
firsts = st.sampled_from([0x81, 0x81, 0x81, 0x82, 0x82, 0x01, 0x00, 0x80, 0x89, 0x8A, 0x88, 0xC1, 0x83])
frames = st.builds(
    frame,
    payloads,
    firsts,
    st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4), st.none()),
    st.sampled_from([0, 0, 0, 0, 2, 8]),
)


ZERO = bytes(4)
INNER = frame(b"x")


@pytest.mark.parametrize(
    "chunks",
    [
        [frame(b"begin", 0x01), frame(b"whole"), frame(b"end", 0x80)],
        [b"\x82", b"\x82\x81" + bytes(3) + b"xy"],
        [frame(INNER, 0x89, mask=ZERO)[:6], INNER],
        [frame(INNER, mask=ZERO)[:9], INNER[3:]],
        [frame(b"x" * 300) + frame(b"x" * 301) + frame(b"x")],
        [frame(b"a") + frame(b"close") + frame(b"b"), frame(b"c")],
        [frame(b"a") + frame(b"\x03\xe8", 0x88) + frame(b"b")],
        [frame(b"a") + frame(b"\xff") + frame(b"b")],
    ],
    ids=[
        *(
            "inside of fragments",
            "after half a header",
            "after the header of a ping",
            "inside of a payload",
            "the limit",
        ),
        *("closed by us", "closed by the client", "no UTF-8"),
    ],
)
def test_these_streams_mean_what_they_mean_to_autobahn(chunks):
    options = WebSocketOptions(message_size_limit=LIMIT)
    assert outcome(Recording, chunks, options) == outcome(ByAutobahn, chunks, options)


@settings(max_examples=150, deadline=None)
@given(st.lists(frames, min_size=1, max_size=6).map(b"".join), st.lists(st.integers(0, 900), max_size=5))
def test_every_stream_of_bytes_means_what_it_means_to_autobahn(data, cuts):
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[a:b] for a, b in zip(places, places[1:], strict=False)]
    options = WebSocketOptions(message_size_limit=LIMIT)
    assert outcome(Recording, chunks, options) == outcome(ByAutobahn, chunks, options)


def test_a_message_counts_as_the_answer_to_a_native_ping():
    with WSHouse(options=WebSocketOptions(frame_ping_interval=25, frame_ping_timeout=10)) as house:
        client = house.connect("/ws?cf_ws_frame_ping_pong=true")
        house.pass_time(27)
        assert [first for first, _ in client.frames()] == [0x89]
        client.command(id=2, presence={"channel": "a"})
        house.pass_time(12)
        assert client.line.connected
