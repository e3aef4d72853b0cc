"""The servers of the HTTP benchmark, each one process with the same application. A new one is an entry in ``SERVERS``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import NamedTuple

from bench.peers.contender import VENV, pypi_version
from bench.processes import ROOT, Stage, children_of, free_port

TWISTD = Path(sys.executable).parent / "twistd"
HOST = "127.0.0.1"


class Running(NamedTuple):
    port: int
    pid: int

    @property
    def pids(self) -> tuple[int, ...]:
        """The process and, for those that fork, its workers."""
        return (self.pid, *children_of(self.pid))


@dataclass(frozen=True)
class HttpServer:
    """``start`` brings the server up on a stage. ``pypi`` is what it needs in the peers' environment."""

    name: str
    start: Callable[[Stage], Running]
    version: Callable[[], str]
    pypi: tuple[str, ...] = ()

    def missing_packages(self) -> list[str]:
        return []


def start_rtserver(stage: Stage) -> Running:
    port = free_port()
    config = stage.write("rtserver.toml", CONFIG.format(port=port, state=stage.directory))
    options = ("-n", "--pidfile=", "rtserver", "--config", config, "--app", "bench.http_apps.rtserver_app:app")
    return Running(port, stage.spawn(TWISTD, *options, ports=(port,), PYTHONPATH=str(ROOT)))


CONFIG = """\
listen = ["tcp:{port}:interface=127.0.0.1"]
state_dir = "{state}"

[client]
allow_anonymous_connect_without_token = true
"""


def start_fastapi(stage: Stage) -> Running:
    port = free_port()
    options = ("--host", HOST, "--port", str(port), "--loop", "uvloop", "--http", "httptools", "--app-dir", ROOT)
    quiet = ("--log-level", "warning", "--no-access-log")
    app = "bench.http_apps.fastapi_app:app"
    return Running(port, stage.spawn(VENV / "bin" / "uvicorn", app, *options, *quiet, ports=(port,)))


def start_gunicorn(stage: Stage, module: str) -> Running:
    """One worker with threads: it keeps connections, which gunicorn's plain worker does not."""
    port = free_port()
    options = ("--bind", f"{HOST}:{port}", "--workers", "1", "--worker-class", "gthread", "--threads", "8")
    quiet = ("--log-level", "warning", "--keep-alive", "30", "--chdir", str(ROOT))
    app = f"bench.http_apps.{module}:app"
    return Running(port, stage.spawn(VENV / "bin" / "gunicorn", app, *options, *quiet, ports=(port,)))


def rtserver_version() -> str:
    packages = ", ".join(f"{name} {installed(name)}" for name in ("Twisted", "pydantic", "msgspec"))
    return f"Python {sys.version.split()[0]}, {packages}"


SERVERS: dict[str, HttpServer] = {
    server.name: server
    for server in (
        HttpServer("rtserver", start_rtserver, rtserver_version),
        HttpServer(
            "fastapi",
            start_fastapi,
            lambda: pypi_version("fastapi", "uvicorn", "httptools", "uvloop", "pydantic"),
            ("fastapi", "uvicorn[standard]"),
        ),
        HttpServer(
            "flask",
            lambda stage: start_gunicorn(stage, "flask_app"),
            lambda: pypi_version("flask", "gunicorn"),
            ("flask", "gunicorn", "pydantic"),
        ),
        HttpServer(
            "django",
            lambda stage: start_gunicorn(stage, "django_app"),
            lambda: pypi_version("django", "gunicorn"),
            ("django", "gunicorn", "pydantic"),
        ),
    )
}
