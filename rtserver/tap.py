"""The composition root: a list of the parts of the server and how they are put together. Nobody imports it but twistd."""

from __future__ import annotations

import os
import random
import resource
import socket
import sys
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from autobahn.websocket.utf8validator import Utf8Validator
from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.web.resource import IResource

from rtserver import __version__
from rtserver.accounts.hooks import origin_of
from rtserver.accounts.tokens import with_own_namespace
from rtserver.app.application import App
from rtserver.app.calling import go_on
from rtserver.app.endpoint import Endpoint
from rtserver.app.given import Publisher, User
from rtserver.app.parameters import Given
from rtserver.apps import Applications
from rtserver.cluster import Cluster
from rtserver.config import Config, ignored_variables
from rtserver.config.bounds import open_files, worst_case
from rtserver.core.channels import Channels
from rtserver.core.errors import CannotStart
from rtserver.core.forwarded import TrustedProxies
from rtserver.core.hooks import ChainedHooks, Hooks
from rtserver.core.host import Environment
from rtserver.core.intake import ChannelIntake
from rtserver.core.options import ChannelRules, ClientOptions, TokenOptions
from rtserver.core.ports import Broker, Database, TokenVerifier
from rtserver.demo import DemoFeed
from rtserver.log import ServerLog
from rtserver.node import Log, Node, Turn
from rtserver.payments.news import with_news_channels
from rtserver.protocols.entrance import Entrance
from rtserver.protocols.outbound import Drain
from rtserver.protocols.streams import KINDS, EmulationResource, StreamParts, StreamResource
from rtserver.protocols.upgrade import UpgradeResource
from rtserver.protocols.ws import ConnectionFactory, WebSocketOptions
from rtserver.publisher import NodePublisher
from rtserver.server import Server
from rtserver.services import BROKERS, STORES
from rtserver.services.jwks import JWKS, http_client
from rtserver.services.jwt_keys import JWTVerifier
from rtserver.services.outbox import Outbox
from rtserver.services.proxy_http import ProxyHooks, backend_client
from rtserver.tap_options import Options
from rtserver.web.api import Api
from rtserver.web.api_http import ApiAccess, ApiKey, Calls, Text, api_endpoints
from rtserver.web.docs import docs_paths, documents
from rtserver.web.endpoints import EndpointsResource, Giver, Surroundings
from rtserver.web.ops import NodeCollector, NoLetters, Operations, Services
from rtserver.web.pages import demo_pages
from rtserver.web.site import Paths, RtSite, SiteLimits

if TYPE_CHECKING:
    from rtserver.tap_accounts import Accounts
    from rtserver.tap_payments import Payments


def makeService(options: Options) -> Server:
    from twisted.internet import reactor

    config, new_secrets = options.configured
    log = ServerLog(config.log.level)
    greet(config, new_secrets, log)
    try:
        return build(reactor, config, log, options.apps)
    except CannotStart as error:
        raise SystemExit(f"rtserver cannot start: {error}") from error


def make_store(reactor: Any, config: Config) -> Database:
    options = config.database.placed(config.state_dir)
    module, _, name = STORES[options.address().kind].partition(":")
    store: Database = getattr(import_module(module), name)(options, reactor)
    return store


