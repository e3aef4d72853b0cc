"""Processes of a run: started in a directory of their own, ended by the pid they were started with.

Nothing outlives the benchmark: a ``Stage`` ends its processes when its ``with`` block is left in whatever way, and the
kernel ends them should the benchmark itself be killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".bench"
"""What the benchmark installs, compiles and writes. Nothing in it is worth keeping."""

START_SECONDS = 20.0
STOP_SECONDS = 5.0
LOG_LINES = 8
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class StartFailure(Exception):
    """A process did not come up; the message has the end of its log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def end_with_parent() -> None:
    """For a new process: the kernel ends it when the benchmark is gone."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Stage:
    """A directory and the processes that run in it, ended in reverse order."""

    def __init__(self, redis_port: int = 0) -> None:
        self.redis_port = redis_port
        self._exits = ExitStack()

    def __enter__(self) -> Stage:
        WORK.mkdir(exist_ok=True)
        prefix = tempfile.TemporaryDirectory(prefix="run-", dir=WORK)
        self.directory = Path(self._exits.enter_context(prefix))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def spawn(self, *command: str | Path, ports: tuple[int, ...], **environment: str) -> int:
        """Starts a process in the directory and waits until it listens on every one of ``ports``. Returns its pid."""
        log = self.directory / f"{Path(command[0]).name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.directory,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        self._exits.callback(_end, process)
        for port in ports:
            _wait_until_listening(process, port, log)
        return process.pid


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    tail = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
    raise StartFailure("\n    ".join([f"it does not listen on port {port}; its log ends with:", *tail]))


def wait_until_upgraded(port: int, path: str) -> None:
    """Waits until the server accepts a WebSocket, for servers that listen before they are ready."""
    deadline = time.monotonic() + START_SECONDS
    answer = b""
    while time.monotonic() < deadline:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            probe.sendall(UPGRADE.format(path=path).encode())
            answer = probe.recv(4096)
        if answer.startswith(b"HTTP/1.1 101"):
            return
        time.sleep(0.05)
    raise StartFailure(f"it refuses WebSockets: {answer.splitlines()[:1]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start_redis(stage: Stage) -> tuple[int, int]:
    """A Redis of the benchmark's own, without persistence. Returns its port and pid."""
    port = free_port()
    options = ("--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no")
    return port, stage.spawn("redis-server", *options, ports=(port,))
