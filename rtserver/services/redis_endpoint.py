"""From an address to something that connects: TCP, TLS, a Unix socket, or the master that the Sentinels name."""

from __future__ import annotations

from typing import Any

import hiredis
from twisted.internet.abstract import isIPAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from rtserver.services.redis_link import quiet_factory
from rtserver.services.redis_options import Address, RedisOptions
from rtserver.services.redis_tls import tls_creator


def endpoint_of(address: Address, options: RedisOptions, reactor: Any) -> Any:
    """An ``IStreamClientEndpoint``. Raises ``ValueError`` when the TLS files cannot be used."""
    if address.path:
        return UNIXClientEndpoint(reactor, address.path, timeout=options.connect_timeout)
    if address.sentinels:
        return SentinelEndpoint(address, options, reactor)
    return tcp_endpoint(address.host, address.port, address.tls, options, reactor)


def tcp_endpoint(host: str, port: int, tls: bool, options: RedisOptions, reactor: Any) -> Any:
    # A literal address needs no resolver thread.
    kind = TCP4ClientEndpoint if isIPAddress(host) else HostnameEndpoint
    plain: Any = kind(reactor, host, port, timeout=options.connect_timeout)
    return wrapClientTLS(tls_creator(options, host), plain) if tls else plain


class SentinelQuestion(Protocol):
    """Asks one Sentinel for the address of a master; ``answer`` fires with (host, port) or None when it knows none."""

    transport: Any

    def __init__(self, master: str, password: str) -> None:
        self._commands: list[tuple[str, ...]] = [("AUTH", password)] if password else []
        self._commands.append(("SENTINEL", "get-master-addr-by-name", master))
        self._reader = hiredis.Reader()
        self.answer: Deferred[tuple[str, int] | None] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(b"".join(hiredis.pack_command(command) for command in self._commands))

    def dataReceived(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if isinstance(reply, hiredis.ReplyError):
                self._end(Failure(ConnectError(string=f"Sentinel refused: {reply}")))
                return
            self._commands.pop(0)
            if not self._commands:
                self._end(None if reply is None else (reply[0].decode(), int(reply[1])))
                return

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self._end(Failure(ConnectionLost("the Sentinel closed the connection without an answer")))

    def _end(self, result: Any) -> None:
        if not self.answer.called:
            self.answer.callback(result)
        self.transport.loseConnection()


@implementer(IStreamClientEndpoint)
class SentinelEndpoint:
    """Connects to the current master. The Sentinels are asked one after another, each for ``connect_timeout`` at most; the
    one that answered is asked first the next time."""

    def __init__(self, address: Address, options: RedisOptions, reactor: Any) -> None:
        self._address = address
        self._options = options
        self._reactor = reactor
        self._sentinels = list(address.sentinels)

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: Any) -> Any:
        host, port = await self._master()
        return await tcp_endpoint(host, port, self._address.tls, self._options, self._reactor).connect(factory)

    async def _master(self) -> tuple[str, int]:
        problems = []
        for sentinel in list(self._sentinels):
            try:
                found = await self._ask(*sentinel)
            except Exception as error:  # any failure of one Sentinel leaves the others to be asked
                problems.append(f"{sentinel[0]}:{sentinel[1]}: {error}")
                continue
            if found is not None:
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)
                return found
            problems.append(f"{sentinel[0]}:{sentinel[1]}: knows no master of this name")
        raise ConnectError(
            string=f"no Sentinel names a master {self._address.master!r} ({'; '.join(problems)}): "
            "check the name at the end of the address"
        )

    async def _ask(self, host: str, port: int) -> tuple[str, int] | None:
        endpoint = tcp_endpoint(host, port, self._address.tls, self._options, self._reactor)
        question = SentinelQuestion(self._address.master, self._options.sentinel_password)
        await endpoint.connect(quiet_factory(lambda: question))
        return await question.answer.addTimeout(self._options.connect_timeout, self._reactor)
