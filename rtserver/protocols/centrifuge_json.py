"""The JSON form of the client protocol: one object per line.

Payloads (the ``Raw`` fields) travel as the JSON values that they are, byte for byte, save that raw line breaks are taken
out: between objects a line break is the frame's own mark, and inside a valid JSON value it can only be white space between
tokens. Each payload is checked by itself before it goes into a message, so none can close the object it stands in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from operator import is_
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct, inspect

from rtserver.core.errors import BadFrame, NotJSON
from rtserver.core.messages import (
    EMPTY,
    MAX_NESTING,
    Command,
    ConnectRequest,
    EmulationRequest,
    Push,
    Reply,
    StreamPosition,
    SubscribeRequest,
    is_json,
    nests_too_deep,
)
from rtserver.protocols.shapes import shapes, values_of

MAX_UINT64 = 2**64 - 1

_T = TypeVar("_T", bound=Struct)
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_objects: msgspec.json.Decoder[dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw])
_arrays: msgspec.json.Decoder[list[Raw]] = msgspec.json.Decoder(list[Raw])
_commands = msgspec.json.Decoder(Command)
_connects = msgspec.json.Decoder(ConnectRequest)
_emulations = msgspec.json.Decoder(EmulationRequest)
_encoder = msgspec.json.Encoder()
_encode = _encoder.encode


class JSONCodec:
    """``centrifuge-json``. Pure; one instance serves every connection."""

    name = "json"

    def decode_commands(self, frame: bytes) -> list[Command]:
        """Commands of one frame, in order. Raises ``BadFrame``; one line break at the very end is tolerated."""
        if frame[-1:] == b"\n":
            frame = frame[:-1]
        if b"\n" not in frame:
            return [_decode_command(frame)]
        return [_decode_command(line) for line in frame.split(b"\n")]

    def decode_connect_request(self, frame: bytes) -> ConnectRequest:
        """The bare connect request of a unidirectional client. Raises ``BadFrame``, also for an empty frame."""
        request = _decode(_connects, ConnectRequest, frame)
        _check_offsets(request.subs)
        return request

    def decode_emulation(self, body: bytes) -> tuple[str, str, bytes]:
        """Node, session and the frame inside of a request to the emulation endpoint. Raises ``BadFrame``."""
        request = _decode(_emulations, EmulationRequest, body)
        return request.node, request.session, request.data.encode()

    def encode_reply(self, reply: Reply) -> bytes:
        """One line without its line break. Raises ``NotJSON`` when a payload inside is no JSON value."""
        return _serialise(_carrier(Reply).clean(reply))

    def encode_push(self, push: Push) -> bytes:
        """As ``encode_reply``, for a push without envelope."""
        return _serialise(_carrier(Push).clean(push))

    def payload(self, data: Raw) -> bytes:
        """The JSON text as a client receives it. Raises ``NotJSON``, also for the absent payload."""
        clean = _clean_payload(data)
        if clean is EMPTY:
            raise NotJSON("The payload is empty: publish a JSON value, such as {}.")
        return bytes(clean)

    def delta_data(self, delta: bytes | None, payload: bytes) -> tuple[Raw, bool]:
        """On a delta subscription data is a JSON string: the delta as text, or the text of the whole payload. A delta that
        cuts through a character of the text is no text itself and is not used."""
        if delta is not None and len(delta) < len(payload):
            try:
                return _text(delta), True
            except UnicodeDecodeError:
                return _text(payload), False
        return _text(payload), False


# Reading


def _decode_command(line: bytes) -> Command:
    command = _decode(_commands, Command, line)
    if command.connect is not None:
        _check_offsets(command.connect.subs)
    if command.subscribe is not None:
        _check_offset(command.subscribe)
    if command.history is not None and command.history.since is not None:
        _check_offset(command.history.since)
    return command


def _decode(decoder: msgspec.json.Decoder[_T], kind: type[_T], text: bytes) -> _T:
    """``kind`` out of one JSON object. Every null in it counts as absent, except inside of payloads."""
    try:
        if not text.isascii():
            text.decode()
        if _SURROGATE in text or _SURROGATE.upper() in text:
            text = _ESCAPE.sub(_replaced, text)
        if b"null" in text:
            text = _encode(_without_nulls(kind, text))
        value = decoder.decode(text)
    except _MALFORMED as error:
        raise BadFrame(f"This is no {kind.__name__} object of the protocol: {error}.") from None
    if nests_too_deep(text):
        raise BadFrame(f"The object nests more than {MAX_NESTING} levels deep: make the payload flatter.")
    return value


# JavaScript writes half of a character pair (a string cut in the middle of an emoji) as an escape that no UTF-8 text can
# hold. It becomes U+FFFD, as it would in the browser's own text encoder, rather than the end of the connection.
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
_SURROGATE = b"\\ud"


def _replaced(escape: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if escape[1] else escape[0]


def _check_offsets(wanted: dict[str, SubscribeRequest]) -> None:
    for position in wanted.values():
        _check_offset(position)


def _check_offset(position: SubscribeRequest | StreamPosition) -> None:
    if position.offset > MAX_UINT64:
        raise BadFrame("An offset must not be above 2^64 - 1.")


def _without_nulls(kind: type[Struct], text: bytes | Raw) -> dict[str, Any]:
    """The object without its null members; what is below a ``Raw`` field or an unknown one is carried as it is."""
    types = shapes(kind)
    return {
        key: _absent_nulls(types.get(key), value) for key, value in _objects.decode(text).items() if not _is_null(value)
    }


def _absent_nulls(shape: inspect.Type | None, value: Raw) -> Any:
    match shape:
        case inspect.StructType(cls=kind):
            return _without_nulls(kind, value)
        case inspect.DictType(value_type=item):
            return {k: _absent_nulls(item, v) for k, v in _objects.decode(value).items() if not _is_null(v)}
        case inspect.ListType(item_type=item):
            return [_absent_nulls(item, v) for v in _arrays.decode(value) if not _is_null(v)]
    return value


def _is_null(value: Raw) -> bool:
    return bytes(value) == b"null"


# Writing


@dataclass(frozen=True, slots=True)
class _Carrier:
    """The fields of one struct type in which payloads travel, and how each is cleaned."""

    names: tuple[str, ...]
    read: Callable[[Struct], tuple[Any, ...]]
    cleaners: tuple[Callable[[Any], Any], ...]

    def clean(self, message: _T) -> _T:
        """The message with every payload checked and on one line: itself when there is nothing to change, else a copy, for
        messages are shared with connections of other formats."""
        changes: dict[str, Any] = {}
        for name, value, clean in zip(self.names, self.read(message), self.cleaners, strict=False):
            if value is not None and value is not EMPTY:
                cleaned = clean(value)
                if cleaned is not value:
                    changes[name] = cleaned
        return msgspec.structs.replace(message, **changes) if changes else message


@cache
def _carrier(kind: type[Struct]) -> _Carrier:
    cleaners = {name: cleaner for name, shape in shapes(kind).items() if (cleaner := _cleaner(shape))}
    names = tuple(cleaners)
    return _Carrier(names, values_of(names), tuple(cleaners.values()))


def _cleaner(shape: inspect.Type) -> Callable[[Any], Any] | None:
    """How the payloads of a field are cleaned; None for a field that has none."""
    match shape:
        case inspect.RawType():
            return _clean_payload
        case inspect.StructType(cls=kind):
            carrier = _carrier(kind)
            return carrier.clean if carrier.names else None
        case inspect.ListType(item_type=item):
            one = _cleaner(item)
            return one and _in_list(one)
        case inspect.DictType(value_type=item):
            one = _cleaner(item)
            return one and _in_dict(one)
    return None


def _in_list(clean: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    def clean_list(items: list[Any]) -> list[Any]:
        cleaned = [clean(item) for item in items]
        return items if all(map(is_, items, cleaned)) else cleaned

    return clean_list


def _in_dict(clean: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def clean_dict(items: dict[str, Any]) -> dict[str, Any]:
        cleaned = {key: clean(item) for key, item in items.items()}
        return items if all(map(is_, items.values(), cleaned.values())) else cleaned

    return clean_dict


def _clean_payload(data: Raw) -> Raw:
    """The payload on one line, or EMPTY. Raises ``NotJSON``."""
    text = bytes(data)
    if not text:
        return EMPTY
    if not is_json(text):
        raise NotJSON(
            "The payload is not one JSON value in UTF-8: publish JSON on channels that JSON clients subscribe to."
        )
    if b"\n" in text or b"\r" in text:
        return Raw(text.replace(b"\n", b"").replace(b"\r", b""))
    return data


def _serialise(message: Struct) -> bytes:
    try:
        return _encode(message)
    except UnicodeEncodeError:
        raise NotJSON("A name in the message holds a lone surrogate, which UTF-8 cannot carry.") from None


def _text(data: bytes) -> Raw:
    return Raw(_encode(data.decode()))
