"""What all modules that speak SQL have in common: who runs statements, ids, times and texts that can be stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from rtserver.core.ports import Row, Value

LONGEST_ID = 64
"""Characters of an id; ours and those of a payment gateway have fewer."""


class Runs(Protocol):
    """A database or a transaction of it."""

    async def run(self, sql: str, params: Sequence[Value] = ()) -> list[Row]: ...


def ms(unix: float) -> int:
    """Seconds since 1970 as the tables have them."""
    return int(unix * 1000)


def is_id(text: str) -> bool:
    """Whether this can be an id at all. What comes from an address may hold characters that no database takes."""
    return 0 < len(text) <= LONGEST_ID and text.isascii() and text.isprintable()


def places(values: Sequence[Any]) -> str:
    """The question marks of ``in (...)``."""
    return ", ".join("?" * len(values))


def as_json(value: Any) -> str:
    """Everything outside of ASCII is escaped, so that whatever others send can be stored."""
    return json.dumps(value, separators=(",", ":"))


def of_json(text: str) -> Any:
    return json.loads(text)
