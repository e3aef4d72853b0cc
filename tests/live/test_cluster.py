"""Two servers on one Redis are one server: whoever is asked, everybody is reached."""

import json
import subprocess

import pytest

from tests.live.raw import RawClient
from tests.live.redis_server import RedisServer
from tests.live.rtserver_process import RtServer, merged
from tests.live.settings import SDKS, SETTINGS
from tests.live.tokens import token

every_sdk = pytest.mark.parametrize("sdk", SDKS)


def on_redis(redis, **more):
    """The settings of a server on this Redis."""
    return merged(SETTINGS, {"engine": {"type": "redis", "redis": {"address": [redis.url]}}, **more})


@pytest.fixture(scope="module")
def redis():
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def cluster(redis, tmp_path_factory):
    """Two servers that know of each other."""
    servers = [RtServer(tmp_path_factory.mktemp(name), on_redis(redis, node={"name": name})) for name in ("a", "b")]
    for server in servers:
        server.start()
    for server in servers:
        server.wait_for("the other node", lambda server=server: len(server.api("info")["result"]["nodes"]) == 2)
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def nodes(cluster):
    yield cluster
    for server in cluster:
        server.check_log()


@every_sdk
def test_a_publication_reaches_the_clients_of_both_nodes(sdk, nodes, make_client, channel):
    clients = [make_client(sdk, node) for node in nodes]
    for client in clients:
        client.open()
        client.enter(channel("full"))
    for number, node in enumerate(nodes):
        node.publish(channel("full"), {"n": number}, tags={"from": str(number)})
    clients[0].publish(channel("full"), {"n": 2})
    for client in clients:
        got = [client.wait("publication", channel("full")) for _ in range(3)]
        assert [(each["data"]["n"], each["offset"]) for each in got] == [(0, 1), (1, 2), (2, 3)]
        assert got[1]["tags"] == {"from": "1"}
        assert got[2]["info"]["user"] == ""


@every_sdk
def test_deltas_work_between_nodes(sdk, nodes, make_client, channel):
    client = make_client(sdk, nodes[1])
    client.open()
    client.enter(channel("delta"), delta="fossil")
    data = [{"n": n, "pad": "größe" * 80} for n in range(10)]
    for each in data:
        nodes[0].publish(channel("delta"), each)
    assert [client.data(channel("delta")) for _ in data] == data
    assert client.delta_stats(channel("delta")) == (1, 9)


def test_api_calls_on_a_user_reach_every_node(nodes, channel):
    user, name = channel(), channel("full")
    with RawClient(nodes[0]) as first, RawClient(nodes[1]) as second:
        for client in (first, second):
            client.connect(token=token(user))
        nodes[0].api("subscribe", user=user, channel=name)
        assert [client.receive()["push"]["channel"] for client in (first, second)] == [name] * 2
        nodes[1].api("unsubscribe", user=user, channel=name)
        assert [client.receive()["push"]["unsubscribe"]["code"] for client in (first, second)] == [2000] * 2
        nodes[0].api("refresh", user=user, expire_at=4102444800)
        assert [client.receive()["push"]["refresh"]["expires"] for client in (first, second)] == [True] * 2
        nodes[1].api("disconnect", user=user)
        assert [client.end() for client in (first, second)] == [(3503, "force disconnect")] * 2


def test_presence_channels_and_info_are_of_all_nodes(nodes, channel):
    name = channel("joins")
    with RawClient(nodes[0]) as first, RawClient(nodes[1]) as second:
        ids = set()
        for user, client in (("1", first), ("2", second)):
            ids.add(client.connect(token=token(user))["client"])
            client.call(2, subscribe={"channel": name})
        assert [first.receive()["push"]["join"]["info"]["user"] for _ in range(2)] == ["1", "2"]
        for node in nodes:
            assert set(node.api("presence", channel=name)["result"]["presence"]) == ids
            assert node.api("presence_stats", channel=name)["result"] == {"num_clients": 2, "num_users": 2}
            found = node.api("channels", pattern=f"{name}*")["result"]["channels"]
            assert found == {name: {"num_clients": 2}}
            assert {each["name"] for each in node.api("info")["result"]["nodes"]} == {"a", "b"}
    for node in nodes:
        node.wait_for("nobody", lambda node=node: node.api("presence", channel=name)["result"]["presence"] == {})


