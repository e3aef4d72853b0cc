"""The writing side of a connection: eager writes, a bounded queue, and the watch over those that do not drain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtserver.core import errors
from rtserver.core.errors import DisconnectReason
from rtserver.eager import PLAIN, backlog, write_now


class Drain:
    """Connections with a backlog. One that moved no byte for ``timeout`` seconds is given up."""

    def __init__(self, timeout: float, clock: Callable[[], float]) -> None:
        self._timeout = timeout
        self._clock = clock
        self._stuck: dict[EagerWriter, tuple[int, float]] = {}

    def watch(self, writer: EagerWriter) -> None:
        self._stuck.setdefault(writer, (writer.drained, self._clock()))

    def forget(self, writer: EagerWriter) -> None:
        self._stuck.pop(writer, None)

    def check(self) -> None:
        """To be called about twice a second."""
        now = self._clock()
        for writer, (drained, since) in list(self._stuck.items()):
            if not writer.waiting:
                del self._stuck[writer]
            elif writer.drained != drained:
                self._stuck[writer] = (writer.drained, now)
            elif now - since >= self._timeout:
                del self._stuck[writer]
                writer.failed(errors.WRITE_ERROR)

    def __len__(self) -> int:
        return len(self._stuck)


def _nothing(reason: DisconnectReason) -> None:
    """A writer that stopped has nobody to tell."""


class EagerWriter:
    """Writes to one Twisted transport. ``failed`` is called once when the client is too slow: the caller must abort."""

    __slots__ = ("_transport", "_plain", "_limit", "_drain", "failed", "written")

    def __init__(self, transport: Any, limit: int, drain: Drain, failed: Callable[[DisconnectReason], None]) -> None:
        self._transport = transport
        self._plain = transport.__class__ in PLAIN
        self._limit = limit
        self._drain = drain
        self.failed = failed
        self.written = 0
        """Bytes taken, for metrics and for seeing whether anything moves."""

    def write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        self.written += len(data)
        if self._plain:
            if write_now(transport, data):
                return
        else:
            transport.write(data)
        if backlog(transport) > self._limit:
            failed = self.failed
            self.stop()
            failed(errors.SLOW)
        else:
            self._drain.watch(self)

    @property
    def waiting(self) -> int:
        return 0 if self._transport is None else backlog(self._transport)

    @property
    def drained(self) -> int:
        return self.written - self.waiting

    def stop(self) -> None:
        """Nothing is written any more."""
        self._transport = None
        self.failed = _nothing
        self._drain.forget(self)
