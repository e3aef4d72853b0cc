"""The Protobuf codec, against the message definitions and the codec of the Python SDK."""

from __future__ import annotations

from typing import Any

import pytest
from centrifuge.codecs import _ProtobufCodec as SDK
from centrifuge.protocol import client_pb2 as theirs
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct, structs

from rtserver.core import messages as m
from rtserver.core.errors import BadFrame, NotJSON
from rtserver.protocols import client_pb2 as ours
from rtserver.protocols.centrifuge_protobuf import ProtobufCodec
from rtserver.protocols.varint import delimited, read_varint, varint

codec = ProtobufCodec()


def read_reply(reply: m.Reply) -> dict[str, Any]:
    """The reply as the SDK reads it."""
    [only] = SDK.decode_replies(delimited(codec.encode_reply(reply)))
    return only


def command(fields: dict[str, Any]) -> m.Command:
    """The command as the server reads it when the SDK sends ``fields``."""
    [only] = codec.decode_commands(SDK.encode_commands([fields]))
    return only


def plain(value: Any) -> Any:
    """A struct as plain values, without what has its default."""
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Struct):
        return {
            name: plain(item)
            for name, item in structs.asdict(value).items()
            if item not in (None, "", 0, [], {}, m.EMPTY)
        }
    return value


# The definitions


@pytest.mark.parametrize("name", list(ours.DESCRIPTOR.message_types_by_name))
def test_every_field_has_the_number_and_type_that_the_sdk_knows(name: str) -> None:
    mine = ours.DESCRIPTOR.message_types_by_name[name]
    other = theirs.DESCRIPTOR.message_types_by_name.get(name)
    if other is None:
        assert name == "EmulationRequest"
        return
    for field in mine.fields:
        known = other.fields_by_name.get(field.name)
        if known is not None:
            assert (known.number, known.type, known.is_repeated) == (field.number, field.type, field.is_repeated)
        else:
            assert field.number not in other.fields_by_number


@pytest.mark.parametrize("name", list(ours.DESCRIPTOR.message_types_by_name))
def test_messages_and_structs_have_the_same_fields(name: str) -> None:
    kind = getattr(m, {"Connect": "ConnectResult"}.get(name, name))
    mine = ours.DESCRIPTOR.message_types_by_name[name]
    assert {field.name for field in structs.fields(kind)} == {field.name for field in mine.fields}


# Commands


def test_the_bytes_of_the_python_sdk_are_its_connect_command() -> None:
    [got] = codec.decode_commands(bytes.fromhex("0f0801220b0a01742206707974686f6e"))
    assert got == m.Command(id=1, connect=m.ConnectRequest(token="t", name="python", data=got.connect.data))  # type: ignore[union-attr]
    assert got.connect is not None and got.connect.data is m.EMPTY


COMMANDS: list[dict[str, Any]] = [
    {"id": 1, "connect": {}},
    {
        "id": 1,
        "connect": {
            "token": "t",
            "data": "eyJhIjoxfQ==",
            "name": "n",
            "version": "v",
            "headers": {"a": "b"},
            "subs": {"x": {"recover": True, "offset": 2**64 - 1, "epoch": "e"}, "y": {}},
        },
    },
    {
        "id": 2,
        "subscribe": {
            "channel": "c",
            "token": "t",
            "flag": 3,
            "positioned": True,
            "recoverable": True,
            "join_leave": True,
        },
    },
    {"id": 2, "subscribe": {"channel": "c", "delta": "fossil", "data": "MQ=="}},
    {
        "id": 2,
        "subscribe": {
            "channel": "c",
            "tf": {
                "op": "and",
                "nodes": [{"key": "a", "cmp": "in", "vals": ["x", "y"]}, {"op": "not", "nodes": [{"key": "b"}]}],
            },
        },
    },
    {"id": 3, "unsubscribe": {"channel": "c"}},
    {"id": 4, "publish": {"channel": "c", "data": "AAH/"}},
    {"id": 5, "presence": {"channel": "c"}},
    {"id": 6, "presence_stats": {"channel": "c"}},
    {"id": 7, "history": {"channel": "c", "limit": -1, "since": {"offset": 5, "epoch": "e"}, "reverse": True}},
    {"id": 8, "ping": {}},
    {"send": {"data": "MQ=="}},
    {"id": 9, "rpc": {"method": "m", "data": "MQ=="}},
    {"id": 10, "refresh": {"token": "t"}},
    {"id": 4294967295, "sub_refresh": {"channel": "c", "token": "t"}},
]


