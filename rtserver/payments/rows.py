"""What the modules of the tables have in common: who runs statements, times, keyed digests and texts that can be stored."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any, Protocol

from rtserver.core.ports import Row, Value

LONGEST_ID = 64
"""Characters of an id; ours and the gateway's have fewer."""


class Runs(Protocol):
    """A database or a transaction of it."""

    async def run(self, sql: str, params: Sequence[Value] = ()) -> list[Row]: ...


def ms(unix: float) -> int:
    """Seconds since 1970 as the tables have them."""
    return int(unix * 1000)


def is_id(text: str) -> bool:
    """Whether this can be an id at all. What comes from an address may hold characters that no database takes."""
    return 0 < len(text) <= LONGEST_ID and text.isascii() and text.isprintable()


def keyed(key: bytes, *texts: str) -> str:
    """HMAC-SHA256 in hex of these texts in this order: the same for the same, and nothing can be found out from it."""
    return hmac.new(key, json.dumps(texts).encode(), hashlib.sha256).hexdigest()


def places(values: Sequence[Any]) -> str:
    """The question marks of ``in (...)``."""
    return ", ".join("?" * len(values))


def as_json(value: Any) -> str:
    """Everything outside of ASCII is escaped, so that whatever a gateway sends can be stored."""
    return json.dumps(value, separators=(",", ":"))


def of_json(text: str) -> Any:
    return json.loads(text)
