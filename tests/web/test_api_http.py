"""How API requests come in and go out (protocol section 9.1)."""

from __future__ import annotations

import json

import pytest
from twisted.internet.defer import Deferred

from rtserver.core.errors import BrokerUnavailable
from rtserver.web.api_http import BATCH_LIMIT, ApiAccess
from tests.api_house import ApiHouse

KEY = "a key with spaces & ünïcode"


@pytest.fixture
def house():
    house = ApiHouse()
    yield house
    house.world.log.check()


def publish(number=1):
    return {"publish": {"channel": "a", "data": number}}


# Access


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "secret"},
        {"Authorization": "apikey secret"},
        {"Authorization": "ApiKey   secret "},
        {"x-api-key": "secret", "Authorization": "apikey other"},
    ],
)
def test_the_key_may_come_in_either_header(headers):
    house = ApiHouse(ApiAccess(key="secret"))
    assert house.post("info", {}, headers=headers).json["result"]["nodes"]


def test_the_key_may_come_in_the_query():
    assert ApiHouse(ApiAccess(key="secret")).post("info?api_key=secret", {}).status == 200


def test_a_key_may_have_any_characters():
    house = ApiHouse(ApiAccess(key=KEY))
    assert house.post("info", {}, headers={"X-API-Key": KEY.encode()}).status == 200
    assert house.post("info?api_key=a+key+with+spaces+%26+%C3%BCn%C3%AFcode", {}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "other"},
        {"X-API-Key": ""},
        {"X-API-Key": b"\xff"},
        {"X-API-Key": "other", "Authorization": "apikey secret"},
        {"Authorization": "Bearer secret"},
        {"Authorization": "apikey"},
        {"Authorization": b"apikey \xff\xfe"},
    ],
)
def test_a_wrong_or_missing_key_is_401_before_anything_is_said_of_the_body(headers):
    answer = ApiHouse(ApiAccess(key="secret")).post("publish", {"channel": 1}, headers=headers)
    assert answer.status == 401 and answer.json == {"detail": "The API key is missing or wrong: send it as X-API-Key"}


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": ""}, {"X-API-Key": "anything"}])
def test_without_a_configured_key_nobody_comes_in(headers):
    assert ApiHouse(ApiAccess(key="")).post("info", {}, headers=headers).status == 401


def test_insecure_mode_asks_for_no_key():
    assert ApiHouse(ApiAccess(insecure=True)).post("info", {}).status == 200


def test_the_key_is_not_shown():
    assert "secret" not in repr(ApiAccess(key="secret"))


# Requests


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_only_post_is_taken(house, method):
    answer = house.port.ask(method, "/api/info")
    assert answer.status == 405 and answer.header("allow") == "POST, OPTIONS"


@pytest.mark.parametrize("method", ["connections", "map_publish", "Publish", "publish/x", "_one"])
def test_a_method_that_is_not_there_is_404(house, method):
    assert house.post(method, {}).status == 404


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"channel":"a","data":"\xff"}', b'{"channel":"\xff"}', b"\x00"],
)
def test_a_body_that_is_no_json_is_400(house, body):
    answer = house.raw("publish", body)
    assert answer.status == 400 and answer.json["detail"].startswith("The body is not")


@pytest.mark.parametrize(
    ("body", "location"),
    [(b"", ["body"]), (b"[]", ["body"]), (b"null", ["body"]), (b'{"channel":1}', ["body", "channel"])],
)
def test_a_body_of_another_shape_is_422_with_the_place(house, body, location):
    answer = house.raw("publish", body)
    assert answer.status == 422 and answer.json["detail"][0]["loc"] == location


