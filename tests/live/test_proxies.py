"""A real backend over HTTP decides what real SDKs may do."""

import time

import pytest
from centrifuge.exceptions import ClientDisconnectedError

from tests.live.backend import Backend, settings
from tests.live.raw import RawClient
from tests.live.rtserver_process import RtServer
from tests.live.sdk import SdkError
from tests.live.settings import SDKS
from tests.live.tokens import channel_token, token

every_sdk = pytest.mark.parametrize("sdk", SDKS)
JS = "js-websocket"


@pytest.fixture(scope="module")
def running():
    backend = Backend()
    yield backend
    backend.stop()


@pytest.fixture(scope="module")
def asking_server(tmp_path_factory, running):
    server = RtServer(tmp_path_factory.mktemp("asking"), settings(running)).start()
    yield server
    server.stop()


@pytest.fixture
def server(asking_server):
    yield asking_server
    asking_server.check_log()


@pytest.fixture
def backend(running):
    running.reset()
    running.answers = {"/connect": {"result": {"user": "42"}}, "/subscribe": {"result": {}}, "/publish": {"result": {}}}
    yield running
    running.release()


# Connect


@every_sdk
def test_the_backend_says_who_connects_and_gives_channels_and_data(sdk, make_client, server, backend, channel):
    backend.answers["/connect"] = {
        "result": {
            "user": "42",
            "info": {"name": "Ada"},
            "data": {"hello": "world"},
            "channels": [channel("asked")],
            "subs": {channel("asked", "2"): {"data": {"seat": 1}}},
        }
    }
    client = make_client(sdk, server, data={"secret": "letmein"})
    connected = client.open()
    assert connected["data"] == {"hello": "world"}
    assert client.wait("subscribed", channel("asked", "2"))["data"] == {"seat": 1}
    server.publish(channel("asked"), {"n": 1})
    assert client.data(channel("asked")) == {"n": 1}
    (question,) = backend.questions("/connect")
    assert question["client"] == connected["client"]
    assert question["data"] == {"secret": "letmein"}
    assert question["protocol"] == ("protobuf" if SDKS[sdk][1] else "json")
    assert question["transport"] == (SDKS[sdk][0] or "websocket")
    assert question["encoding"] == "json"
    assert question["name"]


@every_sdk
def test_a_backend_that_refuses_is_terminal(sdk, make_client, server, backend):
    backend.answers["/connect"] = {"disconnect": {"code": 4501, "reason": "not you"}}
    client = make_client(sdk, server)
    client.connect()
    ended = client.wait("disconnected")
    assert (ended["code"], ended["reason"]) == (4501, "not you")


@every_sdk
def test_an_error_of_the_backend_reaches_the_client(sdk, make_client, server, backend):
    backend.answers["/connect"] = {"error": {"code": 1403, "message": "no entrance"}}
    client = make_client(sdk, server)
    client.connect()
    assert client.wait("disconnected")["code"] == 1403


@every_sdk
def test_a_slow_backend_makes_the_sdk_try_again_until_it_answers(sdk, make_client, server, backend):
    backend.answers["/connect"] = backend.hang
    client = make_client(sdk, server)
    client.connect()
    backend.wait("/connect", 2)
    assert client.pending("disconnected") == []
    backend.answers["/connect"] = {"result": {"user": "42"}}
    backend.release()
    client.wait("connected")


def test_a_client_with_a_token_is_not_asked_about(make_client, server, backend):
    make_client(JS, server, token=token("7", 60)).open()
    assert backend.questions("/connect") == []


def test_a_backend_that_does_not_know_the_client_leaves_it_to_the_rules(make_client, server, backend):
    backend.answers["/connect"] = {"result": None}
    client = make_client(JS, server)
    client.connect()
    assert client.wait("disconnected")["code"] == 3501


def test_headers_of_the_handshake_and_of_the_sdk_reach_the_backend_when_they_are_listed(server, backend):
    more = {"Cookie": "session=1", "X-Real-IP": "10.0.0.1", "X-Other": "no"}
    with RawClient(server, additional_headers=more) as client:
        client.connect(headers={"authorization": "mine", "x-real-ip": "forged", "x-backend-key": "forged"})
    (headers,) = backend.headers("/connect")
    assert headers["cookie"] == "session=1"
    assert headers["x-real-ip"] == "10.0.0.1"
    assert headers["authorization"] == "mine"
    assert headers["x-backend-key"] == "key-of-the-backend"
    assert headers["content-type"] == "application/json"
    assert "x-other" not in headers


def test_no_cookie_of_an_answer_is_sent_with_the_next_question(server, backend):
    for _ in range(3):
        with RawClient(server) as client:
            client.connect()
    assert [headers.get("cookie") for headers in backend.headers("/connect")] == [None] * 3


