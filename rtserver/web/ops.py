"""For operators: ``/livez``, ``/readyz``, ``/health`` and ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from rtserver.app.application import docstring
from rtserver.app.endpoint import Description, Endpoint, Response
from rtserver.app.shapes import as_json
from rtserver.node import Node

Gauge = Callable[[], float]

TAGS = ("operations",)
TEXT = "text/plain"

DATABASE_AWAY = "the database cannot be used now, and what needs it answers 503: see the log for the reason"
"""No reason here: it names hosts, and this page may be open to everybody."""


class Store(Protocol):
    """The part of ``ports.Database`` that is looked at here."""

    @property
    def unready(self) -> str: ...


class ProxyStats(Protocol):
    asked: int
    failed: int


class Proxy(Protocol):
    """A backend that is asked by HTTP. ``name`` is where it stands in the configuration."""

    name: str

    @property
    def stats(self) -> ProxyStats: ...


class OutboxStats(Protocol):
    published: int
    dead: int


class Outbox(Protocol):
    @property
    def stats(self) -> OutboxStats: ...


class Letters(Protocol):
    sent: int
    failed: int
    expired: int
    retried: int
    waiting: int


class NoLetters:
    """Of a server without accounts."""

    sent = failed = expired = retried = waiting = 0


@dataclass(frozen=True, slots=True)
class Services:
    """What counts beside the node. ``outbox`` None: this server does not read it."""

    proxies: Sequence[Proxy] = ()
    outbox: Outbox | None = None
    letters: Letters = NoLetters()


class NodeCollector(Collector):
    """Reads plain counters when Prometheus asks; nothing is counted twice on the hot path."""

    def __init__(self, node: Node, gauges: dict[str, tuple[str, Gauge]], services: Services = Services()) -> None:
        self._node = node
        self._gauges = gauges
        self._services = services

    def collect(self) -> Iterator[Metric]:
        for name, (text, value) in self._gauges.items():
            yield GaugeMetricFamily(f"rtserver_{name}", text, value=value())
        waiting = self._services.letters.waiting
        yield GaugeMetricFamily("rtserver_letters_waiting", "Letters that wait to be sent.", value=waiting)
        for name, (text, count) in self._counts().items():
            yield CounterMetricFamily(f"rtserver_{name}", text, value=count)
        closed = CounterMetricFamily("rtserver_disconnects", "Connections closed, by code.", labels=["code"])
        for code, count in sorted(self._node.closed.items()):
            closed.add_metric([str(code)], count)
        yield closed
        yield from self._proxies()

    def _proxies(self) -> Iterator[Metric]:
        asked = CounterMetricFamily("rtserver_proxy_requests", "Questions to a backend.", labels=["proxy"])
        failed = CounterMetricFamily("rtserver_proxy_failures", "Those without a usable answer.", labels=["proxy"])
        for proxy in self._services.proxies:
            asked.add_metric([proxy.name], proxy.stats.asked)
            failed.add_metric([proxy.name], proxy.stats.failed)
        yield asked
        yield failed

    def _counts(self) -> dict[str, tuple[str, float]]:
        stats = self._node.broker.stats
        outbox, letters = self._services.outbox, self._services.letters
        return {
            "deliveries": (
                "Messages written to subscribers (one per subscriber and message).",
                self._node.hub.deliveries,
            ),
            "position_gaps": ("Channels whose subscribers had to recover.", self._node.gaps),
            "broker_reconnects": ("Connections to the broker made anew.", stats.reconnects),
            "broker_resubscribes": ("Fresh subscriber connections because the node was deaf.", stats.resubscribes),
            "broker_publications": ("Publications that came from the broker.", stats.publications_received),
            "broker_commands_failed": ("Broker commands that failed or timed out.", stats.commands_failed),
            "raw_publications": ("Plain PUBLISH messages of other programs.", stats.raw_received),
            "raw_refused": ("Plain PUBLISH messages refused.", stats.raw_refused + self._node.refused_raw),
            "inbox_accepted": ("Entries of the durable inbox that were published.", stats.inbox_accepted),
            "inbox_dead": ("Entries of the durable inbox that went to the dead letters.", stats.inbox_dead),
            "outbox_published": ("Rows of the outbox that were published.", outbox.stats.published if outbox else 0),
            "outbox_dead": ("Rows of the outbox that went to rt_outbox_dead.", outbox.stats.dead if outbox else 0),
            "letters_sent": ("Letters that a mail server took.", letters.sent),
            "letters_retried": ("Attempts to send a letter that are made again.", letters.retried),
            "letters_failed": ("Letters that were given up.", letters.failed),
            "letters_expired": ("Letters whose link ended before they could be sent.", letters.expired),
        }


class Alive(Struct):
    """Nothing more: the answer itself is the news."""


class Readiness(Struct, omit_defaults=True):
    """``reason`` why no clients should be sent here; ``database``: what is to be said of it, when it is away."""

    ready: bool
    reason: str = ""
    database: str = ""


UNREADY: Mapping[str, Any] = {
    "responses": {503: "New clients should be sent elsewhere: `reason` says why"},
    "models": {503: Readiness},
    "examples": {503: {"ready": False, "reason": "the server is shutting down"}},
}


class Operations:
    """The endpoints, for whoever can reach them: they ask for no key."""

    def __init__(self, node: Node, database: Store, collector: Collector) -> None:
        self._node = node
        self._database = database
        self._registry = CollectorRegistry()
        self._registry.register(collector)

    def endpoints(self, health: str = "", metrics: str = "") -> list[Endpoint]:
        """``health`` and ``metrics`` are the paths of these two, "" for none."""
        found = [
            ("/livez", self.livez, _said(self.livez)),
            ("/readyz", self.readyz, _said(self.readyz, **UNREADY)),
            (health, self.health, _said(self.health)),
            (metrics, self.metrics, _said(self.metrics, media_type=TEXT)),
        ]
        return [Endpoint("GET", path, function, description=said) for path, function, said in found if path]

    async def livez(self) -> Alive:
        """The server runs

        The reactor turns: that is all that this answer says. Restart what does not give it."""
        return Alive()

    async def health(self) -> Alive:
        """The server runs, as `/livez`"""
        return Alive()

    async def readyz(self) -> Readiness | Response:
        """Whether new clients should be sent here

        A database that is away is told and no reason to send them elsewhere: realtime goes on without it."""
        reason = self._node.unready
        found = Readiness(not reason, reason, DATABASE_AWAY if self._database.unready else "")
        return Response(as_json(found), status=503) if reason else found

    async def metrics(self) -> Response:
        """Everything that is counted, in Prometheus text format"""
        return Response(generate_latest(self._registry), CONTENT_TYPE_LATEST)


def _said(function: Callable[..., Any], **more: Any) -> Description:
    return Description(*docstring(function), tags=TAGS, **more)
