"""Applications inside the server: loaded by name, and brought together with what runs their functions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import msgspec

from rtserver.app.application import App
from rtserver.app.endpoint import Endpoint, HTTPError
from rtserver.app.given import Clock, Publisher, User
from rtserver.app.given import Request as RequestFacts
from rtserver.app.parameters import Given
from rtserver.app.routes import Routes
from rtserver.cluster import Cluster
from rtserver.core.errors import RtError, TokenError
from rtserver.core.host import Environment
from rtserver.feeding import Feeders, ReactorClock
from rtserver.node import Node
from rtserver.publisher import NodePublisher
from rtserver.realtime import AppHooks
from rtserver.threads import Threads
from rtserver.web.endpoints import EndpointsResource, Giver, Surroundings, TwistedIncoming


class NoSuchApp(RtError):
    """A module of ``[[apps]]`` cannot be used; the sentence says why."""


def load_app(name: str) -> App:
    """The ``App`` at "package.module:attribute". Raises ``NoSuchApp``; an exception of the module itself goes through."""
    module_name, colon, attribute = name.partition(":")
    if not colon or not attribute:
        raise NoSuchApp(f"{name!r}: write package.module:attribute")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise NoSuchApp(f"{name!r}: {error}; is it installed, or its folder in PYTHONPATH?") from error
    app = getattr(module, attribute, None)
    if not isinstance(app, App):
        raise NoSuchApp(f"{name!r}: {attribute} is no rtserver.App")
    return app


class Applications:
    """``apps`` with their threads, hooks, endpoints and streams. ``attach`` completes it when there is a node."""

    def __init__(self, apps: Sequence[App], reactor: Any) -> None:
        self._apps = apps
        self._reactor = reactor
        self._publisher: Publisher | None = None
        self.threads = Threads(reactor, "applications")
        self.clock = ReactorClock(reactor, time.time)
        self.hooks = AppHooks(apps, self._the_publisher, self.threads.run)
        self.feeders: Feeders | None = None

    def _the_publisher(self) -> Publisher:
        assert self._publisher is not None, "no hook is called before there is a node"
        return self._publisher

    def attach(self, node: Node, cluster: Cluster) -> None:
        self._publisher = NodePublisher(node, cluster)
        streams = [stream for app in self._apps for stream in app.streams]
        self.feeders = Feeders(streams, node, self._publisher, self.clock)

    async def stop(self) -> None:
        if self.feeders is not None:
            await self.feeders.stop()
        await self.threads.stop()

    def endpoints(self, own: Sequence[Endpoint], around: Surroundings) -> EndpointsResource:
        """Those of the applications after the server's ``own``."""
        declared = [endpoint for app in self._apps for endpoint in app.endpoints]
        return EndpointsResource(Routes([*own, *declared]), around)

    def givers(self, env: Environment) -> dict[type[Given], Giver]:
        return {
            Publisher: lambda incoming: self._publisher,
            Clock: lambda incoming: self.clock,
            RequestFacts: request_facts,
            User: lambda incoming: bearer(incoming, env),
        }


def request_facts(incoming: TwistedIncoming) -> RequestFacts:
    request = incoming.request
    headers = {
        name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
        for name, values in request.requestHeaders.getAllRawHeaders()
    }
    address = getattr(request.getClientAddress(), "host", "")
    return RequestFacts(incoming.id, request.method.decode(), request.path.decode("latin-1"), address or "", headers)


async def bearer(incoming: TwistedIncoming, env: Environment) -> User | None:
    """The user of a connection token in the Authorization header (RFC 6750 section 2.1)."""
    kind, _, token = (incoming.header("authorization") or [""])[0].partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        return None
    try:
        claims = await env.tokens.verify_connection(token.strip())
    except TokenError as error:
        raise HTTPError(401, str(error), {"www-authenticate": 'Bearer error="invalid_token"'}) from None
    return User(claims.user, msgspec.json.decode(claims.info) if len(claims.info) else None) if claims.user else None
