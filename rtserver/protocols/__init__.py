"""The wire protocols, by the name that a WebSocket client asks for as its sub-protocol.

The values are strings, imported on use: a server that speaks JSON only never loads the Protobuf library.
"""

from __future__ import annotations

from importlib import import_module

from rtserver.core.ports import Codec

PROTOCOLS = {
    "centrifuge-json": "rtserver.protocols.centrifuge_json:JSONCodec",
    "centrifuge-protobuf": "rtserver.protocols.centrifuge_protobuf:ProtobufCodec",
}

_loaded: dict[str, Codec] = {}


def load(name: str) -> Codec:
    """The codec of sub-protocol ``name``; the same instance every time. Raises KeyError for a name not in the table."""
    codec = _loaded.get(name)
    if codec is None:
        module, _, attribute = PROTOCOLS[name].partition(":")
        codec = _loaded[name] = getattr(import_module(module), attribute)()
    return codec
