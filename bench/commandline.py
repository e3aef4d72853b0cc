"""How a benchmark runs as a program: what it leaves behind when it is stopped, the command it was, and where its figures go."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

FIGURES = ("<!-- figures: written by the benchmark -->\n", "<!-- end of figures -->\n")
HTTP_FIGURES = ("<!-- HTTP figures: written by the benchmark -->\n", "<!-- end of HTTP figures -->\n")
PAYMENT_FIGURES = ("<!-- payment figures: written by the benchmark -->\n", "<!-- end of payment figures -->\n")


def run(main: Callable[[list[str]], int]) -> NoReturn:
    """Ctrl-C (also where a shell in the background switched it off) and SIGTERM leave every ``with`` block in order, so that
    nothing outlives the benchmark."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _stop)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("stopped by Ctrl-C")


def _stop(_signal: int, _frame: object) -> None:
    raise SystemExit("stopped by SIGTERM")


def command(target: str) -> str:
    """What was typed to get these figures."""
    return f"make {target}" if len(sys.argv) == 1 else f'make {target} BENCH="{shlex.join(sys.argv[1:])}"'


def put_figures(page: Path, figures: str, marks: tuple[str, str]) -> None:
    """Replace what stands between the two marks of a page of documentation; figures alone for a page without marks."""
    before, begin, rest = (page.read_text() if page.exists() else "").partition(marks[0])
    _, end, after = rest.partition(marks[1])
    page.write_text(f"{before}{begin}\n{figures}\n{end}{after}" if end else figures)