def test_a_body_that_nests_too_deep_is_400(house):
    assert house.raw("publish", b'{"channel":"a","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}").status == 400


def test_unknown_keys_are_passed_over(house):
    assert house.post("publish", {"channel": "a", "data": 1, "new": [1]}).json["result"]["offset"] == 1


def test_an_answer_is_one_piece_with_its_length(house):
    answer = house.post("publish", {"channel": "a", "data": 1})
    assert answer.header("content-type") == "application/json"
    assert int(answer.header("content-length")) == len(answer.body)
    assert answer.header("transfer-encoding") is None


# Errors in transport mode


@pytest.mark.parametrize(
    ("method", "body", "status", "code"),
    [
        ("publish", {"channel": "nowhere:a", "data": 1}, 404, 102),
        ("rpc", {"method": "x"}, 404, 104),
        ("publish", {"channel": "a"}, 400, 107),
        ("presence", {"channel": "plain:a"}, 400, 108),
        ("history", {"channel": "a", "since": {"offset": 1, "epoch": "other"}}, 416, 112),
        ("history", {"channel": "a", "since": {"offset": 0}, "reverse": True}, 500, 100),
    ],
)
def test_in_transport_mode_the_status_tells_and_the_body_is_the_error(house, method, body, status, code):
    normal = house.post(method, body)
    assert normal.status == 200 and normal.json["error"]["code"] == code
    answer = house.post(method, body, headers={"X-Centrifugo-Error-Mode": "transport"})
    assert answer.status == status and answer.json["code"] == code and answer.json["message"]
    always = ApiHouse(ApiAccess(insecure=True, error_mode="transport"))
    assert always.post(method, body).status == status


def test_an_error_mode_in_no_encoding_is_none(house):
    answer = house.post("rpc", {"method": "x"}, headers={"X-Centrifugo-Error-Mode": b"\xff"})
    assert answer.status == 200


# Failures


def test_a_broker_that_fails_is_error_100_with_its_sentence_for_the_backend(house):
    async def fail(*args, **named):
        raise BrokerUnavailable("Redis did not answer in time: check it")

    house.world.broker.publish = fail
    answer = house.post("publish", {"channel": "a", "data": 1})
    assert answer.json == {
        "error": {
            "code": 100,
            "message": "internal server error: Redis did not answer in time: check it",
            "temporary": True,
        }
    }
    assert house.world.log.texts("warn")


def test_an_unforeseen_failure_is_error_100_without_details_and_logged():
    house = ApiHouse()

    async def fail(*args, **named):
        raise KeyError("a detail")

    house.world.broker.publish = fail
    answer = house.post("publish", {"channel": "a", "data": 1})
    assert answer.json == {"error": {"code": 100, "message": "internal server error", "temporary": True}}
    assert house.world.log.texts("error") == ["API publish failed"]


class Waiting:
    """A broker whose publications wait until the test says so, or until they are cancelled."""

    def __init__(self, world):
        self.calls = []
        self.cancelled = 0
        world.broker.publish = self

    async def __call__(self, *args, **named):
        waiting = Deferred(self._cancelled)
        self.calls.append(waiting)
        return await waiting

    def _cancelled(self, deferred):
        self.cancelled += 1


def test_a_client_that_leaves_cancels_the_work(house):
    waiting = Waiting(house.world)
    line = house.begin("publish", {"channel": "a", "data": 1})
    assert len(waiting.calls) == 1
    line.leave()
    assert waiting.cancelled == 1 and line.take() == b""


@pytest.mark.parametrize("parallel", [True, False])
def test_a_client_that_leaves_cancels_its_batch(house, parallel):
    waiting = Waiting(house.world)
    line = house.begin("batch", {"commands": [publish(), publish()], "parallel": parallel})
    assert len(waiting.calls) == (2 if parallel else 1)
    line.leave()
    assert waiting.cancelled == len(waiting.calls) and line.take() == b""


def test_work_that_cannot_be_cancelled_ends_quietly_when_the_client_has_left(house):
    from rtserver.core.ports import PublishOutcome, StreamPosition

    gate = Deferred()

    async def stubborn(*args, **named):
        held = Deferred()
        gate.addCallback(lambda _: held.callback(None))
        try:
            await held
        except BaseException as failure:
            raise BrokerUnavailable("the command was given up") from failure
        return PublishOutcome(StreamPosition(1, "e"))

    house.world.broker.publish = stubborn
    line = house.begin("publish", {"channel": "a", "data": 1})
    line.leave()
    assert line.take() == b""


# Batches


def test_a_batch_answers_each_command_in_order(house):
    answer = house.post("batch", {"commands": [publish(), {"nothing": {}}, {"publish": {"data": 1}}, publish(2)]})
    replies = answer.json["replies"]
    assert [reply.get("publish", {}).get("offset") for reply in replies] == [1, None, None, 2]
    assert replies[1] == {"error": {"code": 104, "message": "not found"}}
    assert replies[2]["error"]["code"] == 107 and "channel is missing" in replies[2]["error"]["message"]


def test_a_command_of_a_batch_that_cannot_be_read_is_its_own_error(house):
    replies = house.post("batch", {"commands": [{"publish": {"channel": 1}}, publish()]}).json["replies"]
    assert replies[0]["error"]["code"] == 107 and replies[1]["publish"]["offset"] == 1


def test_a_sequential_batch_waits_for_each_and_a_parallel_one_does_not(house):
    waiting = Waiting(house.world)
    house.begin("batch", {"commands": [publish(), publish()]})
    assert len(waiting.calls) == 1
    house.begin("batch", {"commands": [publish(), publish()], "parallel": True})
    assert len(waiting.calls) == 3


def test_one_failure_in_a_parallel_batch_leaves_the_others_alone(house):
    calls = iter((BrokerUnavailable("gone"), None))
    good = house.world.broker.publish

    async def sometimes(*args, **named):
        failure = next(calls)
        if failure is not None:
            raise failure
        return await good(*args, **named)

    house.world.broker.publish = sometimes
    replies = house.post("batch", {"commands": [publish(), publish()], "parallel": True}).json["replies"]
    assert replies[0]["error"]["code"] == 100 and replies[1]["publish"]["offset"] == 1


def test_a_batch_may_be_empty_but_not_too_long(house):
    assert house.post("batch", {"commands": []}).json == {"replies": []}
    assert house.post("batch", {"commands": [{}] * BATCH_LIMIT}).status == 200
    answer = house.post("batch", {"commands": [{}] * (BATCH_LIMIT + 1)})
    assert answer.status == 422 and str(BATCH_LIMIT) in answer.text


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 422), (b"{", 400), (b"[]", 422), (b'{"commands":{}}', 422), (b'{"commands":[{"\xff":{}}]}', 400)],
)
def test_a_batch_that_cannot_be_read_is_refused(house, body, status):
    assert house.raw("batch", body).status == status


