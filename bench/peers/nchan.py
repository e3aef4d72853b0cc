"""nchan, the publish/subscribe module of nginx: one worker, publications by HTTP POST on one kept connection."""

from __future__ import annotations

import os
from pathlib import Path

from bench.load import PAYLOAD, Target, http_post
from bench.peers.contender import Contender, debian_version, fill, program
from bench.processes import Stage, children_of, free_port

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


def start(stage: Stage) -> Target:
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    config = stage.write("nginx.conf", fill("nchan.conf.in", module=MODULE, user=user, port=port))
    options = ("-e", "stderr", "-p", str(stage.directory), "-c", str(config))
    master = stage.spawn(program("nginx"), *options, ports=(port,))
    return Target(
        port=port,
        path="/sub",
        pids=(master, *children_of(master)),
        publish_port=port,
        publication=http_post("/pub", PAYLOAD, "Content-Type: application/json"),
    )


def version() -> str:
    return f"nchan {debian_version('libnginx-mod-nchan')} on nginx {debian_version('nginx')}"


CONTENDER = Contender(
    name="nchan",
    start=start,
    version=version,
    highest_rate=1000,
    capacity=120_000,
    packages=(("nginx", program("nginx")), ("libnginx-mod-nchan", MODULE)),
    counts_idle=True,
)
