"""``python -m bench.till.payers FILE``: payers who pay one item after the other, each on one kept connection of HTTP.

FILE is the JSON of ``Task``. They pay until standard input ends; then each waits for the answer that it is owed, and one line
of JSON tells what came of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import quantiles
from typing import Any

PATH = "/payment/process/"
ITEM = "test-10"
BRANDS = ("visa", "mastercard", "amex", "discover", "jcb", "maestro")
PATIENCE = 30.0
"""Seconds that a payer waits for an answer."""


@dataclass(frozen=True)
class Task:
    """``payers`` are pairs of a cookie and its csrf. Latencies are those of the last ``seconds``."""

    port: int
    payers: list[tuple[str, str]]
    seconds: float


@dataclass
class Takings:
    """``answers`` counts words of answers, or statuses of HTTP without one; ``sales`` are the transactions of those that are
    done; ``times`` pairs of the end of a payment and the seconds that it took."""

    answers: Counter[str] = field(default_factory=Counter)
    sales: list[str] = field(default_factory=list)
    times: list[tuple[float, float]] = field(default_factory=list)


class Till:
    """One payer's connection."""

    def __init__(self, task: Task, payer: tuple[str, str], takings: Takings) -> None:
        self._task = task
        self._cookie, self._csrf = payer
        self._takings = takings

    async def pay_until(self, closing: asyncio.Event) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._task.port)
        for brand in cycle(BRANDS):
            if closing.is_set():
                break
            began = time.monotonic()
            writer.write(self._request(f"fake-valid-{brand}-nonce"))
            status, answer = await asyncio.wait_for(_answer(reader), PATIENCE)
            self._note(began, status, answer)
        writer.close()

    def _request(self, nonce: str) -> bytes:
        body = json.dumps({"item": ITEM, "nonce": nonce})
        lines = (
            f"POST {PATH} HTTP/1.1",
            f"Host: 127.0.0.1:{self._task.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"Cookie: rt_session={self._cookie}",
            f"X-CSRF-Token: {self._csrf}",
            f"Idempotency-Key: {uuid.uuid4().hex}",
        )
        return "\r\n".join([*lines, "", body]).encode()

    def _note(self, began: float, status: int, answer: Any) -> None:
        now = time.monotonic()
        word = str(answer.get("result", status))
        self._takings.answers[word] += 1
        self._takings.times.append((now, now - began))
        if word == "done":
            self._takings.sales.append(answer["order"]["transaction"])


async def _answer(reader: asyncio.StreamReader) -> tuple[int, Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    return int(head[0].split()[1]), json.loads(await reader.readexactly(int(fields["content-length"])))


async def pay(task: Task) -> dict[str, Any]:
    """Until standard input ends."""
    closing, takings = asyncio.Event(), Takings()
    asyncio.get_running_loop().add_reader(sys.stdin, closing.set)
    await asyncio.gather(*(Till(task, payer, takings).pay_until(closing) for payer in task.payers))
    return figures(takings, task.seconds)


def figures(takings: Takings, seconds: float) -> dict[str, Any]:
    """Times in milliseconds. ``sales`` is how many different transactions the answers told."""
    last = max(end for end, _ in takings.times)
    taken = sorted(seconds_taken * 1000 for end, seconds_taken in takings.times if end > last - seconds)
    cuts = quantiles(taken, n=100, method="inclusive")
    return {
        "answers": dict(takings.answers),
        "sales": len(set(takings.sales)),
        "payments_per_s": len(taken) / seconds,
        "pay_p50_ms": cuts[49],
        "pay_p99_ms": cuts[98],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(pay(Task(**json.loads(Path(sys.argv[1]).read_text()))))))
