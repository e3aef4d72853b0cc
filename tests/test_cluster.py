"""Several nodes as one server: what addresses a user reaches every node, and each knows of the others."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred

from rtserver.cluster import INFO_INTERVAL, NODE_TTL, SURVEY_TIMEOUT, Cluster
from rtserver.core import control, errors
from rtserver.core.control import Farewell, NodeInfo, RefreshUser, SubscribeUser, Survey, Target
from rtserver.core.errors import BrokerUnavailable
from rtserver.core.messages import ConnectRequest
from rtserver.core.ports import ConnectionClaims, ServerSubscription
from tests.fakes import EVERYTHING, UNIX, World


class Bus:
    """The control channel of all nodes. ``deaf`` ones get nothing."""

    def __init__(self):
        self.nodes = {}
        self.deaf = set()
        self.sent = []

    async def send(self, message, node=""):
        self.sent.append((message, node))
        for id, cluster in list(self.nodes.items()):
            if id not in self.deaf and node in ("", id):
                cluster.received(message)


class Place(World):
    """One node of several."""

    def __init__(self, bus, id, **namespaces):
        super().__init__(**namespaces)
        new_id = self.env.new_id
        self.node.env = self.env = replace(self.env, node_id=id, new_id=lambda: f"{id}/{new_id()}")
        self.broker.publish_control = bus.send
        self.tokens.connections["t"] = ConnectionClaims("42")
        self.cluster = bus.nodes[id] = Cluster(self.node, f"name of {id}")


@pytest.fixture
def bus():
    return Bus()


@pytest.fixture
def places(bus):
    places = [Place(bus, "n1"), Place(bus, "n2")]
    meet(places)
    yield places
    for place in places:
        place.log.check()


def meet(places):
    for place in places:
        place.run(place.cluster.tell())


def pass_time(places, seconds):
    for place in places:
        place.pass_time(seconds)


# What reaches a user wherever the connection is


def test_a_disconnect_reaches_every_node_but_not_the_whitelist(places):
    here, there = (place.connected(token="t") for place in places)
    kept = places[1].connected(token="t")
    other = places[1].connected()
    target = Target("42", whitelist=[kept.session.id])
    places[0].run(places[0].cluster.disconnect(target, errors.FORCE_DISCONNECT))
    assert here.closed == there.closed == errors.FORCE_DISCONNECT
    assert kept.closed is None and other.closed is None


def slow_subscribe(place):
    """Who connects with the token "slow" waits for its channel until the test says so."""
    place.tokens.connections["slow"] = ConnectionClaims("42", subs={"a": ServerSubscription()})
    gate, subscribe = Deferred(), place.broker.subscribe

    async def slow(channel):
        await gate
        await subscribe(channel)

    place.broker.subscribe = slow
    return gate


def test_who_is_thrown_out_while_connecting_does_not_get_in(places):
    here, there = places
    gate, late = slow_subscribe(there), there.client()
    late.send(id=1, connect={"token": "slow"})
    here.run(here.cluster.disconnect(Target("42"), errors.FORCE_DISCONNECT))
    gate.callback(None)
    there.turn()
    assert late.closed == errors.FORCE_DISCONNECT and late.replies == []
    assert there.node.users == {} and "a" not in there.node.hub.channels


def test_of_two_who_connect_at_once_to_be_alone_none_ends_the_other(places):
    gates, clients = [slow_subscribe(place) for place in places], [place.client() for place in places]
    for client in clients:
        client.send(id=1, connect={"token": "slow"})
    for place, client in zip(places, clients, strict=True):
        place.run(place.node.replace_others(client.session, "#42"))
    for gate in gates:
        gate.callback(None)
    assert [client.closed for client in clients] == [None, None]


def test_a_session_secret_narrows_the_target(places):
    first = places[1].client("http_stream/json", emulation=True)
    second = places[1].client("http_stream/json", emulation=True)
    for client in (first, second):
        client.session.received_frame(b'{"id":1,"connect":{"token":"t"}}')
    target = Target("42", session=first.session.secret)
    places[0].run(places[0].cluster.disconnect(target, errors.FORCE_DISCONNECT))
    assert first.closed == errors.FORCE_DISCONNECT and second.closed is None


def test_a_personal_channel_ends_the_other_connection_on_another_node(places):
    old = places[1].connected(token="t")
    new = places[0].connected(token="t")
    places[0].run(places[0].node.replace_others(new.session, "#42"))
    assert old.closed == errors.CONNECTION_LIMIT and new.closed is None


def test_an_unsubscribe_is_told_to_every_connection_of_the_user(places):
    inside, outside = (place.connected(token="t") for place in places)
    inside.subscribe("a")
    places[1].run(places[1].cluster.unsubscribe(Target("42"), "a"))
    assert (
        inside.pushes("unsubscribe")
        == outside.pushes("unsubscribe")
        == [{"code": 2000, "reason": "server unsubscribe"}]
    )
    assert inside.session.subs == {}


def test_after_an_unsubscribe_nothing_of_the_channel_comes(places):
    client = places[0].connected(token="t")
    client.subscribe("a")
    places[0].publish("a", 1)
    places[1].run(places[1].cluster.unsubscribe(Target("42"), "a"))
    places[0].turn()
    assert list(client.take()[-1]["push"]) == ["channel", "unsubscribe"]


def test_a_refresh_reaches_every_node(places):
    clients = [place.connected(token="t") for place in places]
    message = RefreshUser("n1", Target("42"), expire_at=int(UNIX) + 50, info=b'{"n":1}')
    places[0].run(places[0].cluster.refresh(message))
    assert [client.pushes("refresh") for client in clients] == [[{"expires": True, "ttl": 50}]] * 2
    places[0].run(places[0].cluster.refresh(RefreshUser("n1", Target("42"), expired=True)))
    assert [client.closed for client in clients] == [errors.CONNECTION_EXPIRED] * 2


def test_a_refresh_without_end_takes_the_end_away(places):
    places[0].tokens.connections["short"] = ConnectionClaims("42", expire_at=int(UNIX) + 10)
    client = places[0].connected(token="short")
    places[1].run(places[1].cluster.refresh(RefreshUser("n2", Target("42"))))
    assert client.pushes("refresh") == [{}] and client.session.expires_at == 0


# Server-side subscriptions at run time


def subscribe(place, channel="a", **more):
    place.run(place.cluster.subscribe(SubscribeUser(place.cluster.id, Target("42"), channel, **more)))


def test_a_subscribe_push_comes_before_the_publications(places):
    client = places[1].connected(token="t")
    subscribe(places[0], data=b'{"x":1}')
    places[1].publish("a", 1)
    places[1].turn()
    kinds = [next(key for key in reply["push"] if key != "channel") for reply in client.take()]
    assert kinds[0] == "subscribe" and "pub" in kinds


def slow_history(place):
    """History that the broker gives when the test says so."""
    gate = Deferred()
    read = place.broker.history

    async def history(*args):
        outcome = await read(*args)
        await gate
        return outcome

    place.broker.history = history
    return gate


def test_what_races_in_comes_after_the_push_and_once(bus):
    place = Place(bus, "n1", forced=replace(EVERYTHING, force_recovery=True))
    client = place.connected(token="t")
    gate = slow_history(place)
    subscribe(place, "forced:a")
    place.publish("forced:a", 1)
    place.turn()
    assert client.take() == []
    gate.callback(None)
    place.publish("forced:a", 2)
    place.turn()
    first, *rest = [reply["push"] for reply in client.take()]
    assert first["subscribe"]["offset"] == 1
    assert [push["pub"]["offset"] for push in rest if "pub" in push] == [2]


def test_a_second_subscribe_to_the_same_channel_changes_nothing(places):
    client = places[0].connected(token="t")
    client.subscribe("a")
    subscribe(places[1])
    assert client.take() == [] and not client.session.subs["a"].server_side


def test_a_client_that_leaves_while_it_is_subscribed_leaves_nothing(bus):
    place = Place(bus, "n1", forced=replace(EVERYTHING, force_recovery=True))
    client = place.connected(token="t")
    gate = slow_history(place)
    subscribe(place, "forced:a")
    client.session.lost()
    gate.callback(None)
    assert "forced:a" not in place.node.hub.channels and client.take() == []
    place.log.check()


def test_a_channel_that_a_node_does_not_know_is_logged_there(places):
    places[1].connected(token="t")
    subscribe(places[0], "nowhere:a")
    assert "unexpected" not in places[1].log.texts("error")


def test_an_unsubscribe_during_a_subscribe_of_the_client_wins(bus):
    place = Place(bus, "n1")
    client = place.connected(token="t")
    gate = slow_history(place)
    client.send(id=2, subscribe={"channel": "a", "recoverable": True})
    place.run(place.cluster.unsubscribe(Target("42"), "a"))
    gate.callback(None)
    assert client.take()[-1] == {"id": 2, "error": {"code": 103, "message": "permission denied"}}
    assert client.session.subs == {} and "a" not in place.node.hub.channels
    place.publish("a", 1)
    place.turn()
    assert client.take() == [] and client.closed is None
    place.log.check()


# Knowing each other


def uids(place):
    return [node.sender for node in place.cluster.nodes()]


def test_nodes_know_of_each_other_until_one_is_silent_for_too_long(places):
    assert [uids(place) for place in places] == [["n1", "n2"], ["n2", "n1"]]
    pass_time(places, INFO_INTERVAL)
    places[0].run(places[0].cluster.tell())
    pass_time(places, NODE_TTL - INFO_INTERVAL + 0.5)
    assert uids(places[1]) == ["n2", "n1"] and uids(places[0]) == ["n1"]


def test_a_farewell_is_believed_at_once(places):
    places[1].run(places[1].cluster.leave())
    assert uids(places[0]) == ["n1"]


def test_the_numbers_of_a_node_are_its_own(places):
    for number in range(3):
        places[1].connected(token="t").subscribe(f"c{number % 2}")
    places[1].connected()
    meet(places)
    info = places[0].cluster.nodes()[1]
    assert (info.name, info.num_clients, info.num_users, info.num_channels, info.num_subs) == ("name of n2", 4, 2, 2, 3)


@pytest.mark.parametrize("act", ["tell", "leave"])
def test_a_broker_that_is_away_does_not_stop_the_rounds(places, act):
    async def away(message, node=""):
        raise BrokerUnavailable("away")

    places[0].broker.publish_control = away
    places[0].run(getattr(places[0].cluster, act)())
    assert places[0].log.texts("error") == []


# Surveys


def test_channels_are_the_union_of_all_nodes(places):
    places[0].connected().subscribe("a")
    for place in places:
        place.connected().subscribe("b")
    assert places[0].run(places[0].cluster.channels("")) == {"a": 1, "b": 2}
    assert places[1].run(places[1].cluster.channels("[a]")) == {"a": 1}


def test_a_silent_node_is_waited_for_only_so_long(bus, places):
    places[0].connected().subscribe("a")
    bus.deaf.add("n2")
    found = []
    Deferred.fromCoroutine(places[0].cluster.channels("")).addCallback(found.append)
    places[0].pass_time(SURVEY_TIMEOUT - 0.25)
    assert found == []
    places[0].pass_time(0.5)
    assert found == [{"a": 1}] and places[0].cluster._surveys == {}


def test_a_late_answer_harms_nobody(places):
    places[0].cluster.received(b'{"kind":"surveyanswer","sender":"n2","id":"gone","channels":{"a":1}}')
    assert places[0].cluster._surveys == {}


def test_a_survey_that_cannot_be_sent_is_told_to_who_asked(places):
    async def away(message, node=""):
        raise BrokerUnavailable("away")

    places[0].broker.publish_control = away
    with pytest.raises(BrokerUnavailable):
        places[0].run(places[0].cluster.channels(""))
    assert places[0].cluster._surveys == {}
    places[1].broker.publish_control = away
    places[1].cluster.received(control.encode(Survey("n1", "s")))
    assert "could not be answered" in places[1].log.texts("warn")[0]


# Emulation


def emulation_client(place):
    client = place.client("http_stream/json", emulation=True)
    client.session.received_frame(b'{"id":1,"connect":{}}')
    client.written.clear()
    return client


def test_a_command_reaches_its_connection_on_another_node_and_only_that_node(bus, places):
    client = emulation_client(places[1])
    bus.sent.clear()
    frame = b'{"id":2,"subscribe":{"channel":"a"}}'
    assert places[0].cluster.emulate("n2", client.session.secret, frame)
    assert json.loads(client.written[0])["id"] == 2 and [node for _, node in bus.sent] == ["n2"]


def test_bytes_of_any_kind_pass_between_nodes(places):
    client = places[1].client("http_stream/protobuf", emulation=True)
    client.session.received_frame(bytes.fromhex("0408012200"))
    client.written.clear()
    assert places[0].cluster.emulate("n2", client.session.secret, bytes.fromhex("0d08022a090a07706c61696e3a61"))
    assert client.written[0][1:3] == b"\x08\x02"


def test_a_node_that_is_not_known_is_told_and_an_unknown_session_is_not(places):
    assert not places[0].cluster.emulate("n3", "s", b"{}")
    assert places[0].cluster.emulate("n1", "nobody", b"{}") and places[0].cluster.emulate("n2", "nobody", b"{}")


def test_a_command_that_cannot_be_passed_on_is_logged(places):
    async def away(message, node=""):
        raise BrokerUnavailable("away")

    places[0].broker.publish_control = away
    assert places[0].cluster.emulate("n2", "s", b"{}")
    assert "could not be passed on" in places[0].log.texts("warn")[0]


def test_a_unidirectional_client_cannot_send_commands_by_its_secret(places):
    place = places[0]
    client = place.client("uni_sse/json")
    place.spawn(client.session.connect_unidirectional(ConnectRequest()))
    client.written.clear()
    assert place.cluster.emulate("n1", client.session.secret, b'{"id":2,"subscribe":{"channel":"a"}}')
    assert client.written == [] and client.session.subs == {} and client.closed is None


# Messages


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"kind":"future","sender":"n9"}',
        b'{"kind":"farewell"}',
        b'{"kind":"farewell","sender":"\xff"}',
    ],
)
def test_a_message_that_cannot_be_read_is_logged_and_not_raised(places, data):
    places[0].cluster.received(data)
    assert "cannot be read" in places[0].log.texts("warn")[0]


def test_more_fields_from_a_newer_version_are_passed_over(places):
    data = b'{"kind":"nodeinfo","sender":"n3","name":"new","version":"9","colour":"blue"}'
    places[0].cluster.received(data)
    assert uids(places[0]) == ["n1", "n2", "n3"]


def test_an_override_that_this_version_does_not_know_is_passed_over(places):
    client = places[0].connected(token="t")
    places[0].cluster.received(control.encode(SubscribeUser("n2", Target("42"), "a", override={"new": True})))
    assert "a" in client.session.subs


def test_an_own_message_about_itself_is_no_other_node(places):
    places[0].cluster.received(control.encode(NodeInfo("n1", "x", "1")))
    places[0].cluster.received(control.encode(Farewell("n1")))
    assert uids(places[0]) == ["n1", "n2"]


def test_payloads_of_any_bytes_survive_the_way(places):
    message = SubscribeUser(
        "n1", Target("42", "c", "s", ["w"]), "ch", b"\x00\xff", b'{"a":1}', 5, "e", {"presence": True}, 9
    )
    assert control.decode(control.encode(message)) == message
