"""Questions to a backend and its answers, as bytes."""

import json

import msgspec
import pytest
from msgspec import Raw

from rtserver.core.errors import BAD_REQUEST, CommandError, Disconnected
from rtserver.core.hooks import Admitted, Allowed, Caller, Identity, Refreshed
from rtserver.core.messages import EMPTY, Error
from rtserver.core.ports import ServerSubscription, SubscriptionOverride
from rtserver.services.proxy_options import (
    ProxyHTTPOptions,
    ProxyOptions,
    StatusTransform,
    TransformDisconnect,
    TransformError,
)
from rtserver.services.proxy_wire import (
    BadAnswer,
    ConnectQuestion,
    UserQuestion,
    admitted,
    allowed,
    headers,
    identity,
    question,
    raise_for_status,
    refreshed,
    result_of,
    rpc_data,
)

CALLER = Caller("c1", "42", "websocket", "json", meta=Raw(b'{"role":"admin"}'))
BASE = {"client": "c1", "transport": "websocket", "protocol": "json", "encoding": "json"}


def asked(kind, options=None, caller=CALLER, data=EMPTY, **more):
    return json.loads(question(kind, options or ProxyOptions(), caller, data, **more))


def answered(value):
    return result_of(json.dumps(value).encode())


def raw(value):
    return Raw(json.dumps(value).encode())


# Questions


def test_a_question_leaves_out_what_is_empty_but_never_the_user():
    assert asked(ConnectQuestion) == BASE
    assert asked(UserQuestion, user="") == {**BASE, "user": ""}


def test_a_connect_question_tells_what_the_client_sent():
    made = asked(ConnectQuestion, data=Raw(b'{"a":1}'), name="js", version="1", channels=("x", "y"))
    assert made == {**BASE, "data": {"a": 1}, "name": "js", "version": "1", "channels": ["x", "y"]}


def test_data_travels_byte_for_byte():
    body = question(UserQuestion, ProxyOptions(), CALLER, Raw(b'{"b" : 1.0,"a":"\xc3\xa9"}'), user="42")
    assert b'"data":{"b" : 1.0,"a":"\xc3\xa9"}' in body


def test_with_binary_encoding_data_is_base64_in_standard_form():
    made = asked(UserQuestion, ProxyOptions(binary_encoding=True), data=Raw(b"\xfb\xff\x00"), user="42")
    assert made == {**BASE, "encoding": "binary", "user": "42", "b64data": "+/8A"}


def test_with_binary_encoding_no_data_is_no_field():
    assert "b64data" not in asked(UserQuestion, ProxyOptions(binary_encoding=True), user="42")


def test_meta_is_told_only_where_it_is_asked_for():
    assert "meta" not in asked(UserQuestion, user="42")
    assert asked(UserQuestion, ProxyOptions(include_connection_meta=True), user="42")["meta"] == {"role": "admin"}
    without = Caller("c1", "42", "websocket", "json")
    assert "meta" not in asked(UserQuestion, ProxyOptions(include_connection_meta=True), without, user="42")


def test_bytes_that_are_no_json_cannot_go_into_a_json_question():
    caller = Caller("c1", "42", "websocket", "protobuf")
    assert asked(UserQuestion, caller=caller, data=Raw(b"[1]"), user="42")["data"] == [1]
    with pytest.raises(CommandError) as caught:
        question(UserQuestion, ProxyOptions(), caller, Raw(b"\x00\x01"), user="42")
    assert caught.value.error == BAD_REQUEST


# Headers


def test_only_listed_headers_are_passed_on():
    caller = Caller("c", "", "websocket", "json", headers={"cookie": "s=1", "x-other": "2"})
    options = ProxyOptions(http_headers=("Cookie", "X-Absent"))
    assert headers(options, caller) == {"cookie": "s=1", "content-type": "application/json"}


def test_a_client_cannot_write_a_header_that_is_listed_for_the_handshake():
    caller = Caller("c", "", "websocket", "json", emulated_headers={"x-user": "root"})
    assert headers(ProxyOptions(http_headers=("x-user",)), caller) == {"content-type": "application/json"}


def test_emulated_headers_are_passed_on_when_they_are_listed_and_the_handshake_has_none():
    caller = Caller("c", "", "websocket", "json", emulated_headers={"authorization": "a", "cookie": "b"})
    options = ProxyOptions(http_headers=("authorization",), emulated_headers=("Authorization",))
    assert headers(options, caller)["authorization"] == "a"
    real = Caller(
        "c", "", "websocket", "json", headers={"authorization": "r"}, emulated_headers=caller.emulated_headers
    )
    assert headers(options, real)["authorization"] == "r"


@pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "a\nb", "a\0b", "a\x7f"])
def test_a_value_that_would_break_out_of_its_header_is_left_out(value):
    caller = Caller("c", "", "websocket", "json", emulated_headers={"authorization": value})
    assert "authorization" not in headers(ProxyOptions(emulated_headers=("authorization",)), caller)