def build(
    reactor: Any,
    config: Config,
    log: Log,
    apps: Sequence[App] = (),
    make_store: Callable[[Any, Config], Database] = make_store,
) -> Server:
    """The whole server, put together and not started."""
    node_id = str(uuid.uuid4())
    applications = Applications(apps, reactor)
    proxies = ProxyHooks(config.proxy, backend_client(reactor), reactor)
    store = make_store(reactor, config)
    accounts = make_accounts(reactor, config, store)
    hooks = ChainedHooks(applications.hooks, proxies)
    env = environment(reactor, config, node_id, log, hooks, accounts)
    broker = make_broker(reactor, config, node_id, ChannelIntake(env.channels))
    node = Node(broker, env, turn(reactor), log, config.engine.probe)
    cluster = Cluster(node, config.node.name or f"{socket.gethostname()}_{os.getpid()}")
    drain = Drain(config.websocket.write_timeout, reactor.seconds)
    entrance = Entrance(entrance_options(config), reactor.seconds, lambda: node.unready)
    paths = connection_paths(reactor, config, node, cluster, drain, entrance)
    publisher = NodePublisher(node, cluster)
    outbox = make_outbox(reactor, config, store, publisher)
    applications.attach(node, cluster, store)
    if accounts is not None:
        accounts.attach(publisher, log, entrance.allows)
    services = Services(proxies.backends, outbox, accounts.post if accounts is not None else NoLetters())
    payments = make_payments(reactor, config, store, accounts, applications)
    measured = NodeCollector(node, gauges(node, cluster, entrance, drain, store), services)
    for_people = [endpoint for part in (accounts, payments) if part is not None for endpoint in part.endpoints()]
    for_backends, around = server_endpoints(
        reactor, config, (node, cluster), entrance, applications, (accounts, payments)
    )
    pages = partial(documentation, config, apps, (accounts, payments))
    for_backends += payments.backend_endpoints() if payments is not None else []
    for_backends += operator_endpoints(config, Operations(node, store, measured))
    endpoints = Endpoints(for_people, for_backends, partial(applications.endpoints, around=around))
    sites = ports(reactor, config, (paths, demo_pages() if config.demo.enabled else {}, pages), endpoints)
    server = Server(reactor, node, cluster, drain, sites)
    server.shutdown_timeout = config.shutdown.timeout
    server.connections = lambda: entrance.open
    server.json_log = config.log.format == "json"
    server.also_start += [store.start, applications.threads.start, *([outbox.start] if outbox else [])]
    server.also_stop += [*([outbox.stop] if outbox else []), applications.stop, store.stop]
    if accounts is not None:
        server.also_start.append(accounts.start)
        server.also_stop.insert(0, accounts.stop)
        server.rounds.append((accounts.sweep_interval, accounts.sweep))
    if payments is not None:
        server.also_start.append(payments.start)
        server.also_stop.insert(0, payments.stop)
    if config.demo.enabled:
        feed = DemoFeed(node)
        server.rounds.append((feed.interval, feed.publish))
    return server


def make_accounts(reactor: Any, config: Config, store: Database) -> Accounts | None:
    """The libraries of accounts take memory and time to load: only when they are of use."""
    if not config.accounts.enabled:
        return None
    from rtserver.tap_accounts import Accounts

    return Accounts(reactor, config, store)


def make_payments(
    reactor: Any, config: Config, store: Database, accounts: Accounts | None, applications: Applications
) -> Payments | None:
    if accounts is None or not config.payments.enabled:
        return None
    from rtserver.tap_payments import Payments

    return Payments(reactor, config, store, accounts.desk, applications.payment_functions())


def make_broker(reactor: Any, config: Config, node_id: str, intake: ChannelIntake) -> Broker:
    module, _, name = BROKERS[config.engine.type].partition(":")
    make = getattr(import_module(module), name)
    if config.engine.type == "memory":
        broker: Broker = make(reactor, node_id)
    else:
        broker = make(config.engine.redis, intake, reactor, node_id)
    return broker


def entrance_options(config: Config) -> ClientOptions:
    """Pages of accounts connect too, so their own origin is always allowed."""
    if not config.accounts.enabled:
        return config.client
    return replace(config.client, allowed_origins=(*config.client.allowed_origins, origin_of(config.accounts.base_url)))


def make_outbox(reactor: Any, config: Config, store: Database, publisher: Publisher) -> Outbox | None:
    """The reader of the store's outbox, if this server is to read it."""

    async def publish(channel: str, data: bytes, key: str) -> None:
        await publisher.publish(channel, Raw(data), idempotency_key=key)

    return Outbox(store, publish, reactor) if config.database.outbox else None


