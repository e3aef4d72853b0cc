"""Every method of the HTTP API (protocol section 9.2)."""

from __future__ import annotations

import base64
import json

import pytest
from msgspec import Raw

from rtserver.core import errors
from rtserver.core.messages import ClientInfo, Publication
from rtserver.core.options import ChannelOptions
from rtserver.core.ports import ConnectionClaims
from tests.api_house import ApiHouse
from tests.fakes import UNIX, World


@pytest.fixture
def house():
    formats = {
        name.replace("json_object", "object"): ChannelOptions(
            publication_data_format=name, history_size=9, history_ttl=60
        )
        for name in ("json", "json_object", "binary")
    }
    house = ApiHouse(world=World(**formats))
    house.world.tokens.connections["t"] = ConnectionClaims("42")
    yield house
    house.world.log.check()


# publish and broadcast


def test_publish_answers_with_the_position_and_delivers(house):
    client = house.world.connected()
    client.subscribe("a")
    result = house.result("publish", channel="a", data={"n": 1}, tags={"k": "v"})
    assert result["offset"] == 1 and result["epoch"]
    house.world.turn()
    assert client.pushes() == [{"data": {"n": 1}, "offset": 1, "tags": {"k": "v"}}]


def test_publish_without_history_has_no_position(house):
    assert house.result("publish", channel="plain:a", data=1) == {}
    assert house.result("publish", channel="a", data=1, skip_history=True) == {}


@pytest.mark.parametrize("data", [0, False, "", [], {}, "text"])
def test_any_json_value_but_null_is_data(house, data):
    assert house.result("publish", channel="a", data=data)["offset"] == 1


def test_b64data_wins_over_data(house):
    house.result("publish", channel="a", data=1, b64data=base64.b64encode(b'{"x":2}').decode())
    assert house.result("history", channel="a", limit=1)["publications"] == [{"data": {"x": 2}, "offset": 1}]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"data": 1}, "channel is missing"),
        ({"channel": "", "data": 1}, "channel is missing"),
        ({"channel": "a"}, "empty"),
        ({"channel": "a", "data": None}, "empty"),
        ({"channel": "a", "b64data": "not base64"}, "base64"),
        ({"channel": "a", "b64data": "YWJj_-=="}, "base64"),
        ({"channel": "json:a", "b64data": "AAE="}, "not JSON"),
        ({"channel": "object:a", "data": [1]}, "not a JSON object"),
    ],
)
def test_what_cannot_be_published_is_107_with_a_sentence(house, body, word):
    error = house.error("publish", **body)
    assert error["code"] == 107 and error["message"].startswith("bad request: ") and word in error["message"]


def test_data_that_no_subscriber_could_be_sent_is_107(house):
    deep = "[" * 600 + "]" * 600
    answer = house.raw("publish", b'{"channel":"a","data":' + deep.encode() + b"}").json
    assert answer["error"]["code"] == 107 and "nests" in answer["error"]["message"]


def test_the_formats_admit_what_they_say(house):
    assert house.result("publish", channel="json:a", data=[1])["offset"] == 1
    assert house.result("publish", channel="object:a", data={})["offset"] == 1
    assert house.result("publish", channel="binary:a", b64data="AAE=")["offset"] == 1
    assert house.result("publish", channel="binary:a")["offset"] == 2


def test_an_unknown_namespace_is_102_and_names_are_not_checked_otherwise(house):
    assert house.error("publish", channel="nowhere:a", data=1)["code"] == 102
    assert house.result("publish", channel="é" * 300, data=1)["offset"] == 1


def test_a_repeat_with_the_same_key_and_an_old_version_deliver_nothing(house):
    first = house.result("publish", channel="a", data=1, idempotency_key="k")
    assert house.result("publish", channel="a", data=2, idempotency_key="k") == first
    assert house.result("publish", channel="a", data=1, version=5)["offset"] == 2
    assert house.result("publish", channel="a", data=1, version=5)["offset"] == 2
    assert house.result("publish", channel="a", data=1, version=6)["offset"] == 3


