"""The frames of every kind of connection, and the wires made of them: one instance each, shared by all connections."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache

from rtserver.core.wire import FramedWire
from rtserver.protocols import load
from rtserver.protocols.varint import delimited

TEXT, BINARY, PONG = 0x81, 0x82, 0x8A
"""First bytes of a final, uncompressed frame (RFC 6455 section 5.2)."""

COMPRESSED = 0x40
"""RSV1: the message is deflated (RFC 7692 section 6)."""


def websocket_frame(first: int, payload: bytes) -> bytes:
    """One unmasked frame, as servers send them."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def text_frame(payload: bytes) -> bytes:
    return websocket_frame(TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    return websocket_frame(BINARY, payload)


def deflated(first: int, min_size: int) -> Callable[[bytes], bytes]:
    """A frame whose payload is deflated by itself (no context takeover), so that every connection can share the bytes.

    Small and incompressible payloads go as they are. The window is the smallest that clients may be promised."""

    def frame(payload: bytes) -> bytes:
        if len(payload) < min_size:
            return websocket_frame(first, payload)
        deflate = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -WINDOW_BITS, 4)
        packed = (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
        if len(packed) >= len(payload):
            return websocket_frame(first, payload)
        return websocket_frame(first | COMPRESSED, packed)

    return frame


WINDOW_BITS = 11
"""The deflate window that the handshake agrees on (2 KiB): memory per connection stays small."""


def line(message: bytes) -> bytes:
    return message + b"\n"


def event(message: bytes) -> bytes:
    """One server-sent event (HTML standard section 9.2); messages have no line ends inside."""
    return b"data: " + message + b"\n\n"


_FRAMES: dict[str, tuple[str, Callable[[bytes], bytes], bool]] = {
    "websocket/json": ("centrifuge-json", text_frame, False),
    "websocket/protobuf": ("centrifuge-protobuf", lambda message: binary_frame(delimited(message)), False),
    "http_stream/json": ("centrifuge-json", line, False),
    "http_stream/protobuf": ("centrifuge-protobuf", delimited, False),
    "sse/json": ("centrifuge-json", event, False),
    "uni_websocket/json": ("centrifuge-json", text_frame, True),
    "uni_sse/json": ("centrifuge-json", event, True),
    "uni_http_stream/json": ("centrifuge-json", line, True),
}
"""Transport and format to codec, frame, and whether pushes go bare."""


@cache
def wire(name: str) -> FramedWire:
    """The wire of ``name`` ("websocket/json", ...)."""
    codec, frame, unidirectional = _FRAMES[name]
    return FramedWire(name, load(codec), frame, unidirectional)


@cache
def deflated_wire(name: str, min_size: int) -> FramedWire:
    """As ``wire``, for WebSocket connections that negotiated permessage-deflate."""
    codec, _, unidirectional = _FRAMES[name]
    if codec == "centrifuge-json":
        return FramedWire(f"{name}+deflate", load(codec), deflated(TEXT, min_size), unidirectional)
    squeeze = deflated(BINARY, min_size)
    return FramedWire(f"{name}+deflate", load(codec), lambda message: squeeze(delimited(message)), unidirectional)
