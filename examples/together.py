"""Starts several programs and ends them together: `python3 together.py Procfile`.

A line of the file is `name port: command`. Each program is started when the one before it listens on its port (none: at
once); their output is told apart by name. Ctrl-C, SIGTERM, or the end of any of them ends all, the last one first. In the
commands $NAME stands for a variable of the environment.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

LINE = re.compile(r"(?P<name>\w+)(?: (?P<port>\S+))?: (?P<command>.+)")
START_SECONDS = 30.0
STOP_SECONDS = 15.0


class Ended(Exception):
    """A program came to its end, or never came up."""


class Program:
    def __init__(self, name: str, port: int, command: list[str]) -> None:
        self.name = name
        self.port = port
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        threading.Thread(target=self._tell, daemon=True).start()

    def _tell(self) -> None:
        for line in self.process.stdout or ():
            print(f"{self.name:9}| {line.decode(errors='replace').rstrip()}", flush=True)

    def wait_until_listening(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.port and time.monotonic() < deadline:
            self.check()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        if self.port:
            raise Ended(f"{self.name} does not listen on port {self.port}")

    def check(self) -> None:
        if self.process.poll() is not None:
            raise Ended(f"{self.name} ended with {self.process.returncode}")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def read(path: Path) -> list[tuple[str, int, list[str]]]:
    """Name, port (0: none) and command of each line."""
    found = []
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(os.path.expandvars(line))
        if match is None:
            raise SystemExit(f"{path}: {line!r} is not `name port: command`")
        found.append((match["name"], int(match["port"] or 0), shlex.split(match["command"])))
    return found


def stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main(path: Path) -> int:
    signal.signal(signal.SIGTERM, stop)
    programs: list[Program] = []
    try:
        for name, port, command in read(path):
            programs.append(Program(name, port, command))
            programs[-1].wait_until_listening()
        if "ADDRESS" in os.environ:
            print(f"\n    ready: {os.environ['ADDRESS']}\n", flush=True)
        while True:
            for program in programs:
                program.check()
            time.sleep(0.2)
    except KeyboardInterrupt:
        return 0
    except Ended as end:
        print(f"together: {end}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for program in reversed(programs):
            program.end()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
