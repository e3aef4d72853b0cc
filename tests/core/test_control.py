"""What nodes tell each other: every message survives the way, and says what kind it is."""

from __future__ import annotations

import json

import msgspec
import pytest

from rtserver.core import control
from rtserver.core.control import (
    DisconnectUser,
    Emulated,
    Farewell,
    NodeInfo,
    RefreshUser,
    SubscribeUser,
    Survey,
    SurveyAnswer,
    Target,
    UnsubscribeUser,
)

TARGET = Target("42", "client", "secret", ["kept"])
MESSAGES = [
    DisconnectUser("n1", TARGET, 4000, "because"),
    DisconnectUser("n1", Target(""), 3503, "force disconnect"),
    UnsubscribeUser("n1", TARGET, "a"),
    SubscribeUser("n1", TARGET, "a", b"\x00\xff", b'{"a":1}', 5, "epoch", {"presence": False}, 99),
    SubscribeUser("n1", TARGET, "a", recover_offset=0),
    RefreshUser("n1", TARGET, True, 99, b"\x00"),
    NodeInfo("n1", "name", "1.0", 1, 2, 3, 4, 5),
    Farewell("n1"),
    Survey("n1", "s1", "*"),
    SurveyAnswer("n1", "s1", {"a": 1}),
    Emulated("n1", "secret", bytes(range(256))),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_survives_the_way(message):
    data = control.encode(message)
    assert control.decode(data) == message
    assert json.loads(data)["kind"] == type(message).__name__.lower() and json.loads(data)["sender"] == "n1"


def test_every_kind_is_tested():
    assert {type(message) for message in MESSAGES} == set(control.ControlMessage.__args__)


def test_the_offset_zero_is_not_the_same_as_none():
    with_zero = control.decode(control.encode(SubscribeUser("n1", TARGET, "a", recover_offset=0)))
    without = control.decode(control.encode(SubscribeUser("n1", TARGET, "a")))
    assert with_zero.recover_offset == 0 and without.recover_offset is None


@pytest.mark.parametrize("data", [b"{}", b'{"kind":"farewell"}', b'{"kind":"target","user":"1"}', b"\xff"])
def test_what_is_no_message_is_an_error(data):
    with pytest.raises(msgspec.DecodeError):
        control.decode(data)
