"""A connection to Redis that comes back: connect, prepare, serve, and after a loss begin again.

Twisted's ClientService is not used here: it has no transition for a connection that dies while it is being prepared, and it
forgets its back-off as soon as TCP connects, so that a refused password would become a tight loop.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtserver.core.errors import BrokerUnavailable

_log = Logger()


class LinkState(Enum):
    STOPPED = auto()
    CONNECTING = auto()
    PREPARING = auto()
    """The transport is up; authentication and set-up go on."""
    UP = auto()
    WAITING = auto()
    """A pause before the next attempt."""


def quiet_factory(build: Callable[[], Any]) -> Factory:
    """A factory of protocols that logs neither start nor stop."""
    factory = Factory()
    factory.noisy = False
    factory.protocol = build
    return factory


def nobody(reason: Failure) -> None:
    """Whom a session tells of its loss before a link has taken it (a connection attempt that another one overtook)."""


def _not_tcp(_: bool) -> None:
    """A Unix socket has no such option."""


class Session(Protocol):
    """The protocol object of one connection. It calls ``on_lost`` exactly once, when its transport is gone."""

    on_lost: Callable[[Failure], None]
    transport: Any

    def prepare(self) -> Deferred[None]:
        """Authenticate and set up. A failure ends the connection and counts as a failed attempt."""


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """What a link connects to and in which rhythm it tries. Times in seconds."""

    name: str
    """For the log: what the connection is for, and the address without secrets."""
    endpoint: Any
    """An ``IStreamClientEndpoint``; zope's interfaces mean nothing to a type checker."""
    prepare_timeout: float = 4.0
    first_delay: float = 0.1
    longest_delay: float = 2.0

    def delay(self, failures: int) -> float:
        """Exponential with jitter: nodes that lost the same Redis do not come back in step."""
        full = min(self.longest_delay, self.first_delay * 1.6 ** min(failures, 50))
        return full * random.uniform(0.5, 1.0)


class Link:
    """Keeps one session alive from ``start`` to ``stop``. ``on_up`` gets every session that is ready, ``on_down`` is told
    of the end of each of those."""

    def __init__(
        self,
        plan: LinkPlan,
        reactor: Any,
        build: Callable[[], Session],
        on_up: Callable[[Any], None],
        on_down: Callable[[Failure], None],
    ) -> None:
        self._plan = plan
        self._reactor = reactor
        self._build = build
        self._on_up = on_up
        self._on_down = on_down
        self._session: Session | None = None
        self._attempt: Deferred[Any] | None = None
        self._retry_call: Any = None
        self._failures = 0
        self._gone: list[Deferred[None]] = []
        self.state = LinkState.STOPPED
        self.sessions = 0
        """How many sessions were ready so far."""
        self.problem = "it was not started"
        """Why there is no session, for errors and logs."""

    @property
    def is_up(self) -> bool:
        return self.state is LinkState.UP

    def unavailable(self) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"no connection to Redis for {self._plan.name} ({self.problem}): check that the server runs, and the address"
        )

    def start(self) -> None:
        if self.state is LinkState.STOPPED:
            self._connect()

    def stop(self) -> Deferred[None]:
        """End the connection and make no other. Fires when the transport is gone."""
        was_up = self.is_up
        self.state = LinkState.STOPPED
        self.problem = "the server is stopping"
        if self._retry_call is not None:
            self._retry_call.cancel()
            self._retry_call = None
        if self._attempt is not None:
            self._attempt.cancel()
        if self._session is None:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._gone.append(gone)
        self._session.transport.abortConnection()
        if was_up:
            self._on_down(Failure(self.unavailable()))
        return gone

    def drop(self, reason: str) -> None:
        """Cut the connection, if there is one, and make a new one."""
        if self._session is not None and self.state in (LinkState.UP, LinkState.PREPARING):
            self._again(Failure(BrokerUnavailable(reason)))

    def _connect(self) -> None:
        self._retry_call = None
        self.state = LinkState.CONNECTING
        self._attempt = attempt = self._plan.endpoint.connect(quiet_factory(self._build))
        attempt.addCallbacks(self._connected, self._failed)

    def _connected(self, session: Session) -> None:
        self._attempt = None
        if self.state is not LinkState.CONNECTING:
            session.transport.abortConnection()
            return
        self.state = LinkState.PREPARING
        self._session = session
        for tune in ("setTcpNoDelay", "setTcpKeepAlive"):
            getattr(session.transport, tune, _not_tcp)(True)
        session.on_lost = lambda reason: self._lost(session, reason)
        preparing = session.prepare().addTimeout(self._plan.prepare_timeout, self._reactor)
        self._attempt = preparing
        preparing.addCallbacks(self._ready, self._failed, callbackArgs=(session,))

    def _ready(self, _: None, session: Session) -> None:
        self._attempt = None
        if session is not self._session or self.state is not LinkState.PREPARING:
            return
        if self._failures:
            _log.info(
                "Redis for {name} is back after {failures} attempts", name=self._plan.name, failures=self._failures
            )
        self.state = LinkState.UP
        self._failures = 0
        self.sessions += 1
        self._on_up(session)

    def _failed(self, reason: Failure) -> None:
        self._attempt = None
        if self.state in (LinkState.CONNECTING, LinkState.PREPARING):
            self._again(reason)
        elif not reason.check(CancelledError):
            _log.debug("Redis for {name}: {why}", name=self._plan.name, why=reason.getErrorMessage())

    def _lost(self, session: Session, reason: Failure) -> None:
        if session is not self._session:
            return
        if self.state in (LinkState.UP, LinkState.PREPARING):
            self._again(reason)
        self._session = None
        gone, self._gone = self._gone, []
        for waiting in gone:
            waiting.callback(None)

    def _again(self, reason: Failure) -> None:
        """The session or the attempt at one is over: cut what is left, and try anew after a pause."""
        was_up = self.is_up
        self.problem = (reason.getErrorMessage() or repr(reason.value)).removesuffix(".")
        if self._failures == 0:
            # Once for each outage; the attempts in between would say the same.
            _log.warn("Redis for {name}: {why}; trying again", name=self._plan.name, why=self.problem)
        self._failures += 1
        self.state = LinkState.WAITING
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.cancel()
        session, self._session = self._session, None
        if session is not None:
            session.transport.abortConnection()
        self._retry_call = self._reactor.callLater(self._plan.delay(self._failures - 1), self._connect)
        if was_up:
            self._on_down(reason)
