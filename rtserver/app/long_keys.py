"""JSON with short keys, for looking for mistakes in it.

pydantic keeps one place for each mistake, with every key on the way: of half a megabyte of mistakes below a key of the other
half a hundred gigabytes.
"""

from __future__ import annotations

import re

LONG_KEY = 128
"""Bytes of a key that are kept."""

_STRING = re.compile(r'"((?:[^"\\]++|\\.)*+)"(\s*+:)?', re.DOTALL)


def with_short_keys(text: bytes) -> bytes | None:
    """JSON with its long keys cut; None when it has none. A text that cannot be decoded is left to who reads it."""
    if not _may_have_long_keys(text.replace(b'\\"', b"__")):
        return None
    try:
        cut = _STRING.sub(_short, text.decode()).encode()
    except UnicodeError:
        return None
    return cut if len(cut) < len(text) else None


def _may_have_long_keys(text: bytes) -> bool:
    """Whether there are so many bytes without a quote."""
    at, end = 0, len(text) - LONG_KEY
    while at <= end:
        quote = text.rfind(b'"', at, at + LONG_KEY)
        if quote < 0:
            return True
        at = quote + 1
    return False


def _short(found: re.Match[str]) -> str:
    """Cut at an escape at the latest: half of one would be no JSON."""
    text, colon = found.groups()
    if colon is None or len(text) <= LONG_KEY:
        return found[0]
    return f'"{text[:LONG_KEY].partition(chr(92))[0]}..."{colon}'
