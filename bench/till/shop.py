"""rtserver with accounts and payments as a user starts it, and the gateway's simulator as a process beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Any

from bench.load import LoadFailure, Target
from bench.peers.rtserver import PATH, TWISTD, target_of
from bench.processes import ROOT, Stage, end_with_parent, free_port, wait_until_upgraded
from bench.till.payers import Task
from bench.till.people import Payer, sign_in

CHANNEL = "bench:fan"
DATABASE = "rtserver.db"
"""Where a server without ``database.url`` has its file, in its state directory."""

MOST_SALES = 10_000
"""More than the payers of a run can make of a gateway that takes its time."""

LAST_SECONDS = 60.0
"""How long the payers may need for the answers that they are owed."""


@dataclass(frozen=True)
class Shop:
    """``payers`` are signed in."""

    target: Target
    simulator: int
    payers: list[Payer]

    def transactions(self) -> int:
        """How many there are at the gateway, of whatever kind."""
        return int(self._order("GET", "/")["counts"]["transactions"])

    def slow_down(self, ms: int) -> None:
        """The gateway lets so much time pass before it does anything for a sale."""
        self._order("POST", "/faults", match="POST /transactions", fault="slow", ms=ms, times=MOST_SALES)

    def _order(self, verb: str, path: str, **said: object) -> Any:
        body = json.dumps(said).encode() if said else None
        address = f"http://127.0.0.1:{self.simulator}/_sim{path}"
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"}, method=verb)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return json.load(answer)


def open_shop(stage: Stage, people: int) -> Shop:
    port, simulator = free_port(), free_port()
    payers = sign_in(stage.directory / DATABASE, people)
    template = Template((Path(__file__).parent / "shop.toml.in").read_text())
    text = template.substitute(port=port, redis=stage.redis_port, state=stage.directory, simulator=simulator)
    options = ("-m", "rtserver.simulator", "--quiet", "--port", str(simulator))
    stage.spawn(sys.executable, *options, ports=(simulator,), PYTHONPATH=str(ROOT))
    config = ("--config", stage.write("rtserver.toml", text))
    pid = stage.spawn(TWISTD, "-n", "--pidfile=", "rtserver", *config, ports=(port,), PYTHONPATH=str(ROOT))
    wait_until_upgraded(port, PATH)
    return Shop(target_of(stage, port, pid, CHANNEL), simulator, payers)


class Paying:
    """Payers at work. ``figures`` are there when the block of ``paying`` has ended."""

    figures: dict[str, Any]


@contextmanager
def paying(stage: Stage, shop: Shop, seconds: float) -> Iterator[Paying]:
    """All payers pay for as long as the block lasts. Raises ``LoadFailure``."""
    task = Task(shop.target.port, [(payer.cookie, payer.csrf) for payer in shop.payers], seconds)
    file = stage.write("payers.json", json.dumps(asdict(task)))
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.till.payers", str(file)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=end_with_parent,
    )
    found = Paying()
    try:
        yield found
        output, trouble = process.communicate(timeout=LAST_SECONDS)
    finally:
        process.kill()
        process.wait()
    if process.returncode or not output:
        raise LoadFailure(f"the payers ended with {process.returncode}: {trouble.decode(errors='replace')[-1000:]}")
    found.figures = json.loads(output)
