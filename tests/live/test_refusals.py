"""Errors that applications, backends and full threads answer with (101, 111, 113): on the wire, and what SDKs make of them."""

import base64
import urllib.parse
from collections import Counter

import pytest

from rtserver.threads import SIZE, WAITING
from tests.live.apps.refusals import TEMPORARY, TEXTS
from tests.live.raw import RawClient
from tests.live.rtserver_process import RtServer
from tests.live.sdk import SdkError
from tests.live.settings import OPEN, SDKS

SETTINGS = {
    "apps": [{"module": "tests.live.apps.refusals:app"}],
    "client": {"allow_anonymous_connect_without_token": True, "concurrency": 2000},
    "channel": {"without_namespace": OPEN, "namespaces": [{"name": "room"}]},
    "uni_websocket": {"enabled": True},
}

every_code = pytest.mark.parametrize("code", TEXTS)
every_sdk = pytest.mark.parametrize("sdk", SDKS)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = RtServer(tmp_path_factory.mktemp("refusals"), SETTINGS).start()
    yield server
    server.stop()


def expected(code):
    return {"code": code, "message": TEXTS[code], **({"temporary": True} if code in TEMPORARY else {})}


# On the wire


@every_code
@pytest.mark.parametrize("protobuf", [False, True], ids=["json", "protobuf"])
def test_a_refusal_is_an_error_of_its_command(server, channel, code, protobuf):
    data = base64.b64encode(b'{"code":%d}' % code).decode() if protobuf else {"code": code}
    with RawClient(server, protobuf=protobuf) as client:
        client.connect()
        assert client.call(2, rpc={"method": "refused", "data": data})["error"] == expected(code)
        assert client.call(3, subscribe={"channel": channel("room"), "data": data})["error"] == expected(code)
        assert client.call(4, subscribe={"channel": channel()})["subscribe"] == {}


@every_code
def test_a_refused_connect_is_an_error_and_the_end(server, code):
    with RawClient(server) as client:
        assert client.call(1, connect={"data": {"code": code}})["error"] == expected(code)
        client.send({"id": 2, "subscribe": {"channel": "a"}})
        assert client.end() == (3501, "bad request")


@pytest.mark.parametrize(("code", "end"), [(101, 3004), (111, 3013), (113, 3004)])
def test_a_refused_unidirectional_connect_is_a_disconnect(server, code, end):
    query = "?cf_connect=" + urllib.parse.quote(f'{{"data":{{"code":{code}}}}}')
    with RawClient(server, path="/connection/uni_websocket", query=query, pong=False) as client:
        assert client.receive()["disconnect"]["code"] == end
        assert client.end()[0] == end


# What SDKs do


@every_sdk
def test_a_call_that_is_refused_fails_with_its_code(sdk, server, make_client):
    client = make_client(sdk, server)
    client.open()
    for code in TEXTS:
        with pytest.raises(SdkError) as refusal:
            client.rpc("refused", {"code": code})
        assert (refusal.value.code, refusal.value.message) == (code, TEXTS[code])


@every_sdk
@every_code
def test_connects_that_are_refused_for_now_are_repeated_and_others_are_not(sdk, code, server, make_client, channel):
    client = make_client(sdk, server, data={"code": code, "key": channel()})
    client.connect()
    if code in TEMPORARY:
        assert client.wait("connected")["client"]
    else:
        assert client.wait("disconnected")["code"] == code


@every_sdk
@every_code
def test_subscribes_too(sdk, code, server, make_client, channel):
    client = make_client(sdk, server)
    client.open()
    client.subscribe(channel("room"), data={"code": code, "key": channel("room")})
    if code in TEMPORARY:
        client.wait("subscribed", channel("room"))
    else:
        assert client.wait("unsubscribed", channel("room"))["code"] == code


# Threads that are all taken


@pytest.fixture
def closed_gate(server):
    assert server.post("/refusals/close", b"")[0] in (200, 204)
    yield
    server.post("/refusals/open", b"")


def test_when_every_thread_is_taken_calls_are_error_111_and_all_others_are_served_in_the_end(server, closed_gate):
    room, more = SIZE + WAITING, 20
    with RawClient(server) as client:
        client.connect()
        for start in range(0, room + more, 100):
            count = min(100, room + more - start)
            client.send(*({"id": 2 + start + n, "rpc": {"method": "held"}} for n in range(count)))
        refused = [client.receive() for _ in range(more)]
        assert [each["error"] for each in refused] == [expected(111)] * more
        assert {each["id"] for each in refused} == set(range(2 + room, 2 + room + more))
        assert server.get("/refusals/held")[0] == 503
        assert client.call(1, presence={"channel": "a"})["error"]["code"] == 108
        server.post("/refusals/open", b"")
        served = Counter(str(client.receive().get("rpc")) for _ in range(room))
    assert served == {"{'data': True}": room}