def test_static_headers_go_with_every_request_and_nobody_changes_the_content_type():
    http = ProxyHTTPOptions(static_headers={"X-Key": "k"})
    assert headers(ProxyOptions(http=http), CALLER) == {"x-key": "k", "content-type": "application/json"}


# Answers


def test_a_disconnect_wins_over_an_error_and_an_error_over_a_result():
    error, disconnect = {"code": 1000, "message": "no"}, {"code": 4501, "reason": "go"}
    with pytest.raises(Disconnected) as ended:
        answered({"result": {}, "error": error, "disconnect": disconnect})
    assert (ended.value.reason, ended.value.detail) == ((4501, "go"), "")
    with pytest.raises(CommandError) as refused:
        answered({"result": {}, "error": error})
    assert refused.value.error == Error(1000, "no")
    assert json.loads(bytes(answered({"result": {"a": 1}, "error": None, "disconnect": None, "more": 1}))) == {"a": 1}


def test_an_error_may_be_temporary():
    with pytest.raises(CommandError) as refused:
        answered({"error": {"code": 1000, "message": "later", "temporary": True}})
    assert refused.value.error == Error(1000, "later", True)


def test_an_error_of_this_server_needs_its_code_only():
    with pytest.raises(CommandError) as refused:
        answered({"error": {"code": 103}})
    assert refused.value.error == Error(103, "permission denied")
    with pytest.raises(CommandError) as refused:
        answered({"error": {"code": 111, "message": None, "temporary": None}})
    assert refused.value.error == Error(111, "too many requests", True)


def test_an_error_without_message_gets_one_because_python_clients_need_it():
    with pytest.raises(CommandError) as refused:
        answered({"error": {"code": 1234, "message": ""}})
    assert refused.value.error.message


@pytest.mark.parametrize("code", [0, 99, 2000, -1])
def test_an_error_code_out_of_range_is_a_failure(code):
    with pytest.raises(BadAnswer, match="codes of errors are 100 to 1999"):
        answered({"error": {"code": code, "message": "x"}})


@pytest.mark.parametrize("code", [0, 1000, 2999, 5000])
def test_a_close_code_out_of_range_is_a_failure(code):
    with pytest.raises(BadAnswer, match="codes of disconnects"):
        answered({"disconnect": {"code": code, "reason": "x"}})


@pytest.mark.parametrize("reason", ["x" * 124, "é" * 62, "null", "12", '"go"', '{"reconnect": true}'])
def test_a_reason_that_clients_cannot_read_is_a_failure(reason):
    with pytest.raises(BadAnswer, match="reason of a disconnect"):
        answered({"disconnect": {"code": 4500, "reason": reason}})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no",
        b"[]",
        b"null",
        b'{"result":',
        b'{"result":"\xff"}',
        b'{"error":{"message":"no code"}}',
        b'{"error":"text"}',
        b'{"disconnect":{"code":"4500"}}',
        b'{"result":' + b"[" * 600 + b"]" * 600 + b"}",
        b"\x1f\x8b",
    ],
    ids=range(11),
)
def test_what_is_no_answer_is_a_failure(body):
    with pytest.raises(BadAnswer):
        result_of(body)


def test_a_failure_does_not_repeat_the_answer():
    with pytest.raises(BadAnswer) as caught:
        identity(raw({"user": 5, "info": "sesame", "meta": "sesame", "b64data": "sesame!"}))
    assert "sesame" not in str(caught.value)


def test_no_result_and_a_null_are_the_same():
    assert answered({}) is EMPTY
    assert answered({"result": None}) is EMPTY


# Statuses

TRANSFORMS = (
    StatusTransform(404, to_error=TransformError(1404, "not found")),
    StatusTransform(503, to_error=TransformError(100, temporary=True)),
    StatusTransform(403, to_disconnect=TransformDisconnect(4504, "blocked")),
)


def test_a_status_becomes_what_the_configuration_says():
    with pytest.raises(CommandError) as refused:
        raise_for_status(404, TRANSFORMS)
    assert refused.value.error == Error(1404, "not found")
    with pytest.raises(CommandError) as refused:
        raise_for_status(503, TRANSFORMS)
    assert refused.value.error == Error(100, "internal server error", True)
    with pytest.raises(Disconnected) as ended:
        raise_for_status(403, TRANSFORMS)
    assert ended.value.reason == (4504, "blocked")


@pytest.mark.parametrize("status", [201, 302, 401, 500])
def test_every_other_status_is_a_failure(status):
    with pytest.raises(BadAnswer, match=f"status {status}"):
        raise_for_status(status, TRANSFORMS)


# Results


