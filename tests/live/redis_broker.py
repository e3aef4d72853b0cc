"""A started RedisBroker on real servers, with the rules of a small configuration."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from rtserver.core.channels import Channels, data_refusal
from rtserver.core.options import ChannelOptions, ChannelRules, seconds
from rtserver.core.ports import PublishOptions
from rtserver.services.broker_redis import RedisBroker
from rtserver.services.redis_options import RedisOptions
from tests.contracts import Recorder
from tests.live.redis_server import RedisServer

_prefixes = (f"test{number}" for number in itertools.count())

RULES = ChannelRules(
    without_namespace=ChannelOptions(),
    namespaces={
        "kept": ChannelOptions(history_size=1000, history_ttl=seconds(60)),
        "json": ChannelOptions(history_size=1000, history_ttl=seconds(60), publication_data_format="json"),
        "object": ChannelOptions(publication_data_format="json_object"),
        "delta": ChannelOptions(history_size=10, history_ttl=seconds(60), delta_publish=True),
        "passing": ChannelOptions(),
    },
)


class Rules:
    """``ports.Intake`` by the rules above."""

    def __init__(self, rules: ChannelRules = RULES) -> None:
        self._channels = Channels(rules)

    def publish_options(self, channel: str) -> PublishOptions | None:
        options = self._channels.find(channel)
        return None if options is None else self._channels.publish_options(options)

    def refusal(self, channel: str, data: bytes) -> str | None:
        options = self._channels.find(channel)
        return "no such namespace" if options is None else data_refusal(options, data)

    def history_prefixes(self) -> list[str]:
        kept = [name for name, options in self._channels.rules.namespaces.items() if options.has_history]
        prefixes = [f"{dollar}{name}:" for name in kept for dollar in ("", "$")]
        return prefixes + [""] * self._channels.rules.without_namespace.has_history

    def namespaces(self) -> Mapping[str, ChannelOptions]:
        return {"": self._channels.rules.without_namespace, **self._channels.rules.namespaces}


async def sleep(wait: float) -> None:
    await deferLater(reactor, wait)


async def eventually(condition: Callable[[], bool]) -> None:
    """Returns when it is true; the deadline of the test ends the waiting."""
    while not condition():
        await sleep(0.01)


class RedisHarness:
    """``async with``: a broker of node "n1" (or ``node``), stopped at the end. Its prefix is fresh unless one is given, so
    that tests can share a server."""

    presence_ttl = 0.5
    tick = 0.3

    def __init__(self, *servers: RedisServer, node: str = "n1", rules: ChannelRules = RULES, **options: Any) -> None:
        prefix = options.pop("prefix", None) or next(_prefixes)
        settings = RedisOptions(
            address=tuple(server.url for server in servers),
            prefix=prefix,
            publish_prefix=f"raw-{prefix}:",
            io_timeout=2.0,
            presence_ttl=self.presence_ttl,
        )
        self.options = replace(settings, **options)
        self.events = Recorder()
        self.broker = RedisBroker(self.options, Rules(rules), reactor, node)

    async def __aenter__(self) -> RedisHarness:
        await self.broker.start(self.events)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.broker.stop()

    async def until(self, condition: Callable[[], bool]) -> None:
        await eventually(condition)

    async def pass_time(self, wait: float) -> None:
        await sleep(wait)

    def raw(self, channel: str) -> str:
        """The name that other programs publish to."""
        return f"{self.options.publish_prefix}{channel}"
