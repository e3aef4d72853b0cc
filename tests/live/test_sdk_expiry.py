"""Connections and subscriptions that end by themselves: refreshed in time or not. These tests wait for real seconds, so each
takes the clients of every SDK at once."""

import pytest

from tests.live.settings import SDKS
from tests.live.tokens import channel_token, token


@pytest.fixture
def open_clients(make_client, server):
    """Connect one client of every SDK with these options."""

    def connect_all(**options):
        clients = [make_client(sdk, server, **options) for sdk in SDKS]
        for client in clients:
            client.connect()
        for client in clients:
            client.wait("connected")
        return clients

    return connect_all


def test_sdks_refresh_their_connection_before_it_ends(open_clients, channel):
    tokens = [token("42", 1), token("42", 4, info={"level": 2}), token("42", 3600, info={"level": 3})]
    for client in open_clients(get_token=tokens):
        counts = [client.wait("get_token")["count"] for _ in tokens]
        client.enter(channel("joins"))
        client.wait("join", channel("joins"))
        infos = [info["conn_info"] for info in client.presence(channel("joins")).values()]
        assert (counts, infos) == ([1, 2, 3], [{"level": 3}])
        assert client.events.count("connected") == 1
        client.close()
        client.close = lambda: None


def test_a_connection_that_nobody_refreshes_ends_after_the_grace(open_clients):
    for client in open_clients(get_token=[token("42", 1), token("42", -10), token("42", 60)]):
        assert [client.wait("connecting")["code"] for _ in range(2)] == [0, 3005]
        client.wait("connected")


def test_a_refresh_token_of_another_user_is_terminal(open_clients):
    for client in open_clients(get_token=[token("42", 1), token("43", 60)]):
        assert client.wait("disconnected")["code"] == 3500


def test_a_refresh_token_with_other_channels_brings_the_new_channels(open_clients, channel):
    tokens = [token("42", 1, channels=[channel()]), token("42", 60, channels=[channel("full")])]
    for client in open_clients(get_token=tokens):
        client.wait("subscribed", channel())
        assert [client.wait("connecting")["code"] for _ in range(2)] == [0, 3010]
        client.wait("subscribed", channel("full"))
        client.wait("unsubscribed", channel())


def test_sdks_refresh_their_subscription_before_it_ends(open_clients, server, channel):
    name = "$" + channel()
    clients = open_clients(token=token("42"))
    tokens = [channel_token(name, "42", 1), channel_token(name, "42", 4), channel_token(name, "42", 3600)]
    for client in clients:
        client.subscribe(name, get_token=tokens)
    for client in clients:
        assert [client.wait("get_token", name)["count"] for _ in tokens] == [1, 2, 3]
    server.publish(name, {"still": "here"})
    for client in clients:
        assert client.data(name) == {"still": "here"}
        assert client.events.count("subscribed", name) == 1


def test_a_subscription_with_a_stale_refresh_subscribes_anew(open_clients, channel):
    name = "$" + channel()
    clients = open_clients(token=token("42"))
    tokens = [channel_token(name, "42", 1), channel_token(name, "42", -5), channel_token(name, "42", 60)]
    for client in clients:
        client.subscribe(name, get_token=tokens)
    for client in clients:
        assert [client.wait("subscribing", name)["code"] for _ in range(2)] == [0, 2501]
        for _ in range(2):
            client.wait("subscribed", name)
