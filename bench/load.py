"""One load on one server: what is asked of ``fanload``, and what it says."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from typing import Any

from bench.processes import ROOT, WORK, Stage, end_with_parent

FANLOAD = WORK / "fanload"
LONGEST_RUN = 200.0
"""Seconds; ``fanload`` itself gives up earlier."""

Figures = dict[str, Any]
"""The JSON object that ``fanload`` prints."""


class LoadFailure(Exception):
    """The load could not be put on the server; the message says why."""


@dataclass(frozen=True)
class Load:
    """``rate`` 0: no publications, only connections. Times in seconds."""

    subscribers: int
    rate: float = 0
    warm: float = 1
    seconds: float = 5
    idle: float = 0


@dataclass(frozen=True)
class Target:
    """How to load a running server: where subscribers connect, what they send first, how a message is published.

    A subscriber is ready after ``acks`` occurrences of ``ack``; with ``acks`` 0 once the handshake is done.
    ``publication`` holds the bytes of one publish call, with the payload in it; ``preamble`` is sent once before.
    """

    port: int
    pids: tuple[int, ...]
    publish_port: int
    publication: bytes
    path: str = "/"
    subprotocol: str = ""
    text_frames: tuple[str, ...] = ()
    binary_frames: tuple[bytes, ...] = ()
    ack: str = ""
    acks: int = 0
    app_ping: tuple[str, str] | None = None
    preamble: bytes = b""
    options: tuple[str, ...] = field(default=())


PAYLOAD = '{"t":"@T0000000000000000000@","text":"' + "x" * 168 + '"}'
"""208 bytes. ``fanload`` writes the time of sending into the digits and finds it again in what subscribers receive."""


def redis_command(*words: str) -> bytes:
    parts = b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
    return b"*%d\r\n%s" % (len(words), parts)


def http_post(path: str, body: str, *headers: str) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *headers, "", body)
    return "\r\n".join(lines).encode()


def compile_fanload() -> None:
    sources = sorted((ROOT / "bench" / "fanload").glob("*.c"))
    WORK.mkdir(exist_ok=True)
    subprocess.run(["gcc", "-O2", "-o", FANLOAD, *sources], check=True, timeout=60)


def run_load(stage: Stage, target: Target, load: Load) -> Figures:
    done = subprocess.run(
        [str(FANLOAD), *_subscriber_options(stage, target), *_load_options(stage, target, load)],
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN,
        preexec_fn=end_with_parent,
    )
    if done.returncode or not done.stdout:
        raise LoadFailure(f"fanload ended with {done.returncode}: {done.stderr[-1000:]}")
    figures: Figures = json.loads(done.stdout)
    figures["complaints"] = done.stderr.splitlines()[:5]
    if figures["subscribers"] < load.subscribers:
        found = f"only {figures['subscribers']} of {load.subscribers} subscribers became ready"
        raise LoadFailure("\n    ".join([found, *figures["complaints"]]))
    return figures


def _subscriber_options(stage: Stage, target: Target) -> list[str]:
    options = ["--port", str(target.port), "--path", target.path, *target.options]
    if target.subprotocol:
        options += ["--sub", target.subprotocol]
    for text in target.text_frames:
        options += ["--init", text]
    for number, frame in enumerate(target.binary_frames):
        options += ["--initbin", str(stage.write(f"frame{number}", frame))]
    if target.acks:
        options += ["--acks", str(target.acks)]
    if target.ack:
        options += ["--ack", target.ack]
    if target.app_ping:
        options += ["--apping", target.app_ping[0], "--appong", target.app_ping[1]]
    for pid in target.pids:
        options += ["--pid", str(pid)]
    return options


def _load_options(stage: Stage, target: Target, load: Load) -> list[str]:
    options = ["--n", str(load.subscribers), "--idle", str(load.idle)]
    if not load.rate:
        return [*options, "--warm", "0", "--dur", "0"]
    options += ["--rate", str(load.rate), "--warm", str(load.warm), "--dur", str(load.seconds)]
    options += ["--pport", str(target.publish_port), "--tpl", str(stage.write("publication", target.publication))]
    if target.preamble:
        options += ["--pre", str(stage.write("preamble", target.preamble))]
    return options
