"""The machine of a run, and how much of it others used meanwhile: figures of a busy machine are not to be trusted."""

from __future__ import annotations

import os
import platform
import resource
import time
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
IDLE, IOWAIT, STEAL = 3, 4, 7
"""Columns of the line "cpu" in /proc/stat (proc(5))."""


def description() -> str:
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    return f"{os.cpu_count()} CPUs, {model.split(':', 1)[1].strip()}, {memory:.0f} GiB"


def kernel() -> str:
    return f"{platform.system()} {platform.release()}"


def cpu_seconds_of(pid: int) -> float:
    """User and system time of one running process."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / TICKS


class Moment(NamedTuple):
    """CPU seconds since the machine started, but for ``wall``."""

    wall: float
    busy: float
    stolen: float
    own: float


class Watch:
    """How busy the machine is. ``running`` are processes of the benchmark that go on from one step to the next."""

    def __init__(self, running: tuple[int, ...]) -> None:
        self._running = running
        self._start = self._now()

    def _now(self) -> Moment:
        columns = [int(column) / TICKS for column in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        busy = sum(columns) - columns[IDLE] - columns[IOWAIT] - columns[STEAL]
        usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
        own = sum(usage.ru_utime + usage.ru_stime for usage in usages) + sum(map(cpu_seconds_of, self._running))
        return Moment(time.monotonic(), busy, columns[STEAL], own)

    def others(self) -> float:
        """The share of all CPUs, 0 to 1, that other programs used or the hypervisor kept since the watch began. Right
        when every process that the benchmark started meanwhile has ended."""
        now, start = self._now(), self._start
        elsewhere = (now.busy - start.busy) - (now.own - start.own) + (now.stolen - start.stolen)
        return max(0.0, elsewhere / (now.wall - start.wall) / (os.cpu_count() or 1))
