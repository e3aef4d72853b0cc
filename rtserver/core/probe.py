"""Whether this node still hears: a token goes through the broker and the fan-out path, and its way back is timed.

The probe is an ordinary subscriber of ``PROBE_CHANNEL``: what it hears has passed the broker, its connection to us, the
hub and a flush, as every publication does. Connection states and replies to commands prove none of that.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from rtserver.core.messages import Push, Reply
from rtserver.core.ports import Codec


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """Seconds: a probe every ``interval``; no answer of all shards for ``late``: not ready; for ``dead``: deaf."""

    interval: float = 1.0
    late: float = 5.0
    dead: float = 20.0


class Hearing(enum.Enum):
    """GOOD <-> LATE <-> DEAF, by the age of the last probe that came back from every shard."""

    GOOD = "good"
    LATE = "late"
    DEAF = "deaf"


class Probe:
    """``write`` makes it a session of the hub, ``push`` its own wire: it reads the token from the publication itself."""

    name = "probe"
    unidirectional = True
    codec: Codec

    def __init__(self, options: ProbeOptions, shards: int, now: float) -> None:
        self.options = options
        self.shards = shards
        self.heard_at = now
        self.round_trip = 0.0
        """Seconds that the last complete probe took."""
        self.hearing = Hearing.GOOD
        self._sent: dict[str, float] = {}
        self._seen: dict[str, set[str]] = {}

    def send(self, token: str, now: float) -> str:
        """Note that ``token`` is on its way; at most the probes of the ``dead`` time are remembered."""
        self._sent[token] = now
        for old in [key for key, at in self._sent.items() if at < now - self.options.dead]:
            self._forget(old)
        return token

    def reply(self, reply: Reply) -> bytes:
        return b""

    def push(self, push: Push) -> bytes:
        """The wire: the bare data, and a line end between probes of one turn."""
        return bytes(push.pub.data) + b"\n" if push.pub is not None else b""

    def heard(self, data: bytes, now: float) -> None:
        """Probes have come back: ``<token>:<shard>`` a line."""
        for line in data.decode("ascii", "replace").split():
            token, _, shard = line.rpartition(":")
            if token not in self._sent:
                continue
            seen = self._seen.setdefault(token, set())
            seen.add(shard)
            if len(seen) == self.shards:
                self.heard_at = now
                self.round_trip = now - self._sent[token]
                self._forget(token)

    def judge(self, now: float) -> bool:
        """Look at the age of the last complete probe. True: the state has changed."""
        age = now - self.heard_at
        before = self.hearing
        if age < self.options.late:
            self.hearing = Hearing.GOOD
        elif age < self.options.dead:
            self.hearing = Hearing.LATE
        else:
            self.hearing = Hearing.DEAF
        return self.hearing is not before

    def _forget(self, token: str) -> None:
        self._sent.pop(token, None)
        self._seen.pop(token, None)
