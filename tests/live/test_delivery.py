"""Delivery while everything moves: many subscribers, comings and goings, all engines. Nothing is lost, doubled or swapped."""

import asyncio
import json
import threading

import pytest
from websockets.asyncio.client import connect

from tests.live.raw import RawClient
from tests.live.redis_server import RedisServer
from tests.live.rtserver_process import RtServer, merged
from tests.live.settings import SETTINGS

SUBSCRIBERS = 150
PUBLICATIONS = 300
ROUNDS = 120


@pytest.fixture(scope="module", params=["memory", "redis"])
def engine_server(request, tmp_path_factory):
    if request.param == "memory":
        server = RtServer(tmp_path_factory.mktemp("memory"), SETTINGS).start()
        yield server
        server.stop()
        return
    with RedisServer() as redis:
        engine = {"engine": {"type": "redis", "redis": {"address": [redis.url]}}}
        server = RtServer(tmp_path_factory.mktemp("redis"), merged(SETTINGS, engine)).start()
        yield server
        server.stop()


@pytest.fixture
def server(engine_server):
    yield engine_server
    engine_server.check_log()


def publish_numbers(server, channel, count, per_call=10):
    """Numbers from 0, several in each API call, so that many fall into one turn of the server."""
    for start in range(0, count, per_call):
        commands = [{"publish": {"channel": channel, "data": n}} for n in range(start, start + per_call)]
        server.api("batch", commands=commands)


def test_every_subscriber_gets_everything_in_order(server, channel):
    """Also those of two channels at once, whose frames of a turn are gathered in one write."""
    first, second = channel("recover"), channel()

    async def listen(ready):
        numbers = {first: [], second: []}
        async with connect(server.websocket, compression=None, proxy=None, max_queue=None) as socket:
            await socket.send(
                f'{{"id":1,"connect":{{}}}}\n{{"id":2,"subscribe":{{"channel":"{first}"}}}}\n'
                f'{{"id":3,"subscribe":{{"channel":"{second}"}}}}'
            )
            replies = 0
            while sum(map(len, numbers.values())) < 2 * PUBLICATIONS:
                for line in (await socket.recv()).split("\n"):
                    message = json.loads(line)
                    if "push" in message:
                        numbers[message["push"]["channel"]].append(message["push"]["pub"]["data"])
                    elif message:
                        replies += 1
                        if replies == 3:
                            ready.release()
                    else:
                        await socket.send("{}")
        return numbers

    async def run():
        ready = asyncio.Semaphore(0)
        listeners = [asyncio.create_task(listen(ready)) for _ in range(SUBSCRIBERS)]
        for _ in listeners:
            await ready.acquire()
        names = (first, second)
        await asyncio.gather(*(asyncio.to_thread(publish_numbers, server, name, PUBLICATIONS) for name in names))
        return await asyncio.gather(*listeners)

    everything = {first: list(range(PUBLICATIONS)), second: list(range(PUBLICATIONS))}
    for numbers in asyncio.run(asyncio.wait_for(run(), 60)):
        assert numbers == everything


@pytest.fixture
def flow(server, channel):
    """A channel in which numbers are published all the time."""
    name = channel("recover")
    over = threading.Event()

    def publish():
        number = 0
        while not over.is_set():
            commands = [{"publish": {"channel": name, "data": number + more}} for more in range(3)]
            server.api("batch", commands=commands)
            number += 3
            over.wait(0.001)

    publisher = threading.Thread(target=publish)
    publisher.start()
    yield name
    over.set()
    publisher.join()


@pytest.mark.parametrize("protobuf", [False, True], ids=["json", "protobuf"])
def test_a_subscriber_that_comes_and_goes_sees_no_hole_and_nothing_after_its_end(server, flow, protobuf):
    """After the reply comes the very next offset; after an unsubscribe reply comes nothing."""
    with RawClient(server, protobuf=protobuf) as client:
        client.connect()
        number = 10
        for _ in range(ROUNDS):
            client.send({"id": number, "subscribe": {"channel": flow}})
            reply = client.receive()
            assert reply["id"] == number
            offset = int(reply["subscribe"].get("offset", 0))
            for _ in range(3):
                offset += 1
                assert int(client.receive()["push"]["pub"]["offset"]) == offset
            client.send({"id": number + 1, "unsubscribe": {"channel": flow}})
            while "push" in (message := client.receive()):
                offset += 1
                assert int(message["push"]["pub"]["offset"]) == offset
            assert message["id"] == number + 1
            number += 2


def test_recovery_under_load_joins_the_flow_without_a_hole(server, flow):
    """Each round comes back with the last offset it saw: recovered and live publications make one unbroken row."""
    offset, epoch = 0, ""
    with RawClient(server) as client:
        client.connect()
        for number in range(10, 10 + 2 * ROUNDS, 2):
            wanted = {"channel": flow, "recover": True, "offset": offset, "epoch": epoch}
            client.send({"id": number, "subscribe": wanted})
            reply = client.receive()["subscribe"]
            assert reply["recovered"] or offset == 0
            epoch = reply["epoch"]
            if not reply["recovered"]:
                offset = reply["offset"]
            for publication in reply.get("publications", ()):
                offset += 1
                assert publication["offset"] == offset
            offset += 1
            assert client.receive()["push"]["pub"]["offset"] == offset
            client.send({"id": number + 1, "unsubscribe": {"channel": flow}})
            while "push" in (message := client.receive()):
                offset += 1
                assert message["push"]["pub"]["offset"] == offset


def test_deltas_under_load_always_rebuild_the_data(server, make_client, channel):
    """Clients come and go and break off in a channel with deltas: what they get is always what was published."""
    name = channel("delta")
    clients = [
        make_client(sdk, server) for sdk in ("js-websocket", "js-websocket-protobuf", "python", "python-protobuf")
    ]
    for client in clients:
        client.open()
        client.enter(name, delta="fossil")
    for round in range(30):
        coming = clients[round % len(clients)]
        coming.unsubscribe(name)
        coming.wait("unsubscribed", name)
        data = [{"n": 10 * round + n, "pad": "größe" * 60, "last": round} for n in range(10)]
        commands = [{"publish": {"channel": name, "data": each}} for each in data]
        half = threading.Thread(target=server.api, args=("batch",), kwargs={"commands": commands})
        half.start()
        coming.resubscribe(name)
        coming.wait("subscribed", name)
        half.join()
    for client in clients:
        got = [client.wait("publication", name) for _ in range(300)]
        assert [each["data"]["n"] for each in got] == list(range(300))
        assert all(
            each["data"]["pad"] == "größe" * 60 and each["data"]["last"] == each["data"]["n"] // 10 for each in got
        )
