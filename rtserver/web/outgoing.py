"""Answers leave at the end of the reactor's turn, one send each.

Twisted's ``transport.write`` sends in the turn after, which costs two more system calls for every answer. A send at once
would cost a client on the same machine one wake-up for every answer; at the end of the turn it is woken once for all.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IReactorTime

PLAIN = (tcp.Server, unix.Server)
"""Transports whose ``writeSomeData`` is one send on the socket."""


class Holder(Protocol):
    """A connection that holds an answer."""

    def flush(self) -> None: ...


class Outgoing:
    """The connections that hold answers until the end of this turn."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._holders: list[Holder] = []

    def add(self, holder: Holder) -> None:
        if not self._holders:
            self._clock.callLater(0, self._flush)
        self._holders.append(holder)

    def _flush(self) -> None:
        holders, self._holders = self._holders, []
        for holder in holders:
            holder.flush()


def write_now(transport: Any, data: bytes) -> None:
    """To a transport of ``PLAIN``. What its socket does not take, and what others are before, goes Twisted's way."""
    if (
        transport.connected
        and not transport.disconnecting
        and not transport._tempDataBuffer
        and transport.offset == len(transport.dataBuffer)
    ):
        sent = transport.writeSomeData(data)
        if sent.__class__ is int:
            if sent == len(data):
                return
            data = data[sent:]
    transport.write(data)
