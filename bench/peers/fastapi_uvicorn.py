"""FastAPI on uvicorn (uvloop, httptools): the broadcast application that people write, fed from Redis."""

from __future__ import annotations

from bench.load import PAYLOAD, Target, redis_command
from bench.peers.contender import VENV, Contender, pypi_version
from bench.processes import ROOT, Stage, free_port


def start(stage: Stage) -> Target:
    port = free_port()
    app = "bench.peers.fastapi_app:create_app"
    options = ("--factory", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--app-dir", ROOT)
    redis = f"redis://127.0.0.1:{stage.redis_port}/0"
    pid = stage.spawn(VENV / "bin" / "uvicorn", app, *options, ports=(port,), BENCH_REDIS=redis)
    return Target(
        port=port,
        path="/ws",
        pids=(pid,),
        publish_port=stage.redis_port,
        publication=redis_command("PUBLISH", "bench", PAYLOAD),
    )


CONTENDER = Contender(
    name="fastapi",
    start=start,
    version=lambda: pypi_version("fastapi", "uvicorn", "uvloop", "websockets", "redis"),
    highest_rate=20,
    capacity=20_000,
    pypi=("fastapi", "uvicorn[standard]", "redis"),
)
