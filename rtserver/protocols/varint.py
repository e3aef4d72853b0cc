"""Numbers and lengths as Protobuf writes them ("Base 128 Varints"): how messages are delimited in a frame."""

from __future__ import annotations

from rtserver.core.errors import BadFrame


def delimited(message: bytes) -> bytes:
    """``message`` after its length: how messages stand in a frame, and in the body of an HTTP stream."""
    return varint(len(message)) + message


def varint(number: int) -> bytes:
    """A non-negative number in groups of seven bits, least significant first (Protobuf encoding guide, "Base 128 Varints")."""
    if number < 0x80:
        return _SHORT[number]
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


_SHORT = [bytes([number]) for number in range(0x80)]
_MAX_LENGTH_BYTES = 5
"""Enough for any length below 4 GiB; no frame is longer."""


def read_varint(frame: bytes, start: int) -> tuple[int, int]:
    """The number at ``start`` and the place after it. Raises ``BadFrame``."""
    number = 0
    for place, byte in enumerate(frame[start : start + _MAX_LENGTH_BYTES]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, start + place + 1
    raise BadFrame("A command does not begin with its length as a varint: prefix every command with one.")