def test_a_publication_may_ask_for_deltas(house):
    client = house.world.connected()
    client.subscribe("a", delta="fossil")
    for number in range(2):
        house.result("publish", channel="a", data={"pad": "x" * 300, "n": number}, delta=True)
        house.world.turn()
    assert [push.get("delta", False) for push in client.pushes()] == [False, True]


def test_broadcast_answers_for_each_channel_in_order(house):
    responses = house.result("broadcast", channels=["a", "nowhere:b", "plain:c", "a", ""], data=1)["responses"]
    assert [response.get("result", {}).get("offset") for response in responses] == [1, None, None, 2, None]
    assert responses[1]["error"]["code"] == 102 and responses[2]["result"] == {}
    assert responses[4]["error"]["code"] == 107


def test_broadcast_to_nobody_is_107(house):
    assert "name at least one" in house.error("broadcast", channels=[], data=1)["message"]


def test_the_key_of_a_broadcast_acts_per_channel(house):
    for _ in range(2):
        responses = house.result("broadcast", channels=["a", "b"], data=1, idempotency_key="k")["responses"]
        assert [response["result"]["offset"] for response in responses] == [1, 1]


# presence, history, channels, info


def test_presence_and_its_stats(house):
    assert house.result("presence", channel="a") == {"presence": {}}
    assert house.result("presence_stats", channel="a") == {"num_clients": 0, "num_users": 0}
    client = house.world.connected(token="t")
    client.subscribe("a")
    id = client.session.id
    assert house.result("presence", channel="a") == {"presence": {id: {"user": "42", "client": id}}}
    assert house.result("presence_stats", channel="a") == {"num_clients": 1, "num_users": 1}


def test_history_gives_publications_and_the_top(house):
    empty = house.result("history", channel="a", limit=10)
    assert (empty["publications"], empty["offset"]) == ([], 0) and empty["epoch"]
    for number in range(3):
        house.world.publish("a", number, tags={"n": str(number)})
    only = house.result("history", channel="a")
    assert (only["publications"], only["offset"]) == ([], 3)
    found = house.result("history", channel="a", limit=-1, since={"offset": 1, "epoch": only["epoch"]})
    assert found["publications"] == [
        {"data": 1, "offset": 2, "tags": {"n": "1"}},
        {"data": 2, "offset": 3, "tags": {"n": "2"}},
    ]
    newest = house.result("history", channel="a", limit=1, reverse=True)
    assert [item["offset"] for item in newest["publications"]] == [3]


def test_history_of_another_epoch_is_112_and_backwards_from_nothing_100(house):
    house.world.publish("a", 1)
    assert house.error("history", channel="a", since={"offset": 0, "epoch": "other"})["code"] == 112
    assert house.error("history", channel="a", since={"offset": 0, "epoch": ""}, reverse=True)["code"] == 100


def test_history_is_not_capped_for_backends(house):
    many = ChannelOptions(history_size=1000, history_ttl=60)
    house = ApiHouse(world=World(many=many))
    for number in range(400):
        house.world.publish("many:a", number)
    assert len(house.result("history", channel="many:a", limit=-1)["publications"]) == 400


def test_history_remove_keeps_the_position(house):
    house.world.publish("a", 1)
    assert house.result("history_remove", channel="a") == {}
    after = house.result("history", channel="a", limit=-1)
    assert (after["publications"], after["offset"]) == ([], 1)


@pytest.mark.parametrize("method", ["presence", "presence_stats", "history", "history_remove"])
def test_features_that_are_off_are_108_and_names_are_needed(house, method):
    assert house.error(method, channel="plain:a")["code"] == 108
    assert house.error(method, channel="nowhere:a")["code"] == 102
    assert house.error(method)["code"] == 107


FORGED = b'1},{"data":2,"info":{"user":"admin","client":"x"}'


