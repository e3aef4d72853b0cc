"""Hooks that a backend answers over HTTP.

Each question is one POST within one deadline: waiting for a place, connecting and reading count. What a backend answers badly
or not at all becomes ``BackendUnavailable`` and a line in the log, written seldom, which names the proxy, the host and the
reason, and never what was asked or answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

from msgspec import Raw
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent

from rtserver.core.errors import (
    METHOD_NOT_FOUND,
    NOT_AVAILABLE,
    BackendUnavailable,
    CommandError,
    Disconnected,
)
from rtserver.core.hooks import (
    Admitted,
    Allowed,
    Caller,
    ConnectAsked,
    ConnectHook,
    DisconnectHook,
    Identity,
    NoHooks,
    PublishAsked,
    PublishHook,
    RefreshAsked,
    Refreshed,
    RefreshHook,
    RpcAsked,
    RpcHook,
    SubscribeAsked,
    SubscribeHook,
)
from rtserver.core.options import ChannelOptions
from rtserver.services import proxy_wire
from rtserver.services.http_body import CollectedBody, Response, SentBody
from rtserver.services.proxy_connections import Connections, given_up, reason_of
from rtserver.services.proxy_options import DEFAULT, ProxyOptions, ProxySettings
from rtserver.services.proxy_wire import BadAnswer, ConnectQuestion, UserQuestion, question
from rtserver.services.throttle import Throttle

_T = TypeVar("_T")

# zope's interfaces say nothing to a type checker: an IReactorTime.
Clock = Any


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """Bounds for each endpoint."""

    max_requests: int = 128
    """Under way at a time."""
    max_waiting: int = 10_000
    max_answer: int = 1024 * 1024
    """Bytes."""
    keep_alive: float = 1.5
    """Seconds that an unused connection is kept. Less than the servers of backends do (Gunicorn 2, Uvicorn and Node 5): a
    request on a connection that the other side is just closing would fail, and a POST must not be sent twice."""


class Poster(Protocol):
    """The part of treq's ``HTTPClient`` that is used here."""

    def post(self, url: str, **arguments: Any) -> Deferred[Response]: ...


def backend_client(reactor: Any, limits: ProxyLimits = ProxyLimits()) -> Poster:
    """A client for ``ProxyHooks``."""
    return client_over(Agent(reactor, pool=Connections(reactor, limits.max_requests, limits.keep_alive)))


def client_over(agent: Any) -> Poster:
    """treq keeps cookies of answers and sends them with every later request, for whichever user: this client keeps none."""
    client: Poster = HTTPClient(agent, IndexableCookieJar(DefaultCookiePolicy(allowed_domains=())))
    return client


class Way(NamedTuple):
    """How requests leave."""

    http: Poster
    clock: Clock
    limits: ProxyLimits = ProxyLimits()


@dataclass
class BackendStats:
    """Since the start. ``failed`` counts what became ``BackendUnavailable``."""

    asked: int = 0
    failed: int = 0


class Backend:
    """One endpoint. ``name`` is where it stands in the configuration."""

    _log = Logger()

    def __init__(self, name: str, options: ProxyOptions, way: Way) -> None:
        self.name = name
        self.options = options
        self.stats = BackendStats()
        self._way = way
        self._places = DeferredSemaphore(way.limits.max_requests)
        self._throttle = Throttle(way.clock.seconds)

    @property
    def host(self) -> str:
        return urlsplit(self.options.endpoint).netloc

    async def ask(self, caller: Caller, body: bytes, read: Callable[[Raw], _T]) -> _T:
        """The result of a question, read by ``read``. Raises ``CommandError`` or ``Disconnected`` when the backend says so,
        else ``BackendUnavailable``."""
        self.stats.asked += 1
        try:
            return read(proxy_wire.result_of(await self._answer(caller, body)))
        except BadAnswer as failure:
            self._failed(str(failure))
            raise BackendUnavailable(f"The proxy {self.name} at {self.host} failed: {failure}.") from failure

    async def _answer(self, caller: Caller, body: bytes) -> bytes:
        exchange = Deferred.fromCoroutine(self._exchange(body, proxy_wire.headers(self.options, caller)))
        try:
            return await exchange.addTimeout(self.options.timeout, self._way.clock, self._too_late)
        except (CommandError, Disconnected, BadAnswer, CancelledError):
            raise
        except Exception as failure:  # of name servers, connections, certificates: all mean the same here
            if given_up(failure):  # the client has left
                raise CancelledError from failure
            raise BadAnswer(reason_of(failure)) from failure

    async def _exchange(self, body: bytes, headers: dict[str, str]) -> bytes:
        if len(self._places.waiting) >= self._way.limits.max_waiting:
            raise BadAnswer(f"{self._way.limits.max_waiting} questions are waiting already")
        await self._places.acquire()
        try:
            return await self._post(body, headers)
        finally:
            self._places.release()

    async def _post(self, body: bytes, headers: dict[str, str]) -> bytes:
        response = await self._way.http.post(
            self.options.endpoint, data=SentBody(body), headers=headers, allow_redirects=False, unbuffered=True
        )
        answer = await CollectedBody(self._way.limits.max_answer).read(response)
        if response.code != 200:
            proxy_wire.raise_for_status(response.code, self.options.http.status_to_code_transforms)
        return answer

    def _too_late(self, outcome: _T | Failure, seconds: float) -> _T | Failure:
        """A request that was stopped says so in many ways."""
        if isinstance(outcome, Failure):
            raise BadAnswer(f"no answer within {seconds:g} s") from outcome.value
        return outcome

    def _failed(self, reason: str) -> None:
        self.stats.failed += 1
        if self._throttle.ready():
            skipped = self._throttle.take_skipped()
            self._log.warn(
                "The proxy {name} at {host} failed: {reason}{more}.",
                name=self.name,
                host=self.host,
                reason=reason,
                more=f" ({skipped} more failures since the last line)" if skipped else "",
            )


