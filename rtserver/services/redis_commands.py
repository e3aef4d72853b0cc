"""The connection that commands go by: one, so that commands are executed in the order in which they were given."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import hiredis
import txredisapi
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from rtserver.core.errors import BrokerUnavailable
from rtserver.core.ports import BrokerStats
from rtserver.services.redis_errors import FunctionMissing, ReadOnly, broker_error
from rtserver.services.redis_library import Library
from rtserver.services.redis_link import Link, LinkPlan, LinkState, nobody

Ask = Callable[..., "Deferred[Any]"]
"""Sends one command on a fresh connection; fires with the reply."""
Greeting = Callable[[Ask], Awaitable[None]]


class CommandSession(txredisapi.RedisProtocol):  # type: ignore[misc]
    """txredisapi's protocol with payloads left as bytes, and commands packed beforehand."""

    def __init__(self, greeting: Greeting) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self._greeting = greeting
        self.on_lost: Callable[[Failure], None] = nobody

    def prepare(self) -> Deferred[None]:
        async def greet() -> None:
            await self._greeting(lambda *args: self.send(hiredis.pack_command(args)))

        return Deferred.fromCoroutine(greet())

    def send(self, command: bytes) -> Deferred[Any]:
        answer: Deferred[Any] = self.execute_command(command)
        return answer.addErrback(_raise_broker_error)

    def connectionLost(self, reason: Failure) -> None:
        # First, for it knows the true reason; txredisapi tells those who wait only that the connection is lost.
        self.on_lost(reason)
        super().connectionLost(reason)

    def tryConvertData(self, data: Any) -> Any:
        """Bytes stay bytes; txredisapi would look into every list for something to convert."""
        return data

    def _build_command(self, *args: bytes, **_: Any) -> bytes:
        return args[0]


@dataclass(slots=True, eq=False)
class Call:
    """A command that was not answered yet."""

    command: bytes
    answer: Deferred[Any]
    deadline: float
    over: bool = False


@dataclass(frozen=True, slots=True)
class CommandLimits:
    """``timeout`` in seconds: as long a command waits for a connection at most, and then for its answer."""

    timeout: float = 4.0
    max_calls: int = 10_000
    max_bytes: int = 64 * 1024 * 1024


class Commands:
    """Commands in order over one connection that comes back. Without a connection they wait, bounded in time and number."""

    def __init__(
        self, plan: LinkPlan, reactor: Any, greeting: Greeting, limits: CommandLimits, stats: BrokerStats
    ) -> None:
        self._reactor = reactor
        self._limits = limits
        self._stats = stats
        self._session: CommandSession | None = None
        self._waiting: deque[Call] = deque()
        self._sent: deque[Call] = deque()
        self._calls = 0
        self._bytes = 0
        self._reloading = False
        self._watch = LoopingCall(self._check)
        self._watch.clock = reactor
        self.link = Link(plan, reactor, lambda: CommandSession(greeting), self._up, self._down)

    @property
    def calls(self) -> int:
        """How many commands wait for an answer."""
        return self._calls

    def start(self) -> None:
        self.link.start()
        self._watch.start(self._limits.timeout / 4, now=False)

    async def stop(self) -> None:
        if self._watch.running:
            self._watch.stop()
        await self.link.stop()
        self._give_up(lambda call: True)

    def call(self, *args: str | bytes | int) -> Deferred[Any]:
        """Send a command. Fires with the reply (bulk strings as bytes), or fails with ``BrokerError``."""
        if self.link.state is LinkState.STOPPED:
            return fail(self.link.unavailable())
        command = hiredis.pack_command(args)
        if self._calls >= self._limits.max_calls or self._bytes + len(command) > self._limits.max_bytes:
            self._stats.commands_failed += 1
            return fail(
                BrokerUnavailable(
                    f"{self._calls} commands ({self._bytes} bytes) wait for Redis already: publish less, or add a server"
                )
            )
        call = Call(command, Deferred(), self._reactor.seconds() + self._limits.timeout)
        self._calls += 1
        self._bytes += len(command)
        call.answer.addBoth(self._count_out, call)
        if self._session is not None:
            self._send(self._session, call)
        else:
            self._waiting.append(call)
        return call.answer

    def function(self, library: Library, name: str, *args: str | bytes | int) -> Deferred[Any]:
        """Call one of our functions; when Redis has lost them they are loaded and the call is made once more."""
        command = ("FCALL", library.function(name), 0, *args)
        return self.call(*command).addErrback(self._load_and_repeat, library, command)

    def _load_and_repeat(self, failure: Failure, library: Library, command: tuple[Any, ...]) -> Deferred[Any]:
        failure.trap(FunctionMissing)
        if not self._reloading:
            self._reloading = True
            self.call("FUNCTION", "LOAD", "REPLACE", library.source).addBoth(self._reloaded)
        # The connection keeps the order, so this is executed after the loading.
        return self.call(*command)

    def _reloaded(self, _: Any) -> None:
        self._reloading = False  # a failure shows in the repeated call, which then misses its function again

    def _send(self, session: CommandSession, call: Call) -> None:
        call.deadline = self._reactor.seconds() + self._limits.timeout
        self._sent.append(call)
        session.send(call.command).addCallbacks(self._answered, self._refused, (call,), {}, (call,))

    def _answered(self, reply: Any, call: Call) -> None:
        if not call.over:
            call.answer.callback(reply)

    def _refused(self, failure: Failure, call: Call) -> None:
        if failure.check(ReadOnly):
            self.link.drop("Redis became a read-only replica")
        if not call.over:
            self._stats.commands_failed += 1
            call.answer.errback(failure)

    def _count_out(self, result: Any, call: Call) -> Any:
        call.over = True
        self._calls -= 1
        self._bytes -= len(call.command)
        while self._sent and self._sent[0].over:
            self._sent.popleft()
        return result

    def _up(self, session: CommandSession) -> None:
        if self.link.sessions > 1:
            self._stats.reconnects += 1
        self._session = session
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            if not call.over:
                self._send(session, call)

    def _down(self, _: Failure) -> None:
        self._session = None

    def _check(self) -> None:
        """Fail what waited too long; an answer that is late says that the connection is dead."""
        now = self._reactor.seconds()
        if self._sent and self._sent[0].deadline <= now:
            self.link.drop(f"no answer within {self._limits.timeout:g} seconds")
        self._give_up(lambda call: call.deadline <= now)

    def _give_up(self, late: Callable[[Call], bool]) -> None:
        while self._waiting and (self._waiting[0].over or late(self._waiting[0])):
            call = self._waiting.popleft()
            if not call.over:
                self._stats.commands_failed += 1
                call.answer.errback(self.link.unavailable())


def _raise_broker_error(failure: Failure) -> None:
    raise broker_error(failure) from failure.value