def test_an_identity_that_is_over_already_is_error_110(server, backend):
    backend.answers["/connect"] = {"result": {"user": "42", "expire_at": 1}}
    with RawClient(server) as client:
        assert client.call(1, connect={})["error"]["code"] == 110


# Refresh


def test_the_backend_prolongs_a_connection_and_ends_it(make_client, server, backend):
    meta = {"role": "admin"}
    backend.answers["/connect"] = lambda *_: {"result": {"user": "42", "expire_at": int(time.time()) + 2, "meta": meta}}
    backend.answers["/refresh"] = lambda *_: {"result": {"expire_at": int(time.time()) + 2}}
    client = make_client(JS, server)
    client.open()
    question = backend.wait("/refresh")
    assert (question["user"], question["meta"]) == ("42", meta)
    backend.answers["/refresh"] = {"result": {"expired": True}}
    assert [client.wait("connecting")["code"] for _ in range(2)] == [0, 3005]
    client.wait("connected")


def test_a_refresh_that_fails_keeps_the_connection(make_client, server, backend):
    backend.answers["/connect"] = lambda *_: {"result": {"user": "42", "expire_at": int(time.time()) + 1}}
    client = make_client(JS, server)
    client.open()
    backend.wait("/refresh")
    backend.answers["/rpc"] = {"result": {"data": 1}}
    assert client.rpc("still there", None) == 1
    assert client.events.count("connecting") == 1


# Subscribe


@every_sdk
def test_the_backend_lets_a_client_into_a_channel(sdk, make_client, server, backend, channel):
    backend.answers["/subscribe"] = {"result": {"info": {"seat": 7}, "data": {"welcome": True}}}
    client = make_client(sdk, server)
    me = client.open()["client"]
    entered = client.enter(channel("asked"), data={"ticket": 1})
    assert entered["data"] == {"welcome": True}
    assert client.presence(channel("asked"))[me]["chan_info"] == {"seat": 7}
    (question,) = backend.questions("/subscribe")
    assert question["user"] == "42"
    assert question["channel"] == channel("asked")
    assert question["data"] == {"ticket": 1}


@every_sdk
def test_the_backend_keeps_a_client_out_of_a_channel(sdk, make_client, server, backend, channel):
    backend.answers["/subscribe"] = {"error": {"code": 103}}
    client = make_client(sdk, server)
    client.open()
    client.subscribe(channel("asked"))
    assert client.wait("unsubscribed", channel("asked"))["code"] == 103


@every_sdk
def test_a_failing_backend_makes_the_sdk_subscribe_again(sdk, make_client, server, backend, channel):
    backend.answers["/subscribe"] = 500
    client = make_client(sdk, server)
    client.open()
    client.subscribe(channel("asked"))
    client.wait("error", channel("asked"))
    backend.answers["/subscribe"] = {"result": {}}
    client.wait("subscribed", channel("asked"))


def test_a_status_means_what_the_configuration_says(make_client, server, backend, channel):
    client = make_client(JS, server)
    client.open()
    backend.answers["/subscribe"] = 404
    client.subscribe(channel("asked"))
    assert client.wait("unsubscribed", channel("asked"))["code"] == 1404
    backend.answers["/subscribe"] = 403
    client.subscribe(channel("asked", "2"))
    ended = client.wait("disconnected")
    assert (ended["code"], ended["reason"]) == (4504, "blocked")


def test_tokens_and_user_limited_channels_go_without_the_backend(make_client, server, backend, channel):
    client = make_client(JS, server)
    client.open()
    client.enter(channel("asked"), token=channel_token(channel("asked"), "42"))
    client.enter(channel("users", "#42"))
    client.subscribe(channel("users", "#7"))
    assert client.wait("unsubscribed", channel("users", "#7"))["code"] == 103
    assert backend.questions("/subscribe") == []


def test_the_backend_prolongs_a_subscription_and_ends_it(make_client, server, backend, channel):
    backend.answers["/subscribe"] = lambda *_: {"result": {"expire_at": int(time.time()) + 2}}
    backend.answers["/sub_refresh"] = lambda *_: {"result": {"expire_at": int(time.time()) + 2}}
    client = make_client(JS, server)
    client.open()
    client.enter(channel("asked"))
    question = backend.wait("/sub_refresh")
    assert (question["user"], question["channel"]) == ("42", channel("asked"))
    backend.answers["/sub_refresh"] = {"result": None}
    assert [client.wait("subscribing", channel("asked"))["code"] for _ in range(2)] == [0, 2501]
    client.wait("subscribed", channel("asked"))


# Publish


@every_sdk
def test_the_backend_replaces_what_is_published(sdk, make_client, server, backend, channel):
    backend.answers["/publish"] = {"result": {"data": {"clean": "text"}, "tags": {"by": "backend"}}}
    client = make_client(sdk, server)
    client.open()
    client.enter(channel("asked"))
    client.publish(channel("asked"), {"dirty": "text"})
    published = client.wait("publication", channel("asked"))
    assert published["data"] == {"clean": "text"}
    assert published["tags"] == {"by": "backend"}
    assert published["info"]["user"] == "42"
    (question,) = backend.questions("/publish")
    assert (question["channel"], question["data"]) == (channel("asked"), {"dirty": "text"})


