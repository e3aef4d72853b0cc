"""Errors of PostgreSQL as ours. PostgreSQL's own sentences can hold values of rows, so only the classes that cannot are passed
on (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""

from __future__ import annotations

import re

import psycopg2
from twisted.internet.defer import CancelledError

from rtserver.core.errors import Conflict, StoreError, StoreUnavailable
from rtserver.services.store_transaction import Contended

_KEY = re.compile(r"\((?P<columns>[^()]+)\)=\(")
"""The beginning of the detail of a unique violation: "Key (a, b)=(...". The rest are values."""

SAFE_SENTENCES = {
    "42P01": "a table is missing",
    "42703": "a column is missing",
    "42883": "a function is missing",
    "42501": "a right is missing",
    "3F000": "a schema is missing",
}
"""States whose sentence names a thing of the schema, never a value."""

REFUSALS = {
    "23502": "a value that a row must have is missing",
    "23503": "a row refers to another one that is not there, or is still referred to",
    "23514": "a value is outside of what its column takes",
    "22001": "a text is too long for its column",
    "22003": "a number is too large for its column",
    "22P02": "a value has not the type of its column",
}

NOT_NOW = {
    "53": "PostgreSQL has run out of something (connections, memory, disk): see its log",
    "57": "PostgreSQL is being shut down or started",
    "58": "the disk of PostgreSQL fails: see its log",
    "08": "the connection to PostgreSQL was lost",
    "25006": "this PostgreSQL only reads: it is a standby; see database.url and target_session_attrs",
    "25P03": "a transaction did nothing for too long and was ended",
    "55P03": "a lock was not to be had in time",
}
"""By the whole state, or its first two characters."""

LOST = ("57P", "08", "25006", "25P03")
"""Beginnings of states after which a connection is of no use."""


def first_line(error: BaseException | None) -> str:
    """What libpq or PostgreSQL says, without details: those can hold values."""
    text = str(error).strip().splitlines()
    return text[0].removeprefix("FATAL:  ").removesuffix(".") if text else type(error).__name__


def is_lost(error: BaseException) -> bool:
    """Whether the connection that the error came by is of no use any more."""
    state = getattr(error, "pgcode", None)
    if state is None:
        return not isinstance(error, psycopg2.ProgrammingError | CancelledError | ValueError)
    return bool(state.startswith(LOST))


def translated(error: Exception, statement_timeout: float) -> StoreError:
    """``error`` came out of psycopg2 or txpostgres, which makes a CancelledError of a statement that the server ended."""
    state: str | None = getattr(error, "pgcode", None)
    if isinstance(error, CancelledError):
        return StoreUnavailable(
            f"a statement took longer than {statement_timeout:g} s: make it do less, or raise database.statement_timeout"
        )
    if isinstance(error, psycopg2.ProgrammingError | ValueError | TypeError) and state is None:
        return StoreError("the driver refuses the statement: write ? for values and nothing else of its kind")
    if state is None:
        return StoreUnavailable("the connection to PostgreSQL was lost: try again")
    if state == "23505":
        return Conflict(_constraint(error))
    if state in ("40001", "40P01"):
        return Contended()
    for known in (state, state[:2]):
        if known in NOT_NOW:
            return StoreUnavailable(NOT_NOW[known])
    if state in SAFE_SENTENCES:
        return StoreError(f"{SAFE_SENTENCES[state]}: {first_line(error)}")
    return StoreError(f"PostgreSQL refuses the statement: {REFUSALS.get(state, 'see its log')} (SQLSTATE {state})")


def _constraint(error: Exception) -> str:
    diagnosis = error.diag  # type: ignore[attr-defined]
    found = _KEY.search(diagnosis.message_detail or "")
    if found is None or not diagnosis.table_name:
        return diagnosis.constraint_name or "value"
    return f"{diagnosis.table_name}.{found['columns'].replace(', ', ',')}"
