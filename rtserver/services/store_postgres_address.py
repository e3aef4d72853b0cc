"""How a connection to PostgreSQL is asked for: the parameters of libpq, with names of hosts looked up beforehand.

libpq looks names up by itself, but blocks meanwhile, and has no time limit for connecting without blocking.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

from twisted.internet.threads import deferToThread

from rtserver.core.errors import StoreUnavailable
from rtserver.services.store_options import DatabaseOptions

DEFAULTS = {
    "client_encoding": "UTF8",
    "fallback_application_name": "rtserver",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""A peer that is gone without a word is noticed within half a minute, by connections that do nothing too."""


class PostgresAddress:
    """Parameters for each attempt to connect."""

    def __init__(self, options: DatabaseOptions) -> None:
        own = options.address().parameters
        limits = (
            f"-c statement_timeout={_milliseconds(options.statement_timeout)} "
            f"-c idle_in_transaction_session_timeout={_milliseconds(options.transaction_timeout)}"
        )
        self._parameters = DEFAULTS | own | {"options": f"{limits} {own.get('options', '')}".strip()}

    async def parameters(self) -> dict[str, str]:
        """Raises ``StoreUnavailable`` when no name can be looked up."""
        known = self._parameters
        if "hostaddr" in known or "host" not in known:
            return known
        hosts = known["host"].split(",")
        ports = known.get("port", "5432").split(",")
        ports *= len(hosts) if len(ports) == 1 else 1
        found: list[tuple[str, str, str]] = []
        problem = ""
        for host, port in zip(hosts, ports, strict=False):
            try:
                found += [(host, address, port) for address in await _addresses(host)]
            except OSError as error:
                problem = f"the host {host} of PostgreSQL is not found ({error.strerror}): see database.url"
        if not found:
            raise StoreUnavailable(problem)
        names, addresses, at = (",".join(each) for each in zip(*found, strict=True))
        return known | {"host": names, "hostaddr": addresses, "port": at}


async def _addresses(host: str) -> list[str]:
    """The addresses of a host; "" for a Unix socket, which needs none. Raises ``OSError``."""
    if host.startswith(("/", "@")):
        return [""]
    if _is_address(host):
        return [host]
    found: list[Any] = await deferToThread(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(each[4][0] for each in found))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
