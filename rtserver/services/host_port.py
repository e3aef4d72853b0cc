"""Hosts with ports, as they stand in addresses of databases and brokers."""

from __future__ import annotations

LAST_PORT = 65_535


def host_port(text: str, default: int, whose: str) -> tuple[str, int]:
    """``host``, ``host:port``, ``[::1]`` or ``[::1]:port``. Raises ``ValueError``; ``whose`` is the subject of its sentence."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if not host:
        raise ValueError(f"an address of {whose} has no host: write the host between // and /")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= LAST_PORT):
        raise ValueError(f"the port of the {whose} host {host} is no number from 1 to {LAST_PORT}")
    return host, int(port) if port else default
