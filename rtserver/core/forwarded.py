"""Who the client is when reverse proxies stand between it and the server: the header X-Forwarded-For and whom to believe.

Each proxy appends the address that it was asked from. What stands left of the entries of one's own proxies was written by the
client, who may write anything there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

MAX_HOPS = 32
"""Entries that are looked at, from the right."""

UNIX = "unix:"
"""In place of an address: whoever connects through a Unix socket."""

_PORT = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<four>[\d.]+))(?::\d{1,5})?")
"""Some proxies write the port too, in the form of RFC 7239 section 6."""

Address = IPv4Address | IPv6Address


def check_proxy(text: str) -> None:
    """Raises ``ValueError`` with what to change in an entry of ``http_server.trusted_proxies``."""
    if text != UNIX:
        _network(text)


class TrustedProxies:
    """Addresses and networks ("192.0.2.7", "10.0.0.0/8", "2001:db8::/32"), and "unix:". Raises ``ValueError``."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        named = tuple(trusted)
        self._unix = UNIX in named
        self._networks = tuple(_network(each) for each in named if each != UNIX)

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def client(self, peer: str, forwarded: str) -> str:
        """The client's address: the last one that is no trusted proxy, beginning with ``peer`` (the other end of the
        connection, "" for a Unix socket) and going on through the header from the right. What is no address ends the way."""
        found = _address(peer)
        if not (self._unix if not peer else self._trusts(found)):
            return peer
        client = peer
        for entry in reversed(forwarded.rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
            found = _address(entry.strip())
            if found is None:
                break
            client = str(found)
            if not self._trusts(found):
                break
        return client

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


NOBODY = TrustedProxies()


def _address(text: str) -> Address | None:
    """IPv4 inside of IPv6 counts as the IPv4 address that it is."""
    with_port = _PORT.fullmatch(text)
    if with_port is not None:
        text = with_port["six"] or with_port["four"]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        return None if found.scope_id and not found.scope_id.isalnum() else found.ipv4_mapped or found
    return found


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is no address or network ({error}): write for example 127.0.0.1, 10.0.0.0/8 or {UNIX}"
        ) from None
    if network.prefixlen == 0:
        raise ValueError(f"{text!r} is everybody, who could then claim any address: name your own proxies")
    return network
