"""Applications inside the server: loaded by name, and brought together with what runs their functions."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Protocol, TypeVar

from rtserver import feeding, realtime
from rtserver.app.application import App
from rtserver.app.endpoint import Endpoint, HTTPError
from rtserver.app.events import EventFunction, EventSource
from rtserver.app.given import Clock, Connection, Database, Payment, Publisher, Transaction, User
from rtserver.app.given import Request as RequestFacts
from rtserver.app.parameters import Given, Wanted, where
from rtserver.app.routes import Routes
from rtserver.app.shapes import Invalid, as_json
from rtserver.cluster import Cluster
from rtserver.core import ports
from rtserver.core.errors import ExpiredToken, RtError, TokenError
from rtserver.core.host import Environment
from rtserver.feeding import Feeders, ReactorClock
from rtserver.node import Node
from rtserver.publisher import NodePublisher, as_value
from rtserver.realtime import AppHooks
from rtserver.threads import Threads
from rtserver.web.endpoints import EndpointsResource, Giver, Surroundings, TwistedIncoming

T = TypeVar("T")

ANSWER_TIME = 5.0
"""Seconds that a shutdown waits for requests that are not answered yet."""


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


class PaymentNews(Protocol):
    """An event of payments, as it comes from them."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def order_id(self) -> str: ...
    @property
    def record(self) -> Mapping[str, Any]: ...
    @property
    def created_at(self) -> int: ...


class Applications:
    """``apps`` with their threads, hooks, endpoints and streams. ``attach`` completes it when there is a node. Raises TypeError
    or ValueError for functions that do not go together, or want what nobody gives."""

    def __init__(self, apps: Sequence[App], reactor: Any, threads: Threads | None = None) -> None:
        self._apps = apps
        self._reactor = reactor
        self._resources: list[EndpointsResource] = []
        self._node: Node | None = None
        self._publisher: Publisher | None = None
        self._database: Database | None = None
        self._feeders: Feeders | None = None
        self.threads = threads or Threads(reactor, "applications")
        self.clock = ReactorClock(reactor, time.time)
        self._common: dict[type[Given], Callable[[], Given]] = {
            Publisher: self._the_publisher,
            Clock: lambda: self.clock,
            Database: self._the_database,
        }
        """What functions of every kind are given."""
        self.hooks = AppHooks(
            apps,
            realtime.Surroundings(reactor, self._log, self.threads.run, self._realtime_givers(), self._refusal),
        )
        for function in [function for app in apps for function in app.payments]:
            self._check_payment(function)

    def attach(self, node: Node, cluster: Cluster, store: ports.Database | None = None) -> None:
        self._node = node
        self._database = None if store is None else StoreDatabase(store)
        self._publisher = NodePublisher(node, cluster)
        streams = [stream for app in self._apps for stream in app.streams]
        around = feeding.Surroundings(node, self._publisher, self.clock, self.threads.run, self._common)
        self._feeders = Feeders(streams, around)

    async def stop(self) -> None:
        """Requests that are under way are answered first, within ``ANSWER_TIME``."""
        until = self._reactor.seconds() + ANSWER_TIME
        while any(each.waiting for each in self._resources) and self._reactor.seconds() < until:
            await self.clock.sleep(ANSWER_TIME / 100)
        if self._feeders is not None:
            await self._feeders.stop()
        left = await self.threads.stop()
        if left:
            self._log("warn", f"{left} plain functions still run and are left behind")

    def endpoints(self, own: Sequence[Endpoint], around: Surroundings) -> EndpointsResource:
        """Those of the applications after the server's ``own``."""
        declared = [endpoint for app in self._apps for endpoint in app.endpoints]
        resource = EndpointsResource(Routes([*own, *declared]), around)
        self._resources.append(resource)
        return resource

    def payment_functions(self) -> list[Callable[[PaymentNews], Awaitable[None]]]:
        """To be called with every event of payments; each passes over what is not of its kinds, and raises what its function
        raises."""
        return [partial(self._hear, function) for app in self._apps for function in app.payments]

    async def _hear(self, function: EventFunction, news: PaymentNews) -> None:
        named = function.pattern.match(news.kind)
        if named is None:
            return
        payment = Payment(news.id, news.kind, news.user_id, news.order_id, news.record, news.created_at)

        def give(wanted: Wanted) -> Given:
            return payment if wanted.kind is Payment else self._common[wanted.kind]()

        source = EventSource(function, as_json(news.record), {"kind": news.kind, **named}, give)
        await function.call(source, self.threads.run)

    def _check_payment(self, function: EventFunction) -> None:
        kinds: list[type[Given]] = [Payment, *self._common]
        for each in function.signature.all_wanted():
            if each.kind not in kinds:
                known = ", ".join(sorted(kind.__name__ for kind in kinds))
                name = where(function.function)
                raise TypeError(
                    f"{name}: {each.name}: functions for payments are given {known}, but no {each.kind.__name__}"
                )

    def givers(self, env: Environment) -> dict[type[Given], Giver]:
        common = {kind: partial(_without_request, make) for kind, make in self._common.items()}
        return {**common, RequestFacts: request_facts, User: lambda incoming: bearer(incoming, env)}

    def _realtime_givers(self) -> dict[type[Given], realtime.Giver]:
        common = {kind: partial(_without_request, make) for kind, make in self._common.items()}
        return {**common, Connection: realtime.connection, User: realtime.user}

    def _the_publisher(self) -> Publisher:
        assert self._publisher is not None, "no function is called before there is a node"
        return self._publisher

    def _the_database(self) -> Database:
        assert self._database is not None, "no function is called before there is a store"
        return self._database

    def _refusal(self, channel: str) -> Invalid | None:
        return None if self._feeders is None else self._feeders.refusal(channel)

    def _log(self, level: str, text: str, failure: BaseException | None = None, /, **fields: object) -> None:
        assert self._node is not None, "no function is called before there is a node"
        self._node.log(level, text, failure, **fields)


class StoreDatabase(Database):
    """Implements ``app.Database`` over the port."""

    def __init__(self, store: ports.Database) -> None:
        self._store = store

    async def run(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return await self._store.run(sql, params)

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await self._store.transact(work)


def _without_request(make: Callable[[], Given], asked: object) -> Given:
    return make()


def request_facts(incoming: TwistedIncoming) -> RequestFacts:
    request = incoming.request
    headers = {
        name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
        for name, values in request.requestHeaders.getAllRawHeaders()
    }
    address = getattr(request.getClientAddress(), "host", "")
    return RequestFacts(incoming.id, request.method.decode(), request.path.decode("latin-1"), address, headers)


async def bearer(incoming: TwistedIncoming, env: Environment) -> User | None:
    """The user of a connection token in the Authorization header (RFC 6750 section 2.1)."""
    kind, _, token = (incoming.header("authorization") or [""])[0].partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        return None
    try:
        claims = await env.tokens.verify_connection(token.strip())
    except ExpiredToken:
        raise _refused("The token is expired, get a new one") from None
    except TokenError:
        raise _refused("The token is not valid") from None
    if claims.expire_at and claims.expire_at <= env.unix():
        raise _refused("The token is expired, get a new one")
    return User(claims.user, as_value(claims.info)) if claims.user else None


def _refused(text: str) -> HTTPError:
    return HTTPError(401, text, {"www-authenticate": 'Bearer error="invalid_token"'})
