"""Connections that break: what was missed arrives once and in order, or the client is told that it cannot."""

import json
import threading

import pytest

from tests.live.raw import RawClient
from tests.live.settings import SDKS
from tests.live.tokens import token

every_sdk = pytest.mark.parametrize("sdk", SDKS)


def reconnect(client, cable, meanwhile=lambda: None):
    """Pull the cable, do something, plug it in again; back when the client is connected again."""
    cable.pull()
    client.wait("connecting")
    meanwhile()
    cable.plug()
    client.wait("connected")


@pytest.fixture
def wired(make_client, server, cable):
    """A client behind the cable, connected."""

    def make(sdk, **options):
        client = make_client(sdk, server, base=cable.base, **options)
        client.open()
        client.wait("connecting")
        return client

    return make


@every_sdk
def test_what_was_missed_arrives_once_and_in_order(sdk, wired, cable, server, channel):
    name = channel("recover")
    client = wired(sdk)
    client.enter(name)
    for n in range(3):
        server.publish(name, {"n": n})
    for _ in range(3):
        client.data(name)
    reconnect(client, cable, lambda: [server.publish(name, {"n": n}) for n in range(3, 40)])
    again = client.wait("subscribed", name)
    assert (again["was_recovering"], again["recovered"]) == (True, True)
    server.publish(name, {"n": 40})
    got = [client.wait("publication", name) for _ in range(38)]
    assert [each["data"]["n"] for each in got] == list(range(3, 41))
    assert [each["offset"] for each in got] == list(range(4, 42))


@every_sdk
def test_connections_that_break_again_and_again_lose_and_double_nothing(sdk, wired, cable, server, channel):
    name = channel("recover")
    client = wired(sdk)
    client.enter(name)
    stop = threading.Event()
    sent = []

    def publish():
        while not stop.is_set():
            server.publish(name, len(sent))
            sent.append(len(sent))
            stop.wait(0.002)

    publisher = threading.Thread(target=publish)
    publisher.start()
    for _ in range(4):
        cable.pull()
        client.wait("connecting")
        cable.plug()
        client.wait("subscribed", name)
    stop.set()
    publisher.join()
    server.publish(name, "end")
    got = []
    while (data := client.data(name)) != "end":
        got.append(data)
    assert got == sent


@every_sdk
def test_a_gap_wider_than_the_window_is_told(sdk, wired, cable, server, channel):
    name = channel("short")
    client = wired(sdk)
    client.enter(name)
    server.publish(name, "seen")
    client.data(name)
    reconnect(client, cable, lambda: [server.publish(name, n) for n in range(5)])
    again = client.wait("subscribed", name)
    assert (again["was_recovering"], again["recovered"], again["stream_position"]["offset"]) == (True, False, 6)
    server.publish(name, "next")
    assert client.data(name) == "next"


@every_sdk
def test_a_removed_history_is_no_recovery(sdk, wired, cable, server, channel):
    name = channel("recover")
    client = wired(sdk)
    client.enter(name)
    server.publish(name, 1)
    client.data(name)

    def forget():
        server.publish(name, 2)
        server.api("history_remove", channel=name)

    reconnect(client, cable, forget)
    assert client.wait("subscribed", name)["recovered"] is False
    reconnect(client, cable)
    assert client.wait("subscribed", name)["recovered"] is True


@every_sdk
def test_server_side_subscriptions_recover_too(sdk, wired, cable, server, channel):
    name = channel("recover")
    client = wired(sdk, token=token("42", channels=[name]))
    client.wait("subscribed", name)
    server.publish(name, 0)
    assert client.data(name) == 0
    reconnect(client, cable, lambda: [server.publish(name, n) for n in (1, 2, 3)])
    assert client.wait("subscribed", name)["recovered"] is True
    server.publish(name, 4)
    assert [client.data(name) for _ in range(4)] == [1, 2, 3, 4]


@every_sdk
def test_a_client_that_asks_for_recovery_gets_it_where_it_is_allowed(sdk, wired, cable, server, channel):
    client = wired(sdk)
    client.enter(channel("full"), recoverable=True)
    client.enter(channel("tags"))
    reconnect(client, cable, lambda: [server.publish(channel(name), 1) for name in ("full", "tags")])
    assert client.wait("subscribed", channel("full"))["recovered"] is True
    assert client.data(channel("full")) == 1
    assert client.wait("subscribed", channel("tags"))["was_recovering"] is False


