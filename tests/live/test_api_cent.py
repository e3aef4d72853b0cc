"""The HTTP API as backends use it: the cent library, and plain HTTP for what no library sends."""

import asyncio
import json
import time

import pytest
from cent import (
    AsyncClient,
    BatchRequest,
    BroadcastRequest,
    CentApiResponseError,
    CentTransportError,
    CentUnauthorizedError,
    ChannelOptionsOverride,
    ChannelsRequest,
    Client,
    Disconnect,
    DisconnectRequest,
    HistoryRemoveRequest,
    HistoryRequest,
    InfoRequest,
    PresenceRequest,
    PresenceStatsRequest,
    PublishRequest,
    RefreshRequest,
    StreamPosition,
    SubscribeRequest,
    UnsubscribeRequest,
)
from cent.dto import BoolValue

from tests.live.raw import RawClient
from tests.live.rtserver_process import API_KEY
from tests.live.tokens import token

KEY = {"X-API-Key": API_KEY}


@pytest.fixture
def cent(server):
    return Client(server.url("/api"), API_KEY)


@pytest.fixture
def user(server, channel):
    """A connected user with a subscription to ``joins:...``: the client and its connection id."""
    with RawClient(server) as client:
        client.id = client.connect(token=token(channel(), info={"name": "Ada"}))["client"]
        client.call(2, subscribe={"channel": channel("joins")})
        assert client.receive()["push"]["join"]["info"]["client"] == client.id
        yield client


def test_publish_tells_the_position_of_a_channel_with_history(cent, channel):
    first = cent.publish(PublishRequest(channel=channel("full"), data={"n": 1}))
    second = cent.publish(PublishRequest(channel=channel("full"), data={"n": 2}, tags={"a": "b"}))
    assert (first.offset, second.offset, len(first.epoch), first.epoch) == (1, 2, 8, second.epoch)
    assert cent.publish(PublishRequest(channel=channel(), data={})).offset == 0
    skipped = cent.publish(PublishRequest(channel=channel("full"), data={}, skip_history=True))
    assert skipped.offset == 0
    assert cent.history(HistoryRequest(channel=channel("full"), limit=10)).offset == 2


def test_an_idempotency_key_publishes_once(cent, channel, user):
    request = PublishRequest(channel=channel("full"), data={"n": 1}, idempotency_key="once")
    assert [cent.publish(request).offset for _ in range(3)] == [1, 1, 1]
    for name in (channel("joins"), channel("joins")):
        cent.publish(PublishRequest(channel=name, data="once", idempotency_key="live"))
    cent.publish(PublishRequest(channel=channel("joins"), data="end"))
    assert [user.receive()["push"]["pub"]["data"] for _ in range(2)] == ["once", "end"]


def test_a_version_drops_what_is_older(server, channel):
    name = channel("full")
    assert server.publish(name, "new", version=7)["offset"] == 1
    assert server.publish(name, "old", version=6)["offset"] == 1
    assert server.publish(name, "same", version=7)["offset"] == 1
    assert server.publish(name, "other epoch", version=1, version_epoch="b")["offset"] == 2
    found = server.api("history", channel=name, limit=10)["result"]["publications"]
    assert [each["data"] for each in found] == ["new", "other epoch"]


def test_broadcast_answers_for_every_channel(cent, channel):
    names = [channel("full"), channel("nowhere"), channel()]
    responses = cent.broadcast(BroadcastRequest(channels=names, data={"n": 1})).responses
    assert responses[0].result.offset == 1
    assert (responses[1].error.code, responses[1].result) == (102, None)
    assert responses[2].result.offset == 0


def test_presence_and_its_numbers(cent, channel, user):
    name = channel("joins")
    info = cent.presence(PresenceRequest(channel=name)).presence[user.id]
    assert (info.user, info.client, info.conn_info) == (channel(), user.id, {"name": "Ada"})
    stats = cent.presence_stats(PresenceStatsRequest(channel=name))
    assert (stats.num_clients, stats.num_users) == (1, 1)
    assert cent.presence(PresenceRequest(channel=channel("full"))).presence == {}


def test_history_forwards_backwards_since_and_removed(cent, channel):
    name = channel("full")
    for n in range(1, 6):
        cent.publish(PublishRequest(channel=name, data=n, tags={"n": str(n)}))

    def read(**wanted):
        return [each.data for each in cent.history(HistoryRequest(channel=name, **wanted)).publications]

    epoch = cent.history(HistoryRequest(channel=name)).epoch
    since = StreamPosition(offset=3, epoch=epoch)
    assert read() == []
    assert read(limit=-1) == [1, 2, 3, 4, 5]
    assert read(limit=2, reverse=True) == [5, 4]
    assert read(limit=-1, since=since) == [4, 5]
    assert read(limit=-1, since=since, reverse=True) == [2, 1]
    assert cent.history(HistoryRequest(channel=name, limit=1)).publications[0].tags == {"n": "1"}
    with pytest.raises(CentApiResponseError) as refusal:
        read(limit=1, since=StreamPosition(offset=1, epoch="other"))
    assert refusal.value.code == 112
    cent.history_remove(HistoryRemoveRequest(channel=name))
    after = cent.history(HistoryRequest(channel=name, limit=-1))
    assert (after.publications, after.offset, after.epoch) == ([], 5, epoch)


