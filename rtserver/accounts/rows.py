"""What the modules of the tables have in common: who runs statements, times, hashes and texts that can be stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rtserver.core.ports import Row, Value

LONGEST_ID = 64
"""Characters of an id; ours have fewer."""


class Runs(Protocol):
    """A database or a transaction of it."""

    async def run(self, sql: str, params: Sequence[Value] = ()) -> list[Row]: ...


def ms(unix: float) -> int:
    """Seconds since 1970 as the tables have them."""
    return int(unix * 1000)


def hashed(text: str) -> str:
    """SHA-256 in hex. For what is random enough that nobody finds it by trying: cookies, codes, tokens."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_id(text: str) -> bool:
    """Whether this can be an id at all. What comes from an address may hold characters that no database takes."""
    return 0 < len(text) <= LONGEST_ID and text.isascii() and text.isprintable()


def printable(text: str, most: int) -> str:
    """At most ``most`` characters of what somebody says about himself, without those that are not for the eye."""
    return "".join(each for each in text if each.isprintable())[:most]


def as_json(value: Mapping[str, Any]) -> str:
    """Everything outside of ASCII is escaped, so that what providers send can always be stored."""
    return json.dumps(value, separators=(",", ":"))


def of_json(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(text)
    return value
