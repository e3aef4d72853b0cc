"""Connect, subscribe, publish, look around: what every SDK does on every transport."""

import pytest

from tests.live.sdk import SdkError
from tests.live.settings import JS_SDKS, JSON_SDKS, PROTOBUF_SDKS, SDKS
from tests.live.tokens import token

every_sdk = pytest.mark.parametrize("sdk", SDKS)


@every_sdk
def test_an_anonymous_client_connects_and_disconnects(sdk, make_client, server):
    client = make_client(sdk, server)
    assert client.open()["client"]
    client.disconnect()
    assert client.wait("disconnected")["code"] == 0


@every_sdk
def test_a_publication_comes_back_to_its_publisher(sdk, make_client, server, channel):
    client = make_client(sdk, server)
    me = client.open()["client"]
    client.enter(channel())
    client.publish(channel(), {"n": 1})
    got = client.wait("publication", channel())
    assert (got["data"], got["info"]) == ({"n": 1}, {"user": "", "client": me})


@every_sdk
@pytest.mark.parametrize(
    "data",
    [
        {"größe": "✓ 🎈 \u2028 \u2029 \x7f"},
        ['\u0000 quotes " and \\ and / and \n newlines \r\n'],
        "a bare text",
        17,
        [],
        {},
        False,
        {"deep": [[[[{"x": [None]}]]]]},
        0.1,
        -1e-7,
    ],
    ids=str,
)
def test_every_kind_of_json_arrives_as_it_was_sent(sdk, data, make_client, server, channel):
    client = make_client(sdk, server)
    client.open()
    client.enter(channel())
    client.publish(channel(), data)
    assert client.data(channel()) == data


@every_sdk
def test_a_large_publication_arrives_whole(sdk, make_client, server, channel):
    client = make_client(sdk, server)
    client.open()
    client.enter(channel())
    data = {"blob": "größe-" * 3000}
    server.publish(channel(), {"blob": "x" * 900_000})
    client.publish(channel(), data)
    assert client.data(channel()) == {"blob": "x" * 900_000}
    assert client.data(channel()) == data


@every_sdk
def test_publications_of_the_api_come_in_order_with_their_tags(sdk, make_client, server, channel):
    client = make_client(sdk, server)
    client.open()
    client.enter(channel("full"))
    for n in range(30):
        server.publish(channel("full"), {"n": n}, tags={"n": str(n)})
    got = [client.wait("publication", channel("full")) for _ in range(30)]
    assert [each["data"]["n"] for each in got] == list(range(30))
    assert [each["tags"]["n"] for each in got] == [str(n) for n in range(30)]
    assert [each["offset"] for each in got] == list(range(1, 31))


@every_sdk
def test_what_one_client_publishes_reaches_the_clients_of_every_sdk(sdk, make_client, server, channel):
    others = [make_client(other, server) for other in SDKS]
    for other in others:
        other.open()
        other.enter(channel())
    publisher = make_client(sdk, server)
    publisher.open()
    publisher.publish(channel(), {"to": "all"})
    assert [other.data(channel()) for other in others] == [{"to": "all"}] * len(others)


@every_sdk
def test_presence_shows_who_is_there_and_goes_with_unsubscribe(sdk, make_client, server, channel):
    client = make_client(sdk, server, token=token("42", info={"name": "Ada"}))
    me = client.open()["client"]
    client.enter(channel("joins"))
    assert client.presence(channel("joins")) == {me: {"user": "42", "client": me, "conn_info": {"name": "Ada"}}}
    assert client.presence_stats(channel("joins")) == (1, 1)
    other = make_client(sdk, server, token=token("42"))
    other.open()
    other.enter(channel("joins"))
    assert client.presence_stats(channel("joins")) == (2, 1)
    other.unsubscribe(channel("joins"))
    assert client.wait("leave", channel("joins"))["info"]["user"] == "42"
    assert client.presence_stats(channel("joins")) == (1, 1)
    client.unsubscribe(channel("joins"))
    other.presence(channel("joins"))
    assert client.presence_stats(channel("joins")) == (0, 0)


@every_sdk
def test_history_is_read_forwards_backwards_and_since_a_position(sdk, make_client, server, channel):
    name = channel("full")
    client = make_client(sdk, server)
    me = client.open()["client"]
    for n in range(1, 6):
        server.publish(name, {"n": n}, tags={"n": str(n)})
    client.publish(name, {"n": 6})

    def numbers(**wanted):
        found = client.history(name, **wanted)
        return [each["data"]["n"] for each in found["publications"]]

    top = client.history(name, limit=0)
    assert (top["offset"], top["publications"]) == (6, [])
    since = {"offset": 3, "epoch": top["epoch"]}
    assert numbers(limit=100) == [1, 2, 3, 4, 5, 6]
    assert numbers(limit=2) == [1, 2]
    assert numbers(limit=-1) == [1, 2, 3, 4, 5, 6]
    assert numbers(limit=2, reverse=True) == [6, 5]
    assert numbers(limit=100, since=since) == [4, 5, 6]
    assert numbers(limit=100, since=since, reverse=True) == [2, 1]
    whole = client.history(name, limit=10)["publications"]
    assert whole[0]["tags"] == {"n": "1"}
    assert whole[5]["info"] == {"user": "", "client": me}
    with pytest.raises(SdkError) as refusal:
        client.history(name, limit=1, since={"offset": 1, "epoch": "other"})
    assert refusal.value.code == 112
    with pytest.raises(SdkError) as refusal:
        client.history(name, limit=1, since={"offset": 0, "epoch": top["epoch"]}, reverse=True)
    assert refusal.value.code == 107