@every_sdk
def test_a_cache_channel_gives_the_latest_publication_at_once(sdk, wired, cable, server, channel):
    name = channel("cache")
    for n in range(3):
        server.publish(name, n)
    client = wired(sdk)
    client.enter(name)
    assert client.data(name) == 2
    server.publish(name, 3)
    assert client.data(name) == 3
    reconnect(client, cable, lambda: [server.publish(name, n) for n in range(4, 9)])
    client.wait("subscribed", name)
    assert client.data(name) == 8
    reconnect(client, cable)
    client.wait("subscribed", name)
    server.publish(name, 9)
    assert client.data(name) == 9


def payload(n):
    """Half a kilobyte that differs a little from its neighbours, as the SDK's own tests have it, with umlauts in it."""
    return {"n": n, "pad": "größe" * 80, "tail": "✓" * (n % 3), "more": [n, n + 1, n * 1000]}


@every_sdk
def test_ten_similar_publications_are_one_full_and_nine_deltas(sdk, wired, server, channel):
    name = channel("delta")
    client = wired(sdk)
    client.enter(name, delta="fossil")
    for n in range(10):
        server.publish(name, payload(n))
    assert [client.data(name) for _ in range(10)] == [payload(n) for n in range(10)]
    assert client.delta_stats(name) == (1, 9)


@every_sdk
def test_a_recovery_with_deltas_has_the_same_data(sdk, wired, cable, server, channel):
    name = channel("delta")
    client = wired(sdk)
    client.enter(name, delta="fossil")
    for n in range(3):
        server.publish(name, payload(n))
    reconnect(client, cable, lambda: [server.publish(name, payload(n)) for n in range(3, 9)])
    assert client.wait("subscribed", name)["recovered"] is True
    for n in range(9, 12):
        server.publish(name, payload(n))
    assert [client.data(name) for _ in range(12)] == [payload(n) for n in range(12)]
    full, deltas = client.delta_stats(name)
    assert full <= 3 and full + deltas == 12


@every_sdk
def test_deltas_reach_those_who_asked_and_others_get_the_same_in_full(sdk, make_client, wired, server, channel):
    name = channel("delta")
    plain, early, late = wired(sdk), wired(sdk), wired(sdk)
    plain.enter(name)
    early.enter(name, delta="fossil")
    for n in range(4):
        server.publish(name, payload(n))
    late.enter(name, delta="fossil")
    early.unsubscribe(name)
    early.resubscribe(name)
    early.wait("subscribed", name)
    for n in range(4, 8):
        server.publish(name, payload(n))
    whole = [payload(n) for n in range(8)]
    assert [plain.data(name) for _ in range(8)] == whole
    assert [early.data(name) for _ in range(8)] == whole
    assert [late.data(name) for _ in range(4)] == whole[4:]
    assert late.delta_stats(name) == (1, 3)
    assert plain.delta_stats(name)[1] == 0


@every_sdk
def test_payloads_that_have_nothing_in_common_go_in_full(sdk, wired, server, channel):
    name = channel("delta")
    client = wired(sdk)
    client.enter(name, delta="fossil")
    data = [{"a": 1}, "zzz", 17, {"b": [True, None]}, payload(1), {"c": "größe"}]
    for each in data:
        server.publish(name, each)
    assert [client.data(name) for _ in data] == data


def test_deltas_are_shorter_on_the_wire(server, channel):
    """The first in full as a JSON string, then deltas that say so, each much shorter than the payload."""
    name = channel("delta")
    with RawClient(server) as client:
        client.connect()
        assert client.call(2, subscribe={"channel": name, "delta": "fossil"})["subscribe"]["delta"] is True
        for n in range(3):
            server.publish(name, payload(n))
        publications = [client.receive()["push"]["pub"] for _ in range(3)]
    assert json.loads(publications[0]["data"]) == payload(0)
    assert [each.get("delta") for each in publications] == [None, True, True]
    assert all(len(each["data"]) < 120 for each in publications[1:])
