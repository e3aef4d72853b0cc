"""The loads: wrk with many connections, and ``pingpong`` with one. Their figures are JSON objects of the same keys."""

from __future__ import annotations

import json
import struct
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.http_apps.servers import HOST, Running
from bench.load import LoadFailure
from bench.machine import cpu_seconds_of
from bench.peers.contender import program
from bench.processes import ROOT, UPGRADE, WORK, Stage, end_with_parent

HERE = ROOT / "bench" / "http_apps"
PINGPONG = WORK / "pingpong"
WRK = program("wrk")
CONNECTIONS = 50
WARM_SECONDS = 1.0
ANSWER_SECONDS = 20.0
MASK = b"\x5a\x3c\x96\x0f"
CALLS = 1000

ITEM = b'{"id":42,"name":"item 42","price":9.5,"in_stock":true}'
ORDER = json.dumps(
    {
        "customer": "c-1842",
        "reference": "2026-11-0815",
        "address": ["Anna Example", "Long Street 12", "12345 Sometown", "Somewhere"],
        "lines": [{"sku": f"AB-{1000 + n}", "quantity": n + 1, "price": 9.5 + n} for n in range(4)],
        "note": "Please ring twice; if nobody opens, leave it with the neighbour on the left. The dog is friendly.".ljust(
            184, "."
        ),
    },
    separators=(",", ":"),
).encode()
"""500 bytes, as pydantic writes them: every server answers with the very same ones."""

Figures = dict[str, Any]


@dataclass(frozen=True)
class HttpLoad:
    """``measure`` puts the load on a running server for some seconds. ``servers`` are those that it goes to."""

    name: str
    title: str
    measure: Callable[[Stage, Running, float], Figures]
    servers: tuple[str, ...]


def compile_pingpong() -> None:
    WORK.mkdir(exist_ok=True)
    subprocess.run(["gcc", "-O2", "-o", PINGPONG, HERE / "pingpong.c"], check=True, timeout=60)


def wait_until_answered(running: Running) -> None:
    """Waits for the right answer: some servers listen before they are ready."""
    deadline = time.monotonic() + ANSWER_SECONDS
    address = f"http://{HOST}:{running.port}"
    while True:
        try:
            found = [ask(f"{address}/items/42"), ask(f"{address}/orders", ORDER)]
        except OSError as error:
            if time.monotonic() > deadline:
                raise LoadFailure(f"no answer in {ANSWER_SECONDS:.0f} s: {error}") from error
            time.sleep(0.05)
        else:
            break
    if found != [ITEM, ORDER]:
        raise LoadFailure(f"wrong answers: {found}")


def ask(address: str, body: bytes | None = None) -> bytes:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        content: bytes = answer.read()
    return content


def run(
    command: list[str], seconds: float, given: bytes = b"", environment: Mapping[str, str] | None = None
) -> Figures:
    done = subprocess.run(
        command, input=given, env=environment, capture_output=True, timeout=seconds + 30, preexec_fn=end_with_parent
    )
    if done.returncode or not done.stdout:
        raise LoadFailure(f"{command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-1000:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    if figures.get("refused") or figures.get("failed"):
        raise LoadFailure(f"{figures['refused']} answers were errors, {figures['failed']} requests failed")
    return figures


def many(method: str, path: str, body: bytes, stage: Stage, running: Running, seconds: float) -> Figures:
    """wrk: one thread, each connection asks again as soon as it is answered."""
    file = str(stage.write("body", body)) if body else ""
    environment = {"BENCH_METHOD": method, "BENCH_BODY": file}
    options = ["-t1", f"-c{CONNECTIONS}", "-s", str(HERE / "wrk.lua"), f"http://{HOST}:{running.port}{path}"]
    return run([str(WRK), f"-d{seconds:.0f}", *options], seconds, environment=environment)


def one_http(stage: Stage, running: Running, seconds: float) -> Figures:
    """One kept connection, one POST after the other."""
    lines = (
        "POST /orders HTTP/1.1",
        f"Host: {HOST}",
        "Content-Type: application/json",
        f"Content-Length: {len(ORDER)}",
    )
    request = "\r\n".join([*lines, "", ""]).encode() + ORDER
    return pingpong(stage, running, seconds, [request], ORDER[-24:])


def one_rpc(stage: Stage, running: Running, seconds: float, in_flight: int = 1) -> Figures:
    """One WebSocket, one call after the other."""
    calls = [b'{"id":%d,"rpc":{"method":"orders.add","data":%b}}' % (1000 + n, ORDER) for n in range(CALLS)]
    upgrade = UPGRADE.format(path="/connection/websocket").encode()
    hello = [(upgrade, b"\r\n\r\n"), (frame(b'{"id":1,"connect":{}}'), b"}}")]
    return pingpong(stage, running, seconds, [frame(call) for call in calls], ORDER[-24:] + b"}}", hello, in_flight)


def pingpong(
    stage: Stage,
    running: Running,
    seconds: float,
    requests: list[bytes],
    end: bytes,
    hello: list[tuple[bytes, bytes]] | None = None,
    in_flight: int = 1,
) -> Figures:
    words = [word for pair in hello or [] for word in pair]
    files = [f"@{stage.write(f'word{number}', word)}" for number, word in enumerate([end, *words])]
    given = b"".join(struct.pack(">I", len(request)) + request for request in requests)
    return run([str(PINGPONG), str(running.port), str(seconds), str(in_flight), *files], seconds, given)


def frame(payload: bytes) -> bytes:
    """A text frame of a client: RFC 6455 section 5.2."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
    return b"\x81" + length + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


def measured(load: HttpLoad, stage: Stage, running: Running, seconds: float) -> Figures:
    """The figures of a load after warming up, with answers a second and the CPU time that the server used for each."""
    load.measure(stage, running, WARM_SECONDS)
    before = sum(map(cpu_seconds_of, running.pids))
    figures = load.measure(stage, running, seconds)
    used = sum(map(cpu_seconds_of, running.pids)) - before
    handled = figures["answers"] + figures.get("warm", 0)
    return figures | {"per_s": figures["answers"] / figures["seconds"], "cpu_us": used / handled * 1e6}
