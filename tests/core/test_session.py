"""Sessions over the memory broker: the ordering contract, codes, deadlines (protocol sections 1.4, 3, 4, 5, 6.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import Raw

from rtserver.core import errors
from rtserver.core.options import ClientOptions, PersonalChannelOptions
from rtserver.core.ports import ConnectionClaims, ServerSubscription, SubscriptionClaims
from rtserver.core.session import State
from tests.fakes import EVERYTHING, UNIX, World

ANONYMOUS = ClientOptions(allow_anonymous_connect_without_token=True)


@pytest.fixture
def world():
    world = World()
    yield world
    world.log.check()


def test_connect_and_subscribe_in_one_frame_are_answered_in_order(world):
    client = world.client()
    client.send_frame(
        {"connect": {}, "id": 1}, {"subscribe": {"channel": "a"}, "id": 2}, {"subscribe": {"channel": "b"}, "id": 3}
    )
    assert [reply.get("id") for reply in client.replies] == [1, 2, 3]
    assert client.replies[0]["connect"]["ping"] == 25 and client.replies[0]["connect"]["pong"] is True
    assert client.replies[1]["subscribe"] == {}


def test_a_command_before_connect_ends_the_connection(world):
    client = world.client()
    client.send(id=1, subscribe={"channel": "a"})
    assert client.closed == errors.BAD_FRAME


def test_a_second_connect_ends_the_connection(world):
    client = world.connected()
    client.send(id=2, connect={})
    assert client.closed == errors.BAD_FRAME


@pytest.mark.parametrize(
    "frame", [b"", b"{", b"[]", b"\xff", b'{"id":1}\n\n{"id":2}', b'{"id":1,"ping":{}}', b'{"id":1}']
)
def test_a_bad_frame_ends_the_connection_with_bad_request(world, frame):
    client = world.connected()
    client.session.received_frame(frame)
    assert client.closed == errors.BAD_FRAME


def test_without_token_and_without_permission_connect_is_refused():
    world = World(ClientOptions())
    client = world.client()
    client.send(id=1, connect={})
    assert client.closed == errors.BAD_FRAME


def test_an_expired_token_is_an_error_reply_and_then_nothing_is_read(world):
    client = world.client()
    client.send_frame({"id": 1, "connect": {"token": "expired"}}, {"id": 2, "subscribe": {"channel": "a"}})
    assert client.replies == [{"id": 1, "error": {"code": 109, "message": "token expired"}}]
    assert client.finished and client.session.state is State.REFUSED
    client.send(id=3, subscribe={"channel": "a"})
    assert client.closed == errors.BAD_FRAME


def test_a_forged_token_ends_the_connection_for_good(world):
    client = world.client()
    client.send(id=1, connect={"token": "forged"})
    assert client.closed == errors.INVALID_TOKEN


def test_a_token_of_an_unknown_namespace_channel_is_error_102(world):
    world.tokens.connections["t"] = ConnectionClaims("42", subs={"nowhere:x": ServerSubscription()})
    client = world.client()
    client.send(id=1, connect={"token": "t"})
    assert client.replies[0]["error"]["code"] == 102


def test_the_subscribe_reply_precedes_every_push_of_the_channel(world):
    client, publisher = world.connected(), world.connected()
    client.send(id=2, subscribe={"channel": "a", "join_leave": True})
    publisher.send(id=2, publish={"channel": "a", "data": 1})
    world.turn()
    kinds = [
        ("reply" if "id" in reply else next(key for key in reply["push"] if key != "channel"))
        for reply in client.take()
    ]
    assert kinds == ["reply", "join", "pub"]


def test_a_publication_that_races_with_the_reply_is_not_delivered_twice(world):
    client = world.connected()
    client.send(id=2, subscribe={"channel": "a", "recoverable": True})
    world.publish("a", 1)
    other = world.connected()
    result = other.subscribe("a", recover=True, recoverable=True)
    assert [each["offset"] for each in result["subscribe"]["publications"]] == [1]
    world.turn()
    assert other.pushes() == []
    assert [each["offset"] for each in client.pushes()] == [1]


def test_recovery_gives_what_was_missed_and_the_requested_offset(world):
    for number in range(5):
        world.publish("a", number)
    epoch = world.connected().subscribe("a", recoverable=True)["subscribe"]["epoch"]
    result = world.connected().subscribe("a", recover=True, recoverable=True, offset=2, epoch=epoch)["subscribe"]
    assert [each["offset"] for each in result["publications"]] == [3, 4, 5]
    assert (result["offset"], result["recovered"], result["was_recovering"]) == (2, True, True)


def test_recovery_of_another_epoch_gives_nothing_but_the_top(world):
    world.publish("a", 1)
    result = world.connected().subscribe("a", recover=True, recoverable=True, offset=0, epoch="_")["subscribe"]
    assert result["was_recovering"] and "recovered" not in result and "publications" not in result
    assert result["offset"] == 1


def test_reject_unrecovered_is_error_112(world):
    world.publish("a", 1)
    reply = world.connected().subscribe("a", recover=True, recoverable=True, epoch="_", flag=3)
    assert reply["error"]["code"] == 112


def test_after_unsubscribe_nothing_more_comes_even_from_the_same_turn(world):
    client = world.connected()
    client.subscribe("a")
    world.publish("a", 1)
    client.send(id=3, unsubscribe={"channel": "a"})
    world.turn()
    assert client.take() == [{"id": 3, "unsubscribe": {}}]


def test_a_second_subscribe_is_error_105_and_a_foreign_namespace_102(world):
    client = world.connected()
    client.subscribe("a")
    assert client.subscribe("a")["error"]["code"] == 105
    assert client.subscribe("nowhere:a")["error"]["code"] == 102


@pytest.mark.parametrize("channel", ["é", "x" * 256, "a\x7fb"])
def test_bad_channel_names_are_error_107(world, channel):
    assert world.connected().subscribe(channel)["error"]["code"] == 107


def test_channel_limit_is_error_106():
    world = World(replace(ANONYMOUS, channel_limit=1))
    client = world.connected()
    client.subscribe("a")
    assert client.subscribe("b")["error"]["code"] == 106


def test_private_channels_need_a_token_of_the_same_user_and_channel(world):
    world.tokens.subscriptions["good"] = SubscriptionClaims("", "$secret", info=Raw(b'{"role":"x"}'), data=Raw(b'"hi"'))
    world.tokens.subscriptions["other"] = SubscriptionClaims("", "$other")
    assert world.connected().subscribe("$secret")["error"]["code"] == 103
    assert world.connected().subscribe("$secret", token="forged")["error"]["code"] == 103
    assert world.connected().subscribe("$secret", token="expired")["error"]["code"] == 109
    assert world.connected().subscribe("$secret", token="good")["subscribe"]["data"] == "hi"
    client = world.connected()
    client.send(id=2, subscribe={"channel": "$secret", "token": "other"})
    assert client.closed == errors.INVALID_TOKEN


def test_user_limited_channels_let_only_the_named_users_in():
    world = World(limited=replace(EVERYTHING, allow_user_limited_channels=True))
    world.tokens.connections["t"] = ConnectionClaims("42")
    assert "subscribe" in world.connected(token="t").subscribe("limited:dialog#41,42")
    assert world.connected().subscribe("limited:dialog#41,42")["error"]["code"] == 103


def test_presence_counts_and_forgets(world):
    client, watcher = world.connected(), world.connected()
    client.subscribe("a")
    watcher.send(id=2, presence_stats={"channel": "a"})
    assert watcher.take() == [{"id": 2, "presence_stats": {"num_clients": 1, "num_users": 1}}]
    client.session.lost()
    watcher.send(id=3, presence={"channel": "a"})
    assert watcher.take() == [{"id": 3, "presence": {"presence": {}}}]


def test_features_that_are_off_are_error_108(world):
    client = world.connected()
    for command in (
        {"presence": {"channel": "plain:a"}},
        {"presence_stats": {"channel": "plain:a"}},
        {"history": {"channel": "plain:a"}},
    ):
        client.send(id=2, **command)
    client.send(id=2, rpc={"method": "x"})
    assert [reply["error"]["code"] for reply in client.take()] == [108] * 4


def test_send_without_a_taker_ends_with_3508(world):
    client = world.connected()
    client.send(send={"data": 1})
    assert client.closed == errors.CANNOT_ANSWER


def test_a_leave_is_told_to_others_and_only_after_a_join(world):
    watcher, client = world.connected(), world.connected()
    watcher.subscribe("a", join_leave=True)
    client.subscribe("a")
    client.send(id=3, unsubscribe={"channel": "a"})
    world.turn()
    kinds = [next(key for key in reply["push"] if key != "channel") for reply in watcher.take() if "push" in reply]
    assert kinds == ["join", "join", "leave"]


def test_stale_connections_are_closed():
    world = World(replace(ANONYMOUS, stale_close_delay=10))
    client = world.client()
    world.pass_time(9)
    assert client.closed is None
    world.pass_time(2)
    assert client.closed == errors.STALE


def test_pings_go_out_on_schedule_and_a_missing_pong_ends_the_connection(world):
    client = world.connected()
    world.pass_time(26)
    assert client.take() == [{}]
    client.send()
    world.pass_time(10)
    assert client.closed is None
    world.pass_time(20)
    assert client.closed == errors.NO_PONG


def test_an_expiring_connection_is_closed_after_the_grace(world):
    world.tokens.connections["t"] = ConnectionClaims("42", expire_at=int(UNIX) + 10)
    client = world.client()
    client.send(id=1, connect={"token": "t"})
    assert (client.replies[0]["connect"]["expires"], client.replies[0]["connect"]["ttl"]) == (True, 10)
    for _ in range(6):
        world.pass_time(5)
        client.send()
    assert client.closed is None
    world.pass_time(6)
    assert client.closed == errors.CONNECTION_EXPIRED


def test_a_refresh_lengthens_the_connection_and_must_be_the_same_user(world):
    world.tokens.connections["a"] = ConnectionClaims("42", expire_at=int(UNIX) + 10)
    world.tokens.connections["b"] = ConnectionClaims("42", expire_at=int(UNIX) + 1000)
    world.tokens.connections["c"] = ConnectionClaims("43", expire_at=int(UNIX) + 1000)
    client = world.connected(token="a")
    client.send(id=2, refresh={"token": "b"})
    assert client.take() == [{"id": 2, "refresh": {"expires": True, "ttl": 1000}}]
    client.send(id=3, refresh={"token": "c"})
    assert client.closed == errors.INVALID_TOKEN


def test_an_expired_subscription_is_ended_and_a_sub_refresh_keeps_it(world):
    world.tokens.subscriptions["s"] = SubscriptionClaims("", "a", expire_at=int(UNIX) + 5)
    world.tokens.subscriptions["l"] = SubscriptionClaims("", "a", expire_at=int(UNIX) + 20)
    client = world.connected()
    assert client.subscribe("a", token="s")["subscribe"]["ttl"] == 5
    client.send(id=2, sub_refresh={"token": "l"})
    assert client.take() == [{"id": 2, "sub_refresh": {"expires": True, "ttl": 20}}]
    for _ in range(8):
        world.pass_time(5)
        client.send()
    assert client.pushes("unsubscribe") == []
    world.pass_time(6)
    assert client.pushes("unsubscribe") == [{"code": 2501, "reason": "subscription expired"}]


def test_server_side_subscriptions_come_in_the_connect_reply(world):
    world.tokens.connections["t"] = ConnectionClaims("42", subs={"a": ServerSubscription(data=Raw(b"[1]"))})
    client = world.client()
    client.send(id=1, connect={"token": "t"})
    assert client.replies[0]["connect"]["subs"] == {"a": {"data": [1]}}
    world.publish("a", 1)
    world.turn()
    assert [each["data"] for each in client.pushes()] == [1]


def test_a_personal_channel_with_one_connection_ends_the_older_one():
    personal = PersonalChannelOptions(enabled=True, single_connection=True)
    world = World(replace(ANONYMOUS, subscribe_to_user_personal_channel=personal))
    from rtserver.cluster import Cluster

    Cluster(world.node, "n")
    world.tokens.connections["t"] = ConnectionClaims("42")
    older = world.connected(token="t")
    newer = world.connected(token="t")
    assert older.closed == errors.CONNECTION_LIMIT and newer.closed is None
    assert "#42" in newer.session.subs


def test_the_user_connection_limit_refuses_one_too_many():
    world = World(replace(ANONYMOUS, user_connection_limit=1))
    world.tokens.connections["t"] = ConnectionClaims("42")
    world.connected(token="t")
    client = world.client()
    client.send(id=1, connect={"token": "t"})
    assert client.closed == errors.CONNECTION_LIMIT


def test_a_payload_that_is_not_json_ends_json_connections_only(world):
    json_client, protobuf_client = world.connected(), world.client("websocket/protobuf")
    json_client.subscribe("plain:a")
    protobuf_client.session.received_frame(bytes.fromhex("0408012200"))
    protobuf_client.session.received_frame(bytes.fromhex("0d08022a090a07706c61696e3a61"))
    assert "plain:a" in protobuf_client.session.subs
    world.publish("plain:a", b"\x00\x01")
    world.turn()
    assert json_client.closed == errors.INAPPROPRIATE_PROTOCOL
    assert protobuf_client.closed is None and b"\x00\x01" in b"".join(protobuf_client.written)


def test_unidirectional_clients_get_bare_pushes_and_no_pong_duty(world):
    client = world.client("uni_websocket/json")
    world.spawn(client.session.connect_unidirectional(_request({"subs": {"a": {}}})))
    world.publish("a", 1)
    world.turn()
    pushes = client.take()
    assert pushes[0]["connect"]["subs"] == {"a": {}} and "pong" not in pushes[0]["connect"]
    assert pushes[1] == {"channel": "a", "pub": {"data": 1, "offset": 1}}


def _request(body):
    import msgspec

    from rtserver.core.messages import ConnectRequest

    return msgspec.convert(body, ConnectRequest)


class SlowRpc:
    """Answers calls when the test says so."""

    def __init__(self, world):
        from twisted.internet.defer import Deferred

        self.calls = []

        async def answer(asked):
            self.calls.append(Deferred())
            return await self.calls[-1]

        world.hooks.answers["rpc"] = answer


def test_commands_wait_for_the_one_before_and_reading_pauses_meanwhile(world):
    slow, client = SlowRpc(world), world.connected()
    client.send(id=2, rpc={"method": "a"})
    client.send(id=3, presence={"channel": "a"})
    assert client.paused and client.take() == []
    slow.calls[0].callback(Raw(b"1"))
    assert [reply["id"] for reply in client.take()] == [2, 3] and not client.paused


def test_concurrency_lets_commands_overtake_but_not_a_subscribe():
    world = World(replace(ANONYMOUS, concurrency=2))
    slow, client = SlowRpc(world), world.connected()
    client.send_frame(
        {"id": 2, "rpc": {}}, {"id": 3, "rpc": {}}, {"id": 4, "rpc": {}}, {"id": 5, "subscribe": {"channel": "a"}}
    )
    assert len(slow.calls) == 2
    slow.calls[1].callback(Raw(b"1"))
    assert [reply["id"] for reply in client.take()] == [3] and len(slow.calls) == 3
    slow.calls[2].callback(Raw(b"1"))
    slow.calls[0].callback(Raw(b"1"))
    assert [reply["id"] for reply in client.take()] == [4, 2, 5]


def test_a_thousand_commands_in_one_frame_are_all_answered(world):
    client = world.connected()
    client.send_frame(*({"id": number, "presence": {"channel": "a"}} for number in range(1, 1001)))
    assert [reply["id"] for reply in client.take()] == list(range(1, 1001))


def test_a_client_that_leaves_during_a_command_gets_nothing_and_leaves_nothing(world):
    slow, client = SlowRpc(world), world.connected()
    client.send(id=2, rpc={})
    client.session.lost()
    slow.calls[0].callback(Raw(b"1"))
    assert client.take() == [] and world.node.open_sessions == {}
