"""The figures of a run: every measurement kept, medians and spreads on request."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.load import Figures
from bench.plan import Kind, Step


@dataclass(frozen=True)
class Measurement:
    """``rate`` 0 for kinds that publish nothing."""

    contender: str
    kind: Kind
    rate: float
    round: int
    figures: Figures


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and their extremes."""

    middle: float
    low: float
    high: float


@dataclass
class Results:
    measurements: list[Measurement] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    """Why a contender was given up, by its name."""
    others: float = 0.0
    """The share of the machine's CPUs that something else used during the run."""

    def add(self, step: Step, figures: Figures) -> None:
        self.measurements.append(
            Measurement(step.contender.name, step.kind, step.load.rate, step.round, derived(figures))
        )

    def of(self, contender: str, kind: Kind, rate: float = 0) -> list[Figures]:
        wanted = (contender, kind, rate)
        return [m.figures for m in self.measurements if (m.contender, m.kind, m.rate) == wanted]

    def spread(self, contender: str, kind: Kind, rate: float, figure: str) -> Spread | None:
        values = [figures[figure] for figures in self.of(contender, kind, rate)]
        return Spread(median(values), min(values), max(values)) if values else None

    def middle(self, contender: str, kind: Kind, rate: float, figure: str) -> float | None:
        spread = self.spread(contender, kind, rate, figure)
        return None if spread is None else spread.middle

    def as_json(self) -> dict[str, Any]:
        return {"measurements": [vars(m) for m in self.measurements], "failures": self.failures, "others": self.others}


def derived(figures: Figures) -> Figures:
    """The generator's figures and those that follow from them."""
    ready, expected = figures["subscribers"], figures["expected"]
    grown = figures["rss_idle_kib"] - figures["rss_before_kib"]
    return figures | {
        "arrived": figures["received"] / expected if expected else 0.0,
        "complete": figures["received"] == expected and not figures["dead"],
        "connects_per_s": ready / figures["connect_s"] if figures["connect_s"] else 0.0,
        "connect_cpu_us": figures["connect_cpu_s"] * 1e6 / ready if ready else 0.0,
        "kib_per_connection": grown / ready if ready else 0.0,
    }
