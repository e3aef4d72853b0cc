"""An application in a real server: real sockets, real threads, real time, and several nodes on one Redis."""

import http.client
import json
import os
import signal
import socket
import threading
import time
import urllib.parse
from contextlib import closing

import pytest

from tests.live.raw import RawClient
from tests.live.redis_server import RedisServer
from tests.live.rtserver_process import RtServer, merged
from tests.live.settings import OPEN, SDKS
from tests.live.tokens import token

SETTINGS = {
    "apps": [{"module": "tests.live.apps.market:app"}],
    "client": {
        "allow_anonymous_connect_without_token": True,
        "allowed_origins": ["https://market.example"],
    },
    "channel": {
        "without_namespace": {**OPEN, "history_size": 100, "history_ttl": "60s"},
        "namespaces": [{"name": "stall", "presence": True}, {"name": "clock", **OPEN}],
    },
}


@pytest.fixture(scope="module")
def market_server(tmp_path_factory):
    server = RtServer(tmp_path_factory.mktemp("market"), SETTINGS).start()
    yield server
    server.trouble += EXPECTED
    server.stop()


EXPECTED = [r"it failed", r"does not fit the declared type", r"rpc failed", r"Traceback"]
"""What the broken functions of the application write into the log."""


@pytest.fixture
def market(market_server):
    """The server, its notes empty."""
    ask(market_server, "DELETE", "/notes")
    yield market_server


class Got:
    def __init__(self, answer, body):
        self.status = answer.status
        self.headers = answer.headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


