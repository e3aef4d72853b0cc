"""The node: hearing, positions, limits, other programs' publications, and what a broken broker may not break."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import Raw

from rtserver.core import errors
from rtserver.core.errors import BrokerUnavailable
from rtserver.core.messages import ClientInfo, Publication, StreamPosition
from rtserver.core.options import ChannelOptions, ClientOptions
from rtserver.core.ports import ConnectionClaims, HistorySlice
from rtserver.core.probe import Hearing
from tests.fakes import EVERYTHING, World

ANYBODY = ClientOptions(allow_anonymous_connect_without_token=True)


@pytest.fixture
def world():
    world = World()
    yield world
    world.log.check()


class Away:
    """A broker call that fails while ``away``."""

    def __init__(self, world, *names):
        self.away = True
        for name in names:
            setattr(world.broker, name, self._call(getattr(world.broker, name)))

    def _call(self, real):
        async def call(*args, **named):
            if self.away:
                raise BrokerUnavailable("Redis is away")
            return await real(*args, **named)

        return call


# Hearing


class Deaf:
    """A broker that takes probes and gives none back, and counts how often it is made anew."""

    def __init__(self, world):
        self.world = world
        self.refreshed = 0
        world.broker.probe = self.probe
        world.broker.refresh = self.refresh

    async def probe(self, token):
        """Nothing comes back."""

    async def refresh(self):
        self.refreshed += 1

    def listen(self, seconds):
        for _ in range(seconds):
            self.world.clock.advance(1)
            self.world.run(self.world.node.listen_in())
            self.world.turn()


def test_a_node_that_hears_is_ready(world):
    for _ in range(3):
        world.clock.advance(1)
        world.run(world.node.listen_in())
        world.turn()
    assert world.node.unready == "" and world.node.probe.hearing is Hearing.GOOD


def test_a_late_node_is_unready_and_makes_its_connections_anew_once(world):
    deaf = Deaf(world)
    client = world.connected()
    deaf.listen(4)
    assert world.node.unready == "" and deaf.refreshed == 0
    deaf.listen(10)
    assert deaf.refreshed == 1 and "no probe came back" in world.node.unready and client.closed is None


def test_a_deaf_node_sends_its_clients_elsewhere_also_those_not_yet_connected(world):
    deaf = Deaf(world)
    client, fresh = world.connected(), world.client()
    deaf.listen(21)
    assert client.closed == fresh.closed == errors.FORCE_RECONNECT
    assert world.node.open_sessions == {} and deaf.refreshed == 1


def test_a_node_that_hears_again_is_ready_again(world):
    deaf = Deaf(world)
    probe = type(world.broker).probe
    deaf.listen(8)
    world.broker.probe = lambda token: probe(world.broker, token)
    deaf.listen(2)
    assert world.node.unready == "" and world.log.texts("info")[-1] == "hearing is good"


def test_a_probe_that_cannot_be_sent_counts_as_not_heard(world):
    deaf = Deaf(world)
    Away(world, "probe")
    deaf.listen(6)
    assert world.node.probe.hearing is Hearing.LATE and deaf.refreshed == 1


# Coming and going


def test_what_a_session_leaves_behind_is_nothing(world):
    world.tokens.connections["t"] = ConnectionClaims("42")
    client = world.client("http_stream/json", emulation=True)
    client.session.received_frame(b'{"id":1,"connect":{"token":"t"}}')
    client.session.received_frame(b'{"id":2,"subscribe":{"channel":"a"}}')
    node = world.node
    assert node.users["42"] and node.sessions and node.secrets and node.open_sessions
    client.session.lost()
    assert node.users == node.sessions == node.secrets == node.open_sessions == {}
    assert "a" not in node.hub.channels and node.closed == {3000: 1} and len(node.deadlines) == 0
    assert world.run(world.broker.presence("a")) == {}


def test_the_end_of_a_connection_is_one_line_with_code_and_length(world):
    client = world.connected()
    world.clock.advance(2)
    client.session.close(errors.SHUTDOWN)
    (line,) = [fields for level, text, _, fields in world.log.lines if text == "connection closed"]
    assert (line["code"], line["reason"], line["seconds"], line["transport"]) == (3001, "shutdown", 2.0, "websocket")


def test_a_connection_that_never_connected_is_forgotten_too(world):
    client = world.client()
    client.session.lost()
    assert world.node.open_sessions == {} and world.node.closed == {3000: 1}


def test_the_user_limit_frees_a_place_when_one_leaves_and_does_not_count_anonymous_ones():
    world = World(replace(ANYBODY, user_connection_limit=2))
    world.tokens.connections["t"] = ConnectionClaims("42")
    first, second = world.connected(token="t"), world.connected(token="t")
    refused = world.client()
    refused.send(id=1, connect={"token": "t"})
    assert refused.closed == errors.CONNECTION_LIMIT and len(world.node.users["42"]) == 2
    first.session.lost()
    world.connected(token="t")
    for _ in range(5):
        world.connected()
    assert second.closed is None


def test_only_connected_sessions_are_reached_by_their_user(world):
    world.connected()
    world.client()
    assert len(world.node.sessions_of("")) == 1 and world.node.sessions_of("nobody") == []


# A broker that is away


def test_a_subscribe_that_the_broker_cannot_do_is_100_and_leaves_nothing(world):
    client = world.connected()
    away = Away(world, "subscribe")
    assert client.subscribe("a")["error"] == {"code": 100, "message": "internal server error", "temporary": True}
    assert client.session.subs == {} and "a" not in world.node.hub.channels
    away.away = False
    assert "subscribe" in client.subscribe("a")


@pytest.mark.parametrize("name", ["add_presence", "history"])
def test_a_subscribe_that_fails_half_way_is_taken_back(world, name):
    client = world.connected()
    away = Away(world, name)
    assert client.subscribe("a", recoverable=True)["error"]["code"] == 100
    assert client.session.subs == {} and "a" not in world.node.hub.channels
    assert world.run(world.broker.presence("a")) == {}
    away.away = False
    assert "subscribe" in client.subscribe("a", recoverable=True)


def test_a_join_and_a_leave_that_cannot_be_told_are_logged(world):
    client = world.connected()
    Away(world, "publish_join", "publish_leave", "remove_presence")
    assert "subscribe" in client.subscribe("a")
    client.session.lost()
    assert [text.split(":")[0] for text in world.log.texts("warn")] == ["a join was not told", "a leave was not told"]


def test_presence_is_refreshed_while_the_connection_lasts(world):
    client = world.connected()
    client.subscribe("a")
    for _ in range(20):
        world.pass_time(8)
        client.send()
        assert list(world.run(world.broker.presence("a"))) == [client.session.id]
    client.session.lost()
    assert world.run(world.broker.presence("a")) == {}


def test_a_presence_refresh_that_fails_is_tried_again_next_time(world):
    client = world.connected()
    client.subscribe("a")
    away = Away(world, "add_presence")
    for _ in range(3):
        world.pass_time(10)
        client.send()
    assert any("presence refresh" in text for text in world.log.texts("warn")) and client.closed is None
    away.away = False
    for _ in range(4):
        world.pass_time(10)
        client.send()
    assert list(world.run(world.broker.presence("a"))) == [client.session.id]


# Positions


def recoverable(world, channel="a"):
    client = world.connected()
    client.subscribe(channel, recoverable=True)
    return client


def test_after_a_gap_only_those_who_missed_something_come_back(world):
    missed, fine = recoverable(world, "a"), recoverable(world, "b")
    world.broker._subscribed.discard("a")
    world.publish("a", 1)
    world.node.on_gap(["a", "b", "nobody:here", "unknown"])
    assert [push["code"] for push in missed.pushes("unsubscribe")] == [2500] and world.node.gaps == 1
    assert fine.pushes("unsubscribe") == []


def test_who_comes_back_after_a_gap_recovers(world):
    client = recoverable(world)
    epoch = world.node.hub.channels["a"].epoch
    world.broker._subscribed.discard("a")
    world.publish("a", 1)
    world.node.on_gap(["a"])
    client.take()
    result = client.subscribe("a", recoverable=True, recover=True, offset=0, epoch=epoch)["subscribe"]
    assert result["recovered"] and [item["offset"] for item in result["publications"]] == [1]


def test_subscribers_without_a_position_stay(world):
    client = world.connected()
    client.subscribe("a")
    world.broker._subscribed.discard("a")
    world.publish("a", 1)
    world.node.on_gap(["a"])
    assert client.pushes("unsubscribe") == []


class Top:
    """A broker whose stream tops are what the test says."""

    def __init__(self, world):
        self.top = StreamPosition(0, "")
        self.meanwhile = lambda: None
        world.broker.history = self.history

    async def history(self, channel, wanted, meta_ttl):
        self.meanwhile()
        return HistorySlice([], self.top)


def positioned(world, offset):
    client = recoverable(world)
    for number in range(offset):
        world.publish("a", number)
    world.turn()
    client.take()
    channel = world.node.hub.channels["a"]
    return client, channel, Top(world)


@pytest.mark.parametrize(
    ("top", "epoch", "gap"),
    [(5, None, False), (6, None, True), (4, None, True), (0, None, True), (5, "other", True), (0, "other", True)],
)
def test_a_position_is_compared_with_the_top(world, top, epoch, gap):
    """A top below what was delivered is a failover to a replica that had less."""
    client, channel, broker = positioned(world, 5)
    broker.top = StreamPosition(top, epoch or channel.epoch)
    world.run(world.node.check_positions(["a"]))
    assert bool(client.pushes("unsubscribe")) is gap and world.node.gaps == int(gap)


def test_publications_that_come_while_the_top_is_read_are_no_gap(world):
    client, channel, broker = positioned(world, 5)
    broker.top = StreamPosition(6, channel.epoch)
    epoch = channel.epoch
    broker.meanwhile = lambda: world.node.on_publication("a", Publication(Raw(b"1"), offset=6), epoch)
    world.run(world.node.check_positions(["a"]))
    broker.top = StreamPosition(6, channel.epoch)
    broker.meanwhile = lambda: world.node.on_publication("a", Publication(Raw(b"1"), offset=7), epoch)
    world.run(world.node.check_positions(["a"]))
    world.turn()
    assert [push["offset"] for push in client.pushes()] == [6, 7] and world.node.gaps == 0


def test_after_a_failover_new_subscribers_follow_the_new_stream(world):
    client, channel, broker = positioned(world, 5)
    broker.top = StreamPosition(3, channel.epoch)
    world.run(world.node.check_positions(["a"]))
    assert client.pushes("unsubscribe")
    again = recoverable(world)
    epoch = world.node.hub.channels["a"].epoch
    world.node.on_publication("a", Publication(Raw(b"1"), offset=4), epoch)
    world.turn()
    assert [push["offset"] for push in again.pushes()] == [4] and world.node.gaps == 1


def test_a_position_that_cannot_be_checked_is_no_gap(world):
    client = recoverable(world)
    Away(world, "history")
    world.node.on_gap(["a"])
    assert client.pushes("unsubscribe") == [] and "could not be checked" in world.log.texts("warn")[0]


def test_a_channel_that_everybody_left_while_its_top_was_read_is_no_gap(world):
    client, channel, broker = positioned(world, 5)
    broker.top = StreamPosition(9, channel.epoch)
    broker.meanwhile = client.session.lost
    world.run(world.node.check_positions(["a"]))
    assert world.node.gaps == 0


def test_only_quiet_channels_with_a_position_are_checked(world):
    recoverable(world, "a")
    world.connected().subscribe("b")
    world.clock.advance(39)
    assert world.node.quiet_channels() == []
    world.clock.advance(2)
    assert world.node.quiet_channels() == ["a"]
    world.run(world.node.check_positions(["a"]))
    assert world.node.quiet_channels() == []


# Publications of other programs


def test_a_plain_publish_of_another_program_reaches_subscribers(world):
    client = world.connected()
    client.subscribe("plain:a")
    world.node.on_raw("plain:a", b'{"x":1}')
    world.turn()
    assert client.pushes() == [{"data": {"x": 1}}]


def test_what_may_not_be_published_is_refused_and_logged_once_a_second():
    world = World(json=ChannelOptions(publication_data_format="json", allow_subscribe_for_client=True))
    for _ in range(5):
        world.node.on_raw("json:a", b"no json")
        world.node.on_raw("nowhere:a", b"1")
    assert world.node.refused_raw == 10 and len(world.log.texts("warn")) == 1
    world.clock.advance(1)
    world.node.on_raw("json:a", b"no json")
    assert len(world.log.texts("warn")) == 2 and "no json" not in str(world.log.lines)


def test_pressure_holds_the_broker_back_and_lets_it_go_on(world):
    calls = []
    world.broker.pause, world.broker.resume = lambda: calls.append("pause"), lambda: calls.append("resume")
    world.node.on_pressure(True)
    world.node.on_pressure(False)
    assert calls == ["pause", "resume"]


def test_joins_and_leaves_of_other_nodes_reach_those_who_want_them():
    world = World(all=replace(EVERYTHING, force_push_join_leave=True))
    client = world.connected()
    client.subscribe("all:a")
    world.turn()
    client.take()
    info = ClientInfo("7", "elsewhere")
    world.node.on_join("all:a", info)
    world.node.on_leave("all:a", info)
    world.node.on_join("all:nobody", info)
    world.turn()
    assert [list(reply["push"]) for reply in client.take()] == [["channel", "join"], ["channel", "leave"]]


def test_a_failure_that_was_not_foreseen_is_logged_with_its_traceback_and_a_foreseen_one_as_a_sentence(world):
    client = world.connected()
    world.node.report(client.session, "subscribe", BrokerUnavailable("Redis is away"))
    assert world.log.texts("warn") == ["subscribe: Redis is away"]
    world.node.report(client.session, "subscribe", KeyError("x"))
    (failure,) = [failure for level, _, failure, _ in world.log.lines if level == "error"]
    assert isinstance(failure, KeyError)
    world.log.lines.clear()