@pytest.mark.parametrize("data", [b"\x00\x01", FORGED, b"\xff", b"{", b'{"a":1}}'])
def test_bytes_that_are_no_json_come_as_base64_and_cannot_forge_an_answer(house, data):
    house.world.publish("a", data)
    info = ClientInfo("42", "c", Raw(data), Raw(data))
    house.world.run(house.world.node.publish("plain:a", Publication(Raw(data), info), _stored(house)))
    house.world.run(house.world.broker.add_presence("a", "c", info))
    carried = base64.b64encode(data).decode()
    (item,) = house.result("history", channel="a", limit=1)["publications"]
    assert item == {"data": carried, "offset": 1}
    (entry,) = house.result("presence", channel="a")["presence"].values()
    assert entry == {"user": "42", "client": "c", "conn_info": carried, "chan_info": carried}


def test_an_absent_payload_is_left_out(house):
    info = ClientInfo("", "c", Raw(b""), Raw(b""))
    house.world.run(house.world.broker.add_presence("a", "c", info))
    assert house.result("presence", channel="a") == {"presence": {"c": {"user": "", "client": "c"}}}


def _stored(house):
    channels = house.world.env.channels
    return channels.publish_options(channels.options("a"))


def test_channels_lists_those_with_subscribers_and_a_glob_narrows_them(house):
    for channel in ("a", "b", "plain:a"):
        house.world.connected().subscribe(channel)
    house.world.connected().subscribe("a")
    assert house.result("channels") == {
        "channels": {"a": {"num_clients": 2}, "b": {"num_clients": 1}, "plain:a": {"num_clients": 1}}
    }
    assert list(house.result("channels", pattern="plain:*")["channels"]) == ["plain:a"]
    assert house.result("channels", pattern="nothing") == {"channels": {}}


def test_info_has_every_number_also_when_it_is_zero(house):
    (node,) = house.result("info")["nodes"]
    zeros = ("num_clients", "num_users", "num_channels", "num_subs", "uptime")
    assert node == {"uid": "n1", "name": "here", "version": "1.0", **dict.fromkeys(zeros, 0)}
    house.world.connected(token="t").subscribe("a")
    house.world.clock.advance(5)
    (node,) = house.result("info")["nodes"]
    assert [node[name] for name in zeros] == [1, 1, 1, 1, 5]


def test_rpc_is_104(house):
    assert house.error("rpc", method="x")["code"] == 104


# Reaching into connections


def test_subscribe_puts_every_connection_of_the_user_into_the_channel(house):
    clients = [house.world.connected(token="t") for _ in range(2)]
    other = house.world.connected()
    assert house.result("subscribe", user="42", channel="a", data={"x": 1}, info={"role": "y"}) == {}
    for client in clients:
        assert client.take()[0] == {"push": {"channel": "a", "subscribe": {"data": {"x": 1}}}}
    assert other.take() == [] and "a" not in other.session.subs
    infos = house.result("presence", channel="a")["presence"].values()
    assert [info["chan_info"] for info in infos] == [{"role": "y"}] * 2


def test_subscribe_may_bring_bytes(house):
    client = house.world.connected(token="t")
    house.result("subscribe", user="42", channel="a", b64info=base64.b64encode(b"\x00").decode())
    assert "a" in client.session.subs and bytes(client.session.subs["a"].info.chan_info) == b"\x00"


def test_subscribe_data_that_a_json_client_cannot_be_sent_ends_its_connection(house):
    client = house.world.connected(token="t")
    house.result("subscribe", user="42", channel="a", b64data=base64.b64encode(b"\x00").decode())
    assert client.closed == errors.INAPPROPRIATE_PROTOCOL and "a" not in house.world.node.hub.channels


def test_subscribe_can_override_and_expire(house):
    client = house.world.connected(token="t")
    override = {"force_recovery": {"value": True}, "presence": {"value": False}, "join_leave": None}
    house.result("subscribe", user="42", channel="a", override=override, expire_at=int(UNIX) + 10)
    push = client.pushes("subscribe")[0]
    assert push["recoverable"] and push["positioned"] and push["epoch"]
    assert house.result("presence", channel="a") == {"presence": {}}
    assert client.session.subs["a"].expire_at > 0


def test_an_override_that_is_not_known_is_107(house):
    error = house.error("subscribe", user="42", channel="a", override={"nothing": {"value": True}})
    assert error["code"] == 107 and "force_recovery" in error["message"]


