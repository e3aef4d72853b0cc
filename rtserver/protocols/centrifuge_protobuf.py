"""The Protobuf form of the client protocol: messages, each after its length as a varint, one after the other.

Payloads are opaque bytes here. How a struct becomes a Protobuf message and back is a table made once from the descriptors:
the fields of both have the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from msgspec import NODEFAULT, Raw, Struct, inspect, structs

from rtserver.core.errors import BadFrame, NotJSON
from rtserver.core.messages import Command, ConnectRequest, Push, Reply
from rtserver.protocols import client_pb2 as pb
from rtserver.protocols.shapes import shapes, values_of
from rtserver.protocols.varint import read_varint

_T = TypeVar("_T", bound=Struct)
_M = TypeVar("_M", bound=Message)


class ProtobufCodec:
    """``centrifuge-protobuf``. Pure; one instance serves every connection."""

    name = "protobuf"

    def decode_commands(self, frame: bytes) -> list[Command]:
        """Commands of one frame, in order; one of length zero is a pong. Raises ``BadFrame``."""
        if not frame:
            raise BadFrame("The frame is empty: send at least one command.")
        commands = []
        start = 0
        while start < len(frame):
            length, start = read_varint(frame, start)
            end = start + length
            if end > len(frame):
                raise BadFrame("The frame ends in the middle of a command: send whole commands.")
            commands.append(_decode(Command, pb.Command, frame[start:end]) if length else Command())
            start = end
        return commands

    def decode_connect_request(self, frame: bytes) -> ConnectRequest:
        """The bare connect request of a unidirectional client, without a length. Raises ``BadFrame``."""
        return _decode(ConnectRequest, pb.ConnectRequest, frame)

    def decode_emulation(self, body: bytes) -> tuple[str, str, bytes]:
        """Node, session and the frame inside of a request to the emulation endpoint. Raises ``BadFrame``."""
        request = _parse(pb.EmulationRequest, body)
        return request.node, request.session, request.data

    def encode_reply(self, reply: Reply) -> bytes:
        """One message without its length; see ``delimited``."""
        return _encode(reply, pb.Reply())

    def encode_push(self, push: Push) -> bytes:
        """As ``encode_reply``, for a push without envelope."""
        return _encode(push, pb.Push())

    def payload(self, data: Raw) -> bytes:
        """The bytes as they are."""
        return bytes(data)

    def delta_data(self, delta: bytes | None, payload: bytes) -> tuple[Raw, bool]:
        """The delta when it is the shorter one, else the payload: raw bytes both."""
        if delta is not None and len(delta) < len(payload):
            return Raw(delta), True
        return Raw(payload), False


# Messages to structs


def _parse(kind: type[_M], data: bytes) -> _M:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise BadFrame(f"This is no {kind.DESCRIPTOR.name} message of the protocol: {error}.") from None


def _decode(kind: type[_T], message: type[Message], data: bytes) -> _T:
    struct: _T = _reader(kind, message.DESCRIPTOR)(_parse(message, data))
    return struct


_Reader = Callable[[Any], Any]


@cache
def _reader(kind: type[Struct], descriptor: Descriptor) -> _Reader:
    """Makes a ``kind`` of a message. What is not set keeps the default of the struct."""
    converters: dict[str, _Reader | None] = {}

    def read(message: Message) -> Struct:
        values: dict[str, Any] = {}
        for field, value in message.ListFields():
            convert = converters[field.name]
            values[field.name] = convert(value) if convert else value
        return kind(**values)

    # Filled when `read` exists already, for a filter node holds filter nodes.
    types = shapes(kind)
    for field in descriptor.fields:
        inner = _inner(field)
        reads_inner = read if inner is descriptor else None
        converters[field.name] = _converter(types[field.name], inner, reads_inner)
    return read


def _inner(field: FieldDescriptor) -> Descriptor | None:
    """The message type of the field's values; of a map field, that of the values in the map."""
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return kind.fields_by_name["value"].message_type
    return kind


def _converter(shape: inspect.Type, inner: Descriptor | None, reads_inner: _Reader | None) -> _Reader | None:
    """How a field's value is taken over; None: as it is."""

    def reader(kind: type[Struct]) -> _Reader:
        assert inner is not None
        return reads_inner or _reader(kind, inner)

    match shape:
        case inspect.RawType():
            return Raw
        case inspect.StructType(cls=kind):
            return reader(kind)
        case inspect.ListType(item_type=inspect.StructType(cls=kind)):
            read = reader(kind)
            return lambda values: [read(value) for value in values]
        case inspect.ListType():
            return list
        case inspect.DictType(value_type=inspect.StructType(cls=kind)):
            read = reader(kind)
            return lambda values: {key: read(value) for key, value in values.items()}
        case inspect.DictType():
            return dict
    return None


# Structs to messages


def _encode(struct: Struct, message: Message) -> bytes:
    _fill(message, struct)
    return message.SerializeToString()


_Writer = Callable[[Message, str, Any], None]


@dataclass(frozen=True, slots=True)
class _Table:
    """The fields of a struct: names, all values at once, and for each its default and how it is written."""

    names: tuple[str, ...]
    read: Callable[[Struct], tuple[Any, ...]]
    defaults: tuple[Any, ...]
    writers: tuple[_Writer, ...]


def _fill(message: Message, struct: Struct) -> None:
    table = _table(type(struct))
    for name, value, default, write in zip(
        table.names, table.read(struct), table.defaults, table.writers, strict=False
    ):
        if value is not default and value is not None:
            write(message, name, value)


@cache
def _table(kind: type[Struct]) -> _Table:
    types = shapes(kind)
    names = tuple(types)
    defaults = tuple(None if field.default is NODEFAULT else field.default for field in structs.fields(kind))
    return _Table(names, values_of(names), defaults, tuple(_writer(shape) for shape in types.values()))


def _writer(shape: inspect.Type) -> _Writer:
    match shape:
        case inspect.RawType():
            return _write_payload
        case inspect.StructType():
            return _write_message
        case inspect.ListType(item_type=inspect.StructType()):
            return _write_messages
        case inspect.ListType():
            return _write_values
        case inspect.DictType(value_type=inspect.StructType()):
            return _write_message_map
        case inspect.DictType():
            return _write_map
    return _write_value


def _write_value(message: Message, name: str, value: Any) -> None:
    try:
        setattr(message, name, value)
    except UnicodeEncodeError:
        raise NotJSON("A name in the message holds a lone surrogate, which UTF-8 cannot carry.") from None


def _write_payload(message: Message, name: str, value: Raw) -> None:
    setattr(message, name, bytes(value))


def _write_message(message: Message, name: str, value: Struct) -> None:
    inner = getattr(message, name)
    inner.SetInParent()
    _fill(inner, value)


def _write_messages(message: Message, name: str, values: list[Struct]) -> None:
    repeated = getattr(message, name)
    for value in values:
        _fill(repeated.add(), value)


def _write_values(message: Message, name: str, values: list[Any]) -> None:
    getattr(message, name).extend(values)


def _write_message_map(message: Message, name: str, values: dict[str, Struct]) -> None:
    entries = getattr(message, name)
    for key, value in values.items():
        _fill(entries[key], value)


def _write_map(message: Message, name: str, values: dict[str, Any]) -> None:
    getattr(message, name).update(values)