@pytest.mark.parametrize("fields", COMMANDS)
def test_every_command_of_the_sdk_arrives_whole(fields: dict[str, Any]) -> None:
    got = command(fields)
    message = theirs.Command()
    fill(message, plain(got))
    assert message == ParseDict(fields, theirs.Command())


def fill(message: Any, values: dict[str, Any]) -> None:
    """Sets a Protobuf message from plain values, by another way than the codec's."""
    for name, value in values.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        target = getattr(message, name)
        if isinstance(value, dict) and field.is_repeated:
            for key, item in value.items():
                if isinstance(item, dict):
                    fill(target[key], item)
                else:
                    target[key] = item
        elif isinstance(value, dict):
            target.SetInParent()
            fill(target, value)
        elif isinstance(value, list):
            for item in value:
                fill(target.add(), item) if isinstance(item, dict) else target.append(item)
        else:
            setattr(message, name, value)


def test_commands_of_a_frame_keep_their_order_and_a_zero_length_is_a_pong() -> None:
    frame = SDK.encode_commands([{"id": 1, "connect": {}}, {"id": 2, "unsubscribe": {"channel": "c"}}]) + b"\x00"
    first, second, third = codec.decode_commands(frame)
    assert first.connect is not None and second.unsubscribe is not None and third == m.Command()


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x80",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\xff\xff\xff\xff\x0f",
        b"\x02\x08",
        b"\x0f\x08\x01",
        b"\x01\x08",
        b"\x02\xff\xff",
        b"\x04\x22\x02\x0a\x05",
        b"\x05\x22\x03\x0a\x01\xff",
        b'{"id":1}',
        b"\x00\x80",
    ],
)
def test_what_is_no_frame_is_refused_with_a_sentence(frame: bytes) -> None:
    with pytest.raises(BadFrame) as refused:
        codec.decode_commands(frame)
    assert str(refused.value).endswith(".")


def test_a_filter_that_nests_without_end_is_refused() -> None:
    node = b""
    for _ in range(2000):
        node = b"\x32" + varint(len(node)) + node
    with pytest.raises(BadFrame):
        codec.decode_commands(delimited(b"\x2a" + delimited(b"\x6a" + delimited(node))))


def test_unknown_fields_are_skipped() -> None:
    assert codec.decode_commands(delimited(b"\x08\x05\xfa\x01\x02ab")) == [m.Command(id=5)]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_refused(frame: bytes) -> None:
    try:
        assert codec.decode_commands(frame)
    except BadFrame:
        return


def test_a_unidirectional_client_sends_a_bare_connect_request() -> None:
    assert codec.decode_connect_request(theirs.ConnectRequest(token="t").SerializeToString()).token == "t"
    assert codec.decode_connect_request(b"") == m.ConnectRequest()


def test_an_emulation_request_carries_a_frame() -> None:
    assert codec.decode_emulation(b"\x0a\x01n\x12\x01s\x1a\x02\x00\x00") == ("n", "s", b"\x00\x00")
    with pytest.raises(BadFrame):
        codec.decode_emulation(b"\xff")


# Replies

INFO = m.ClientInfo("u", "c", conn_info=Raw(b"\x00\xff"), chan_info=Raw(b"{}"))
PUBLICATION = m.Publication(data=Raw(b"\xff\x00"), info=INFO, offset=2**64 - 1, tags={"k": "v"}, delta=True)
SUBSCRIBED = m.SubscribeResult(True, 4, True, "e", [PUBLICATION, m.Publication()], True, 9, True, Raw(b"d"), True, True)
CONNECTED = m.ConnectResult(
    "c", "v", True, 3, Raw(b"d"), {"s": SUBSCRIBED, "t": m.SubscribeResult()}, 25, True, "se", "no", 17
)

