"""The demonstration's data: a price that walks, published like anybody's publication."""

from __future__ import annotations

import random

import msgspec
from msgspec import Raw

from rtserver.core.messages import Publication
from rtserver.node import Node

CHANNEL = "demo:prices"


class DemoFeed:
    """Publishes a price every ``interval`` seconds, from the moment the server is ready."""

    interval = 0.25

    def __init__(self, node: Node) -> None:
        self._node = node
        self._price = 1.08

    async def publish(self) -> None:
        options = self._node.env.channels.find(CHANNEL)
        if options is None:
            return
        self._price = max(0.5, self._price * (1 + random.gauss(0, 0.0004)))
        data = Raw(msgspec.json.encode({"price": round(self._price, 5), "at": round(self._node.env.unix() * 1000)}))
        await self._node.publish(CHANNEL, Publication(data), self._node.env.channels.publish_options(options))