def test_an_identity_is_read_with_everything_in_it():
    given = identity(
        raw(
            {
                "user": "42",
                "expire_at": 1_900_000_000,
                "info": {"name": "Ada"},
                "b64data": "AAE=",
                "channels": ["a", "b"],
                "subs": {
                    "b": {"info": {"seat": 1}, "data": [], "expire_at": 5, "override": {"presence": {"value": True}}},
                    "c": None,
                },
                "meta": {"role": "admin"},
            }
        )
    )
    assert given == Identity(
        "42",
        1_900_000_000,
        Raw(b'{"name": "Ada"}'),
        Raw(b"\x00\x01"),
        {
            "a": ServerSubscription(),
            "b": ServerSubscription(Raw(b'{"seat": 1}'), Raw(b"[]"), SubscriptionOverride(presence=True), 5),
            "c": ServerSubscription(),
        },
        Raw(b'{"role": "admin"}'),
    )


@pytest.mark.parametrize(("given", "meant"), [(True, True), (False, None), (None, None)])
def test_a_backend_may_give_the_latest_publication_with_a_channel(given, meant):
    subs = identity(raw({"subs": {"a": {"cache_recover": given, "override": {"force_recovery": True}}}})).subs
    assert subs["a"].override == SubscriptionOverride(force_recovery=True, auto_cache_recover=meant)


def test_an_identity_may_be_anonymous_or_unknown():
    assert identity(raw({})) == Identity()
    assert identity(raw({"user": None, "info": None, "data": None, "subs": None, "channels": None})) == Identity()
    assert identity(EMPTY) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": 42},
        {"channels": [""]},
        {"subs": {"": {}}},
        {"subs": {"a": 1}},
        {"meta": [1]},
        {"meta": "text"},
        {"b64info": "no base64!"},
        {"b64info": "AAE"},
        {"expire_at": -1},
        {"expire_at": 1_900_000_000_000},
        {"expire_at": "soon"},
    ],
    ids=str,
)
def test_an_identity_that_is_not_as_agreed_is_a_failure(wrong):
    with pytest.raises(BadAnswer):
        identity(raw(wrong))


def test_a_fraction_of_a_second_is_dropped():
    assert identity(raw({"expire_at": 1_900_000_000.9})).expire_at == 1_900_000_000


def test_a_subscription_is_allowed_with_its_additions():
    assert allowed(raw({})) == Allowed()
    given = allowed(raw({"info": 1, "data": "x", "expire_at": 7, "override": {"force_recovery": {"value": False}}}))
    assert given == Allowed(Raw(b"1"), Raw(b'"x"'), SubscriptionOverride(force_recovery=False), 7)


def test_an_override_may_be_written_plainly_or_be_null():
    given = allowed(raw({"override": {"presence": True, "join_leave": None, "force_positioning": {}}}))
    assert given.override == SubscriptionOverride(presence=True)


def test_base64_wins_over_json():
    assert allowed(raw({"data": 1, "b64data": "AA=="})).data == Raw(b"\x00")
    assert allowed(raw({"data": 1, "b64data": ""})).data == Raw(b"1")


def test_a_publication_is_admitted_as_it_is_or_changed():
    assert admitted(raw({})) == Admitted()
    assert admitted(raw({"data": None})).data is None
    given = admitted(
        raw(
            {
                "data": {"clean": True},
                "skip_history": True,
                "tags": {"a": "b"},
                "idempotency_key": "k",
                "delta": True,
                "version": 3,
                "version_epoch": "e",
            }
        )
    )
    assert given == Admitted(Raw(b'{"clean": true}'), True, {"a": "b"}, "k", True, 3, "e")


@pytest.mark.parametrize("wrong", [{"version": -1}, {"version": 2**63}, {"tags": {"a": 1}}, {"delta": "yes"}], ids=str)
def test_an_admission_that_is_not_as_agreed_is_a_failure(wrong):
    with pytest.raises(BadAnswer):
        admitted(raw(wrong))


@pytest.mark.parametrize("read", [allowed, admitted, rpc_data])
def test_an_answer_that_says_nothing_allows_nothing(read):
    with pytest.raises(BadAnswer, match='neither "result" nor "error" nor "disconnect"'):
        read(EMPTY)


def test_a_refresh_prolongs_or_ends():
    assert refreshed(raw({"expire_at": 9})) == Refreshed(expire_at=9)
    assert refreshed(raw({"expired": True})) == Refreshed(expired=True)
    assert refreshed(EMPTY) == Refreshed(expired=True)
    given = refreshed(raw({"expire_at": 9, "info": {"a": 1}, "meta": {"b": 2}}))
    assert given == Refreshed(False, 9, Raw(b'{"a": 1}'), Raw(b'{"b": 2}'))


def test_a_call_is_answered_by_json_bytes_or_nothing():
    assert rpc_data(raw({"data": {"n": 1}})) == Raw(b'{"n": 1}')
    assert rpc_data(raw({"b64data": "AAE="})) == Raw(b"\x00\x01")
    assert rpc_data(raw({"data": None})) == Raw(b"null")
    assert len(rpc_data(raw({}))) == 0


def test_what_is_read_does_not_hold_the_answer_around_it():
    body = b'{"data":{"n":1},"more":"' + b"x" * 100_000 + b'"}'
    data = rpc_data(msgspec.json.decode(b'{"result":' + body + b"}", type=dict[str, Raw])["result"])
    assert len(memoryview(data).obj) < 1000
