"""``make bench``: rtserver and its peers, measured side by side. See README.md for what is measured and how."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

from bench import commandline
from bench.bars import judge
from bench.install import Missing, install
from bench.load import LoadFailure, run_load
from bench.machine import Watch
from bench.peers import CONTENDERS
from bench.peers.contender import Contender
from bench.plan import QUICK, Scale, Step, steps
from bench.processes import Stage, StartFailure, start_redis
from bench.report import as_markdown, as_text, facts, tables
from bench.results import Results

DESCRIPTORS_BESIDE = 200
"""Files that a server has open beside its connections, at most."""


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    contenders = chosen(options.only)
    scale = scale_for(options)
    try:
        install(contenders)
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 2
    results = measure(contenders, scale)
    show(results, contenders, scale, options)
    return 1 if results.failures else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measures rtserver beside its peers.")
    parser.add_argument("--quick", action="store_true", help="a sanity run of about a minute; its figures mean little")
    parser.add_argument("--only", default="", help=f"contenders, comma separated, of: {', '.join(CONTENDERS)}")
    parser.add_argument("--rounds", type=int, help="how often everything is measured (default 3, 1 with --quick)")
    parser.add_argument("--rates", help="messages a second, comma separated (default 20,100,500,1000,3000)")
    parser.add_argument("--json", type=Path, help="write every measurement to this file")
    parser.add_argument("--markdown", type=Path, help="put the tables of a complete run into this file")
    return parser.parse_args(arguments)


def chosen(names: str) -> list[Contender]:
    wanted = names.split(",") if names else list(CONTENDERS)
    unknown = [name for name in wanted if name not in CONTENDERS]
    if unknown:
        raise SystemExit(f"--only knows no {', '.join(unknown)}; choose from {', '.join(CONTENDERS)}")
    contenders = [CONTENDERS[name] for name in wanted]
    return contenders if names else [c for c in contenders if not (c.optional and c.missing_packages())]


def scale_for(options: argparse.Namespace) -> Scale:
    scale = QUICK if options.quick else Scale()
    if options.rounds:
        scale = replace(scale, rounds=options.rounds)
    if options.rates:
        scale = replace(scale, rates=tuple(int(rate) for rate in options.rates.split(",")))
    return replace(scale, idle_connections=min(scale.idle_connections, raise_file_limit() - DESCRIPTORS_BESIDE))


def raise_file_limit() -> int:
    """Allows this process and those it starts as many open files as the system lets it. Returns how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def measure(contenders: list[Contender], scale: Scale) -> Results:
    results = Results()
    began = time.monotonic()
    with Stage() as base:
        redis_port, redis_pid = start_redis(base)
        watch = Watch((redis_pid,))
        for step in steps(contenders, scale):
            if step.contender.name in results.failures:
                continue
            what = f"{step.contender.name}, {step.kind}" + (f" at {step.load.rate:g} msg/s" if step.load.rate else "")
            print(f"{time.monotonic() - began:5.0f} s  round {step.round + 1}: {what}", file=sys.stderr)
            try:
                take(step, redis_port, results)
            except (StartFailure, LoadFailure) as failure:
                results.failures[step.contender.name] = f"{what}: {failure}"
                print(f"failed: {failure}", file=sys.stderr)
        results.others = watch.others()
    return results


def take(step: Step, redis_port: int, results: Results) -> None:
    with Stage(redis_port) as stage:
        target = step.contender.start(stage)
        figures = run_load(stage, target, step.load)
    for complaint in figures["complaints"]:
        print(f"         {complaint}", file=sys.stderr)
    results.add(step, figures)


def show(results: Results, contenders: list[Contender], scale: Scale, options: argparse.Namespace) -> None:
    command = commandline.command("bench")
    parts = (
        facts(results, contenders, scale, command),
        tables(results, contenders, scale),
        list(judge(results, scale)),
    )
    print(as_text(*parts))
    for failure in results.failures.values():
        print(f"FAILED        {failure}")
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=1) + "\n")
    if options.markdown and not results.failures:
        commandline.put_figures(options.markdown, as_markdown(*parts), commandline.FIGURES)


if __name__ == "__main__":
    commandline.run(main)
