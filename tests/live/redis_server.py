"""Real Redis servers for tests: each on a free port of the loopback, in a directory of its own, ended by its pid."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

import hiredis

_START_DEADLINE = 10.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """One redis-server process. ``options`` are lines of its configuration; nothing is saved unless they say so."""

    program = "redis-server"

    def __init__(self, *options: str, port: int = 0) -> None:
        self.port = port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="rtserver-redis-"))
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def config(self) -> str:
        lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", 'save ""', "logfile redis.log"]
        return "\n".join([*lines, *self._options]) + "\n"

    def start(self) -> None:
        path = self.folder / "redis.conf"
        if not path.exists():
            path.write_text(self.config())
        self.process = subprocess.Popen([self.program, str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_DEADLINE
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server did not start: {(self.folder / 'redis.log').read_text()[-2000:]}")
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether the server takes connections and has loaded its data."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.5) as connection:
                connection.settimeout(0.5)
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH", b"-DENIED"))
        except OSError:
            return False

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def restart(self) -> None:
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop the process without closing its sockets."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def run(self, *command: str | bytes | int) -> object:
        """One command on a connection of its own, in the way of another program. Error replies are raised."""
        return run_command(self.port, *command)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class SentinelTrio:
    """A master, a replica and three Sentinels that fail over after half a second."""

    name = "mymaster"

    def __init__(self) -> None:
        self.master = RedisServer()
        self.replica = RedisServer(f"replicaof 127.0.0.1 {self.master.port}")
        self.sentinels = [_Sentinel(self.master.port, self.name) for _ in range(3)]

    def __enter__(self) -> SentinelTrio:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in (*self.sentinels, self.replica, self.master):
            server.close()

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{self.name}"

    def ready(self) -> bool:
        """Whether every Sentinel knows the replica and the other two, so that a failover can be decided."""
        for sentinel in self.sentinels:
            known = sentinel.run("SENTINEL", "master", self.name)
            assert isinstance(known, list)
            facts = dict(zip(known[::2], known[1::2], strict=True))
            if facts[b"num-other-sentinels"] != b"2" or facts[b"num-slaves"] != b"1":
                return False
        return b"master_link_status:up" in bytes(self.replica.run("INFO", "replication"))  # type: ignore[call-overload]


class _Sentinel(RedisServer):
    program = "redis-sentinel"

    def __init__(self, master_port: int, name: str) -> None:
        super().__init__(
            "sentinel resolve-hostnames no",
            f"sentinel monitor {name} 127.0.0.1 {master_port} 2",
            f"sentinel down-after-milliseconds {name} 500",
            f"sentinel failover-timeout {name} 3000",
        )

    def config(self) -> str:
        return super().config().replace('save ""\n', "")


def run_command(port: int, *command: str | bytes | int) -> object:
    reader = hiredis.Reader()
    with socket.create_connection(("127.0.0.1", port), 2) as connection:
        connection.settimeout(5)
        connection.sendall(hiredis.pack_command(command))
        while (reply := reader.gets()) is False:
            reader.feed(connection.recv(65536))
    if isinstance(reply, hiredis.ReplyError):
        raise reply
    return reply
