"""The price of the demonstration."""

import json
from types import SimpleNamespace

import pytest

from rtserver.core.channels import Channels
from rtserver.core.options import ChannelOptions, ChannelRules, seconds
from rtserver.demo import CHANNEL, START, DemoFeed


class Recorder:
    """Stands for the node and keeps what is published."""

    def __init__(self, namespaces):
        channels = Channels(ChannelRules(namespaces=namespaces))
        self.env = SimpleNamespace(channels=channels, unix=lambda: 1_700_000_000.25)
        self.published = []

    async def publish(self, channel, publication, options):
        self.published.append((channel, json.loads(bytes(publication.data)), options))


def run(coroutine):
    """A coroutine that waits for nothing, from its beginning to its end."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def published(count, chance):
    node = Recorder({"demo": ChannelOptions(history_size=300, history_ttl=seconds(60))})
    feed = DemoFeed(node, chance)
    for _ in range(count):
        run(feed.publish())
    return node.published


def prices(count, chance):
    return [data["price"] for _, data, _ in published(count, chance)]


def test_a_price_has_its_time_in_milliseconds_and_goes_into_the_history_of_its_channel():
    ((channel, data, options),) = published(1, lambda mean, deviation: 0.0)
    assert (channel, data) == (CHANNEL, {"price": START, "at": 1_700_000_000_250})
    assert options.history_size == 300


def test_a_price_goes_where_chance_sends_it():
    rising, falling = prices(50, lambda mean, deviation: deviation), prices(50, lambda mean, deviation: -deviation)
    assert rising == sorted(rising) and rising[0] < rising[-1]
    assert falling == sorted(falling, reverse=True) and falling[0] > falling[-1]


def test_a_price_that_always_rises_stays_near_its_start():
    assert START < prices(5000, lambda mean, deviation: deviation)[-1] < 1.5 * START


def test_nothing_is_published_without_the_namespace():
    node = Recorder({})
    run(DemoFeed(node).publish())
    assert node.published == []
