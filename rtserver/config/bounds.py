"""What the configuration allows at worst, in a sentence for the operator."""

from __future__ import annotations

import resource

from rtserver.config.options import Config

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def open_files() -> int:
    """How many files this process may open at most; -1: without limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return -1 if hard == resource.RLIM_INFINITY else hard


def worst_case(config: Config, files: int) -> str:
    """The memory that queued output can take when every client reads nothing. ``files``: the limit of open files, which
    bounds the connections where ``client.connection_limit`` does not; -1: none."""
    queue = config.client.queue_max_size
    limit = config.client.connection_limit
    each = f"{size(queue)} each (client.queue_max_size)"
    if not limit and files < 0:
        return f"queued output at worst: {each}, connections without limit; set client.connection_limit to bound it"
    connections, why = (limit, "client.connection_limit") if limit else (files, "the limit of open files here")
    return f"queued output at worst: {connections:,} connections ({why}) x {each} = {size(connections * queue)}"


def size(count: float) -> str:
    for unit in UNITS[:-1]:
        if count < 1024:
            return f"{count:.1f} {unit}" if unit != "bytes" else f"{count:.0f} bytes"
        count /= 1024
    return f"{count:.1f} {UNITS[-1]}"
