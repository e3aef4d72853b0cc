"""Answers leave at the end of the reactor's turn, one send each.

Twisted's ``transport.write`` sends in the turn after, which costs two more system calls for every answer. A send at once
would cost a client on the same machine one wake-up for every answer; at the end of the turn it is woken once for all.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime


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
