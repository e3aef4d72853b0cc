"""What a reconciliation found, for programs and for people. No personal data: ids, amounts and states only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from rtserver.core.payments import Money

MOST_FINDINGS = 1000
"""Findings that are kept in a report; all are counted."""


class Difference(StrEnum):
    MISSING_HERE = "missing_here"
    """At the gateway, and of no order or subscription of ours: made in its control panel, or by another shop's program."""
    MISSING_THERE = "missing_there"
    """We have it, and the gateway does not know it."""
    OTHER_AMOUNT = "other_amount"
    OTHER_STATE = "other_state"
    """Of a transaction that is older than a day. A younger one is only on its way."""


TITLES = {
    Difference.MISSING_HERE: "missing here",
    Difference.MISSING_THERE: "missing there",
    Difference.OTHER_AMOUNT: "other amount",
    Difference.OTHER_STATE: "other state",
}

_HEAD = ("difference", "transaction", "order", "here", "there", "now right")


@dataclass(frozen=True, slots=True)
class Finding:
    """``here`` and ``there``: amounts or states, "" for nothing. ``is_mended``: our side is right since this reconciliation."""

    difference: Difference
    transaction: str
    order: str
    here: str
    there: str
    is_mended: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "difference": self.difference.value,
            "transaction": self.transaction,
            "order": self.order,
            "here": self.here,
            "there": self.there,
            "is_mended": self.is_mended,
        }


@dataclass(slots=True)
class Report:
    """``start`` and ``end`` in milliseconds since 1970. ``here`` and ``there`` are how many transactions were compared,
    ``caught_up`` how many of ours were behind and are right now, ``unknown`` how many attempts have no outcome yet."""

    start: int
    end: int
    here: int = 0
    there: int = 0
    caught_up: int = 0
    unknown: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    """Of the sales at the gateway that were settled or are about to be, in the smallest unit, by currency."""

    def add(self, finding: Finding) -> None:
        self.counts[finding.difference.value] += 1
        if finding.is_mended:
            self.counts["mended"] += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)

    @property
    def found(self) -> int:
        """Differences, also those that are mended."""
        return sum(self.counts[each.value] for each in Difference)

    @property
    def is_clean(self) -> bool:
        """Whether nobody has to look at anything."""
        return self.found == self.counts["mended"] and not self.unknown

    def summary(self) -> dict[str, Any]:
        """Numbers only."""
        differences = {each.value: self.counts[each.value] for each in Difference}
        return {
            "start": _time(self.start),
            "end": _time(self.end),
            "here": self.here,
            "there": self.there,
            "caught_up": self.caught_up,
            "unknown": self.unknown,
            **differences,
            "mended": self.counts["mended"],
            "is_clean": self.is_clean,
            "settled": {currency: Money(minor, currency).text for currency, minor in sorted(self.sums.items())},
        }

    def as_json(self) -> dict[str, Any]:
        return {**self.summary(), "findings": [each.as_json() for each in self.findings]}

    def text(self) -> str:
        """For people, in lines of equal columns."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"Transactions from {_time(self.start)} to {_time(self.end)}: {self.here} here, {self.there} at the gateway"
        yield f"Brought up to date: {self.caught_up}. Attempts without an outcome: {self.unknown}."
        if self.sums:
            settled = ", ".join(str(Money(minor, currency)) for currency, minor in sorted(self.sums.items()))
            yield f"Settled or about to be: {settled}"
        if not self.found:
            yield "No difference."
            return
        yield ""
        rows = [_HEAD, *(_cells(each) for each in self.findings)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
        rows.insert(1, tuple("-" * width for width in widths))
        for row in rows:
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if self.found > len(self.findings):
            yield f"... and {self.found - len(self.findings)} more: take a shorter time."
        yield ""
        counted = (f"{self.counts[each.value]} {title}" for each, title in TITLES.items() if self.counts[each.value])
        yield f"Differences: {', '.join(counted)}; {self.counts['mended']} of them are right now."


def _cells(finding: Finding) -> tuple[str, ...]:
    title = TITLES[finding.difference]
    mended = "yes" if finding.is_mended else "no"
    return (title, finding.transaction, finding.order or "-", finding.here or "-", finding.there or "-", mended)


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
