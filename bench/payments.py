"""``make bench-payments``: what subscribers feel of fifty people who pay at once. See README.md."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version as installed
from pathlib import Path
from statistics import median
from typing import Any

from bench import commandline, machine
from bench.bars import Bar, Verdict
from bench.install import NEEDED, Missing, fetch
from bench.load import Figures, Load, LoadFailure, compile_fanload, run_load
from bench.processes import Stage, StartFailure, start_redis
from bench.report import Table, as_markdown, as_text, run_facts, spread
from bench.results import derived
from bench.run import raise_file_limit
from bench.till.shop import open_shop, paying

SUBSCRIBERS = 1000
RATE = 20
PAYERS = 50
MOST = 1.5
"""How many times the p99 of the same subscribers without payments."""

GATEWAY_MS = 300
"""What a gateway across the internet may need for an answer; the simulator by itself needs some milliseconds."""

ALONE = "without payments"
PATIENT = f"{PAYERS} payers, the gateway takes {GATEWAY_MS} ms"
HARSH = f"{PAYERS} payers, the gateway answers at once"
CASES: dict[str, int | None] = {ALONE: None, PATIENT: GATEWAY_MS, HARSH: 0}
"""Milliseconds that the gateway waits before it answers; None: nobody pays. In the order of a round."""

MOST_TRIES = 10
"""How often something is measured at most, when others keep the machine busy."""
LONGEST_WAIT = 60.0
"""Seconds that a measurement waits for a quiet moment at most."""

Rounds = dict[str, list[Figures]]
"""The rounds of each case, in the same order."""


@dataclass
class Run:
    """``thrown`` measurements are not among ``rounds``. ``others``: the share of the CPUs that others used, over everything."""

    rounds: Rounds
    thrown: int = 0
    others: float = 0.0


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    raise_file_limit()
    try:
        fetch((), NEEDED)
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 2
    compile_fanload()
    try:
        run = measure(options)
    except (StartFailure, LoadFailure) as failure:
        print(f"failed: {failure}", file=sys.stderr)
        return 1
    show(run, options)
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.payments", description="Measures subscribers beside payments.")
    parser.add_argument("--quick", action="store_true", help="one round of three seconds; its figures mean little")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (default 5)")
    parser.add_argument("--seconds", type=float, default=10, help="how long each lasts (default 10)")
    parser.add_argument(
        "--others", type=float, default=20, help="per cent of the CPUs that others may use meanwhile (default 20)"
    )
    parser.add_argument("--json", type=Path, help="write every measurement to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file, between its marks if it has them")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds, options.others = 1, 3, 100
    return options


def measure(options: argparse.Namespace) -> Run:
    """The cases in turn, every other round the other way about. Raises ``LoadFailure`` when the machine leaves no room."""
    run = Run({name: [] for name in CASES})
    with Stage() as base:
        redis = start_redis(base)
        watch = machine.Watch((redis[1],))
        for number in range(options.rounds):
            for name in CASES if number % 2 == 0 else reversed(CASES):
                print(f"round {number + 1}: {name}", file=sys.stderr)
                run.rounds[name].append(take_quietly(redis, options, run, CASES[name]))
        run.others = watch.others()
    return run


def take_quietly(redis: tuple[int, int], options: argparse.Namespace, run: Run, gateway_ms: int | None) -> Figures:
    """Again when others were too busy meanwhile, whatever came of it."""
    for _ in range(MOST_TRIES):
        wait_for_quiet(redis[1], options.others)
        around = machine.Watch((redis[1],))
        with Stage(redis[0]) as stage:
            figures = take(stage, options.seconds, gateway_ms)
        figures["others"] = around.others()
        print(f"    {told(figures)}", file=sys.stderr)
        if figures["others"] * 100 <= options.others:
            return figures
        run.thrown += 1
    raise LoadFailure(
        f"others used more than {options.others:g} % of the CPUs {MOST_TRIES} times in a row: see --others"
    )


def wait_for_quiet(redis_pid: int, percent: float) -> None:
    """Until others leave the machine alone for a moment, for at most ``LONGEST_WAIT``."""
    deadline = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < deadline:
        moment = machine.Watch((redis_pid,))
        time.sleep(2)
        if moment.others() * 100 <= percent:
            return


def take(stage: Stage, seconds: float, gateway_ms: int | None) -> Figures:
    """Payers begin before subscribers connect, and go on until the last message has arrived."""
    shop = open_shop(stage, PAYERS)
    load = Load(SUBSCRIBERS, RATE, seconds=seconds)
    if gateway_ms is None:
        return finished(run_load(stage, shop.target, load))
    if gateway_ms:
        shop.slow_down(gateway_ms)
    with paying(stage, shop, seconds) as payers:
        found = run_load(stage, shop.target, load)
    return finished(found) | payers.figures | {"transactions": shop.transactions()}


def told(figures: Figures) -> str:
    pays = f", {figures['payments_per_s']:.0f} payments/s {figures['answers']}" if "answers" in figures else ""
    return f"p99 {figures['p99_ms']:.1f} ms{pays}; {figures['others'] * 100:.0f} % used by others"


def finished(figures: Figures) -> Figures:
    return derived(figures) | {"cpu_share": figures["server_cpu_s"] / figures["measured_s"] * 100}


def tables(rounds: Rounds) -> Iterator[Table]:
    columns = (("deliveries_per_s", 0), ("p50_ms", 1), ("p99_ms", 1), ("cpu_share", 0))
    yield Table(
        f"{SUBSCRIBERS:,} subscribers of one channel, {RATE} messages of 208 bytes a second",
        ["", "arrived %", "deliveries/s", "p50 ms", "p99 ms", "server's CPU %", "used by others %"],
        [
            [
                name,
                f"{min(each['arrived'] for each in found) * 100:.2f}",
                *(spread(found, figure, digits) for figure, digits in columns),
                f"{median(each['others'] for each in found) * 100:.0f}",
            ]
            for name, found in rounds.items()
        ],
    )
    cells = (("payments_per_s", 0), ("pay_p50_ms", 0), ("pay_p99_ms", 0))
    yield Table(
        f"The {PAYERS} payers, who pay again as soon as they are answered",
        ["", "payments", "not done", "transactions", "payments/s", "p50 ms", "p99 ms"],
        [
            [
                name,
                f"{sum(map(paid, rounds[name])):,}",
                f"{sum(map(undone, rounds[name])):,}",
                f"{sum(each['transactions'] for each in rounds[name]):,}",
                *(spread(rounds[name], figure, digits) for figure, digits in cells),
            ]
            for name in (PATIENT, HARSH)
        ],
    )


def paid(figures: Figures) -> int:
    return int(figures["answers"].get("done", 0))


def undone(figures: Figures) -> int:
    """Answers that are unknown, declined, failed, or an error of HTTP."""
    return int(sum(figures["answers"].values())) - paid(figures)


def judge(rounds: Rounds) -> Iterator[Bar]:
    for name in (PATIENT, HARSH):
        yield _in_time(name, rounds[ALONE], rounds[name])
    every = [each for found in rounds.values() for each in found]
    complete = sum(each["complete"] for each in every)
    rule = "every message arrives at every subscriber, with payments and without"
    yield _bar(rule, f"in {complete} of {len(every)} runs", complete == len(every))
    beside = [*rounds[PATIENT], *rounds[HARSH]]
    done, rest = sum(map(paid, beside)), sum(map(undone, beside))
    exact = sum(paid(each) == each["sales"] == each["transactions"] for each in beside)
    found = f"{done:,} done, {rest:,} not; as many transactions as answers in {exact} of {len(beside)} runs"
    yield _bar("every payment is done, none unknown, none twice", found, not rest and exact == len(beside))


def _in_time(name: str, alone: list[Figures], beside: list[Figures]) -> Bar:
    """The median of the rounds' own ratios: the two of a round were measured next to each other."""
    ratios = [b["p99_ms"] / a["p99_ms"] for a, b in zip(alone, beside, strict=True)]
    found = f"{median(ratios):.2f} times; rounds: {', '.join(f'{each:.2f}' for each in ratios)}"
    rule = f"{name}: p99 of {SUBSCRIBERS:,} subscribers at most {MOST:g} times that without payments"
    return _bar(rule, found, median(ratios) <= MOST)


def _bar(rule: str, found: str, reached: bool) -> Bar:
    return Bar(Verdict.PASS if reached else Verdict.MISSED, rule, found)


def facts(run: Run, options: argparse.Namespace) -> list[tuple[str, str]]:
    command = commandline.command("bench-payments")
    versions = ", ".join(f"{name} {installed(name)}" for name in ("Twisted", "hiredis", "msgspec", "braintree"))
    version = f"Python {sys.version.split()[0]}, {versions}; SQLite in WAL mode; the gateway's simulator beside it"
    thrown = f"{run.thrown} measurements, during which others used more than {options.others:g} % of the CPUs"
    return [*run_facts(run.others, command, options.rounds), ("thrown away", thrown), ("rtserver", version)]


def show(run: Run, options: argparse.Namespace) -> None:
    parts: tuple[Any, ...] = (facts(run, options), list(tables(run.rounds)), list(judge(run.rounds)))
    print(as_text(*parts))
    if options.json:
        options.json.write_text(json.dumps(asdict(run), indent=1) + "\n")
    if options.markdown:
        commandline.put_figures(options.markdown, as_markdown(*parts), commandline.PAYMENT_FIGURES)


if __name__ == "__main__":
    commandline.run(main)
