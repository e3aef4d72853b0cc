"""An application on a world of fakes: its endpoints behind a port, its realtime functions behind clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from rtserver.app import App
from rtserver.app.calling import TooBusy
from rtserver.app.waiting import bridge
from rtserver.apps import Applications
from rtserver.cluster import Cluster
from rtserver.core.options import ChannelOptions, ClientOptions
from rtserver.core.ports import Database
from rtserver.web.endpoints import Surroundings
from tests.fakes import Client, World
from tests.line import Answer, Line, Port


class FakeThreads:
    """Runs plain functions at once, or when ``go`` is called; ``functions`` are all that came. Nothing stops a thread."""

    def __init__(self) -> None:
        self.functions: list[Callable[..., Any]] = []
        self.is_held = False
        self.is_full = False
        self._waiting: list[Callable[[], None]] = []

    async def start(self) -> None:
        """There is nothing to start."""

    async def stop(self) -> int:
        return len(self._waiting)

    async def run(self, function: Callable[..., Any], values: dict[str, Any], *, must: bool = False) -> Any:
        if self.is_full and not must:
            raise TooBusy("too many wait")
        self.functions.append(function)
        if not self.is_held or must:
            return self._run(function, values)
        ended: Deferred[None] = Deferred()
        self._waiting.append(lambda: ended.callback(None))
        apart: Deferred[None] = Deferred()
        ended.addCallback(apart.callback)
        try:
            await apart
        except CancelledError:
            await ended
            raise
        return self._run(function, values)

    def go(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each()

    def _run(self, function: Callable[..., Any], values: dict[str, Any]) -> Any:
        bridge.wait = now
        try:
            return function(**values)
        finally:
            bridge.wait = None


def now(work: Any) -> Any:
    """The result of something that does not have to wait."""
    results: list[Any] = []
    failures: list[Any] = []
    done = Deferred.fromCoroutine(work) if isinstance(work, Coroutine) else work
    done.addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    return results[0]


class AppHouse:
    """``allowed``: the origins that may read answers. ``store``: the database."""

    def __init__(
        self,
        *apps: App,
        client: ClientOptions | None = None,
        allowed: tuple[str, ...] = (),
        namespaces: dict[str, ChannelOptions] | None = None,
        store: Database | None = None,
    ) -> None:
        self.world = World(client, **(namespaces or {}))
        self.log = self.world.log
        self.clock = self.world.clock
        self.threads = FakeThreads()
        self.cluster = Cluster(self.world.node, "here")
        self.applications = Applications(apps, self.clock, self.threads)  # type: ignore[arg-type]
        object.__setattr__(self.world.env, "hooks", self.applications.hooks)
        self.applications.attach(self.world.node, self.cluster, store)
        givers = self.applications.givers(self.world.env)
        around = Surroundings(self.clock, self.log, self.threads.run, lambda origin: origin in allowed, givers)
        self.port = Port(self.clock, {"/*": self.applications.endpoints((), around)})

    # HTTP

    def begin(self, method: str, path: str, body: Any = None, headers: dict[str, Any] | None = None) -> Line:
        """A request that may have to wait. ``body``: bytes, or what is sent as JSON."""
        if body is None:
            return self.port.begin(method, path, b"", headers)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.port.begin(method, path, content, {"Content-Type": "application/json", **(headers or {})})

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, Any] | None = None) -> Answer:
        return answer(self.begin(method, path, body, headers))

    def get(self, path: str, **headers: Any) -> Answer:
        return self.ask("GET", path, None, headers)

    def post(self, path: str, body: Any, **headers: Any) -> Answer:
        return self.ask("POST", path, body, headers)

    # Realtime

    def client(self, name: str = "websocket/json", **request: Any) -> Client:
        return self.world.connected(name, **request)

    def call(self, client: Client, **command: Any) -> dict[str, Any]:
        """The reply to one command."""
        client.send(id=9, **command)
        return next(reply for reply in client.take() if reply.get("id") == 9)

    def rpc(self, client: Client, method: str, data: Any = None) -> dict[str, Any]:
        """The reply of an RPC: with "rpc" or "error"."""
        return self.call(client, rpc={"method": method, **({} if data is None else {"data": data})})


def answer(line: Line) -> Answer:
    from tests.line import parse

    return parse(line.take())