def test_channels_lists_what_is_subscribed(cent, channel, user):
    assert cent.channels(ChannelsRequest()).channels[channel("joins")].num_clients == 1
    assert set(cent.channels(ChannelsRequest(pattern=f"joins:{channel()}*")).channels) == {channel("joins")}
    assert cent.channels(ChannelsRequest(pattern="nothing*")).channels == {}


def test_info_tells_of_the_node(cent, user):
    (node,) = cent.info(InfoRequest()).nodes
    assert node.uid and node.name and node.version
    assert node.num_clients >= 1 and node.num_users >= 1 and node.num_channels >= 1 and node.num_subs >= 1


@pytest.mark.parametrize("parallel", [False, True])
def test_a_batch_answers_in_order(cent, channel, parallel):
    requests = [PublishRequest(channel=channel("full"), data=n) for n in range(5)]
    requests += [HistoryRequest(channel=channel("full", "none"), limit=5), InfoRequest()]
    replies = cent.batch(BatchRequest(requests=requests, parallel=parallel)).replies
    assert sorted(reply.offset for reply in replies[:5]) == [1, 2, 3, 4, 5]
    assert replies[5].publications == [] and replies[6].nodes
    if not parallel:
        assert [reply.offset for reply in replies[:5]] == [1, 2, 3, 4, 5]


def test_a_user_is_subscribed_unsubscribed_refreshed_and_disconnected(cent, channel, user):
    name = channel("recover")
    override = ChannelOptionsOverride(force_push_join_leave=BoolValue(value=True), join_leave=BoolValue(value=True))
    cent.subscribe(SubscribeRequest(user=channel(), channel=name, info={"seat": 1}, data={"hi": 1}, override=override))
    told = user.receive()["push"]
    assert told["channel"] == name
    assert (told["subscribe"]["data"], told["subscribe"]["positioned"], told["subscribe"]["recoverable"]) == (
        {"hi": 1},
        True,
        True,
    )
    joined = user.receive()["push"]["join"]["info"]
    assert joined["chan_info"] == {"seat": 1}
    cent.unsubscribe(UnsubscribeRequest(user=channel(), channel=name))
    assert user.receive()["push"] == {"channel": name, "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}}
    cent.refresh(RefreshRequest(user=channel(), expire_at=4102444800))
    refreshed = user.receive()["push"]["refresh"]
    assert refreshed["expires"] is True and refreshed["ttl"] > 10**9
    cent.disconnect(DisconnectRequest(user=channel(), disconnect=Disconnect(code=4500, reason="go")))
    assert user.end() == (4500, "go")


def test_a_server_side_subscription_of_the_api_expires_with_its_connection(server, channel, user):
    server.api("subscribe", user=channel(), channel=channel("full"), expire_at=int(time.time()) + 1)
    assert "subscribe" in user.receive()["push"]
    assert user.end() == (3006, "subscription expired")


def test_a_wrong_key_is_unauthorized(server, channel):
    with pytest.raises(CentUnauthorizedError):
        Client(server.url("/api"), "wrong").publish(PublishRequest(channel=channel(), data={}))


def test_refusals_carry_their_code(cent, channel):
    def code(method, request):
        with pytest.raises(CentApiResponseError) as refusal:
            getattr(cent, method)(request)
        assert refusal.value.message
        return refusal.value.code

    assert code("publish", PublishRequest(channel=channel("nowhere"), data={})) == 102
    assert code("publish", PublishRequest(channel="", data={})) == 107
    assert code("publish", PublishRequest(channel=channel("object"), data=[1])) == 107
    assert code("presence", PresenceRequest(channel=channel())) == 108
    assert code("history", HistoryRequest(channel=channel())) == 108
    assert code("unsubscribe", UnsubscribeRequest(user="42", channel="")) == 107
    assert code("disconnect", DisconnectRequest(user="42", disconnect=Disconnect(code=1000, reason="x"))) == 107


def test_the_asynchronous_client_works_as_well(server, channel):
    async def publish():
        async with AsyncClient(server.url("/api"), API_KEY) as client:
            requests = [PublishRequest(channel=channel("full"), data=n) for n in range(50)]
            return await asyncio.gather(*(client.publish(request) for request in requests))

    offsets = [result.offset for result in asyncio.run(asyncio.wait_for(publish(), 20))]
    assert sorted(offsets) == list(range(1, 51))


# Plain HTTP


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        (KEY, "", 200),
        ({"Authorization": f"apikey {API_KEY}"}, "", 200),
        ({"Authorization": f"ApiKey {API_KEY}"}, "", 200),
        ({}, f"?api_key={API_KEY}", 200),
        ({"X-API-Key": "wrong", "Authorization": f"apikey {API_KEY}"}, "", 401),
        ({"Authorization": f"Bearer {API_KEY}"}, "", 401),
        ({"X-API-Key": ""}, "", 401),
        ({"X-API-Key": "größe".encode().decode("latin-1")}, "", 401),
        ({}, "?api_key=%ff%00", 401),
        ({}, "", 401),
    ],
)
def test_the_key_comes_in_a_header_or_the_query(server, headers, query, status):
    assert server.post(f"/api/info{query}", b"{}", headers)[0] == status


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"channel":7}',
        b'{"channel":"x","data":}',
        b"[" * 100_000,
        b'{"data":NaN}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_malformed_body_is_refused_with_what_is_wrong(server, body):
    """400 for what is no JSON, 422 for JSON of another shape."""
    status, text = server.post("/api/publish", body, KEY)
    other_shape = body in (b"", b"[]", b"null", b'{"channel":7}')
    assert status == (422 if other_shape else 400) and b'"detail"' in text
    assert server.post("/api/batch", body if b"channel" not in body else b"7", KEY)[0] in (400, 422)


