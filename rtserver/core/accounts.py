"""Decisions about accounts that need no storage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """``n`` times in ``seconds``. ``name`` says what is counted: it begins the names of the counters."""

    name: str
    n: int
    seconds: int
