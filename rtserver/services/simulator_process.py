"""The gateway's simulator beside the server, as a process of its own that ends with it. For development."""

from __future__ import annotations

import os
import sys
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

STOP_TIME = 5.0
"""Seconds that it gets to end by itself."""
LONGEST_LINE = 500

_log = Logger()


class SimulatorProcess(ProcessProtocol):
    """``url`` is where it is to listen. It ends when its standard input is closed, so also when this process is killed."""

    def __init__(self, url: str, reactor: Any) -> None:
        self._port = urlsplit(url).port or 80
        self._reactor = reactor
        self._listening: Deferred[None] = Deferred()
        self._ended: Deferred[None] = Deferred()

    async def start(self) -> None:
        """Returns when it listens, or when it cannot (then something else listens there, perhaps another simulator)."""
        arguments = [
            sys.executable,
            "-m",
            "rtserver.simulator",
            "--port",
            str(self._port),
            "--until-input-ends",
            "--quiet",
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._reactor.spawnProcess(self, sys.executable, arguments, environment)
        await self._listening

    async def stop(self) -> None:
        if self._ended.called:
            return
        process: Any = self.transport
        process.closeStdin()
        timer = self._reactor.callLater(STOP_TIME, self._kill)
        await self._ended
        if timer.active():
            timer.cancel()

    def outReceived(self, data: bytes) -> None:
        if not self._listening.called:
            _log.info("the gateway's simulator listens on port {port}: no money moves", port=self._port)
            self._listening.callback(None)

    def errReceived(self, data: bytes) -> None:
        _log.warn("the gateway's simulator says: {line}", line=data.decode("utf-8", "replace")[:LONGEST_LINE].strip())

    def processEnded(self, reason: Failure) -> None:
        if not self._listening.called:
            self._listening.callback(None)
        self._ended.callback(None)

    def _kill(self) -> None:
        try:
            process: Any = self.transport
            process.signalProcess("KILL")
        except ProcessExitedAlready:
            return