def ask(server, method, path, body=None, **headers):
    """One request below /market."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body)
        if body is not None:
            headers = {"Content-Type": "application/json", **headers}
        connection.request(method, f"/market{path}", body, headers)
        answer = connection.getresponse()
        return Got(answer, answer.read())


def noted(server, text, seconds=5.0):
    """Wait until the application has noted ``text``."""
    deadline = time.monotonic() + seconds
    while text not in (notes := ask(server, "GET", "/notes").json):
        assert time.monotonic() < deadline, f"{text!r} is not among {notes}"
        time.sleep(0.02)


# HTTP


def test_endpoints_answer_with_types_and_every_mistake(market):
    assert ask(market, "GET", "/fruit/5?detail=yes").json == {"name": "pear", "price": 1.5, "tags": [], "id": 5}
    got = ask(market, "POST", "/fruit", {"name": "kiwi", "price": 1, "tags": ["green"]})
    assert (got.status, got.json["id"], got.headers["content-type"]) == (201, 4, "application/json")
    got = ask(market, "POST", "/fruit", {"name": "", "price": 0, "tags": [1]})
    assert got.status == 422 and [each["loc"][1:] for each in got.json["detail"]] == [["name"], ["price"], ["tags", 0]]
    got = ask(market, "GET", "/search?tag=a&tag=b&below=2.5", **{"X-Market": "fish"})
    assert got.json == {"tag": ["a", "b"], "below": 2.5, "market": "fish"}


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/nowhere", None, {}, 404),
        ("GET", "/fruit/2000", None, {}, 404),
        ("PUT", "/fruit/5", {}, {}, 405),
        ("POST", "/fruit", b"{", {}, 400),
        ("POST", "/fruit", b"\xff", {}, 400),
        ("POST", "/fruit", {}, {"Content-Type": "text/plain"}, 415),
        ("POST", "/large", {"name": "x" * 200, "price": 1}, {}, 413),
        ("POST", "/fruit", b" " * 2_000_000, {}, 413),
        ("GET", "/me", None, {}, 401),
        ("GET", "/me", None, {"Authorization": "Bearer nonsense"}, 401),
    ],
)
def test_refusals_have_the_status_of_their_reason(market, method, path, body, headers, status):
    assert ask(market, method, path, body, **headers).status == status


def test_the_user_is_that_of_the_token(market):
    got = ask(market, "GET", "/me", Authorization=f"Bearer {token('ada', 60, info={'name': 'Ada'})}")
    assert got.json == {"id": "ada", "info": {"name": "Ada"}}
    got = ask(market, "GET", "/me", Authorization=f"Bearer {token('ada', -60)}")
    assert (got.status, got.json["detail"]) == (401, "The token is expired, get a new one")


def test_a_failure_shows_nothing_but_a_name_that_is_in_the_log(market):
    for path, words in (("/broken", "broken: it failed"), ("/unfit", "unfit: its result does not fit")):
        since = len(market.log)
        got = ask(market, "GET", path)
        assert got.status == 500 and set(got.json) == {"detail", "request_id"} and b"till" not in got.body
        market.wait_log(words, since)
        assert got.json["request_id"] in market.log[since:]


def test_a_plain_function_that_blocks_keeps_nobody_waiting(market):
    results = []
    blocked = [
        threading.Thread(target=lambda: results.append(ask(market, "GET", "/slow?seconds=1").json)) for _ in range(4)
    ]
    began = time.monotonic()
    for each in blocked:
        each.start()
    fast = 0
    while any(each.is_alive() for each in blocked):
        assert ask(market, "GET", "/fruit/5").status == 200
        fast += 1
    assert fast > 10 and results == [True] * 4 and time.monotonic() - began < 3.9
    noted(market, "plain session closed")


def test_an_endpoint_that_takes_too_long_is_given_up(market):
    got = ask(market, "GET", "/wait?seconds=30")
    assert (got.status, got.json["detail"]) == (504, "no answer within 0.5 s")
    assert ask(market, "GET", "/notes").json == ["session opened", "wait given up", "session undone", "session closed"]
    assert ask(market, "GET", "/wait?seconds=0.01").json == "session"


def test_a_client_that_leaves_cancels_the_work(market):
    with socket.create_connection(("127.0.0.1", market.port)) as connection:
        connection.sendall(b"GET /market/wait?seconds=0.4 HTTP/1.1\r\nHost: x\r\n\r\n")
        noted(market, "session opened")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    noted(market, "session closed")
    assert "wait given up" in ask(market, "GET", "/notes").json


@pytest.mark.parametrize(("origin", "allowed"), [("https://market.example", True), ("https://evil.example", False)])
def test_the_origins_are_those_of_the_websocket(market, origin, allowed):
    got = ask(market, "GET", "/fruit/5", Origin=origin)
    assert (got.headers["access-control-allow-origin"] == origin) is allowed
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    got = ask(market, "OPTIONS", "/fruit", **asked)
    assert got.status == 204 and (got.headers["access-control-allow-headers"] == "content-type") is allowed


def test_a_picture_is_no_json(market):
    got = ask(market, "GET", "/picture/red/a%20b.png")
    assert (got.body, got.headers["content-type"], got.headers["cache-control"]) == (
        *(b"red/a b.png", "image/x-fruit", "max-age=60"),
    )


def test_the_head_of_an_answer_is_had_alone(market):
    got = ask(market, "HEAD", "/fruit/5")
    assert got.body == b"" and int(got.headers["content-length"]) == len(ask(market, "GET", "/fruit/5").body)


def test_the_documents_describe_the_application(market):
    status, body = market.get("/openapi.json")
    document = json.loads(body)
    assert status == 200 and document["info"]["title"] == "market"
    assert {"/market/fruit/{fruit_id}", "/market/fruit", "/market/search", "/market/me"} <= set(document["paths"])
    assert not any("notes" in path for path in document["paths"])


@pytest.mark.parametrize("path", ["/shout/news", "/shout-plainly/news"])
def test_endpoints_publish_from_the_reactor_and_from_threads(market, path):
    with RawClient(market) as client:
        client.connect()
        client.call(2, subscribe={"channel": "news"})
        text = urllib.parse.quote(path)
        assert ask(market, "POST", f"{path}?text={text}").json > 0
        assert client.receive()["push"]["pub"]["data"] == {"text": path}


# Realtime


def test_realtime_functions_decide(market):
    with RawClient(market) as client:
        assert client.connect(token=token("ada", 60))["data"] == {"hello": "ada"}
        reply = client.call(2, subscribe={"channel": "stall:fish", "data": {"amount": "5"}})
        assert reply["subscribe"]["data"] == {"amount": 5}
        assert client.call(3, subscribe={"channel": "stall:closed"})["error"] == {
            "code": 1000,
            "message": "the stall is closed",
        }
        client.send({"id": 4, "publish": {"channel": "stall:fish", "data": {"amount": 7, "user": "eve"}}})
        messages = [client.receive(), client.receive()]
        (push,) = [each["push"]["pub"] for each in messages if "push" in each]
        assert push["data"] == {"amount": 7, "user": "ada"} and push["info"]["chan_info"] == {"stall": "fish"}
        for data, error in (
            ({"amount": 950}, {"code": 1001, "message": "too much", "temporary": True}),
            ({}, {"code": 107, "message": "bad request: data.amount: Field required"}),
        ):
            assert client.call(5, publish={"channel": "stall:fish", "data": data})["error"] == error
        assert client.call(6, rpc={"method": "sum", "data": [1, 2, 3]})["rpc"] == {"data": 6}
        assert client.call(7, rpc={"method": "nothing"})["error"]["code"] == 104
    noted(market, "ada left with 3000")


@pytest.mark.parametrize("method", ["broken.call", "broken.result"])
def test_a_function_that_fails_is_error_100_and_one_entry_of_the_log(market, method):
    since = len(market.log)
    with RawClient(market) as client:
        client.connect()
        assert client.call(2, rpc={"method": method})["error"]["code"] == 100
        assert client.call(3, rpc={"method": "sum", "data": [1]})["rpc"] == {"data": 1}
    market.wait_log("rpc failed", since)
    assert len(market.lines("rpc failed", since)) == 1


def test_a_plain_rpc_that_blocks_keeps_other_clients_going(market):
    with RawClient(market) as slow, RawClient(market) as fast:
        slow.connect()
        fast.connect()
        slow.send({"id": 2, "rpc": {"method": "slow", "data": {"seconds": 1}}})
        began = time.monotonic()
        count = 0
        while time.monotonic() - began < 0.8:
            assert fast.call(3, rpc={"method": "sum", "data": [1]})["rpc"] == {"data": 1}
            count += 1
        assert count > 20 and slow.receive() == {"id": 2, "rpc": {"data": True}}


def test_an_rpc_that_takes_too_long_is_given_up_as_is_that_of_a_client_that_left(market):
    with RawClient(market) as client:
        client.connect()
        assert client.call(2, rpc={"method": "wait", "data": {"seconds": 30}})["error"]["code"] == 100
        assert ask(market, "GET", "/notes").json == ["rpc given up"]
        ask(market, "DELETE", "/notes")
        client.send({"id": 3, "rpc": {"method": "wait", "data": {"seconds": 0.4}}})
    noted(market, "rpc given up", 0.45)


def test_a_stream_runs_for_its_audience_alone(market):
    with RawClient(market) as client:
        client.connect()
        assert client.call(2, subscribe={"channel": "clock:x"})["error"]["code"] == 107
        client.call(3, subscribe={"channel": "clock:50"})
        numbers = [client.receive()["push"]["pub"]["data"]["n"] for _ in range(10)]
        assert numbers == list(range(numbers[0], numbers[0] + 10)) and numbers[0] == 1
        assert "clock 50 ends" not in ask(market, "GET", "/notes").json
    noted(market, "clock 50 ends")


@pytest.mark.parametrize("sdk", ["js-websocket", "js-sse", "js-websocket-protobuf", "python"])
def test_every_sdk_calls_typed_functions(market, make_client, sdk):
    assert sdk in SDKS
    client = make_client(sdk, market, token=token("ada", 60))
    client.connect()
    assert client.rpc("sum", [1, 2, 3]) == 6


# The life of the server


def test_what_is_in_the_database_outlives_the_server(tmp_path):
    server = RtServer(tmp_path, SETTINGS).start()
    try:
        results = []
        many = [
            threading.Thread(target=lambda: results.append(ask(server, "POST", "/count/fish").json)) for _ in range(8)
        ]
        for each in many:
            each.start()
        for each in many:
            each.join(10)
        assert sorted(results) == list(range(1, 9))
        server.stop()
        server.start()
        assert ask(server, "POST", "/count/fish").json == 9
        server.stop()
    finally:
        server.kill()


def test_a_shutdown_waits_for_plain_functions_that_run(start_server):
    server = start_server(SETTINGS)
    results = []
    asking = threading.Thread(target=lambda: results.append(ask(server, "GET", "/slow?seconds=1").status))
    asking.start()
    time.sleep(0.3)
    server.signal(signal.SIGTERM)
    asking.join(10)
    server.wait_end()
    server.process = None
    assert server.exit_code == 0 and results == [200]


def test_functions_that_do_not_go_together_stop_the_start_with_their_names(tmp_path, monkeypatch):
    (tmp_path / "twice.py").write_text(
        "from rtserver import App\napp = App()\n"
        "@app.get('/a')\nasync def one() -> None: ...\n@app.get('/a')\nasync def two() -> None: ...\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    server = RtServer(tmp_path, {"apps": [{"module": "twice:app"}]})
    with pytest.raises(AssertionError, match="GET /a is declared twice, by twice.one and by twice.two"):
        server.start()


# Several nodes


def test_a_stream_is_made_once_however_many_nodes_have_listeners(start_server):
    with RedisServer() as redis:
        on_redis = merged(SETTINGS, {"engine": {"type": "redis", "redis": {"address": [redis.url]}}})
        servers = [start_server(on_redis), start_server(on_redis)]
        with RawClient(servers[0]) as one, RawClient(servers[1]) as two:
            for client in (one, two):
                client.connect()
                client.call(2, subscribe={"channel": "clock:20"})
            heard = [[client.receive()["push"]["pub"]["data"]["n"] for _ in range(40)] for client in (one, two)]
            for numbers in heard:
                assert numbers == list(range(numbers[0], numbers[0] + 40)), "two nodes count at the same time"
            runs = [
                sum(each.startswith("clock 20 begins") for each in ask(server, "GET", "/notes").json)
                for server in servers
            ]
            assert sorted(runs) == [0, 1]
            holder = runs.index(1)
            (one, two)[holder].socket.close()
            survivor = (two, one)[holder]
            deadline = time.monotonic() + 15
            while survivor.receive()["push"]["pub"]["data"]["n"] >= 40:
                assert time.monotonic() < deadline, "nobody took the stream over"
            noted(servers[1 - holder], "clock 20 begins")
