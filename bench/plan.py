"""What a run measures, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bench.load import Load
from bench.peers.contender import Contender

Kind = Literal["fan-out", "connect", "idle"]


@dataclass(frozen=True)
class Scale:
    """How much is measured. ``backlog`` bounds the seconds that a contender works at one load, over its capacity or not."""

    subscribers: int = 1000
    rates: tuple[int, ...] = (20, 100, 500, 1000, 3000)
    rounds: int = 3
    warm: float = 1.0
    seconds: float = 5.0
    backlog: float = 20.0
    connects: int = 2000
    idle_connections: int = 10_000
    idle: float = 30.0


QUICK = Scale(rates=(20, 1000), rounds=1, warm=0.5, seconds=2, backlog=10, connects=1000, idle_connections=2000, idle=1)


@dataclass(frozen=True)
class Step:
    """One measurement: this load on a freshly started contender."""

    contender: Contender
    kind: Kind
    load: Load
    round: int


def fan_out(contender: Contender, rate: int, scale: Scale) -> Load:
    wanted = rate * scale.subscribers
    share = min(1.0, scale.backlog * contender.capacity / wanted / (scale.warm + scale.seconds))
    return Load(scale.subscribers, rate, warm=scale.warm * share, seconds=scale.seconds * share)


def steps(contenders: list[Contender], scale: Scale) -> Iterator[Step]:
    """Contenders alternate at each load, and every other round goes through them backwards: the machine's moods meet all."""
    for number in range(scale.rounds):
        order = contenders if number % 2 == 0 else contenders[::-1]
        for rate in scale.rates:
            for contender in order:
                if rate <= contender.highest_rate:
                    yield Step(contender, "fan-out", fan_out(contender, rate, scale), number)
        for contender in order:
            yield Step(contender, "connect", Load(scale.connects), number)
    for contender in contenders:
        if contender.counts_idle:
            yield Step(contender, "idle", Load(scale.idle_connections, idle=scale.idle), 0)
