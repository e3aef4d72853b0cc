"""Validation that stops in a list or dictionary at its first mistake.

pydantic makes a mistake of each missing field: of one megabyte of empty objects, for a model of twenty fields, seven million
mistakes in three gigabytes. Where there could be so many, this looks first whether there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic_core import SchemaValidator

LIMIT = 500_000
"""Mistakes that there could be of missing fields."""

_COLLECTIONS = frozenset(
    ("list", "deque", "tuple", "set", "frozenset", "dict", "frozendict", "ordered-dict", "counter")
)
_PARTS = {"model-fields": "fields", "typed-dict": "fields", "dataclass-args": "fields", "tuple": "items_schema"}
_FOREIGN = frozenset(("default", "expected", "metadata", "config"))
"""What is the application's in a schema, and no schema."""


def most_missing(schema: Any) -> int:
    """How many mistakes there can be in an empty object or list."""
    widest, choices = 1, 1
    for each in _schemas(schema):
        widest = max(widest, len(each.get(_PARTS.get(each["type"], ""), ())))
        choices = max(choices, len(each["choices"]) if each["type"] == "union" else 1)
    return widest * choices


def could_miss_too_many(text: bytes, each: int) -> bool:
    return (text.count(b"{") + text.count(b"[")) * each > LIMIT


def stopping(schema: Any) -> SchemaValidator:
    """Takes what the validator of this schema takes."""
    return SchemaValidator(_stopping(schema), _use_prebuilt=False)  # those of models that are there already do not stop


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)


def _schemas(value: Any) -> Iterator[dict[str, Any]]:
    if _is_schema(value):
        yield value
    for each in _below(value):
        yield from _schemas(each)


def _below(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [each for key, each in value.items() if not (_is_schema(value) and key in _FOREIGN)]
    return list(value) if isinstance(value, list | tuple) else []


def _stopping(value: Any) -> Any:
    if isinstance(value, list):
        return [_stopping(each) for each in value]
    if type(value) is tuple:
        return tuple(map(_stopping, value))
    if not isinstance(value, dict):
        return value
    made = {key: each if _is_schema(value) and key in _FOREIGN else _stopping(each) for key, each in value.items()}
    if _is_schema(value) and value["type"] in _COLLECTIONS:
        made["fail_fast"] = True
    return made