def test_what_is_not_there_and_what_is_no_post(server):
    assert server.post("/api/nothing", b"{}", KEY)[0] == 404
    assert server.post("/api/publish/more", b"{}", KEY)[0] == 404
    assert server.get("/api/info")[0] == 405
    assert server.get("/nothing")[0] == 404


def test_error_mode_transport_answers_with_a_status(server, cent, channel):
    headers = {**KEY, "X-Centrifugo-Error-Mode": "transport"}

    def ask(name, **request):
        status, body = server.post(f"/api/{name}", json.dumps(request).encode(), headers)
        return status, json.loads(body)["code"]

    assert ask("publish", channel=channel("nowhere"), data={}) == (404, 102)
    assert ask("publish", channel="", data={}) == (400, 107)
    assert ask("history", channel=channel()) == (400, 108)
    assert ask("rpc", method="none") == (404, 104)
    assert ask("history", channel=channel("full"), since={"offset": 1, "epoch": "x"}) == (416, 112)


def test_error_mode_transport_of_the_server_reaches_cent(start_server):
    server = start_server({"http_api": {"error_mode": "transport"}})
    with pytest.raises(CentTransportError) as refusal:
        Client(server.url("/api"), API_KEY).publish(PublishRequest(channel="nowhere:x", data={}))
    assert refusal.value.status_code == 404


def test_an_error_inside_a_batch_does_not_stop_it(server, channel):
    commands = [
        {"publish": {"channel": channel("nowhere"), "data": {}}},
        {"nothing": {}},
        {"publish": {"channel": 7}},
        {"publish": {"channel": channel("full"), "data": {"n": 1}}},
    ]
    replies = server.api("batch", commands=commands)["replies"]
    assert [reply.get("error", {}).get("code") for reply in replies] == [102, 104, 107, None]
    assert replies[3]["publish"]["offset"] == 1


def test_the_old_form_takes_lines_of_commands(server, channel):
    lines = [
        {"id": 1, "method": "publish", "params": {"channel": channel("full"), "data": {"n": 1}}},
        {"id": 2, "method": "nothing", "params": {}},
        {"id": 3, "method": "history", "params": {"channel": channel("full"), "limit": 1}},
    ]
    status, body = server.post("/api", "\n".join(map(json.dumps, lines)).encode(), KEY)
    answers = [json.loads(line) for line in body.split(b"\n")]
    assert status == 200
    assert (answers[0]["id"], answers[0]["result"]["offset"]) == (1, 1)
    assert answers[1] == {"id": 2, "error": {"code": 104, "message": "not found"}}
    assert answers[2]["result"]["publications"][0]["data"] == {"n": 1}


def test_data_in_base64_wins(server, channel):
    name = channel("full")
    both = {"channel": name, "data": {"a": 1}, "b64data": "eyJiIjoyfQ=="}
    assert "result" in server.api("publish", **both)
    assert server.api("history", channel=name, limit=1)["result"]["publications"][0]["data"] == {"b": 2}
    assert server.api("publish", channel=name, b64data="***")["error"]["code"] == 107
    assert server.api("publish", channel=name)["error"]["code"] == 107
    assert server.api("publish", channel=name, data=None)["error"]["code"] == 107
