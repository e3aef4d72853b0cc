"""Faults on demand: what goes wrong with the next requests that match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from fnmatch import fnmatchcase

from rtserver.simulator.refusals import Full

MAX_FAULTS = 100
MAX_TIMES = 10_000
MAX_WAIT = 120.0
"""Seconds that a request is kept waiting at most."""


class Reply(Enum):
    """What the client gets."""

    ANSWER = auto()
    SILENCE = auto()
    DROP = auto()
    STATUS = auto()
    BAD_XML = auto()
    EMPTY = auto()


@dataclass(frozen=True, slots=True)
class Plan:
    """Whether the gateway's work is done, and what the client then gets."""

    works: bool
    reply: Reply


KINDS: Mapping[str, Plan] = {
    "work_then_silence": Plan(True, Reply.SILENCE),
    "work_then_drop": Plan(True, Reply.DROP),
    "work_then_status": Plan(True, Reply.STATUS),
    "silence_before_work": Plan(False, Reply.SILENCE),
    "drop_before_work": Plan(False, Reply.DROP),
    "status": Plan(False, Reply.STATUS),
    "slow": Plan(True, Reply.ANSWER),
    "bad_xml": Plan(True, Reply.BAD_XML),
    "empty": Plan(True, Reply.EMPTY),
}


class BadFault(Exception):
    """The fault cannot be; the text says what to change."""


@dataclass(slots=True)
class Fault:
    """``match`` is ``VERB /path`` below the merchant, with ``*`` for anything. ``ms`` passes before anything else happens:
    with ``slow`` the work is done after it, even when the client has gone by then."""

    match: str
    kind: str
    times: int = 1
    ms: int = 0
    status: int = 500

    @property
    def plan(self) -> Plan:
        return KINDS[self.kind]

    def view(self) -> dict[str, object]:
        return {"match": self.match, "fault": self.kind, "times": self.times, "ms": self.ms, "status": self.status}


def _number(said: Mapping[str, object], name: str, default: int, low: int, high: int) -> int:
    value = said.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadFault(f"{name}: a whole number from {low} to {high}")
    return value


def fault_of(said: Mapping[str, object]) -> Fault:
    """Raises ``BadFault``."""
    match, kind = said.get("match", "*"), said.get("fault")
    unknown = set(said) - {"match", "fault", "times", "ms", "status"}
    if unknown:
        raise BadFault(f"unknown: {', '.join(sorted(unknown))}")
    if not isinstance(kind, str) or kind not in KINDS:
        raise BadFault(f"fault: one of {', '.join(KINDS)}")
    if not isinstance(match, str) or len(match) > 200:
        raise BadFault('match: a text such as "POST /transactions"')
    return Fault(
        match,
        kind,
        _number(said, "times", 1, 1, MAX_TIMES),
        _number(said, "ms", 1000 if kind == "slow" else 0, 0, int(MAX_WAIT * 1000)),
        _number(said, "status", 500, 200, 599),
    )


class Faults:
    """The oldest one that matches comes first."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        if len(self._waiting) >= MAX_FAULTS:
            raise Full(f"{MAX_FAULTS} faults wait at most: DELETE /_sim/faults")
        self._waiting.append(fault)

    def take(self, verb: str, path: str) -> Fault | None:
        """The fault for this request; it is used up by one."""
        for fault in self._waiting:
            if fault.match == "*" or fnmatchcase(f"{verb} {path}", fault.match):
                fault.times -= 1
                if not fault.times:
                    self._waiting.remove(fault)
                return fault
        return None

    def all(self) -> list[Fault]:
        return list(self._waiting)

    def clear(self) -> None:
        self._waiting.clear()
