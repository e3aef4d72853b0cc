"""Server-side subscriptions, personal and user-limited channels, joins and leaves, tags filters."""

import pytest

from tests.live.settings import SDKS
from tests.live.tokens import token

every_sdk = pytest.mark.parametrize("sdk", SDKS)


@every_sdk
def test_the_channels_of_a_token_are_subscribed_by_the_server(sdk, make_client, server, channel):
    names = [channel(), channel("recover")]
    client = make_client(sdk, server, token=token("42", channels=names))
    client.open()
    for name in names:
        client.wait("subscribed", name)
        server.publish(name, {"for": name})
        assert client.data(name) == {"for": name}


@every_sdk
def test_the_subs_of_a_token_carry_data_info_and_overrides(sdk, make_client, server, channel):
    name = channel("full")
    subs = {name: {"data": {"welcome": 1}, "info": {"seat": 7}, "override": {"force_push_join_leave": {"value": True}}}}
    client = make_client(sdk, server, token=token("42", subs=subs))
    me = client.open()["client"]
    assert client.wait("subscribed", name)["data"] == {"welcome": 1}
    assert client.wait("join", name)["info"] == {"user": "42", "client": me, "chan_info": {"seat": 7}}


@every_sdk
def test_a_server_side_channel_cannot_be_subscribed_again(sdk, make_client, server, channel):
    client = make_client(sdk, server, token=token("42", channels=[channel()]))
    client.open()
    client.subscribe(channel())
    assert client.wait("unsubscribed", channel())["code"] == 105


@every_sdk
def test_the_api_subscribes_and_unsubscribes_a_user(sdk, make_client, server, channel):
    user, name = channel(), channel("recover")
    client = make_client(sdk, server, token=token(user))
    client.open()
    server.publish(name, "before")
    assert server.api("subscribe", user=user, channel=name, data={"hello": user}) == {"result": {}}
    subscribed = client.wait("subscribed", name)
    assert (subscribed["data"], subscribed["stream_position"]["offset"]) == ({"hello": user}, 1)
    server.publish(name, {"n": 1})
    assert client.data(name) == {"n": 1}
    assert server.api("unsubscribe", user=user, channel=name) == {"result": {}}
    client.wait("unsubscribed", name)
    server.publish(name, "nobody listens")
    server.publish(f"personal:#{user}", "still there")
    assert client.data(f"personal:#{user}") == "still there"
    assert not client.pending("publication", name)


@every_sdk
def test_the_api_ends_a_subscription_of_the_client_for_good(sdk, make_client, server, channel):
    user = channel()
    client = make_client(sdk, server, token=token(user))
    client.open()
    client.enter(channel("full"))
    server.api("unsubscribe", user=user, channel=channel("full"))
    ended = client.wait("unsubscribed", channel("full"))
    assert (ended["code"], ended["reason"]) == (2000, "server unsubscribe")
    assert server.api("presence", channel=channel("full"))["result"]["presence"] == {}


@every_sdk
def test_the_api_disconnects_a_user_with_the_code_it_likes(sdk, make_client, server, channel):
    user = channel()
    client = make_client(sdk, server, token=token(user))
    me = client.open()["client"]
    assert server.api("disconnect", user=user, whitelist=[me]) == {"result": {}}
    assert server.api("disconnect", user=user, client="another") == {"result": {}}
    answer = server.api("disconnect", user=user, disconnect={"code": 4001, "reason": "come back"})
    assert answer == {"result": {}}
    assert [client.wait("connecting")["code"] for _ in range(2)] == [0, 4001]
    client.wait("connected")
    server.api("disconnect", user=user)
    ended = client.wait("disconnected")
    assert (ended["code"], ended["reason"]) == (3503, "force disconnect")