# The old endpoint


def test_the_old_endpoint_answers_lines_with_the_ids_of_the_commands(house):
    commands = [
        {"id": 1, "method": "publish", "params": {"channel": "a", "data": 1}},
        {"method": "info"},
        {"id": 3, "method": "nothing"},
        {"id": 4, "method": "publish", "params": {"data": 1}},
    ]
    answer = house.raw("", "\n".join(json.dumps(command) for command in commands).encode() + b"\n")
    lines = [json.loads(line) for line in answer.body.split(b"\n")]
    assert [line.get("id") for line in lines] == [1, None, 3, 4]
    assert lines[0]["result"]["offset"] == 1 and lines[1]["result"]["nodes"]
    assert [line["error"]["code"] for line in lines[2:]] == [104, 107]


@pytest.mark.parametrize(
    "body", [b"", b"\n", b"{", b'{"id":1}', b'{"method":"info"}\n\n{"method":"info"}', b'{"method":"\xff"}']
)
def test_a_line_that_cannot_be_read_is_400(house, body):
    assert house.raw("", body).status == 400


def test_payloads_with_line_breaks_do_not_break_the_lines_of_the_old_endpoint(house):
    house.world.publish("a", b'{\n"a":\r\n1}')
    body = b'{"id":1,"method":"history","params":{"channel":"a","limit":1}}\n{"id":2,"method":"info"}'
    lines = house.raw("", body).body.split(b"\n")
    assert [json.loads(line)["id"] for line in lines] == [1, 2]


def test_too_many_lines_are_refused(house):
    assert house.raw("", b"\n".join([b'{"method":"x"}'] * (BATCH_LIMIT + 1))).status == 400