@every_sdk
def test_refused_calls_tell_their_code(sdk, make_client, server, channel):
    client = make_client(sdk, server)
    client.open()

    def code(call, *arguments, **keywords):
        with pytest.raises(SdkError) as refusal:
            call(*arguments, **keywords)
        assert refusal.value.message
        return refusal.value.code

    assert code(client.rpc, "anything", {}) == 108
    assert code(client.presence, channel()) == 108
    assert code(client.presence_stats, channel()) == 108
    assert code(client.history, channel(), limit=1) == 108
    assert code(client.publish, channel("nowhere"), {}) == 102
    assert code(client.presence, channel("nowhere")) == 102
    assert code(client.history, channel("nowhere"), limit=1) == 102
    assert code(client.publish, channel("closed"), {}) == 103
    assert code(client.presence, channel("closed")) == 103
    assert code(client.history, channel("closed"), limit=1) == 103
    assert code(client.publish, channel("object"), [1]) == 107
    client.publish(channel("object"), {"it": "goes on"})


@every_sdk
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nowhere:x", 102),
        ("closed:x", 103),
        ("$closed:x", 103),
        ("$x", 103),
        ("limited:x#42,43", 103),
        ("x" * 256, 107),
        ("größe", 107),
        ("object:UPPER", 107),
    ],
)
def test_a_refused_subscription_ends_with_its_code(sdk, name, code, make_client, server):
    client = make_client(sdk, server)
    client.open()
    client.subscribe(name)
    assert client.wait("unsubscribed", name)["code"] == code


@every_sdk
def test_unsubscribe_and_subscribe_again(sdk, make_client, server, channel):
    client = make_client(sdk, server)
    client.open()
    for round in range(3):
        client.subscribe(channel()) if round == 0 else client.resubscribe(channel())
        client.wait("subscribed", channel())
        server.publish(channel(), {"round": round})
        assert client.data(channel()) == {"round": round}
        client.unsubscribe(channel())
        assert client.wait("unsubscribed", channel())["code"] == 0
        server.publish(channel(), {"nobody": "listens"})
    client.resubscribe(channel())
    client.wait("subscribed", channel())
    server.publish(channel(), {"last": True})
    assert client.data(channel()) == {"last": True}
    assert not client.pending("publication", channel())


@every_sdk
def test_many_subscriptions_made_before_connect_travel_in_one_frame(sdk, make_client, server, channel):
    client = make_client(sdk, server)
    names = [channel("recover", f"_{n}") for n in range(60)]
    for name in names:
        client.subscribe(name)
    client.connect()
    for name in names:
        client.wait("subscribed", name)
    server.api("broadcast", channels=names, data={"n": 1})
    assert [client.data(name) for name in names] == [{"n": 1}] * len(names)


@pytest.mark.parametrize("sdk", JS_SDKS)
def test_a_message_that_nothing_takes_ends_the_connection(sdk, make_client, server):
    client = make_client(sdk, server)
    client.open()
    client.send({"to": "nobody"})
    ended = client.wait("disconnected")
    assert (ended["code"], ended["reason"]) == (3508, "not available")


@pytest.mark.parametrize("sdk", PROTOBUF_SDKS)
def test_bytes_that_are_no_json_arrive_on_protobuf(sdk, make_client, server, channel):
    client = make_client(sdk, server)
    client.open()
    client.enter(channel("binary"))
    data = bytes(range(256))
    client.publish(channel("binary"), data)
    server.api("publish", channel=channel("binary"), b64data="AP8Q")
    assert client.data(channel("binary")) == data
    assert client.data(channel("binary")) == b"\x00\xff\x10"
    kept = client.history(channel("binary"), limit=2)["publications"]
    assert [each["data"] for each in kept] == [data, b"\x00\xff\x10"]


@pytest.mark.parametrize("sdk", JSON_SDKS)
def test_bytes_that_are_no_json_end_a_json_connection(sdk, make_client, server, channel):
    other = make_client("js-websocket-protobuf", server)
    other.open()
    other.enter(channel("binary"))
    client = make_client(sdk, server)
    client.open()
    client.enter(channel("binary"))
    server.api("publish", channel=channel("binary"), b64data="AP8Q")
    assert client.wait("disconnected")["code"] == 3506
    assert other.data(channel("binary")) == b"\x00\xff\x10"
