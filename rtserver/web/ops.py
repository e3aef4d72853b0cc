"""For operators: ``/livez``, ``/readyz``, ``/health`` and ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry
from twisted.web.resource import Resource
from twisted.web.server import Request

from rtserver.node import Node

Gauge = Callable[[], float]


class Live(Resource):
    """The reactor turns: that is all that this answer says. Restart what does not give it."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"application/json")
        return b"{}"


class Ready(Resource):
    """Whether new clients should be sent here; 503 with the reason when not."""

    isLeaf = True

    def __init__(self, node: Node) -> None:
        super().__init__()
        self._node = node

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"application/json")
        reason = self._node.unready
        if reason:
            request.setResponseCode(503)
        return msgspec.json.encode({"ready": not reason, **({"reason": reason} if reason else {})})


class NodeCollector(Collector):
    """Reads the plain counters of the node when Prometheus asks; nothing is counted twice on the hot path."""

    def __init__(self, node: Node, gauges: dict[str, tuple[str, Gauge]]) -> None:
        self._node = node
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for name, (text, value) in self._gauges.items():
            yield GaugeMetricFamily(f"rtserver_{name}", text, value=value())
        for name, (text, count) in self._counts().items():
            yield CounterMetricFamily(f"rtserver_{name}", text, value=count)
        closed = CounterMetricFamily("rtserver_disconnects", "Connections closed, by code.", labels=["code"])
        for code, count in sorted(self._node.closed.items()):
            closed.add_metric([str(code)], count)
        yield closed

    def _counts(self) -> dict[str, tuple[str, float]]:
        stats = self._node.broker.stats
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
        }


class Metrics(Resource):
    """Prometheus text format."""

    isLeaf = True

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self._registry = CollectorRegistry()
        self._registry.register(collector)

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"content-type", CONTENT_TYPE_LATEST.encode())
        return generate_latest(self._registry)