class ProxyHooks(NoHooks):
    """``core.hooks.Hooks`` over HTTP, as the configuration says. ``clock`` is the reactor."""

    def __init__(
        self, settings: ProxySettings, http: Poster, clock: Clock, limits: ProxyLimits = ProxyLimits()
    ) -> None:
        way = Way(http, clock, limits)
        self._rules = settings.rpc
        self._connect = Backend("client.proxy.connect", settings.connect, way) if settings.connect.enabled else None
        self._refresh = Backend("client.proxy.refresh", settings.refresh, way) if settings.refresh.enabled else None
        self._defaults = {
            event: Backend(DEFAULT_NAMES[event], options, way)
            for event, options in settings.defaults.items()
            if options.endpoint
        }
        self._named = {name: Backend(f"proxies.{name}", options, way) for name, options in settings.named.items()}

    @property
    def backends(self) -> list[Backend]:
        single = [each for each in (self._connect, self._refresh) if each is not None]
        return [*single, *self._defaults.values(), *self._named.values()]

    def connect(self, token: bool) -> ConnectHook | None:
        """A client with a good token is known already."""
        return None if token or self._connect is None else partial(_connect, self._connect)

    def refresh(self) -> RefreshHook | None:
        return None if self._refresh is None else partial(_refresh, self._refresh)

    def subscribe(self, channel: str, options: ChannelOptions) -> SubscribeHook | None:
        if not options.subscribe_proxy_enabled:
            return None
        return partial(_subscribe, self._backend("subscribe", options.subscribe_proxy_name))

    def publish(self, channel: str, options: ChannelOptions) -> PublishHook | None:
        if not options.publish_proxy_enabled:
            return None
        return partial(_publish, self._backend("publish", options.publish_proxy_name))

    def sub_refresh(self, channel: str, options: ChannelOptions) -> RefreshHook | None:
        if not options.sub_refresh_proxy_enabled:
            return None
        return partial(_refresh, self._backend("sub_refresh", options.sub_refresh_proxy_name))

    def rpc(self, method: str) -> RpcHook | None:
        """Raises ``CommandError`` 104 for an unknown namespace, 108 for one whose calls go nowhere."""
        if not self._rules.in_use:
            return None
        namespace, boundary, _ = method.partition(self._rules.namespace_boundary)
        options = self._rules.namespaces.get(namespace) if boundary else self._rules.without_namespace
        if options is None:
            raise CommandError(METHOD_NOT_FOUND)
        if not options.proxy_enabled:
            raise CommandError(NOT_AVAILABLE)
        return partial(_rpc, self._backend("rpc", options.proxy_name))

    def disconnect(self) -> DisconnectHook | None:
        """Backends are not told."""
        return None

    def _backend(self, event: str, name: str) -> Backend:
        """The configuration was checked for names that nobody has."""
        return self._defaults[event] if name == DEFAULT else self._named[name]


DEFAULT_NAMES = {
    "subscribe": "channel.proxy.subscribe",
    "publish": "channel.proxy.publish",
    "sub_refresh": "channel.proxy.sub_refresh",
    "rpc": "rpc.proxy",
}
"""Where the proxies that are named "default" stand in the configuration."""


async def _connect(backend: Backend, asked: ConnectAsked) -> Identity | None:
    caller = asked.caller
    more = {"name": caller.name, "version": caller.version, "channels": asked.channels}
    body = question(ConnectQuestion, backend.options, caller, asked.data, **more)
    return await backend.ask(caller, body, proxy_wire.identity)


async def _refresh(backend: Backend, asked: RefreshAsked) -> Refreshed:
    caller = asked.caller
    body = question(UserQuestion, backend.options, caller, user=caller.user, channel=asked.channel)
    return await backend.ask(caller, body, proxy_wire.refreshed)


async def _subscribe(backend: Backend, asked: SubscribeAsked) -> Allowed:
    caller = asked.caller
    more = {"user": caller.user, "channel": asked.channel, "token": asked.token}
    body = question(UserQuestion, backend.options, caller, asked.data, **more)
    return await backend.ask(caller, body, proxy_wire.allowed)


async def _publish(backend: Backend, asked: PublishAsked) -> Admitted:
    caller = asked.caller
    body = question(UserQuestion, backend.options, caller, asked.data, user=caller.user, channel=asked.channel)
    return await backend.ask(caller, body, proxy_wire.admitted)


async def _rpc(backend: Backend, asked: RpcAsked) -> Raw:
    caller = asked.caller
    body = question(UserQuestion, backend.options, caller, asked.data, user=caller.user, method=asked.method)
    return await backend.ask(caller, body, proxy_wire.rpc_data)
