"""A real PostgreSQL for tests: on a free port of the loopback and a Unix socket, in a folder of its own, ended by its pid."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg2

from tests.live.redis_server import free_port

_PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
_STILL_THERE = "pre-existing shared memory block"
_START_DEADLINE = 30.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "log_min_messages": "warning",
    "max_connections": "60",
    "shared_buffers": "32MB",
}
NOBODY = "postgres"
"""PostgreSQL refuses to run as root; the Debian package makes this user."""


def program(name: str) -> str:
    """Debian keeps the server's programs out of the path."""
    found = shutil.which(name) or next((str(place / name) for place in _PLACES if (place / name).exists()), None)
    if found is None:
        raise RuntimeError(f"{name} is missing: run scripts/prepare-tests")
    return found


class PostgresServer:
    """One cluster and its server process. The only user is ``rt``, password ``secret``, who owns the database ``rt``."""

    def __init__(self, **settings: str) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="rtserver-postgres-"))
        self._data = self.folder / "data"
        self._settings = {**_SETTINGS, "port": str(self.port), "unix_socket_directories": str(self.folder), **settings}
        self._identity: dict[str, Any] = {"user": NOBODY, "group": NOBODY} if os.getuid() == 0 else {}
        self.process: subprocess.Popen[bytes] | None = None
        self._make()
        self.start()
        self.run("create database rt", database="postgres")

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        return f"postgresql://rt:secret@127.0.0.1:{self.port}/rt"

    @property
    def socket_url(self) -> str:
        return f"postgresql://rt:secret@/rt?host={self.folder}&port={self.port}"

    def start(self) -> None:
        deadline = time.monotonic() + _START_DEADLINE
        began = self._begin()
        while not self.answers():
            ended = self.process is None or self.process.poll() is not None
            if ended and _STILL_THERE in self.log()[began:]:
                # Its processes were killed a moment ago, and one of them has not ended yet.
                time.sleep(0.2)
                began = self._begin()
                ended = False
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"postgres did not start: {self.log()[-2000:]}")
            time.sleep(0.05)

    def _begin(self) -> int:
        """Start it; how long its log was before."""
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "postgres.log").open("ab") as log:
            length = log.tell()
            self.process = subprocess.Popen(
                [program("postgres"), "-D", str(self._data), *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                process_group=0,
                **self._identity,
            )
        return length

    def log(self) -> str:
        return (self.folder / "postgres.log").read_text()

    def answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def connect(self, database: str = "rt") -> Any:
        return psycopg2.connect(
            host="127.0.0.1", port=self.port, user="rt", password="secret", dbname=database, connect_timeout=5
        )

    def run(self, sql: str, params: tuple[object, ...] | None = None, database: str = "rt") -> list[tuple[Any, ...]]:
        """One statement on a connection of its own, in the way of another program."""
        connection = self.connect(database)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, params)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def kill(self) -> None:
        """End all its processes at once, as a machine that fails would."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)
            self.process = None

    def restart(self) -> None:
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop every process without closing its sockets."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _signal(self, number: int) -> None:
        """To the postmaster and its children: each backend makes a process group of its own."""
        if self.process is None:
            return
        for pid in (self.process.pid, *_children(self.process.pid)):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def _make(self) -> None:
        password = self.folder / "password"
        password.write_text("secret\n")
        if self._identity:
            shutil.chown(self.folder, NOBODY, NOBODY)
            shutil.chown(password, NOBODY, NOBODY)
        command = [program("initdb"), "-D", str(self._data), "-U", "rt", "--pwfile", str(password)]
        command += ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, timeout=60, **self._identity)


def _children(parent: int) -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except FileNotFoundError:
        return []
