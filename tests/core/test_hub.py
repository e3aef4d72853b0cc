"""The fan-out engine: encode once, one write a turn, positions of channels, slices, deltas, pressure."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from rtserver.core import errors, fossil, hub
from rtserver.core.messages import Publication, StreamPosition
from rtserver.core.options import ClientOptions
from tests.fakes import EVERYTHING, World, text_frames


@pytest.fixture
def world():
    world = World()
    yield world
    world.log.check()


def test_publications_of_one_turn_are_one_write_of_the_same_bytes_for_all(world):
    clients = [world.connected() for _ in range(3)]
    for client in clients:
        client.subscribe("plain:a")
    for number in range(5):
        world.publish("plain:a", number)
    assert all(client.written == [] for client in clients)
    world.turn()
    assert [len(client.written) for client in clients] == [1, 1, 1]
    assert clients[0].written[0] is clients[1].written[0] is clients[2].written[0]
    assert [push["data"] for push in clients[0].pushes()] == [0, 1, 2, 3, 4]


def test_a_client_in_several_channels_of_one_turn_gets_one_write(world):
    both, one = world.connected(), world.connected()
    for channel in ("plain:a", "plain:b"):
        both.subscribe(channel)
    one.subscribe("plain:b")
    world.publish("plain:a", 1)
    world.publish("plain:b", 2)
    world.publish("plain:a", 3)
    world.turn()
    assert len(both.written) == 1 and len(one.written) == 1
    assert [push["data"] for push in both.pushes()] == [1, 3, 2]


def test_encodings_are_separate_groups_of_one_channel(world):
    json_client, protobuf_client = world.connected(), world.client("websocket/protobuf")
    json_client.subscribe("plain:a")
    protobuf_client.session.received_frame(bytes.fromhex("0408012200"))
    protobuf_client.session.received_frame(bytes.fromhex("0d08022a090a07706c61696e3a61"))
    protobuf_client.written.clear()
    world.publish("plain:a", 1)
    world.turn()
    assert json_client.written[0][0] == 0x81 and protobuf_client.written[0][0] == 0x82


def test_a_gap_ends_positioned_subscriptions_and_only_those(world):
    positioned, other = world.connected(), world.connected()
    positioned.subscribe("a", recoverable=True)
    other.subscribe("a")
    epoch = world.node.hub.channels["a"].epoch
    world.node.on_publication("a", Publication(msgspec.Raw(b"1"), offset=1), epoch)
    world.node.on_publication("a", Publication(msgspec.Raw(b"3"), offset=3), epoch)
    world.turn()
    assert [reply["push"]["unsubscribe"]["code"] for reply in positioned.take()] == [2500]
    assert [push["offset"] for push in other.pushes()] == [1, 3]


def test_a_repeated_offset_reaches_nobody_with_a_position(world):
    client = world.connected()
    client.subscribe("a", recoverable=True)
    epoch = world.node.hub.channels["a"].epoch
    for offset in (1, 1, 2):
        world.node.on_publication("a", Publication(msgspec.Raw(b"1"), offset=offset), epoch)
    world.turn()
    assert [push["offset"] for push in client.pushes()] == [1, 2]


def test_another_epoch_is_a_gap(world):
    client = world.connected()
    client.subscribe("a", recoverable=True)
    world.node.on_publication("a", Publication(msgspec.Raw(b"1"), offset=1), "otherepo")
    assert client.pushes("unsubscribe")[0]["code"] == 2500


def test_a_server_side_subscription_with_a_gap_ends_the_connection():
    from rtserver.core.ports import ConnectionClaims, ServerSubscription

    world = World(forced=replace(EVERYTHING, force_recovery=True))
    world.tokens.connections["t"] = ConnectionClaims("42", subs={"forced:a": ServerSubscription()})
    client = world.connected(token="t")
    world.node.on_publication("forced:a", Publication(msgspec.Raw(b"1"), offset=5), "otherepo")
    assert client.closed == errors.INSUFFICIENT_STATE


def test_a_newcomer_that_is_ahead_of_the_channel_gets_only_what_is_later(world):
    """Its history read was faster than the pub/sub connection: those in between are in its reply already."""
    early, late = world.connected(), world.connected()
    early.subscribe("a", recoverable=True)
    channel = world.node.hub.channels["a"]
    late.subscribe("a")
    sub = late.session.subs["a"]
    world.node.hub.detach(sub)
    ahead = replace_flow(sub, positioned=True)
    world.node.hub.attach(ahead)
    world.node.hub.open(ahead, StreamPosition(2, channel.epoch))
    for offset in (1, 2, 3):
        world.node.on_publication("a", Publication(msgspec.Raw(b"0"), offset=offset), channel.epoch)
    world.turn()
    assert [push["offset"] for push in early.pushes()] == [1, 2, 3]
    assert [push["offset"] for push in late.pushes()] == [3]
    assert channel.newcomers == []


def replace_flow(sub, **changes):
    from rtserver.core.flow import Subscription

    return Subscription(sub.session, sub.channel, sub.flow._replace(**changes))


def test_deltas_come_after_one_full_publication_and_rebuild_the_data(world):
    client = world.connected()
    assert client.subscribe("a", delta="fossil")["subscribe"]["delta"] is True
    sent = [{"n": number, "pad": "x" * 300} for number in range(10)]
    for data in sent:
        world.publish("a", data)
        world.turn()
    pushes = client.pushes()
    assert [push.get("delta", False) for push in pushes] == [False] + [True] * 9
    base = b""
    for push, data in zip(pushes, sent, strict=True):
        text = push["data"].encode()
        base = fossil.apply(base, text) if push.get("delta") else text
        assert msgspec.json.decode(base) == data


def test_a_delta_newcomer_starts_with_a_full_publication_while_others_go_on(world):
    first, second = world.connected(), world.connected()
    first.subscribe("a", delta="fossil")
    world.publish("a", {"pad": "x" * 300, "n": 1})
    world.turn()
    second.subscribe("a", delta="fossil")
    first.take()
    world.publish("a", {"pad": "x" * 300, "n": 2})
    world.turn()
    world.publish("a", {"pad": "x" * 300, "n": 3})
    world.turn()
    assert [push.get("delta", False) for push in first.pushes()] == [True, True]
    assert [push.get("delta", False) for push in second.pushes()] == [False, True]


def test_the_wish_for_deltas_is_no_field_of_a_plain_publication(world):
    client = world.connected()
    client.subscribe("a")
    world.publish("a", 1)
    world.turn()
    assert client.pushes() == [{"data": 1, "offset": 1}]


def test_a_tags_filter_lets_through_what_matches_and_the_position_goes_on(world):
    client = world.connected()
    client.subscribe("a", recoverable=True, tf={"key": "side", "cmp": "eq", "val": "buy"})
    for side in ("buy", "sell", "buy"):
        world.publish("a", side, tags={"side": side})
    world.turn()
    assert [push["offset"] for push in client.pushes()] == [1, 3]
    assert world.node.hub.channels["a"].offset == 3


def test_a_long_flush_lets_the_reactor_turn_and_skips_those_who_left(world):
    clients = [world.connected() for _ in range(200)]
    for client in clients:
        client.subscribe("plain:a")
    seconds = iter(range(10_000))
    world.node.hub._clock = lambda: float(next(seconds))
    world.publish("plain:a", 1)
    world.turn()
    served = [client for client in clients if client.written]
    assert 0 < len(served) < 200
    waiting = next(client for client in clients if not client.written)
    waiting.send(id=5, unsubscribe={"channel": "plain:a"})
    waiting.take()
    world.publish("plain:a", 2)
    for _ in range(20):
        world.turn()
    assert waiting.written == []
    others = [client for client in clients if client is not waiting]
    assert all([push["data"] for push in client.pushes()] == [1, 2] for client in others)


def test_too_much_waiting_holds_the_broker_back_until_the_flush(world):
    pressure = []
    world.node.on_pressure = pressure.append
    world.node.hub._events = world.node
    client = world.connected()
    client.subscribe("plain:a")
    big = "x" * (hub.PENDING_LIMIT // 4)
    for _ in range(5):
        world.publish("plain:a", big)
    assert pressure == [True]
    world.turn()
    assert pressure == [True, False]
    assert sum(len(text_frames(data)) for data in client.written) == 5


def test_a_channel_without_subscribers_is_forgotten(world):
    client = world.connected()
    client.subscribe("a")
    client.send(id=2, unsubscribe={"channel": "a"})
    assert "a" not in world.node.hub.channels


def test_channels_are_unsubscribed_at_the_broker_a_while_after_the_last_left(world):
    client = world.connected()
    client.subscribe("a")
    client.session.lost()
    assert "a" in world.broker._subscribed
    world.pass_time(1.5)
    assert "a" not in world.broker._subscribed


def test_a_quick_return_keeps_the_broker_subscription(world):
    client = world.connected()
    client.subscribe("a")
    client.session.lost()
    world.pass_time(0.5)
    again = world.connected()
    again.subscribe("a")
    world.pass_time(2)
    assert "a" in world.broker._subscribed


def test_positions_of_quiet_channels_are_checked_against_the_broker():
    world = World(ClientOptions(allow_anonymous_connect_without_token=True, channel_position_check_delay=40))
    client = world.connected()
    client.subscribe("a", recoverable=True)
    world.broker._subscribed.discard("a")
    world.publish("a", 1)
    world.clock.advance(41)
    assert world.node.quiet_channels() == ["a"]
    world.run(world.node.check_positions(["a"]))
    assert client.pushes("unsubscribe")[0]["code"] == 2500


def test_the_probe_comes_back_through_the_hub_and_its_absence_is_noticed(world):
    world.run(world.node.listen_in())
    world.turn()
    assert world.node.unready == "" and world.node.probe.heard_at == world.clock.seconds()

    async def lost(token: str) -> None:
        """A broker that takes probes and gives nothing back."""

    world.broker.probe = lost
    client = world.connected()
    for _ in range(6):
        world.clock.advance(1)
        world.run(world.node.listen_in())
    assert "no probe came back" in world.node.unready and client.closed is None
    for _ in range(20):
        world.clock.advance(1)
        world.run(world.node.listen_in())
    assert client.closed == errors.FORCE_RECONNECT


def test_a_publication_that_took_too_long_is_a_gap_when_a_lag_is_configured():
    world = World(ClientOptions(allow_anonymous_connect_without_token=True, channel_position_max_time_lag=5))
    client = world.connected()
    client.subscribe("a", recoverable=True)
    epoch = world.node.hub.channels["a"].epoch
    now = round(world.env.unix() * 1000)
    world.node.on_publication("a", Publication(msgspec.Raw(b"1"), offset=1), epoch, now - 4000)
    assert client.pushes("unsubscribe") == []
    world.node.on_publication("a", Publication(msgspec.Raw(b"1"), offset=2), epoch, now - 6000)
    assert client.pushes("unsubscribe")[0]["code"] == 2500
