"""Who is in which channel, with expiry: an entry that nobody refreshes goes away by itself."""

from __future__ import annotations

from rtserver.core.deadlines import Deadlines
from rtserver.core.messages import ClientInfo


def count(infos: list[ClientInfo]) -> tuple[int, int]:
    """Number of clients and of distinct users; all anonymous clients (user "") are one user."""
    return len(infos), len({info.user for info in infos})


class Presence:
    """Entries by channel and client id. ``ttl`` and ``now`` in seconds.

    The number of entries is bounded by what is subscribed: connections of the node times channels of a connection.
    """

    def __init__(self, ttl: float = 60.0) -> None:
        self._ttl = ttl
        self._channels: dict[str, dict[str, tuple[float, ClientInfo]]] = {}
        self._deadlines: Deadlines[str] = Deadlines()

    def add(self, channel: str, client: str, info: ClientInfo, now: float) -> None:
        """Add or refresh an entry. The last one written is the last to expire."""
        until = now + self._ttl
        entries = self._channels.get(channel)
        if entries is None:
            entries = self._channels[channel] = {}
            self._deadlines.set(channel, until)
        entries.pop(client, None)
        entries[client] = (until, info)

    def remove(self, channel: str, client: str) -> None:
        entries = self._channels.get(channel)
        if entries is None:
            return
        entries.pop(client, None)
        if not entries:
            self._forget(channel)

    def get(self, channel: str, now: float) -> dict[str, ClientInfo]:
        """Client id to info of the entries that have not expired."""
        entries = self._channels.get(channel, {})
        return {client: info for client, (until, info) in entries.items() if now < until}

    def stats(self, channel: str, now: float) -> tuple[int, int]:
        return count(list(self.get(channel, now).values()))

    def sweep(self, now: float, limit: int = 1000) -> None:
        """Drop expired entries of at most ``limit`` channels."""
        for channel in self._deadlines.due(now, limit):
            alive = {client: entry for client, entry in self._channels[channel].items() if now < entry[0]}
            if alive:
                self._channels[channel] = alive
                self._deadlines.set(channel, next(iter(alive.values()))[0])
            else:
                self._forget(channel)

    def _forget(self, channel: str) -> None:
        del self._channels[channel]
        self._deadlines.drop(channel)
