"""Redis that dies, hangs or is not there yet, and a node that dies: nothing kept is lost, nothing comes twice, and
``/readyz`` says when not to send clients here."""

import json
import threading
import time

import pytest

from tests.live.raw import RawClient
from tests.live.redis_server import RedisServer, free_port
from tests.live.rtserver_process import API_KEY, RtServer, merged
from tests.live.settings import SDKS, SETTINGS
from tests.live.tokens import token

QUICK = {
    "engine": {"type": "redis", "probe": {"interval": "200ms", "late": "1s", "dead": "60s"}},
    "client": {"recovery_max_publication_limit": 10_000},
}
"""A server that soon notices that Redis is away, and that lets clients recover whatever they missed of "long" channels."""


@pytest.fixture
def start_on(tmp_path_factory):
    """Start a server on a Redis: ``start_on(redis, settings)``."""
    started = []

    def start(address, settings=None, wait=True):
        quick = merged(merged(SETTINGS, QUICK), {"engine": {"redis": {"address": [address], "io_timeout": "1s"}}})
        server = RtServer(tmp_path_factory.mktemp("server"), merged(quick, settings or {}))
        started.append(server)
        return server.start(wait)

    yield start
    try:
        for server in started:
            server.stop()
    finally:
        for server in started:
            server.kill()


class Publisher(threading.Thread):
    """Publishes numbers one after the other, each until a server has said its offset; an idempotency key makes a
    repetition harmless. ``accepted`` are (offset, number)."""

    def __init__(self, servers, channel):
        super().__init__(daemon=True)
        self._servers = servers
        self._channel = channel
        self._over = threading.Event()
        self.accepted = []
        self.refused = 0
        self.start()

    def run(self):
        number = 0
        while not self._over.is_set():
            self._until_accepted(number)
            number += 1
            self._over.wait(0.003)

    def _until_accepted(self, number):
        request = {"channel": self._channel, "data": number, "idempotency_key": f"key-{number}"}
        while True:
            server = self._servers[number % len(self._servers)]
            status, body = server.post("/api/publish", json.dumps(request).encode(), {"X-API-Key": API_KEY})
            answer = json.loads(body)
            if status == 200 and "result" in answer:
                self.accepted.append((answer["result"]["offset"], number))
                return
            assert answer["error"]["code"] == 100, answer
            self.refused += 1
            time.sleep(0.05)

    def progress(self, count):
        """Wait until ``count`` more are accepted."""
        wanted = len(self.accepted) + count
        deadline = time.monotonic() + 20
        while len(self.accepted) < wanted:
            assert self.is_alive() and time.monotonic() < deadline, f"stuck after {self.accepted[-1:]}"
            time.sleep(0.02)

    def meet_refusal(self):
        """Wait until one more attempt was refused."""
        wanted = self.refused + 1
        deadline = time.monotonic() + 20
        while self.refused < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def finish(self):
        self._over.set()
        self.join(20)
        assert not self.is_alive()
        return self.accepted


def open_in(make_client, server, channel, count=1):
    clients = [make_client(sdk, server) for sdk in SDKS for _ in range(count)]
    for client in clients:
        client.connect()
        client.subscribe(channel)
    for client in clients:
        client.wait("subscribed", channel)
    return clients


def test_redis_killed_and_restarted_under_load_loses_and_doubles_nothing(start_on, make_client):
    """What was accepted survives in the append-only file, so every client gets every offset once and in order."""
    with RedisServer("appendonly yes", "appendfsync everysec") as redis:
        servers = [start_on(redis.url), start_on(redis.url)]
        clients = [client for server in servers for client in open_in(make_client, server, "long:load", 2)]
        publisher = Publisher(servers, "long:load")
        publisher.progress(50)
        for _ in range(2):
            redis.kill()
            publisher.meet_refusal()
            redis.start()
            publisher.progress(100)
        accepted = publisher.finish()
        assert publisher.refused > 0
        assert [offset for offset, _ in accepted] == list(range(1, len(accepted) + 1))
        for client in clients:
            got = [client.wait("publication", "long:load") for _ in accepted]
            assert [(each["offset"], each["data"]) for each in got] == accepted
        for server in servers:
            server.publish("long:load", "end")
        for client in clients:
            assert [client.data("long:load") for _ in servers] == ["end"] * 2
            assert not [
                each for each in client.events.all if each[0] == "subscribed" and each[2].get("recovered") is False
            ][1:]


