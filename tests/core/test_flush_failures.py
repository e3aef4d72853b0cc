"""A fan-out that fails for one must go on for all others: an exception may not stop the flushes of a node."""

from __future__ import annotations

import pytest
from msgspec import Raw

from rtserver.core import errors
from rtserver.core.messages import Publication
from rtserver.core.ports import PROBE_CHANNEL
from tests.fakes import World


@pytest.fixture
def world():
    return World()


class Broken:
    """Raises as a transport in an unforeseen state would."""

    def __call__(self, data):
        raise OSError("the transport is in a state that nobody thought of")


def test_a_subscriber_that_cannot_be_written_to_is_closed_and_the_others_get_everything(world):
    clients = [world.connected() for _ in range(5)]
    for client in clients:
        client.subscribe("plain:a")
    broken = clients[2]
    broken.session.subs["plain:a"].write = Broken()
    world.publish("plain:a", 1)
    world.turn()
    world.publish("plain:a", 2)
    world.turn()
    others = [client for client in clients if client is not broken]
    assert [[push["data"] for push in client.pushes()] for client in others] == [[1, 2]] * 4
    assert broken.closed == errors.SERVER_ERROR and "a write failed" == world.log.texts("error")[0]


def test_the_same_in_a_turn_of_several_channels(world):
    client, broken = world.connected(), world.connected()
    for each in (client, broken):
        for channel in ("plain:a", "plain:b"):
            each.subscribe(channel)
    for sub in broken.session.subs.values():
        sub.write = Broken()
    for channel in ("plain:a", "plain:b"):
        world.publish(channel, 1)
    world.turn()
    assert len(client.pushes()) == 2 and broken.closed == errors.SERVER_ERROR


def test_a_failure_of_the_encoding_does_not_stop_later_flushes(world):
    client = world.connected()
    client.subscribe("plain:a")
    positioned = world.connected()
    positioned.subscribe("a", recoverable=True)
    client.subscribe("a")
    for channel in ("a", "plain:a"):
        world.publish(channel, 1)
    world.node.hub.channels["a"].pending.append(object())
    world.turn()
    assert [push["data"] for push in client.pushes()] == [1], "the other channel of the turn"
    assert positioned.pushes("unsubscribe")[0]["code"] == 2500, "it comes back and recovers"
    for channel in ("a", "plain:a"):
        world.publish(channel, 2)
    world.turn()
    assert [push["data"] for push in client.pushes()] == [2, 2]
    assert len(world.log.texts("error")) == 1


def test_a_strange_message_on_the_probe_channel_harms_nothing(world):
    world.node.on_publication(PROBE_CHANNEL, Publication(Raw(b"\xff\xfe:0")), "")
    world.turn()
    world.run(world.node.listen_in())
    world.turn()
    assert world.log.texts("error") == [] and world.node.probe.heard_at == world.clock.seconds()