@every_sdk
def test_the_backend_refuses_a_publication(sdk, make_client, server, backend, channel):
    backend.answers["/publish"] = {"error": {"code": 1400, "message": "mind your language"}}
    client = make_client(sdk, server)
    client.open()
    with pytest.raises(SdkError) as refused:
        client.publish(channel("asked"), {"dirty": "text"})
    assert (refused.value.code, "mind your language" in refused.value.message) == (1400, True)


def test_a_publication_while_the_backend_fails_is_error_100(make_client, server, backend, channel):
    backend.answers["/publish"] = 502
    client = make_client(JS, server)
    client.open()
    with pytest.raises(SdkError) as refused:
        client.publish(channel("asked"), 1)
    assert refused.value.code == 100


# Calls


@every_sdk
def test_calls_are_answered_by_the_backend(sdk, make_client, server, backend):
    backend.answers["/rpc"] = lambda question, _: {"result": {"data": {"sum": sum(question["data"])}}}
    client = make_client(sdk, server)
    client.open()
    assert client.rpc("sum", [1, 2, 39]) == {"sum": 42}
    (question,) = backend.questions("/rpc")
    assert (question["method"], question["user"]) == ("sum", "42")


@pytest.mark.parametrize(("method", "code"), [("nowhere:sum", 104), ("off:sum", 108)])
def test_a_method_that_nobody_answers_is_refused(method, code, make_client, server, backend):
    client = make_client(JS, server)
    client.open()
    with pytest.raises(SdkError) as refused:
        client.rpc(method, {})
    assert refused.value.code == code
    assert backend.questions("/rpc") == []


@pytest.mark.parametrize("sdk", ["js-websocket-protobuf", "python-protobuf"])
def test_bytes_travel_in_base64(sdk, make_client, server, backend):
    backend.answers["/binary"] = lambda question, _: {"result": {"b64data": question["b64data"]}}
    client = make_client(sdk, server)
    client.open()
    assert client.rpc("binary:echo", b"\x00\xff\x01") == b"\x00\xff\x01"
    assert backend.questions("/binary")[0]["encoding"] == "binary"


@pytest.mark.parametrize("sdk", ["js-websocket-protobuf", "python-protobuf"])
def test_bytes_for_a_json_question_are_a_bad_request(sdk, make_client, server, backend):
    client = make_client(sdk, server)
    client.open()
    with pytest.raises(SdkError) as refused:
        client.rpc("echo", b"\x00\xff\x01")
    assert refused.value.code == 107


@every_sdk
def test_a_call_may_end_the_connection_for_a_while(sdk, make_client, server, backend):
    backend.answers["/rpc"] = {"disconnect": {"code": 4000, "reason": "come back"}}
    client = make_client(sdk, server)
    client.open()
    with pytest.raises((SdkError, ClientDisconnectedError)):
        client.rpc("out", {})
    assert [client.wait("connecting")["code"] for _ in range(2)] == [0, 4000]
    client.wait("connected")


# The log and the connections


def test_failures_are_told_once_and_without_secrets(server, backend):
    backend.answers["/rpc"] = 503
    with RawClient(server, additional_headers={"Cookie": "session=sesame"}) as client:
        client.connect()
        since = len(server.log)
        for number in range(2, 22):
            assert client.call(number, rpc={"method": "x", "data": "sesame"})["error"]["code"] == 100
    lines = server.lines("failed", since)
    assert len(lines) <= 1
    server.wait_log(f"The proxy rpc.proxy at 127.0.0.1:{backend.port} failed: the answer has status 503")
    assert not any(secret in server.log for secret in ("sesame", "key-of-the-backend"))


def test_connections_to_the_backend_are_used_again(server, backend):
    backend.answers["/rpc"] = {"result": {"data": 1}}
    with RawClient(server) as client:
        client.connect()
        before = len(backend.connections)
        for number in range(2, 52):
            client.call(number, rpc={"method": "x"})
    assert len(backend.connections) - before <= 2


def test_a_backend_that_comes_back_is_asked_again(start_server, make_client):
    first = Backend()
    first.answers = {"/connect": {"result": {"user": "42"}}, "/rpc": {"result": {"data": 1}}}
    server = start_server(settings(first))
    client = make_client(JS, server)
    client.open()
    assert client.rpc("x", {}) == 1
    first.stop()
    with pytest.raises(SdkError) as refused:
        client.rpc("x", {})
    assert refused.value.code == 100
    server.wait_log("The proxy rpc.proxy at")
    second = Backend(first.port)
    second.answers = {"/rpc": {"result": {"data": 2}}}
    assert client.rpc("x", {}) == 2
    second.stop()
