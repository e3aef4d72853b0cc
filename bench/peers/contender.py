"""What the benchmark must know of a server to measure it, and small helpers that the contenders share."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

from bench.load import Target
from bench.processes import WORK, Stage

VENV = WORK / "venv"
"""Where the peers from PyPI live, apart from rtserver's own environment."""


@dataclass(frozen=True)
class Contender:
    """``start`` brings the server up on a stage. ``highest_rate``, in messages a second, is the most it is asked for.
    ``capacity`` is what it is known to deliver a second, roughly: a load far above it is kept short, because draining it
    takes load / capacity times as long. ``packages`` are Debian's, each with a file that shows that it is there. An
    ``optional`` contender is measured only where its packages are installed already."""

    name: str
    start: Callable[[Stage], Target]
    version: Callable[[], str]
    highest_rate: int = 20_000
    capacity: int = 1_000_000
    packages: tuple[tuple[str, Path], ...] = ()
    pypi: tuple[str, ...] = ()
    optional: bool = False
    counts_idle: bool = False

    def missing_packages(self) -> list[str]:
        return [package for package, proof in self.packages if not proof.exists()]


def fill(template: str, **values: object) -> str:
    """The text of a configuration template beside this file, with its ``$names`` filled in."""
    return Template((Path(__file__).parent / template).read_text()).substitute(values)


def debian_version(package: str) -> str:
    query = ["dpkg-query", "-W", "-f", "${Version}", package]
    return subprocess.run(query, capture_output=True, text=True, timeout=10).stdout or "unknown"


def pypi_version(*packages: str) -> str:
    code = "import sys, importlib.metadata as m; print(', '.join(f'{p} {m.version(p)}' for p in sys.argv[1:]))"
    asked = subprocess.run(
        [VENV / "bin" / "python", "-c", code, *packages], capture_output=True, text=True, timeout=10, check=True
    )
    return asked.stdout.strip()


def program(name: str) -> Path:
    """Where a program of the system is; a path that does not exist when it is not installed."""
    return Path(shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") or f"/usr/bin/{name}")