REPLIES = [
    m.Reply(id=1, error=m.Error(100, "internal server error", True)),
    m.Reply(id=1, connect=CONNECTED),
    m.Reply(id=1, subscribe=SUBSCRIBED),
    m.Reply(id=1, subscribe=m.SubscribeResult()),
    m.Reply(id=1, unsubscribe=m.UnsubscribeResult()),
    m.Reply(id=1, publish=m.PublishResult()),
    m.Reply(id=1, presence=m.PresenceResult({"a": INFO, "b": m.ClientInfo("", "b")})),
    m.Reply(id=1, presence=m.PresenceResult({})),
    m.Reply(id=1, presence_stats=m.PresenceStatsResult(0, 7)),
    m.Reply(id=1, history=m.HistoryResult([PUBLICATION], "e", 9)),
    m.Reply(id=1, history=m.HistoryResult([], "", 0)),
    m.Reply(id=1, rpc=m.RPCResult(Raw(b"\xfe"))),
    m.Reply(id=1, rpc=m.RPCResult()),
    m.Reply(id=1, refresh=m.RefreshResult(True, 5)),
    m.Reply(id=1, sub_refresh=m.SubRefreshResult(True, 5)),
    m.Reply(push=m.Push("c", pub=PUBLICATION)),
    m.Reply(push=m.Push("c", join=m.Join(INFO))),
    m.Reply(push=m.Push("c", leave=m.Leave(INFO))),
    m.Reply(push=m.Push("c", unsubscribe=m.Unsubscribe(2000, "server unsubscribe"))),
    m.Reply(push=m.Push(message=m.Message(Raw(b"1")))),
    m.Reply(push=m.Push("c", subscribe=m.Subscribe(True, "e", 3, True, Raw(b"1")))),
    m.Reply(push=m.Push(connect=CONNECTED)),
    m.Reply(push=m.Push(disconnect=m.Disconnect(3503, "force disconnect"))),
    m.Reply(push=m.Push(refresh=m.Refresh(True, 5))),
]


@pytest.mark.parametrize("reply", REPLIES)
def test_every_reply_is_read_whole_by_the_sdks_definitions(reply: m.Reply) -> None:
    message = theirs.Reply.FromString(codec.encode_reply(reply))
    expected = theirs.Reply()
    fill(expected, plain(reply))
    assert MessageToDict(message) == MessageToDict(expected)
    assert message == expected


def test_an_empty_result_is_present() -> None:
    results = {
        "subscribe": m.SubscribeResult(),
        "unsubscribe": m.UnsubscribeResult(),
        "publish": m.PublishResult(),
        "presence": m.PresenceResult({}),
        "history": m.HistoryResult([], "", 0),
        "rpc": m.RPCResult(),
        "refresh": m.RefreshResult(),
        "sub_refresh": m.SubRefreshResult(),
    }
    for name, result in results.items():
        reply = m.Reply(id=3)
        setattr(reply, name, result)
        assert read_reply(reply).keys() == {"id", name}


def test_nothing_set_is_a_ping_of_one_byte() -> None:
    assert delimited(codec.encode_reply(m.Reply())) == b"\x00"
    assert delimited(codec.encode_push(m.Push())) == b"\x00"


def test_a_bare_push_is_what_an_envelope_holds() -> None:
    push = m.Push("c", pub=PUBLICATION)
    assert theirs.Reply.FromString(codec.encode_reply(m.Reply(push=push))).push == theirs.Push.FromString(
        codec.encode_push(push)
    )


def test_a_name_that_utf8_cannot_carry_is_refused() -> None:
    with pytest.raises(NotJSON):
        codec.encode_reply(m.Reply(push=m.Push("\ud800")))


# Payloads, deltas, framing


def test_payloads_are_opaque() -> None:
    assert codec.payload(Raw(b"a\n\xff")) == b"a\n\xff"
    assert codec.payload(m.EMPTY) == b""


def test_a_delta_is_used_only_when_it_is_shorter() -> None:
    data, is_delta = codec.delta_data(b"\xff", b"ab")
    assert bytes(data) == b"\xff" and is_delta
    for delta in (None, b"cd", b"cde"):
        data, is_delta = codec.delta_data(delta, b"ab")
        assert bytes(data) == b"ab" and not is_delta


@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_a_length_is_read_as_it_was_written(number: int) -> None:
    written = varint(number)
    assert read_varint(b"x" + written + b"y", 1) == (number, 1 + len(written))
