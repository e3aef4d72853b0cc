"""What application functions do with channels and connections."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from msgspec import Raw, Struct
from pydantic import BaseModel, Field

from rtserver.app.given import Position
from rtserver.app.shapes import Unfit
from rtserver.cluster import Cluster
from rtserver.core import errors
from rtserver.core.options import ChannelOptions
from rtserver.core.ports import ConnectionClaims
from rtserver.publisher import NodePublisher, Unpublishable, as_payload, as_value
from tests.fakes import EVERYTHING, World


class Item(BaseModel):
    item_name: str = Field(alias="itemName")


class Tick(Struct):
    price: float


class House:
    def __init__(self) -> None:
        binary = ChannelOptions(publication_data_format="binary", allow_subscribe_for_client=True)
        objects = ChannelOptions(publication_data_format="json_object")
        self.world = World(binary=binary, objects=objects, news=EVERYTHING)
        self.publisher = NodePublisher(self.world.node, Cluster(self.world.node, "here"))

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: self.world.run(getattr(self.publisher, name)(*given, **named))


@pytest.fixture
def house():
    return House()


def test_a_publication_goes_to_subscribers_and_tells_its_position(house):
    client = house.world.connected()
    client.subscribe("news:a")
    epoch = house.publish("news:a", {"n": 1}).epoch
    assert house.publish("news:a", [2], tags={"k": "v"}) == Position(2, epoch)
    house.world.turn()
    assert client.pushes() == [{"data": {"n": 1}, "offset": 1}, {"data": [2], "offset": 2, "tags": {"k": "v"}}]


def test_without_history_there_is_no_position(house):
    assert house.publish("plain:a", 1) == Position(0, "")
    assert house.publish("news:a", 1, skip_history=True) == Position(0, "")


def test_a_repeated_key_publishes_once(house):
    first = house.publish("news:a", 1, idempotency_key="k")
    assert house.publish("news:a", 2, idempotency_key="k") == first
    assert house.history("news:a") == [1]


@pytest.mark.parametrize(
    ("value", "payload"),
    [
        ({"a": [1, None, True]}, b'{"a":[1,null,true]}'),
        (Item(itemName="x"), b'{"itemName":"x"}'),
        (Tick(1.5), b'{"price":1.5}'),
        ([Item(itemName="x"), Tick(1.0)], b'[{"itemName":"x"},{"price":1.0}]'),
        (datetime.date(2026, 1, 2), b'"2026-01-02"'),
        (float("nan"), b"null"),
        (Raw(b'{"a": 1.10}'), b'{"a": 1.10}'),
        ("é", '"é"'.encode()),
    ],
)
def test_any_value_is_a_payload(value, payload):
    assert as_payload(value) == Raw(payload)


def test_what_has_no_json_form_is_refused():
    for value in (object(), b"\xff", {"a": object()}):
        with pytest.raises(Unfit):
            as_payload(value)


def test_a_payload_is_a_value_again_and_what_is_no_json_its_bytes():
    assert as_value(Raw(b'{"a":1}')) == {"a": 1} and as_value(Raw(b"")) is None
    assert as_value(Raw(b"\x00\xff")) == b"\x00\xff" and as_value(Raw(b"[" * 100_000)) == b"[" * 100_000


@pytest.mark.parametrize(
    ("channel", "data", "text"),
    [
        ("unknown:a", 1, "its namespace is not configured"),
        ("", 1, "give a name"),
        ("a\nb", 1, "printable"),
        ("objects:a", [1], "not a JSON object"),
        ("objects:a", Raw(b"{"), "not JSON"),
    ],
)
def test_what_a_namespace_does_not_take_is_refused_with_a_sentence(house, channel, data, text):
    with pytest.raises(Unpublishable, match=text):
        house.publish(channel, data)


def test_a_binary_namespace_takes_bytes_as_they_are(house):
    assert house.publish("binary:a", Raw(b"\x00\xff")) == Position(0, "")


def test_history_is_read_from_either_end(house):
    for number in range(5):
        house.publish("news:a", number)
    assert house.history("news:a") == [0, 1, 2, 3, 4]
    assert house.history("news:a", 2) == [0, 1] and house.history("news:a", 2, reverse=True) == [4, 3]
    assert house.history("news:other") == []


def test_history_may_hold_what_is_no_json(house):
    house.world.publish("news:a", b"\xff")
    assert house.history("news:a") == [b"\xff"]


def test_presence_tells_clients_and_users(house):
    house.world.tokens.connections["t"] = ConnectionClaims("ada")
    client = house.world.connected(token="t")
    client.subscribe("news:a")
    assert house.presence("news:a") == {client.session.id: "ada"} and house.presence("news:b") == {}


def test_a_user_is_disconnected_and_unsubscribed_everywhere(house):
    house.world.tokens.connections["t"] = ConnectionClaims("ada")
    one, two, other = house.world.connected(token="t"), house.world.connected(token="t"), house.world.connected()
    for client in (one, two, other):
        client.subscribe("news:a")
    house.unsubscribe("ada", "news:a")
    assert not one.session.subs and not two.session.subs and other.session.subs
    house.disconnect("ada", 4501, "bye")
    assert one.closed == two.closed == errors.DisconnectReason(4501, "bye") and other.closed is None


def test_a_broker_that_is_away_is_told(house):
    house.world.run(house.world.broker.stop())
    with pytest.raises(errors.BrokerUnavailable):
        house.publish("news:a", 1)