@every_sdk
def test_a_signed_in_user_hears_its_personal_channel(sdk, make_client, server, channel):
    user = channel()
    clients = [make_client(sdk, server, token=token(user)) for _ in range(2)]
    for client in clients:
        client.open()
        client.wait("subscribed", f"personal:#{user}")
    server.publish(f"personal:#{user}", {"only": "you"})
    assert [client.data(f"personal:#{user}") for client in clients] == [{"only": "you"}] * 2


@every_sdk
def test_only_its_users_enter_a_user_limited_channel(sdk, make_client, server, channel):
    name = channel("limited", "#42,43")
    clients = {user: make_client(sdk, server, token=token(user)) for user in ("42", "43", "4", "44")}
    for client in clients.values():
        client.open()
        client.subscribe(name)
    for user in ("42", "43"):
        clients[user].wait("subscribed", name)
    for user in ("4", "44"):
        assert clients[user].wait("unsubscribed", name)["code"] == 103
    clients["42"].publish(name, {"psst": 1})
    assert clients["43"].data(name) == {"psst": 1}


@every_sdk
def test_joins_and_leaves_are_told_to_all_and_the_own_join_too(sdk, make_client, server, channel):
    name = channel("joins")
    first, second = (make_client(sdk, server, token=token(user)) for user in ("42", "43"))
    clients = {"42": first.open()["client"], "43": second.open()["client"]}
    first.enter(name)
    second.enter(name)
    assert [first.wait("join", name)["info"] for _ in range(2)] == [
        {"user": "42", "client": clients["42"]},
        {"user": "43", "client": clients["43"]},
    ]
    assert second.wait("join", name)["info"]["user"] == "43"
    second.unsubscribe(name)
    assert first.wait("leave", name)["info"] == {"user": "43", "client": clients["43"]}
    second.resubscribe(name)
    assert first.wait("join", name)["info"]["user"] == "43"
    second.disconnect()
    assert first.wait("leave", name)["info"]["user"] == "43"
    assert not second.pending("leave", name)


@every_sdk
def test_joins_that_must_be_asked_for_come_to_those_who_ask(sdk, make_client, server, channel):
    name = channel("full")
    asks, does_not = make_client(sdk, server, token=token("42")), make_client(sdk, server, token=token("43"))
    asks.open()
    does_not.open()
    does_not.enter(name)
    asks.enter(name, join_leave=True)
    assert asks.wait("join", name)["info"]["user"] == "42"
    server.publish(name, "after the join")
    assert does_not.data(name) == "after the join"
    assert not does_not.pending("join", name)


FILTER = {
    "op": "and",
    "nodes": [
        {"key": "ticker", "cmp": "in", "vals": ["BTC", "ETH"]},
        {"op": "not", "nodes": [{"key": "price", "cmp": "lt", "val": "100.5"}]},
    ],
}


@every_sdk
def test_a_tags_filter_lets_through_what_matches(sdk, make_client, server, channel):
    name = channel("tags")
    client, whole = make_client(sdk, server), make_client(sdk, server)
    for each in (client, whole):
        each.open()
    client.enter(name, tags_filter=FILTER)
    whole.enter(name)
    quotes = [("BTC", "99"), ("BTC", "101"), ("DOGE", "500"), ("ETH", "1e3"), ("ETH", "100.5"), ("BTC", "2000")]
    for ticker, price in quotes:
        server.publish(name, [ticker, price], tags={"ticker": ticker, "price": price})
    server.publish(name, "no tags")
    server.publish(name, "last", tags={"ticker": "BTC", "price": "1000000"})
    got = []
    while (data := client.data(name)) != "last":
        got.append(tuple(data))
    assert got == [("BTC", "101"), ("ETH", "1e3"), ("ETH", "100.5"), ("BTC", "2000")]
    assert len([whole.data(name) for _ in range(8)]) == 8


@every_sdk
def test_a_tags_filter_where_none_is_allowed_is_refused(sdk, make_client, server, channel):
    client = make_client(sdk, server)
    client.open()
    client.subscribe(channel("full"), tags_filter=FILTER)
    assert client.wait("unsubscribed", channel("full"))["code"] == 107
