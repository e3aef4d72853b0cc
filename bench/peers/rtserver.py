"""rtserver as a user starts it: twistd with a configuration file, fed by PUBLISH on Redis, real protocol sessions.

The same server is two contenders: channels of namespace "bench" keep nothing, those of "hist" have history and recovery.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as installed
from pathlib import Path

from bench.load import PAYLOAD, Target, redis_command
from bench.peers.contender import Contender, fill
from bench.processes import ROOT, Stage, free_port, wait_until_upgraded

TWISTD = Path(sys.executable).parent / "twistd"
FIRST_FRAME = '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"CHANNEL"}}'
PATH = "/connection/websocket"
DOOR = "rt:"
"""What other programs put in front of a channel's name when they publish through Redis."""


def start(stage: Stage, channel: str) -> Target:
    port = free_port()
    config = stage.write(
        "rtserver.toml", fill("rtserver.toml.in", port=port, redis=stage.redis_port, state=stage.directory)
    )
    pid = stage.spawn(TWISTD, "-n", "--pidfile=", "rtserver", "--config", config, ports=(port,), PYTHONPATH=str(ROOT))
    wait_until_upgraded(port, PATH)
    return target_of(stage, port, pid, channel)


def target_of(stage: Stage, port: int, pid: int, channel: str) -> Target:
    """Subscribers of one channel, and publications on it by Redis."""
    return Target(
        port=port,
        path=PATH,
        pids=(pid,),
        text_frames=(FIRST_FRAME.replace("CHANNEL", channel),),
        ack='"id":2',
        acks=1,
        app_ping=("{}", "{}"),
        publish_port=stage.redis_port,
        publication=redis_command("PUBLISH", DOOR + channel, PAYLOAD),
    )


def version() -> str:
    packages = ", ".join(f"{name} {installed(name)}" for name in ("Twisted", "autobahn", "hiredis", "msgspec"))
    return f"Python {sys.version.split()[0]}, {packages}"


WITHOUT_HISTORY = Contender(
    name="rtserver", start=lambda stage: start(stage, "bench:fan"), version=version, counts_idle=True
)
WITH_HISTORY = Contender(
    name="rtserver-history",
    start=lambda stage: start(stage, "hist:fan"),
    version=lambda: "the same, history and recovery on",
)
