r"""Deltas in the Fossil format: how to make one text out of another.

    delta    = length "\n" { copy | insert } checksum ";"
    copy     = length "@" offset ","      take so many bytes of the base, from offset
    insert   = length ":" bytes           take the bytes that follow
    checksum = sum of the target's big-endian 32-bit words (the last one filled up with zeros), modulo 2^32

Numbers are written in base 64, most significant digit first. Source: "Fossil Delta Format",
https://fossil-scm.org/home/doc/trunk/www/delta_format.wiki

What is common at both ends is found first, for publications of a channel often differ in a single field. Between the ends,
blocks of the base are looked up at every place of the target; a match grows in both directions as far as it goes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from rtserver.core.errors import RtError

MAX_SIZE = 256 * 1024
"""Of base and target, in bytes. It bounds the time that one delta can take."""

BLOCK, SMALL_BLOCK, SMALL_BASE = 16, 8, 4096
"""Bytes that must agree before a match is looked at: the larger number in a base above ``SMALL_BASE`` bytes, where coarse
steps find enough; the smaller one finds what is common between the changing numbers of a short message."""

MAX_MATCHES = 2048
"""After so many matches the rest of the target is inserted as it is."""

PATIENCE = 64
"""After so many bytes without a match the search takes larger steps, so that unlike texts cost little."""

_DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_MAX_DIGITS = 6
"""Six digits hold 36 bits; no number of the format needs more than 32."""


class DeltaError(RtError):
    """A delta that cannot be applied to this base."""


class Copy(NamedTuple):
    """``length`` bytes from ``source`` in the base stand at ``start`` in the target."""

    start: int
    source: int
    length: int


def create(base: bytes, target: bytes) -> bytes | None:
    """The delta that makes ``target`` of ``base``; None when one of them is above ``MAX_SIZE``. It may be longer than the
    target itself: the caller compares."""
    if len(base) > MAX_SIZE or len(target) > MAX_SIZE:
        return None
    parts = [digits(len(target)), b"\n"]
    end = 0
    for match in _copies(base, target):
        copy = _whole_characters(match, target)
        written = b"%b@%b," % (digits(copy.length), digits(copy.source))
        if copy.length <= len(written):
            continue
        if copy.start > end:
            parts.append(_insert(target[end : copy.start]))
        parts.append(written)
        end = copy.start + copy.length
    if end < len(target):
        parts.append(_insert(target[end:]))
    parts.append(digits(checksum(target)) + b";")
    return b"".join(parts)


def apply(base: bytes, delta: bytes) -> bytes:
    """The target. Raises ``DeltaError`` for a delta that is malformed, too large, or made for another base."""
    size, end = _number(delta, 0, b"\n")
    if size > MAX_SIZE:
        raise DeltaError(f"The delta makes a text of {size} bytes, above the limit of {MAX_SIZE}.")
    parts = []
    left = size
    while True:
        number, end = _number(delta, end, b"@:;")
        mark = delta[end - 1 : end]
        if mark == b";":
            break
        left -= number
        if left < 0:
            raise DeltaError("The delta makes more bytes than it announces.")
        if mark == b"@":
            source, end = _number(delta, end, b",")
            part = base[source : source + number]
        else:
            part = delta[end : end + number]
            end += number
        if len(part) != number:
            raise DeltaError("The delta reaches beyond its base or its own end.")
        parts.append(part)
    target = b"".join(parts)
    if left or end != len(delta) or number != checksum(target):
        raise DeltaError("The delta was made for another base: length or checksum differ.")
    return target


def checksum(data: bytes) -> int:
    """Sum of the big-endian 32-bit words of ``data``, modulo 2^32."""
    words = array(_WORD, data + bytes(-len(data) % 4))
    words.byteswap()
    if _BIG_ENDIAN:
        words.byteswap()
    return sum(words) & 0xFFFFFFFF


def digits(number: int) -> bytes:
    """A non-negative number in the base 64 of the format."""
    written = _DIGITS[number & 63 : (number & 63) + 1]
    while number := number >> 6:
        written = _DIGITS[number & 63 : (number & 63) + 1] + written
    return written


_WORD = "I" if array("I").itemsize == 4 else "L"
_BIG_ENDIAN = array(_WORD, b"\x00\x00\x00\x01")[0] == 1


def _whole_characters(copy: Copy, target: bytes) -> Copy:
    """The copy without pieces of UTF-8 characters at its ends: they go into the inserts beside it, and so the delta of two
    texts is a text. A client of the JSON protocol can take no other."""
    start, source, length = copy
    for _ in range(_MAX_CONTINUATION):
        if length and target[start] & 0xC0 == 0x80:
            start, source, length = start + 1, source + 1, length - 1
    for _ in range(_MAX_CONTINUATION):
        end = start + length
        if length and end < len(target) and target[end] & 0xC0 == 0x80:
            length -= 1
    return Copy(start, source, length)


_MAX_CONTINUATION = 3
"""A UTF-8 character has up to three bytes 10xxxxxx after its first (RFC 3629 section 3)."""


def _insert(data: bytes) -> bytes:
    return b"%b:%b" % (digits(len(data)), data)


def _number(delta: bytes, start: int, marks: bytes) -> tuple[int, int]:
    """The number at ``start`` and the place after the mark that ends it."""
    number = 0
    for place, byte in enumerate(delta[start : start + _MAX_DIGITS + 1]):
        value = _VALUES.get(byte)
        if value is not None:
            number = number << 6 | value
        elif byte in marks and place:
            return number, start + place + 1
        else:
            break
    raise DeltaError(f"Byte {start} of the delta begins no number of the format.")


# The search


def _copies(base: bytes, target: bytes) -> Iterator[Copy]:
    """What the target has in common with the base, in the order of the target, without overlaps."""
    shorter = min(len(base), len(target))
    head = _same_after(base, 0, target, 0, shorter)
    tail = _same_before(base, len(base), target, len(target), shorter - head)
    if head:
        yield Copy(0, 0, head)
    yield from _matches(base, target, head, len(target) - tail)
    if tail:
        yield Copy(len(target) - tail, len(base) - tail, tail)


def _matches(base: bytes, target: bytes, start: int, stop: int) -> Iterator[Copy]:
    """Matches of at least a block inside of ``target[start:stop]``."""
    size = SMALL_BLOCK if len(base) <= SMALL_BASE else BLOCK
    last = stop - size
    if start > last:
        return
    blocks = _blocks(base, size)
    at = start
    found = 0
    while at <= last and found < MAX_MATCHES:
        source = blocks.get(target[at : at + size])
        if source is None:
            at += 1 + (at - start) // PATIENCE
            continue
        before = _same_before(base, source, target, at, min(source, at - start))
        after = _same_after(base, source, target, at, min(len(base) - source, stop - at))
        yield Copy(at - before, source - before, before + after)
        start = at = at + after
        found += 1


def _blocks(base: bytes, size: int) -> dict[bytes, int]:
    """The first place of every block of ``size`` bytes that begins at a multiple of ``size``."""
    places = range(len(base) // size * size - size, -1, -size)
    return {base[place : place + size]: place for place in places}


def _same_after(one: bytes, i: int, other: bytes, j: int, limit: int) -> int:
    """How many bytes agree from ``one[i]`` and ``other[j]`` on, at most ``limit``."""
    same, size = 0, 64
    while same < limit:
        size = min(size, limit - same)
        left, right = one[i + same : i + same + size], other[j + same : j + same + size]
        if left != right:
            return same + _lowest_difference(int.from_bytes(left, "little") ^ int.from_bytes(right, "little"))
        same += size
        size *= 2
    return same


def _same_before(one: bytes, i: int, other: bytes, j: int, limit: int) -> int:
    """How many bytes agree up to ``one[i]`` and ``other[j]``, these excluded, at most ``limit``."""
    same, size = 0, 64
    while same < limit:
        size = min(size, limit - same)
        left, right = one[i - same - size : i - same], other[j - same - size : j - same]
        if left != right:
            return same + _lowest_difference(int.from_bytes(left, "big") ^ int.from_bytes(right, "big"))
        same += size
        size *= 2
    return same


def _lowest_difference(bits: int) -> int:
    """The place of the first byte that is not zero, from the least significant on."""
    return ((bits & -bits).bit_length() - 1) // 8
