"""The figures as tables: plain text for the terminal, Markdown for docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from statistics import median
from typing import NamedTuple

from bench import machine
from bench.bars import Bar
from bench.load import Figures
from bench.peers.contender import Contender
from bench.plan import Kind, Scale
from bench.results import Results


class Column(NamedTuple):
    """``digits`` after the point; ``spread`` adds the lowest and highest round; ``factor`` turns a share into per cent."""

    title: str
    figure: str
    digits: int = 0
    spread: bool = False
    factor: float = 1.0


class Table(NamedTuple):
    title: str
    head: list[str]
    rows: list[list[str]]


FAN_OUT = (
    Column("arrived %", "arrived", 2, factor=100),
    Column("deliveries/s", "deliveries_per_s"),
    Column("p50 ms", "p50_ms", 1),
    Column("p99 ms", "p99_ms", 1, spread=True),
    Column("CPU µs/delivery", "cpu_us_per_delivery", 2, spread=True),
)
CONNECT = (
    Column("connects/s", "connects_per_s", spread=True),
    Column("CPU µs/connect", "connect_cpu_us"),
)
IDLE = (
    Column("connections", "subscribers"),
    Column("base MiB", "rss_before_kib", 1, factor=1 / 1024),
    Column("KiB/connection", "kib_per_connection", 1),
)


def _cell(results: Results, contender: str, kind: Kind, rate: float, column: Column) -> str:
    spread = results.spread(contender, kind, rate, column.figure)
    if spread is None:
        return "-"
    middle, low, high = (
        f"{value * column.factor:,.{column.digits}f}" for value in (spread.middle, spread.low, spread.high)
    )
    return f"{middle} ({low} - {high})" if column.spread and low != high else middle


def _row(results: Results, contender: str, kind: Kind, rate: float, columns: Iterable[Column]) -> list[str]:
    return [contender, *(_cell(results, contender, kind, rate, column) for column in columns)]


def tables(results: Results, contenders: list[Contender], scale: Scale) -> list[Table]:
    fan_out = [
        [f"{rate:,}", *_row(results, contender.name, "fan-out", rate, FAN_OUT)]
        for rate in scale.rates
        for contender in contenders
        if results.of(contender.name, "fan-out", rate)
    ]
    simple: list[tuple[str, Kind, tuple[Column, ...]]] = [
        (f"Connecting and subscribing, {scale.connects:,} subscribers", "connect", CONNECT),
        (f"Memory of idle subscribers, after {scale.idle:g} s", "idle", IDLE),
    ]
    return [
        Table(
            f"Fan-out to {scale.subscribers:,} subscribers of one channel, messages of 208 bytes",
            ["msg/s", "server", *(column.title for column in FAN_OUT)],
            fan_out,
        ),
        *(
            Table(
                title,
                ["server", *(column.title for column in columns)],
                [_row(results, c.name, kind, 0, columns) for c in contenders if results.of(c.name, kind)],
            )
            for title, kind, columns in simple
        ),
    ]


def spread(rounds: list[Figures], figure: str, digits: int) -> str:
    """The median of a figure over some rounds, with the lowest and highest."""
    values = [each[figure] for each in rounds]
    found, low, high = (f"{value:,.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{found} ({low} - {high})" if low != high else found


def facts(results: Results, contenders: list[Contender], scale: Scale, command: str) -> list[tuple[str, str]]:
    """When, where, with what."""
    versions = [(contender.name, contender.version()) for contender in contenders]
    return run_facts(results.others, command, scale.rounds) + versions


def run_facts(others: float, command: str, rounds: int) -> list[tuple[str, str]]:
    """What is said of every run. ``others`` is the share of the CPUs that something else used."""
    return [
        ("date", date.today().isoformat()),
        ("machine", machine.description()),
        ("kernel", machine.kernel()),
        ("used by others", f"{others * 100:.0f} % of the CPUs, on average over the run"),
        ("command", command),
        ("rounds", f"{rounds}; medians, in brackets the lowest and highest round"),
    ]


def as_text(facts: list[tuple[str, str]], tables: list[Table], bars: list[Bar]) -> str:
    lines = [f"{name:17} {value}" for name, value in facts]
    for table in tables:
        if not table.rows:
            continue
        widths = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
        lines += ["", table.title, _aligned(table.head, widths), *(_aligned(row, widths) for row in table.rows)]
    lines += ["", "Bars"]
    lines += [f"{bar.verdict.value:12}  {bar.rule}{': ' if bar.found else ''}{bar.found}" for bar in bars]
    return "\n".join(lines)


def _aligned(cells: list[str], widths: list[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def as_markdown(facts: list[tuple[str, str]], tables: list[Table], bars: list[Bar]) -> str:
    lines = [f"- {name}: {value}" for name, value in facts]
    for table in tables:
        if table.rows:
            lines += ["", f"### {table.title}", "", *_markdown_table(table.head, table.rows)]
    found = [[bar.verdict.value, bar.rule, bar.found] for bar in bars]
    lines += ["", "### Bars", "", *_markdown_table(["verdict", "bar", "found"], found)]
    return "\n".join(lines) + "\n"


def _markdown_table(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