def environment(
    reactor: Any, config: Config, node_id: str, log: Log, hooks: Hooks, accounts: Accounts | None = None
) -> Environment:
    def spawn(work: Coroutine[Any, Any, None]) -> None:
        """Most commands are done at their first step: only the others need something that waits."""
        context = copy_context()
        try:
            waited = context.run(work.send, None)
        except StopIteration:
            return
        except Exception as failure:
            log("error", "unexpected failure", failure)
            return
        rest = Deferred.fromCoroutine(go_on(work, waited, context))
        rest.addErrback(lambda failure: log("error", "unexpected failure", failure.value))

    tokens: TokenVerifier = verifier(reactor, config.token)
    separate = config.subscription_token
    subscription_tokens = tokens if separate is None else verifier(reactor, separate)
    rules: ChannelRules = config.channel
    if accounts is not None:
        hooks, rules = accounts.hooks(hooks), with_own_namespace(rules)
        rules = with_news_channels(rules, config.payments)
        tokens, subscription_tokens = accounts.verifier(tokens), accounts.verifier(subscription_tokens)
    return Environment(
        node_id=node_id,
        version=__version__,
        client=config.client,
        channels=Channels(rules),
        tokens=tokens,
        subscription_tokens=subscription_tokens,
        clock=reactor.seconds,
        unix=time.time,
        chance=random.random,
        new_id=lambda: str(uuid.uuid4()),
        spawn=spawn,
        hooks=hooks,
    )


def verifier(reactor: Any, options: TokenOptions) -> JWTVerifier:
    keys = JWKS(options.jwks_public_endpoint, http_client(reactor), reactor) if options.jwks_public_endpoint else None
    return JWTVerifier(options, time.time, keys)


def turn(reactor: Any) -> Turn:
    return Turn(later=reactor.callLater, soon=lambda function: reactor.callLater(0, function))


def connection_paths(
    reactor: Any, config: Config, node: Node, cluster: Cluster, drain: Drain, entrance: Entrance
) -> dict[str, IResource]:
    """Where clients connect."""
    paths: dict[str, IResource] = {}
    for name, section in (("websocket", config.websocket), ("uni_websocket", config.uni_websocket)):
        if section.enabled:
            factory = ConnectionFactory(node, websocket_options(config, section), drain, reactor, name)
            paths[section.handler_prefix] = UpgradeResource(factory, entrance)
    streams = {name: getattr(config, name) for name in KINDS}
    for name, section in streams.items():
        if section.enabled:
            parts = StreamParts(node, entrance, drain, reactor, section.max_request_body_size)
            paths[section.handler_prefix] = StreamResource(KINDS[name], parts)
    if config.emulation.enabled:
        body_size = config.emulation.max_request_body_size
        paths[config.emulation.handler_prefix] = EmulationResource(entrance, cluster.emulate, body_size)
    return paths


def websocket_options(config: Config, section: Any) -> WebSocketOptions:
    return WebSocketOptions(
        message_size_limit=section.message_size_limit,
        compression=config.websocket.compression,
        compression_min_size=config.websocket.compression_min_size,
        handshake_timeout=config.limits.handshake_timeout,
    )


