"""SQL in the language that PostgreSQL and SQLite share, made ready for each: ``?`` stands for a value in both.

What both understand: RETURNING, ON CONFLICT, WITH, window functions, UPDATE ... FROM, ``cast(? as text)``. What differs and
has no place in a statement: ``now()``, FOR UPDATE, ``string_agg``, operators on JSON, ``?`` as an operator.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rtserver.core.errors import StoreError
from rtserver.core.ports import Value

MAX_ROWS = 100_000
"""Rows that one statement may give."""

_SKIPPED = r"""
      (?<!\w)[eE]'(?:[^'\\]|\\.|'')*'        # a string of PostgreSQL with backslashes
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | --[^\n]*
    | /\*.*?\*/
    | (?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag)
"""
_PARTS = re.compile(rf"(?P<skipped>{_SKIPPED})|(?P<value>\?)|(?P<word>[A-Za-z_]\w*)", re.VERBOSE | re.DOTALL)
_INSERT = re.compile(r"insert\s+(?:or\s+\w+\s+)?into\s+(\w+)", re.IGNORECASE)
_WRITING = {"insert", "update", "delete", "replace"}
_FRAMES = frozenset(
    "begin start commit end rollback abort savepoint release prepare pragma attach detach vacuum listen copy".split()
)
"""First words of statements that would change the connection under the feet of the store."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, understood. ``text`` is as written, for SQLite; ``postgres`` has the placeholders of psycopg2.
    ``values`` is how many it needs. ``reads``: it surely changes nothing. ``inserts`` is the table that it inserts into,
    "" for none."""

    text: str
    postgres: str
    values: int
    reads: bool
    inserts: str


@lru_cache(maxsize=1024)
def statement(sql: str) -> Statement:
    """Understand a statement. Cached: the texts of statements are few. Raises ``StoreError`` for one of ``_FRAMES``."""
    words: list[str] = []
    places: list[int] = []
    for part in _PARTS.finditer(sql):
        if part["value"]:
            places.append(part.start())
        elif part["word"]:
            words.append(part["word"].lower())
    if words[:1] and words[0] in _FRAMES:
        raise StoreError(f"{words[0]} is no statement of the store: use transact, and a migration for the schema")
    insert = _INSERT.search(sql) if words[:1] == ["insert"] else None
    return Statement(
        text=sql,
        postgres=_for_psycopg2(sql, places) if places else sql,
        values=len(places),
        reads=words[:1] == ["select"] or (words[:1] == ["with"] and _WRITING.isdisjoint(words)),
        inserts=insert[1].lower() if insert else "",
    )


def _for_psycopg2(sql: str, places: Sequence[int]) -> str:
    """psycopg2 formats the text (strings and comments too) when there are values, and only then."""
    edges = [-1, *places, len(sql)]
    pieces = [sql[start + 1 : end] for start, end in zip(edges, edges[1:], strict=False)]
    return "%s".join(piece.replace("%", "%%") for piece in pieces)


def bind(known: Statement, params: Sequence[Value]) -> tuple[Value, ...]:
    """The values as both databases take them. Raises ``StoreError`` for what one of them would not take."""
    if len(params) != known.values:
        raise StoreError(
            f"the statement has {known.values} places for values and got {len(params)}: give one for each ?"
        )
    return tuple(_plain(value) for value in params)


def _plain(value: Value) -> Value:
    match value:
        case bool():
            return int(value)
        case int():
            if not -(2**63) <= value < 2**63:
                raise StoreError("a whole number does not fit into 64 bits: store it as text")
        case float():
            if value != value:
                raise StoreError("a float is no number (NaN), which SQLite cannot store: store None")
        case str():
            if not _is_text(value):
                raise StoreError("a text has a NUL character or half a surrogate pair: take it out, or store bytes")
        case None | bytes():
            pass
        case _:
            kind = type(value).__name__
            raise StoreError(f"a value of type {kind} cannot be stored: give int, float, str, bytes or None")
    return value


def _is_text(value: str) -> bool:
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def too_many_rows() -> StoreError:
    return StoreError(f"the statement gives more than {MAX_ROWS:,} rows: add a LIMIT and read them in parts")