def test_cut_connections_to_redis_under_load_lose_and_double_nothing(start_on, make_client):
    """What was published while a node did not listen is found by the position of its channels."""
    with RedisServer() as redis:
        servers = [start_on(redis.url), start_on(redis.url)]
        clients = [client for server in servers for client in open_in(make_client, server, "long:load")]
        publisher = Publisher(servers, "long:load")
        for kind in ("pubsub", "normal") * 3:
            publisher.progress(40)
            redis.run("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        publisher.progress(40)
        accepted = publisher.finish()
        assert [number for _, number in accepted] == list(range(len(accepted)))
        for client in clients:
            got = [client.wait("publication", "long:load") for _ in accepted]
            assert [(each["offset"], each["data"]) for each in got] == accepted


def test_a_redis_that_forgot_everything_is_told_to_the_clients(start_on, make_client):
    with RedisServer() as redis:
        server = start_on(redis.url)
        clients = open_in(make_client, server, "recover:c")
        server.publish("recover:c", "kept only in memory")
        assert [client.data("recover:c") for client in clients] == ["kept only in memory"] * len(clients)
        redis.restart()
        server.wait_ready()
        assert server.publish("recover:c", "new life")["offset"] == 1
        for client in clients:
            again = client.wait("subscribed", "recover:c")
            assert (again["was_recovering"], again["recovered"]) == (True, False)
        server.publish("recover:c", "goes on")
        for client in clients:
            while client.data("recover:c") != "goes on":
                continue


def test_readiness_follows_a_redis_that_hangs(start_on, make_client):
    """SIGSTOP closes no connection: only the probe notices. Clients that are there stay, and miss nothing afterwards."""
    with RedisServer() as redis:
        server = start_on(redis.url)
        clients = open_in(make_client, server, "recover:c")
        redis.freeze()
        server.wait_ready(503)
        status, body = server.get("/readyz")
        assert status == 503 and "no probe came back" in json.loads(body)["reason"]
        assert server.get("/livez")[0] == 200
        answer = server.api("publish", channel="recover:c", data={})
        assert (answer["error"]["code"], answer["error"].get("temporary")) == (100, True)
        redis.thaw()
        server.wait_ready(200)
        server.publish("recover:c", "after")
        for client in clients:
            while client.data("recover:c") != "after":
                continue
            assert client.events.count("connected") == 1


def test_a_node_that_hears_nothing_for_long_sends_its_clients_away(start_on, make_client):
    with RedisServer() as redis:
        server = start_on(redis.url, {"engine": {"probe": {"late": "500ms", "dead": "1500ms"}}})
        clients = open_in(make_client, server, "recover:c")
        redis.freeze()
        for client in clients:
            assert [client.wait("connecting")["code"] for _ in range(2)] == [0, 3011]
        redis.thaw()
        for client in clients:
            client.wait("connected")
        server.publish("recover:c", "again")
        assert [client.data("recover:c") for client in clients] == ["again"] * len(clients)


def test_a_server_waits_for_redis_at_its_start(start_on):
    port = free_port()
    server = start_on(f"redis://127.0.0.1:{port}/0", wait=False)
    server.trouble = ["the broker cannot be reached, trying again"]
    server.wait_ready(503)
    assert server.get("/livez")[0] == 200
    with RedisServer(port=port):
        server.wait_ready()
        with RawClient(server) as client:
            assert client.connect()["client"]
        server.stop()


def test_what_a_dead_node_leaves_behind_goes_away(start_on):
    short = {"engine": {"redis": {"presence_ttl": "2s"}}, "client": {"presence_update_interval": "1s"}}
    with RedisServer() as redis:
        first, second = start_on(redis.url, short), start_on(redis.url, short)
        with RawClient(first) as lost, RawClient(second) as kept:
            lost.connect(token=token("1"))
            lost.call(2, subscribe={"channel": "joins:c"})
            kept.connect(token=token("2"))
            kept.call(2, subscribe={"channel": "joins:c"})
            assert second.api("presence_stats", channel="joins:c")["result"]["num_clients"] == 2
            first.kill()
            second.wait_for(
                "the presence of the dead node to end",
                lambda: second.api("presence_stats", channel="joins:c")["result"]["num_clients"] == 1,
            )
            second.wait_for("the node to be gone", lambda: len(second.api("info")["result"]["nodes"]) == 1)
            assert second.api("channels")["result"]["channels"]["joins:c"] == {"num_clients": 1}


def test_two_shards_are_one_server(start_on, tmp_path_factory):
    """Channels are spread over two Redis servers; API calls and recovery do not show it."""
    with RedisServer() as one, RedisServer() as two:
        settings = {"engine": {"redis": {"address": [one.url, two.url]}}}
        servers = [start_on(one.url, settings), start_on(one.url, settings)]
        names = [f"recover:{n}" for n in range(20)]
        with RawClient(servers[1]) as client:
            client.connect()
            for number, name in enumerate(names, 2):
                client.call(number, subscribe={"channel": name})
            servers[0].api("broadcast", channels=names, data={"n": 1})
            assert {client.receive()["push"]["channel"] for _ in names} == set(names)
        sizes = [len(server.run("KEYS", "*.stream.recover:*")) for server in (one, two)]
        assert sum(sizes) == 20 and min(sizes) > 3
