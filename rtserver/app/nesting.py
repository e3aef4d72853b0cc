"""How deep JSON may nest for the values that it has.

pydantic keeps the place of each mistake, level by level: 17 seconds and 3 GB for the mistakes that fit into one megabyte below
180 levels. Nothing tells it to stop, so it must not begin.
"""

from __future__ import annotations

FREE_LEVELS = 4
BUDGET = 2_097_152
"""Values times levels beyond the free ones, of a text of up to 1 MiB. A longer one may have twice as many as it has bytes."""

DEEPEST = 200
"""Levels; pydantic reads no more."""

_SQUARE = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def too_deep(text: bytes) -> bool:
    """Whether a JSON text nests too deep for its many values. What is no JSON may be either."""
    budget = max(BUDGET, 2 * len(text))
    if text.count(b",") * DEEPEST <= budget:
        return False
    outside = b"".join(text.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    levels = FREE_LEVELS + budget // max(outside.count(b","), 1)
    return levels < DEEPEST and _deeper(outside.translate(_SQUARE, _OTHERS), levels)


def _deeper(brackets: bytes, levels: int) -> bool:
    for _ in range(levels):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)