def test_a_client_that_moves_to_the_other_node_goes_on_where_it_was(nodes, channel):
    name = channel("recover")
    with RawClient(nodes[0]) as client:
        client.connect()
        position = client.call(2, subscribe={"channel": name})["subscribe"]
        nodes[1].publish(name, "seen")
        assert client.receive()["push"]["pub"]["offset"] == 1
    nodes[0].publish(name, "missed")
    with RawClient(nodes[1]) as client:
        client.connect()
        wanted = {"channel": name, "recover": True, "offset": 1, "epoch": position["epoch"]}
        reply = client.call(2, subscribe=wanted)["subscribe"]
        assert (reply["recovered"], [each["data"] for each in reply["publications"]]) == (True, ["missed"])


def test_an_idempotency_key_counts_on_every_node(nodes, channel):
    request = {"channel": channel("full"), "data": {"n": 1}, "idempotency_key": "once"}
    offsets = [node.api("publish", **request)["result"]["offset"] for node in (*nodes, *nodes)]
    assert offsets == [1, 1, 1, 1]


@pytest.mark.parametrize("sdk", ["js-sse", "js-http_stream", "js-http_stream-protobuf"])
def test_commands_may_be_posted_to_another_node_than_the_stream_is_on(sdk, nodes, make_client, channel):
    client = make_client(sdk, nodes[0], emulation_base=f"127.0.0.1:{nodes[1].port}")
    client.open()
    client.enter(channel("full"))
    for n in range(5):
        client.publish(channel("full"), {"n": n})
    assert [client.data(channel("full"))["n"] for _ in range(5)] == list(range(5))
    history = client.history(channel("full"), limit=10)["publications"]
    assert [each["data"]["n"] for each in history] == list(range(5))


def test_an_emulated_command_for_an_unknown_node_is_answered_404(nodes):
    body = json.dumps({"node": "nobody", "session": "x", "data": "{}"}).encode()
    assert nodes[0].post("/emulation", body)[0] == 404


# Other programs


@pytest.fixture
def listener(nodes, make_client, channel):
    """SDK clients of both nodes in one channel; call it to get what each of them heard next."""
    clients = [make_client(sdk, node) for sdk, node in zip(("js-websocket", "python-protobuf"), nodes, strict=True)]
    for client in clients:
        client.open()
        client.enter(channel("full"))
    return lambda: [client.data(channel("full")) for client in clients]


def cli(redis, *command):
    """redis-cli as anybody would use it."""
    done = subprocess.run(["redis-cli", "-p", str(redis.port), *command], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0 and not done.stdout.startswith("ERR"), done.stdout + done.stderr
    return done.stdout.strip()


def test_a_plain_publish_reaches_sdk_clients_once(redis, nodes, make_client, channel):
    """In channels without history every node hears it by itself; in those with history one of them keeps it for all."""
    clients = [make_client(sdk, node) for sdk, node in zip(("js-sse", "python-protobuf"), nodes, strict=True)]
    names = [channel(), channel("full")]
    for client in clients:
        client.open()
        for name in names:
            client.enter(name)
    for name in names:
        for data in ({"door": 1}, "größe", 7):
            assert cli(redis, "PUBLISH", f"rt:{name}", json.dumps(data)) != "0"
        nodes[0].publish(name, "end")
    for client in clients:
        for name in names:
            assert [client.data(name) for _ in range(4)] == [{"door": 1}, "größe", 7, "end"]


def test_the_function_reaches_sdk_clients_and_goes_into_history(redis, nodes, listener, channel):
    cli(redis, "FCALL", "rt_publish", "1", channel("full"), '{"door":2}')
    cli(redis, "FCALL", "rt_publish", "1", channel("full"), '{"door":2}', "key-1")
    cli(redis, "FCALL", "rt_publish", "1", channel("full"), '{"door":2}', "key-1")
    assert [listener() for _ in range(2)] == [[{"door": 2}] * 2] * 2
    history = nodes[0].api("history", channel=channel("full"), limit=10)["result"]["publications"]
    assert [each["offset"] for each in history] == [1, 2]


def test_an_entry_of_the_inbox_reaches_sdk_clients(redis, nodes, listener, channel):
    cli(redis, "XADD", "rt:in", "*", "channel", channel("full"), "data", '{"door":3}')
    cli(redis, "XADD", "rt:in", "*", "channel", channel("full"), "data", '{"door":3}', "key", "key-2")
    cli(redis, "XADD", "rt:in", "*", "channel", channel("full"), "data", '{"door":3}', "key", "key-2")
    assert [listener() for _ in range(2)] == [[{"door": 3}] * 2] * 2
    nodes[0].wait_for("an empty inbox", lambda: redis.run("XLEN", "rt:in") == 0)
    history = nodes[0].api("history", channel=channel("full"), limit=10)["result"]["publications"]
    assert [each["offset"] for each in history] == [1, 2]