def server_endpoints(
    reactor: Any,
    config: Config,
    realtime: tuple[Node, Cluster],
    entrance: Entrance,
    applications: Applications,
    people: tuple[Accounts | None, Payments | None],
) -> tuple[list[Endpoint], Surroundings]:
    """The server's own typed endpoints for backends, and what all endpoints share."""
    node, cluster = realtime
    access = ApiAccess(config.http_api.key, config.http_api.insecure, config.http_api.error_mode)
    givers: dict[type[Given], Giver] = {
        **applications.givers(node.env),
        ApiKey: access.admit,
        Text: lambda incoming: Text(incoming.body),
    }
    accounts, payments = people
    if accounts is not None:
        givers |= accounts.givers(givers[User])
    if payments is not None:
        givers |= payments.givers()
    around = Surroundings(reactor, node.log, applications.threads.run, entrance.allows, givers)
    return api_endpoints(Calls(Api(node, cluster), access, node.log)), around


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The server's own endpoints, for ``people`` and for ``backends``: with the API key, and those of operators. ``served``
    makes what answers a list of them and those of the applications."""

    people: list[Endpoint]
    backends: list[Endpoint]
    served: Callable[[list[Endpoint]], EndpointsResource]


def ports(
    reactor: Any,
    config: Config,
    paths: tuple[dict[str, IResource], dict[str, IResource], Callable[[Sequence[Endpoint]], dict[str, IResource]]],
    endpoints: Endpoints,
) -> list[tuple[str, RtSite]]:
    """What is served where: with internal addresses, the operator's paths and pages and the API are served there and not in
    public."""
    public, inner, pages = paths
    people, everybody = endpoints.people, [*endpoints.people, *endpoints.backends]
    if not config.http_server.internal:
        everything = site(reactor, config, {**pages(everybody), **public, **inner}, endpoints.served(everybody))
        return [(address, everything) for address in config.listen]
    outside = site(reactor, config, {**pages(people), **public}, endpoints.served(people))
    inside = site(reactor, config, {**pages(everybody), **inner}, endpoints.served(everybody))
    return [
        *((address, outside) for address in config.listen),
        *((address, inside) for address in config.http_server.internal),
    ]


def documentation(
    config: Config, apps: Sequence[App], people: tuple[Accounts | None, Payments | None], own: Sequence[Endpoint]
) -> dict[str, IResource]:
    """The documents of the applications and of the server's ``own`` endpoints, and the pages that show them."""
    if not config.docs.enabled or not (apps or own):
        return {}
    title, version = (apps[0].title, apps[0].version) if len(apps) == 1 and apps[0].title else ("rtserver", __version__)
    origin = origin_of(config.accounts.base_url) if config.accounts.base_url else ""
    url = origin.replace("http", "ws", 1) + config.websocket.handler_prefix
    proofs = people[0].proofs if people[0] is not None else {}
    channels = [channel for part in people if part is not None for channel in part.channels]
    return docs_paths(
        documents(apps, title=title, version=version, url=url, endpoints=own, proofs=proofs, channels=channels)
    )


def operator_endpoints(config: Config, operations: Operations) -> list[Endpoint]:
    """Health and metrics."""
    health, metrics = config.health, config.prometheus
    return operations.endpoints(
        health.handler_prefix if health.enabled else "", metrics.handler_prefix if metrics.enabled else ""
    )


def gauges(node: Node, cluster: Cluster, entrance: Entrance, drain: Drain, store: Database) -> dict[str, Any]:
    return {
        "connections": ("Open client connections.", lambda: entrance.open),
        "clients": ("Connected clients.", lambda: len(node.sessions)),
        "users": ("Distinct users with a connection here.", lambda: len(node.users)),
        "channels": ("Channels with subscribers here.", lambda: cluster.info().num_channels),
        "slow_connections": ("Connections whose socket does not take everything.", lambda: len(drain)),
        "ready": ("1 when new clients may come.", lambda: 0 if node.unready else 1),
        "database_ready": ("1 when the database can be used.", lambda: 0 if store.unready else 1),
        "probe_seconds": ("Round trip of the last probe through the broker.", lambda: node.probe.round_trip),
        "connections_refused": ("Requests that were not let in.", lambda: entrance.refused),
    }


def site(reactor: Any, config: Config, paths: dict[str, IResource], rest: IResource) -> RtSite:
    limits = config.limits
    sizes = SiteLimits(limits.api_body_size, limits.header_size, limits.handshake_timeout, limits.idle_timeout)
    return RtSite(Paths(paths, rest), reactor, sizes, TrustedProxies(config.http_server.trusted_proxies))


def greet(config: Config, new_secrets: dict[str, str], log: Log) -> None:
    """What an operator should read at start. New secrets are shown this once, on a terminal; a log must not have them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    log("info", f"rtserver {__version__}, {config.engine.type} engine; {worst_case(config, open_files())}")
    if not Utf8Validator.__module__.startswith("autobahn.nvx"):
        log(
            "warn", "Autobahn runs without NVX: frames from clients cost up to 60 times as much; unset AUTOBAHN_USE_NVX"
        )
    for name in ignored_variables(os.environ, config):
        log("warn", f"the environment variable {name} is not known here and has no effect")
    for key, value in new_secrets.items():
        shown = f": {value}" if sys.stdout.isatty() else ""
        print(f"{key} was not configured; made now and kept in {config.state_dir}/secrets.toml{shown}", flush=True)
