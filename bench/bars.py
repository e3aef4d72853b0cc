"""The bars that rtserver must reach, each judged against the peer's figure of the same run."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from bench.plan import Scale
from bench.results import Results

P99_MS = 100.0
NCHAN_THROUGHPUT = 8.0
NCHAN_CPU = 1.3
HISTORY_SHARE = 0.5
IDLE_KIB = 30.0
IDLE_CONNECTIONS = 10_000


class Verdict(Enum):
    PASS = "PASS"
    MISSED = "MISSED"
    OPEN = "NOT MEASURED"


class Bar(NamedTuple):
    verdict: Verdict
    rule: str
    found: str


def _judge(rule: str, found: str, reached: bool) -> Bar:
    return Bar(Verdict.PASS if reached else Verdict.MISSED, rule, found)


def _arrives_in_time(results: Results, scale: Scale, contender: str, rate: int) -> Bar:
    rule = f"{contender}, {scale.subscribers:,} subscribers, {rate:,} msg/s: all arrive, p99 below {P99_MS:.0f} ms"
    runs = results.of(contender, "fan-out", rate)
    p99 = results.middle(contender, "fan-out", rate, "p99_ms")
    if p99 is None:
        return Bar(Verdict.OPEN, rule, "")
    complete = sum(run["complete"] for run in runs)
    found = f"all arrived in {complete} of {len(runs)} rounds, p99 {p99:.1f} ms"
    return _judge(rule, found, complete == len(runs) and p99 < P99_MS)


def _ratio(
    results: Results, rule: str, figure: str, rate: int, pair: tuple[str, str], bound: float, above: bool
) -> Bar:
    """``pair[0]``'s figure divided by ``pair[1]``'s must be at least (``above``) or at most ``bound``."""
    mine, peers = (results.middle(name, "fan-out", rate, figure) for name in pair)
    if mine is None or not peers:
        return Bar(Verdict.OPEN, rule, "")
    ratio, digits = mine / peers, 0 if mine > 1000 else 2
    found = f"{mine:,.{digits}f} against {peers:,.{digits}f}, {ratio:.2f} times"
    return _judge(rule, found, ratio >= bound if above else ratio <= bound)


def _most(results: Results, scale: Scale, contender: str) -> float:
    return max(results.middle(contender, "fan-out", rate, "deliveries_per_s") or 0 for rate in scale.rates)


def _capacity(results: Results, scale: Scale) -> Bar:
    """Beside the bar at 1,000 msg/s, where the load itself ends at 1,000,000 deliveries/s however fast the server is."""
    rule = f"most deliveries/s at any rate: at least {NCHAN_THROUGHPUT:g} times nchan's most"
    mine, peers = _most(results, scale, "rtserver"), _most(results, scale, "nchan")
    if not mine or not peers:
        return Bar(Verdict.OPEN, rule, "")
    return _judge(rule, f"{mine:,.0f} against {peers:,.0f}, {mine / peers:.2f} times", mine >= NCHAN_THROUGHPUT * peers)


def _idle_memory(results: Results) -> Bar:
    rule = f"{IDLE_CONNECTIONS:,} idle connections: below {IDLE_KIB:.0f} KiB each beyond the process's base"
    kib = results.middle("rtserver", "idle", 0, "kib_per_connection")
    if kib is None:
        return Bar(Verdict.OPEN, rule, "")
    run = results.of("rtserver", "idle")[0]
    enough = run["subscribers"] >= IDLE_CONNECTIONS
    found = f"{kib:.1f} KiB with {run['subscribers']:,} connections"
    return _judge(rule, found, kib < IDLE_KIB) if enough else Bar(Verdict.OPEN, rule, found)


def judge(results: Results, scale: Scale) -> Iterator[Bar]:
    top, low = 1000, 20
    rates = [rate for rate in scale.rates if rate <= top]
    for rate in rates:
        yield _arrives_in_time(results, scale, "rtserver", rate)
    rule = f"{top:,} msg/s: at least {NCHAN_THROUGHPUT:g} times nchan's deliveries/s"
    yield _ratio(results, rule, "deliveries_per_s", top, ("rtserver", "nchan"), NCHAN_THROUGHPUT, above=True)
    yield _capacity(results, scale)
    rule = f"{top:,} msg/s: CPU per delivery below nats-server's (µs)"
    yield _ratio(results, rule, "cpu_us_per_delivery", top, ("rtserver", "nats"), 1.0, above=False)
    rule = f"{low} msg/s: CPU per delivery at most {NCHAN_CPU} times nchan's (µs)"
    yield _ratio(results, rule, "cpu_us_per_delivery", low, ("rtserver", "nchan"), NCHAN_CPU, above=False)
    for rate in rates:
        yield _arrives_in_time(results, scale, "rtserver-history", rate)
    rule = f"{top:,} msg/s with history and recovery: at least half the deliveries/s"
    pair = ("rtserver-history", "rtserver")
    yield _ratio(results, rule, "deliveries_per_s", top, pair, HISTORY_SHARE, above=True)
    yield _idle_memory(results)
