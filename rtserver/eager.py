"""Sending at once: the one place that knows the inside of Twisted's transports.

Twisted's own ``transport.write`` buffers and sends in a later turn (three system calls). When nothing is waiting the bytes
go to the socket at once; what the socket does not take, TLS, and transports that are closing go Twisted's way.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp, unix

PLAIN = (tcp.Server, unix.Server)
"""Transports whose ``writeSomeData`` is one send on the socket. Their buffer attributes are Twisted's own; the test of
byte order under tiny send buffers notices when a new Twisted means something else by them."""


def write_now(transport: Any, data: bytes) -> bool:
    """To a transport of ``PLAIN``. True: the socket took all of it; False: some of it waits, in order, Twisted's way."""
    if (
        transport.connected
        and not transport.disconnecting
        and not transport._tempDataBuffer
        and transport.offset == len(transport.dataBuffer)
    ):
        sent = transport.writeSomeData(data)
        if sent.__class__ is int:
            if sent == len(data):
                return True
            data = data[sent:]
    transport.write(data)
    return False


def backlog(transport: Any) -> int:
    """Bytes that a transport has taken and the socket has not."""
    if transport.__class__ in PLAIN:
        waiting: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        return waiting
    inside = sum(len(part) for part in getattr(transport, "_appSendBuffer", ()))
    below = getattr(transport, "transport", None)
    return inside + (backlog(below) if below is not None and below.__class__ in PLAIN else 0)
