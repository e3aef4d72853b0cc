"""News of accounts to open connections. Implements ``ports.Notices`` over the channels of the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.logger import Logger

from rtserver.accounts.records import Proof
from rtserver.core.errors import DisconnectReason, RtError

SIGNED_OUT = DisconnectReason(4501, "signed out")
"""For good: clients do not come back after codes from 4500 to 4999."""

SESSION_ENDED = DisconnectReason(4010, "session ended")
"""Clients come back: those of the other sessions of the person are let in, the others are refused a token."""

_log = Logger()


class ChannelNotices:
    """``publish(channel, data)`` and ``disconnect(user, code, reason)`` act on all nodes; ``channel(proof)`` names the channel
    of the window that waits."""

    def __init__(
        self,
        publish: Callable[[str, Any], Awaitable[Any]],
        disconnect: Callable[[str, int, str], Awaitable[None]],
        channel: Callable[[Proof], str],
    ) -> None:
        self._publish = publish
        self._disconnect = disconnect
        self._channel = channel

    async def confirmed(self, proof: Proof) -> None:
        told = self._publish(self._channel(proof), {"confirmed": True})
        await _attempted("a window was not told that its letter was answered", told)

    async def signed_out(self, user_id: str, everywhere: bool) -> None:
        code, reason = SIGNED_OUT if everywhere else SESSION_ENDED
        closed = self._disconnect(user_id, code, reason)
        await _attempted("connections of a person who signed out were not all closed", closed)


async def _attempted(what: str, work: Awaitable[Any]) -> None:
    """What was decided is done already; a broker that is away must not undo it for the person who asked."""
    try:
        await work
    except RtError as error:
        _log.warn("{what}: {why}", what=what, why=str(error))
