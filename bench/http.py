"""``make bench-http``: typed endpoints and RPC of rtserver beside FastAPI, Flask and Django. See README.md."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench import commandline, machine
from bench.bars import Bar, Verdict
from bench.http_apps.loads import (
    CONNECTIONS,
    ORDER,
    WRK,
    Figures,
    HttpLoad,
    compile_pingpong,
    many,
    measured,
    one_http,
    one_rpc,
    wait_until_answered,
)
from bench.http_apps.servers import SERVERS, HttpServer
from bench.install import Missing, fetch
from bench.load import LoadFailure
from bench.peers.contender import program
from bench.processes import Stage, StartFailure
from bench.report import Table, as_markdown, as_text, run_facts, spread

NEEDED = (("wrk", WRK), ("gcc", program("gcc")))
IN_FLIGHT = 16

LOADS: dict[str, HttpLoad] = {
    load.name: load
    for load in (
        HttpLoad(
            "get",
            f"Typed GET with one path parameter, {CONNECTIONS} connections",
            partial(many, "GET", "/items/42", b""),
            tuple(SERVERS),
        ),
        HttpLoad(
            "post",
            f"Typed POST, {len(ORDER)} bytes in and out through the model, {CONNECTIONS} connections",
            partial(many, "POST", "/orders", ORDER),
            tuple(SERVERS),
        ),
        HttpLoad("post-1", "The same POST on one connection, one after the other", one_http, ("rtserver", "fastapi")),
        HttpLoad("rpc-1", "The same model by RPC on one WebSocket, one after the other", one_rpc, ("rtserver",)),
        HttpLoad(
            f"rpc-{IN_FLIGHT}",
            f"RPC on one WebSocket, {IN_FLIGHT} calls in flight",
            partial(one_rpc, in_flight=IN_FLIGHT),
            ("rtserver",),
        ),
    )
}
"""What is measured; every round takes them in this order."""

BARS = (
    ("typed GET", ("rtserver", "get"), ("fastapi", "get"), 1.5),
    ("typed POST", ("rtserver", "post"), ("fastapi", "post"), 1.3),
    (
        f"RPC on one WebSocket, {IN_FLIGHT} calls in flight, beside POST on one connection",
        ("rtserver", f"rpc-{IN_FLIGHT}"),
        ("fastapi", "post-1"),
        3.0,
    ),
    ("RPC on one WebSocket, one at a time, beside the same POST", ("rtserver", "rpc-1"), ("fastapi", "post-1"), 3.0),
)
"""What, whose load, beside whose, and how many times its answers a second."""

Results = dict[tuple[str, str], list[Figures]]
"""The rounds of a server and a load."""


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    servers = chosen(options.only)
    try:
        fetch(servers, NEEDED)
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 2
    compile_pingpong()
    watch = machine.Watch(())
    results: Results = {}
    try:
        for number in range(options.rounds):
            take_round(number, servers, options.seconds, results)
    except (StartFailure, LoadFailure) as failure:
        print(f"failed: {failure}", file=sys.stderr)
        return 1
    show(results, servers, options, watch.others())
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.http", description="Measures endpoints and RPC beside web frameworks.")
    parser.add_argument("--quick", action="store_true", help="one round of a second each; its figures mean little")
    parser.add_argument("--only", default="", help=f"servers, comma separated, of: {', '.join(SERVERS)}")
    parser.add_argument("--rounds", type=int, default=7, help="how often everything is measured (default 7)")
    parser.add_argument("--seconds", type=float, default=3, help="how long each load lasts (default 3)")
    parser.add_argument("--json", type=Path, help="write every measurement to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file, between its marks if it has them")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds = 1, 1
    return options


def chosen(names: str) -> list[HttpServer]:
    wanted = names.split(",") if names else list(SERVERS)
    unknown = [name for name in wanted if name not in SERVERS]
    if unknown:
        raise SystemExit(f"--only knows no {', '.join(unknown)}; choose from {', '.join(SERVERS)}")
    return [SERVERS[name] for name in wanted]


def take_round(number: int, servers: list[HttpServer], seconds: float, results: Results) -> None:
    """Every server is started anew; they take turns at each load, and every other round goes through them backwards."""
    with Stage() as stage:
        running = {server.name: server.start(stage) for server in servers}
        for each in running.values():
            wait_until_answered(each)
        for load in LOADS.values():
            names = [name for name in running if name in load.servers]
            for name in names if number % 2 == 0 else names[::-1]:
                began = time.monotonic()
                figures = measured(load, stage, running[name], seconds)
                results.setdefault((name, load.name), []).append(figures)
                took = time.monotonic() - began
                print(
                    f"round {number + 1}: {name} {load.name} {figures['per_s']:,.0f}/s ({took:.0f} s)", file=sys.stderr
                )


def middle(results: Results, key: tuple[str, str], figure: str) -> float | None:
    rounds = results.get(key)
    return median(each[figure] for each in rounds) if rounds else None


def tables(results: Results) -> Iterator[Table]:
    for load in LOADS.values():
        rows = [
            [
                name,
                spread(results[name, load.name], "per_s", 0),
                *(spread(results[name, load.name], figure, 0) for figure in ("p50_us", "p99_us", "cpu_us")),
            ]
            for name in load.servers
            if (name, load.name) in results
        ]
        yield Table(load.title, ["server", "answers/s", "p50 µs", "p99 µs", "CPU µs/answer"], rows)


def judge(results: Results) -> Iterator[Bar]:
    """The median of the rounds' own ratios: the two of a round were measured next to each other."""
    for what, mine, peers, bound in BARS:
        rule = f"{what}: at least {bound:g} times the answers a second of FastAPI"
        pairs = list(zip(results.get(mine, ()), results.get(peers, ()), strict=False))
        if not pairs:
            yield Bar(Verdict.OPEN, rule, "")
            continue
        ratios = sorted(a["per_s"] / b["per_s"] for a, b in pairs)
        cpu = median(b["cpu_us"] / a["cpu_us"] for a, b in pairs)
        found = f"{median(ratios):.2f} times ({ratios[0]:.2f} - {ratios[-1]:.2f}); with {1 / cpu:.2f} of the CPU time"
        yield Bar(Verdict.PASS if median(ratios) >= bound else Verdict.MISSED, rule, found)


def facts(servers: list[HttpServer], rounds: int, others: float) -> list[tuple[str, str]]:
    command = commandline.command("bench-http")
    return run_facts(others, command, rounds) + [(server.name, server.version()) for server in servers]


def show(results: Results, servers: list[HttpServer], options: argparse.Namespace, others: float) -> None:
    parts: tuple[Any, ...] = (facts(servers, options.rounds, others), list(tables(results)), list(judge(results)))
    print(as_text(*parts))
    if options.json:
        rows = [{"server": name, "load": load, "rounds": rounds} for (name, load), rounds in results.items()]
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    if options.markdown:
        commandline.put_figures(options.markdown, as_markdown(*parts), commandline.HTTP_FIGURES)


if __name__ == "__main__":
    commandline.run(main)
