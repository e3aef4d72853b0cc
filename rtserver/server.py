"""The life of the server in one reactor: start, the regular rounds, and an orderly end."""

from __future__ import annotations

import gc
import math
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import ILogObserver
from twisted.python.failure import Failure
from twisted.web.server import Site

from rtserver.cluster import INFO_INTERVAL, Cluster
from rtserver.core import errors
from rtserver.core.errors import BrokerError
from rtserver.log import JSONLines
from rtserver.node import Log, Node
from rtserver.protocols.outbound import Drain

DEADLINE_INTERVAL = 0.25
DRAIN_INTERVAL = 0.5
POSITION_INTERVAL = 10.0
START_RETRY = 2.0
"""Seconds between two attempts to reach the broker at start."""

GC_THRESHOLDS = (20_000, 20, 200)
"""New objects before a young collection, young ones before a middle one, middle ones before a full one."""

BACKLOG = 4096
"""Connections that may wait to be accepted, as far as the kernel allows (net.core.somaxconn)."""

CLOSE_INTERVAL = 0.1
CLOSE_BATCH = 50
"""A shutdown closes at least so many clients per interval, and as many more as it takes to be done in time: they come
back together, to nodes that have to take them."""

CLOSE_SHARE = 0.8
"""The share of the shutdown time over which clients are told; the rest is for flushing."""

Round = tuple[float, Callable[[], Any]]


class Server(Service):
    """``sites`` pairs an endpoint string with what is served there. ``extras`` are further rounds: seconds and function."""

    def __init__(
        self,
        reactor: Any,
        node: Node,
        cluster: Cluster,
        drain: Drain,
        sites: Sequence[tuple[str, Site]],
    ) -> None:
        self._reactor = reactor
        self._node = node
        self._cluster = cluster
        self._sites = sites
        self._ports: list[IListeningPort] = []
        self._loops: list[LoopingCall] = []
        self._starting: Deferred[None] | None = None
        self.shutdown_timeout = 30.0
        self.json_log = False
        self.connections: Callable[[], int] = lambda: 0
        """Client connections that are open, also those that were told to go."""
        self.end_process: Callable[[int], object] = os._exit
        self.rounds: list[Round] = [
            (DEADLINE_INTERVAL, node.tick),
            (DRAIN_INTERVAL, drain.check),
            (node.probe.options.interval, node.listen_in),
            (INFO_INTERVAL, cluster.tell),
            (POSITION_INTERVAL, lambda: node.check_positions(node.quiet_channels())),
        ]
        self.also_start: list[Callable[[], Awaitable[None]]] = []
        self.also_stop: list[Callable[[], Awaitable[None]]] = []
        self._log: Log = node.log

    def setServiceParent(self, parent: Any) -> None:
        """twistd asks the application for its log observer after the plugin was made and before the log begins."""
        if self.json_log and hasattr(parent, "setComponent"):
            parent.setComponent(ILogObserver, JSONLines())
        super().setServiceParent(parent)

    # Start

    def startService(self) -> None:
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._give_up)

    async def _start(self) -> None:
        """Listen first, so that health is answered; clients are let in when the broker is there."""
        for address, site in self._sites:
            port = await serverFromString(self._reactor, with_backlog(address)).listen(site)
            self._ports.append(port)
            self._log("info", f"listening on {port.getHost()}")
        _end_at_once_on_second_signal(self._reactor, self.end_process)
        await self._reach_broker()
        for seconds, work in self.rounds:
            self._begin_round(seconds, work)
        for start in self.also_start:
            await start()
        _settle_memory()
        self._node.started = True
        self._log("info", f"ready, node {self._node.env.node_id}")

    async def _reach_broker(self) -> None:
        while True:
            try:
                await self._node.start()
                return
            except BrokerError as failure:
                self._log("error", f"the broker cannot be reached, trying again in {START_RETRY:.0f} s: {failure}")
            await deferLater(self._reactor, START_RETRY)

    def _begin_round(self, seconds: float, work: Callable[[], Any]) -> None:
        """A round that fails is logged and goes on at its next time."""

        def once() -> Deferred[None]:
            outcome = Deferred.fromCoroutine(_awaited(work))
            outcome.addErrback(lambda failure: self._log("error", "a regular round failed", failure.value))
            return outcome

        loop = LoopingCall(once)
        loop.clock = self._reactor
        loop.start(seconds, now=True)
        self._loops.append(loop)

    def _give_up(self, failure: Failure) -> None:
        """A server that cannot listen must not stay as a process without ports. twistd has no way to say how it ended."""
        if not self.running:
            return
        self._log("critical", f"the server cannot start: {failure.getErrorMessage()}")
        self._reactor.addSystemEventTrigger("after", "shutdown", self.end_process, 1)
        self._reactor.callWhenRunning(self._reactor.stop)

    # End

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._node.draining = True
        if self._starting is not None and not self._starting.called:
            self._starting.cancel()
        await gatherResults([_stopped(port) for port in self._ports], consumeErrors=True)
        await self._close_clients()
        for stop in self.also_stop:
            await stop()
        for loop in self._loops:
            if loop.running:
                loop.stop()
        if self._node.started:
            await self._cluster.leave()
        await self._node.stop()
        self._log("info", "stopped")

    async def _close_clients(self) -> None:
        """Tell clients in batches, oldest first, then wait until they are gone or the time is over."""
        until = self._reactor.seconds() + self.shutdown_timeout
        sessions = list(self._node.open_sessions)
        steps = max(1, math.floor(self.shutdown_timeout * CLOSE_SHARE / CLOSE_INTERVAL))
        batch = max(CLOSE_BATCH, math.ceil(len(sessions) / steps))
        for start in range(0, len(sessions), batch):
            for session in sessions[start : start + batch]:
                session.close(errors.SHUTDOWN)
            await deferLater(self._reactor, CLOSE_INTERVAL)
        while self.connections() and self._reactor.seconds() < until:
            await deferLater(self._reactor, CLOSE_INTERVAL)


def _settle_memory() -> None:
    """What stands now stands until the end, and connections are freed without the collector: it needs to look seldom.

    Untuned, its full walks stop the reactor for 0.1 s at 1,000 connections and 0.3 s at 10,000 (measured 2026-11-22)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def with_backlog(address: str) -> str:
    """An endpoint string with a longer queue of connections than Twisted's 50: clients come back together."""
    kind = address.partition(":")[0]
    return f"{address}:backlog={BACKLOG}" if kind in ("tcp", "ssl", "unix") and "backlog=" not in address else address


async def _awaited(work: Callable[[], Any]) -> None:
    outcome = work()
    if outcome is not None:
        await outcome


def _stopped(port: IListeningPort) -> Deferred[Any]:
    return maybeDeferred(port.stopListening)


def _end_at_once_on_second_signal(reactor: Any, end: Callable[[int], object]) -> None:
    """The first SIGTERM or SIGINT begins the orderly end, the next one ends the process where it stands."""

    def stop(number: int, frame: object) -> None:
        signal.signal(number, lambda number, frame: end(128 + number))
        reactor.callFromThread(reactor.stop)

    def install() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)

    reactor.callWhenRunning(install)