def test_one_connection_of_a_user_can_be_named(house):
    first, second = house.world.connected(token="t"), house.world.connected(token="t")
    house.result("subscribe", user="42", channel="a", client=first.session.id)
    assert "a" in first.session.subs and "a" not in second.session.subs
    house.result("disconnect", user="42", client=second.session.id)
    assert first.closed is None and second.closed == errors.FORCE_DISCONNECT


def test_unsubscribe_takes_out_and_tells_also_those_who_are_not_in(house):
    inside, outside = house.world.connected(token="t"), house.world.connected(token="t")
    inside.subscribe("a")
    house.result("unsubscribe", user="42", channel="a")
    push = {"code": 2000, "reason": "server unsubscribe"}
    assert inside.pushes("unsubscribe") == [push] and outside.pushes("unsubscribe") == [push]
    assert "a" not in inside.session.subs


@pytest.mark.parametrize("method", ["subscribe", "unsubscribe"])
def test_an_empty_or_unknown_channel_is_refused(house, method):
    assert house.error(method, user="42", channel="")["code"] == 107
    assert house.error(method, user="42", channel="nowhere:a")["code"] == 102


def test_disconnect_closes_all_but_those_on_the_list(house):
    clients = [house.world.connected(token="t") for _ in range(3)]
    anonymous = house.world.connected()
    house.result("disconnect", user="42", whitelist=[clients[0].session.id])
    assert [client.closed for client in clients] == [None, errors.FORCE_DISCONNECT, errors.FORCE_DISCONNECT]
    assert anonymous.closed is None
    house.result("disconnect", user="", disconnect={"code": 4100, "reason": "come back"})
    assert anonymous.closed == (4100, "come back")


@pytest.mark.parametrize("code", [0, 1000, 3503, 3999, 5000, -1])
def test_a_code_out_of_the_range_for_applications_is_107(house, code):
    error = house.error("disconnect", user="42", disconnect={"code": code, "reason": "x"})
    assert error["code"] == 107 and "4000" in error["message"]


@pytest.mark.parametrize("reason", ["x" * 124, "é" * 62, "null", "12", "true", '"text"', '{"reconnect":true}', " 1 "])
def test_a_reason_that_no_close_frame_can_carry_or_sdks_misread_is_107(house, reason):
    client = house.world.connected(token="t")
    assert house.error("disconnect", user="42", disconnect={"code": 4000, "reason": reason})["code"] == 107
    assert client.closed is None


def test_a_reason_of_123_bytes_is_no_error(house):
    assert house.result("disconnect", user="42", disconnect={"code": 4000, "reason": "x" * 123}) == {}


def test_refresh_changes_the_end_of_a_connection(house):
    client = house.world.connected(token="t")
    house.result("refresh", user="42", expire_at=int(UNIX) + 100)
    assert client.pushes("refresh") == [{"expires": True, "ttl": 100}]
    house.result("refresh", user="42", info={"n": 2})
    assert client.pushes("refresh") == [{}] and json.loads(bytes(client.session.info)) == {"n": 2}
    house.result("refresh", user="42", expired=True)
    assert client.closed == errors.CONNECTION_EXPIRED


def test_a_refresh_into_the_past_ends_the_connection(house):
    client = house.world.connected(token="t")
    house.result("refresh", user="42", expire_at=int(UNIX) - 1)
    assert client.closed == errors.CONNECTION_EXPIRED


@pytest.mark.parametrize("method", ["disconnect", "refresh"])
def test_an_unknown_user_is_no_error(house, method):
    assert house.result(method, user="nobody") == {}


def test_the_broker_s_failure_in_a_broadcast_is_told_per_channel(house):
    async def fail(*args, **named):
        raise errors.BrokerUnavailable("Redis is away")

    house.world.broker.publish = fail
    (response,) = house.result("broadcast", channels=["a"], data=1)["responses"]
    assert response["error"] == {"code": 100, "message": "internal server error: Redis is away", "temporary": True}
