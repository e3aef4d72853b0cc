"""The demonstration's data: a price that walks, published like anybody's publication."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
from msgspec import Raw

from rtserver.core.messages import Publication
from rtserver.node import Node

CHANNEL = "demo:prices"

START = 1.08
SWING = 0.00004
"""The standard deviation of a step, as a share of the price."""
MOMENTUM = 0.8
"""How much of a step goes on in the next one: a price with trends is nicer to look at than noise."""
PULL = 0.002
"""How much of the way back to the start is made in one step, so that the price stays near it for days."""


class DemoFeed:
    """Publishes ``{"price": 1.08012, "at": <ms since 1970>}`` every ``interval`` seconds, once the server is ready.

    ``chance`` gives a random number of the normal distribution (mean, standard deviation).
    """

    interval = 0.25

    def __init__(self, node: Node, chance: Callable[[float, float], float] = random.gauss) -> None:
        self._node = node
        self._chance = chance
        self._price = START
        self._trend = 0.0

    async def publish(self) -> None:
        """Nothing is published while the namespace "demo" is not configured."""
        channels = self._node.env.channels
        options = channels.find(CHANNEL)
        if options is not None:
            await self._node.publish(CHANNEL, Publication(self._next()), channels.publish_options(options))

    def _next(self) -> Raw:
        self._trend = MOMENTUM * self._trend + self._chance(0.0, SWING)
        self._price *= 1 + self._trend + PULL * (START / self._price - 1)
        return Raw(msgspec.json.encode({"price": round(self._price, 5), "at": round(self._node.env.unix() * 1000)}))
