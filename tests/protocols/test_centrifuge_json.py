"""The JSON codec: frames in, lines out, and no payload that can break out of its message."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from rtserver.core.errors import BadFrame, NotJSON
from rtserver.core.messages import (
    EMPTY,
    MAX_NESTING,
    ClientInfo,
    Command,
    ConnectRequest,
    ConnectResult,
    Error,
    HistoryResult,
    Join,
    PresenceResult,
    PresenceStatsResult,
    Publication,
    PublishResult,
    Push,
    Reply,
    RPCResult,
    SubscribeResult,
    is_json,
)
from rtserver.protocols import PROTOCOLS, load
from rtserver.protocols.centrifuge_json import JSONCodec

codec = JSONCodec()


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def command(text: bytes) -> Command:
    [only] = codec.decode_commands(text)
    return only


# Frames


def test_the_first_frame_of_the_javascript_sdk_is_three_commands_in_order() -> None:
    frame = (
        b'{"connect":{"token":"tk","data":{"a":1},"name":"js"},"id":1}\n'
        b'{"subscribe":{"channel":"ch1","recover":true,"offset":3,"epoch":"x","flag":1},"id":2}\n'
        b'{"subscribe":{"channel":"ch2","flag":1},"id":3}'
    )
    first, second, third = codec.decode_commands(frame)
    assert (first.id, second.id, third.id) == (1, 2, 3)
    assert first.connect is not None and bytes(first.connect.data) == b'{"a":1}' and first.connect.name == "js"
    assert second.subscribe is not None and (second.subscribe.offset, second.subscribe.epoch) == (3, "x")


def test_one_line_break_at_the_end_is_tolerated() -> None:
    assert codec.decode_commands(b'{"id":1}\n') == [Command(id=1)]


def test_an_empty_object_is_a_pong() -> None:
    assert command(b"{}") == Command()


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\n",
        b"{}\n\n",
        b"{}\n\n{}",
        b"\n{}",
        b"{}{}",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"{",
        b'{"id":1',
        b"\xef\xbb\xbf{}",
        b'{"x":"\xff"}',
        b'{"\xff":1}',
        b'{"send":{"data":"\xed\xa0\x80"}}',
        b'{"send":{"data":nan}}',
        b'{"send":{"data":{"a":1}x}}',
        b'{"id":"1"}',
        b'{"id":1.0}',
        b'{"id":1e2}',
        b'{"id":-1}',
        b'{"id":4294967296}',
        b'{"id":true}',
        b'{"connect":1}',
        b'{"connect":[]}',
        b'{"connect":{"token":1}}',
        b'{"connect":{"headers":{"a":1}}}',
        b'{"connect":{"subs":{"a":{"offset":-1}}}}',
        b'{"connect":{"subs":{"a":{"offset":18446744073709551616}}}}',
        b'{"subscribe":{"offset":18446744073709551616}}',
        b'{"subscribe":{"offset":1.5}}',
        b'{"subscribe":{"flag":9223372036854775808}}',
        b'{"subscribe":{"type":2147483648}}',
        b'{"history":{"limit":-2147483649}}',
        b'{"history":{"since":{"offset":18446744073709551616}}}',
        b'{"subscribe":{"tf":{"nodes":{}}}}',
        b'{"x":' + nested(5000) + b"}",
        b'{"send":{"data":' + nested(MAX_NESTING + 1) + b"}}",
        b'{"send":{"data":null,"x":' + nested(5000) + b"}}",
    ],
)
def test_what_is_no_frame_is_refused_with_a_sentence(frame: bytes) -> None:
    with pytest.raises(BadFrame) as refused:
        codec.decode_commands(frame)
    assert str(refused.value).endswith(".")


def test_the_bounds_of_the_integers_are_inside() -> None:
    assert command(b'{"id":4294967295}').id == 2**32 - 1
    wanted = command(b'{"subscribe":{"offset":18446744073709551615,"flag":-9223372036854775808}}').subscribe
    assert wanted is not None and (wanted.offset, wanted.flag) == (2**64 - 1, -(2**63))
    history = command(b'{"history":{"limit":-2147483648}}').history
    assert history is not None and history.limit == -(2**31)


def test_unknown_keys_are_ignored_wherever_they_stand() -> None:
    assert command(b'{"id":1,"x":{"y":[null]},"ping":{"z":1}}').id == 1


def test_null_means_absent_at_any_place() -> None:
    got = command(
        b'{"id":7,"error":null,"connect":{"token":null,"data":null,"headers":{"a":null,"b":"c"},'
        b'"subs":{"x":null,"y":{"epoch":null,"offset":4,"data":null,"tf":{"vals":null,"nodes":[null,{"op":null,"key":"k"}]}}}}}'
    )
    assert got.id == 7 and got.connect is not None
    assert got.connect.data is EMPTY and got.connect.headers == {"b": "c"} and list(got.connect.subs) == ["y"]
    wanted = got.connect.subs["y"]
    assert wanted.offset == 4 and wanted.data is EMPTY and wanted.tf is not None
    assert [node.key for node in wanted.tf.nodes] == ["k"]


def test_nulls_inside_of_a_payload_stay() -> None:
    got = command(b'{"id":null,"publish":{"channel":"c","data": {"a" : null, "b":[null]}}}')
    assert got.publish is not None and bytes(got.publish.data) == b'{"a" : null, "b":[null]}'


def test_a_payload_keeps_its_very_bytes() -> None:
    text = '{"b" :1.50,"a":"é\\u00e9","c":[ ]}'.encode()
    got = command(b'{"rpc":{"method":"m","data":' + text + b'},"id":1}')
    assert got.rpc is not None and bytes(got.rpc.data) == text


def test_half_of_a_character_pair_becomes_a_replacement_character() -> None:
    got = command(rb'{"send":{"data":"cut \ud83d, \\ud83d, whole \ud83d\ude00, \uDC00"}}')
    assert got.send is not None and bytes(got.send.data) == rb'"cut \ufffd, \\ud83d, whole \ud83d\ude00, \ufffd"'


def test_a_unidirectional_client_sends_a_bare_connect_request() -> None:
    assert codec.decode_connect_request(b"{}\n") == ConnectRequest()
    assert codec.decode_connect_request(b'{"token":"t","data":null}').token == "t"
    for bad in (b"", b"[]", b'{"subs":{"a":{"offset":18446744073709551616}}}'):
        with pytest.raises(BadFrame):
            codec.decode_connect_request(bad)


def test_an_emulation_request_carries_a_frame_as_a_string() -> None:
    body = b'{"session":"s","node":"n","data":"{\\"id\\":2}\\n{}"}'
    assert codec.decode_emulation(body) == ("n", "s", b'{"id":2}\n{}')
    with pytest.raises(BadFrame):
        codec.decode_emulation(b'{"data":{}}')


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_refused(frame: bytes) -> None:
    try:
        assert codec.decode_commands(frame)
    except BadFrame:
        return


# Replies


def test_nothing_set_is_a_ping() -> None:
    assert codec.encode_reply(Reply()) == b"{}"
    assert codec.encode_push(Push()) == b"{}"


def test_defaults_are_left_out_and_results_stay() -> None:
    assert codec.encode_reply(Reply(id=3, subscribe=SubscribeResult())) == b'{"id":3,"subscribe":{}}'
    assert codec.encode_reply(Reply(id=3, publish=PublishResult())) == b'{"id":3,"publish":{}}'
    assert codec.encode_reply(Reply(id=3, presence=PresenceResult({}))) == b'{"id":3,"presence":{"presence":{}}}'
    assert codec.encode_reply(Reply(id=3, history=HistoryResult([], "", 0))) == (
        b'{"id":3,"history":{"publications":[],"epoch":"","offset":0}}'
    )
    assert codec.encode_reply(Reply(id=3, presence_stats=PresenceStatsResult(0, 0))) == (
        b'{"id":3,"presence_stats":{"num_clients":0,"num_users":0}}'
    )
    assert codec.encode_reply(Reply(id=3, error=Error(107, "bad request"))) == (
        b'{"id":3,"error":{"code":107,"message":"bad request"}}'
    )


def test_a_push_is_the_same_with_and_without_envelope() -> None:
    push = Push("c", join=Join(ClientInfo("", "id")))
    assert codec.encode_push(push) == b'{"channel":"c","join":{"info":{"user":"","client":"id"}}}'
    assert codec.encode_reply(Reply(push=push)) == b'{"push":' + codec.encode_push(push) + b"}"


def messages_with(payload: Raw) -> list[Reply]:
    """One message for every place that a payload can stand in."""
    pub = Publication(data=payload)
    info = ClientInfo("u", "c", conn_info=payload)
    return [
        Reply(push=Push("c", pub=pub)),
        Reply(push=Push("c", pub=Publication(data=Raw(b"1"), info=info))),
        Reply(push=Push("c", join=Join(ClientInfo("u", "c", chan_info=payload)))),
        Reply(id=1, rpc=RPCResult(payload)),
        Reply(id=1, subscribe=SubscribeResult(data=payload)),
        Reply(id=1, subscribe=SubscribeResult(publications=[Publication(data=Raw(b"1")), pub])),
        Reply(id=1, history=HistoryResult([pub], "e", 1)),
        Reply(id=1, presence=PresenceResult({"a": info})),
        Reply(id=1, connect=ConnectResult("c", "v", data=payload)),
        Reply(id=1, connect=ConnectResult("c", "v", subs={"x": SubscribeResult(publications=[pub])})),
        Reply(push=Push(connect=ConnectResult("c", "v", subs={"x": SubscribeResult(data=payload)}))),
    ]


FORGED = [
    b'1},"push":{"message":{"data":1',
    b'1,"id":9',
    b"",
    b" ",
    b"{",
    b"nul",
    b'"\xff"',
    b'"a\nb"',
    b'"a\x00b"',
    b"1 2",
    b"1\n2",
    b"NaN",
    nested(MAX_NESTING + 1),
]


@pytest.mark.parametrize("forged", FORGED[:2] + FORGED[3:])
@pytest.mark.parametrize("place", range(11))
def test_no_payload_can_break_out_of_its_message(forged: bytes, place: int) -> None:
    with pytest.raises(NotJSON):
        codec.encode_reply(messages_with(Raw(forged))[place])


@pytest.mark.parametrize("place", range(11))
def test_line_breaks_between_tokens_are_taken_out_of_a_copy(place: int) -> None:
    payload = Raw(b'{\r\n "a":\n[1,\n2]}\n')
    line = codec.encode_reply(messages_with(payload)[place])
    assert b"\n" not in line and b"\r" not in line and b'{ "a":[1,2]}' in line
    json.loads(line)
    assert bytes(payload) == b'{\r\n "a":\n[1,\n2]}\n'


def test_a_message_is_not_changed_by_its_encoding() -> None:
    pub = Publication(data=Raw(b"[\n]"), info=ClientInfo("u", "c", conn_info=Raw(b"")))
    reply = Reply(push=Push("c", pub=pub))
    assert codec.encode_reply(reply) == b'{"push":{"channel":"c","pub":{"data":[],"info":{"user":"u","client":"c"}}}}'
    assert bytes(pub.data) == b"[\n]" and reply.push is not None and reply.push.pub is pub


def test_an_empty_payload_is_absent_whichever_object_it_is() -> None:
    for reply in messages_with(Raw(b"")):
        assert json.loads(codec.encode_reply(reply))


def test_a_name_that_utf8_cannot_carry_is_refused() -> None:
    with pytest.raises(NotJSON):
        codec.encode_reply(Reply(push=Push("\ud800")))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values, st.sampled_from([None, 1]), st.booleans())
def test_any_json_value_arrives_as_the_same_value(value: object, indent: int | None, escaped: bool) -> None:
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=escaped).encode()
    except UnicodeEncodeError:
        return
    if not is_json(text):
        return
    for reply in messages_with(Raw(text)):
        line = codec.encode_reply(reply)
        assert b"\n" not in line
        json.loads(line)
    assert json.loads(codec.encode_reply(Reply(rpc=RPCResult(Raw(text))))) == {"rpc": {"data": value}}


@given(st.text(alphabet='{}[]",:\\1anul \n', max_size=30))
def test_a_payload_is_carried_only_when_it_is_one_value(text: str) -> None:
    try:
        line = codec.encode_reply(Reply(id=5, rpc=RPCResult(Raw(text.encode()))))
    except NotJSON:
        return
    assert list(json.loads(line)) == ["id", "rpc"]


# Payloads and deltas


def test_the_payload_is_the_text_that_a_client_receives() -> None:
    assert codec.payload(Raw(b'{"a":\n1}')) == b'{"a":1}'
    for bad in FORGED:
        with pytest.raises(NotJSON):
            codec.payload(Raw(bad))


def test_on_a_delta_subscription_data_is_a_string() -> None:
    payload = '{"text":"é \\"x\\""}'.encode()
    data, is_delta = codec.delta_data(None, payload)
    assert not is_delta and json.loads(bytes(data)).encode() == payload
    data, is_delta = codec.delta_data(b"5\n3@0,1:\xc3\xa9,A;", payload)
    assert is_delta and json.loads(bytes(data)) == "5\n3@0,1:é,A;"


def test_a_delta_that_cuts_a_character_is_not_used() -> None:
    data, is_delta = codec.delta_data(b"5\n1:\xc3", b'"0123456789"')
    assert not is_delta and json.loads(bytes(data)) == '"0123456789"'


def test_a_delta_that_is_not_shorter_is_not_used() -> None:
    assert codec.delta_data(b"123", b"123")[1] is False


# Nesting


@pytest.mark.parametrize(
    "text",
    [
        nested(MAX_NESTING),
        b"[" + b"[],{}," * 2000 + b"1]",
        b'["' + b"[" * 2000 + b'"]',
        b'["' + b'\\"[' * 2000 + b'\\\\"]',
        b'["\\\\",' + b'"[[[",' * 500 + b"1]",
    ],
)
def test_wide_values_and_brackets_in_strings_are_not_deep(text: bytes) -> None:
    assert is_json(text)


def test_a_value_too_deep_is_no_payload() -> None:
    assert not is_json(nested(MAX_NESTING + 1))
    assert not is_json(b'["\\"",' + nested(MAX_NESTING) + b"]")


# The table


def test_a_codec_is_loaded_by_its_name_once() -> None:
    for name in PROTOCOLS:
        assert load(name) is load(name)
    assert load("centrifuge-json").name == "json"
    with pytest.raises(KeyError):
        load("mqtt")
