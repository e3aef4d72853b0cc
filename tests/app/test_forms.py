"""Bodies of HTML forms, read as the objects that endpoints take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

import msgspec
import pytest
from pydantic import BaseModel, Field

from rtserver.app import App, Body, Limits
from rtserver.app.forms import FIELD_LIMIT, FormReader, read_form
from rtserver.app.openapi import openapi
from rtserver.app.shapes import NotText
from tests.app_house import AppHouse

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Order(BaseModel):
    item: str
    count: int = 1
    is_gift: bool = False
    tags: list[str] = []
    notes: Annotated[list[str], Field(alias="note")] = []


@dataclass
class Card:
    number: int
    tags: list[str] = field(default_factory=list)


class Struct(msgspec.Struct):
    number: int
    tags: list[str] = []
    names: list[str] = msgspec.field(default_factory=list, name="name")


class Typed(TypedDict):
    number: int
    tags: list[str]


def test_every_value_of_a_field_is_read():
    assert read_form(b"a=1&b=&a=%C3%A9+x&c") == {"a": ["1", "é x"], "b": [""], "c": [""]}
    assert read_form(b"") == {}


@pytest.mark.parametrize(
    ("body", "why"), [(b"a=%FF", "UTF-8"), (b"\xff=1", "UTF-8"), (b"a=1&" * (FIELD_LIMIT + 1), "1,000 fields")]
)
def test_what_is_no_form_is_told(body, why):
    with pytest.raises(NotText, match=why):
        read_form(body)


@pytest.mark.parametrize("kind", [Order, Order | None, Card, Struct, Typed])
def test_a_list_takes_every_value_and_everything_else_the_last(kind):
    found = FormReader(kind).read({"number": ["1", "2"], "tags": ["a", "b"], "unknown": ["x", "y"]})
    assert found == {"number": "2", "tags": ["a", "b"], "unknown": "y"}


def test_names_of_the_wire_decide():
    assert FormReader(Order).read({"note": ["a"]}) == {"note": ["a"]}
    assert FormReader(Struct).read({"name": ["a"], "names": ["b"]}) == {"name": ["a"], "names": "b"}


def test_a_mapping_takes_what_its_values_are():
    assert FormReader(dict[str, list[int]]).read({"a": ["1"]}) == {"a": ["1"]}
    assert FormReader(dict[str, int]).read({"a": ["1"]}) == {"a": "1"}
    assert FormReader(Any).read({"a": ["1", "2"]}) == {"a": "2"}


def make_app() -> App:
    app = App("forms")
    both = Limits(takes_form=True, body_size=200)

    @app.post("/orders", limits=both)
    async def order(order: Order) -> Order:
        return order

    @app.post("/cards", limits=both)
    async def card(card: Card | None = None) -> Card | None:
        return card

    @app.post("/structs", limits=both)
    async def struct(struct: Struct) -> Struct:
        return struct

    @app.post("/keys", limits=both)
    async def keys(
        a: Annotated[int, Body()], b: Annotated[list[str] | None, Body()] = None, c: Annotated[str, Body()] = ""
    ) -> list[Any]:
        return [a, b, c]

    @app.post("/json")
    async def plain(order: Order) -> Order:
        return order

    return app


@pytest.fixture
def house():
    return AppHouse(make_app())


def test_a_form_is_the_model_it_spells(house):
    answer = house.ask("POST", "/orders", b"item=c%C3%BBp&count=5&is_gift=on&tags=a&tags=b&note=n&csrf=x", FORM)
    assert answer.status == 200
    assert answer.json == {"item": "cûp", "count": 5, "is_gift": True, "tags": ["a", "b"], "note": ["n"]}
    assert house.ask("POST", "/structs", b"number=5&tags=a", FORM).json == {"number": 5, "tags": ["a"], "name": []}


def test_json_is_read_as_ever(house):
    assert house.post("/orders", {"item": "cup"}).json["item"] == "cup"
    assert house.post("/orders", {"count": 1}).json["detail"][0]["loc"] == ["body", "item"]
    assert house.post("/cards", b"").json is None


def test_mistakes_of_a_form_are_those_of_the_body(house):
    answer = house.ask("POST", "/orders", b"count=x", FORM)
    assert answer.status == 422
    assert [each["loc"] for each in answer.json["detail"]] == [["body", "item"], ["body", "count"]]
    assert house.ask("POST", "/structs", b"number=x", FORM).json["detail"][0]["loc"] == ["body", "number"]


def test_a_form_without_fields_is_an_object_without_keys(house):
    assert house.ask("POST", "/orders", b"", FORM).json["detail"][0]["loc"] == ["body", "item"]


def test_several_bodies_are_fields(house):
    assert house.ask("POST", "/keys", b"a=1&b=2&b=3", FORM).json == [1, ["2", "3"], ""]
    assert house.ask("POST", "/keys", b"a=1&c=4&c=5", FORM).json == [1, None, "5"]
    assert house.ask("POST", "/keys", b"b=1", FORM).json["detail"][0]["loc"] == ["body", "a"]


def test_a_type_may_have_parameters_and_capitals(house):
    kind = {"Content-Type": "Application/X-WWW-Form-urlencoded; charset=UTF-8"}
    assert house.ask("POST", "/orders", b"item=cup", kind).status == 200


@pytest.mark.parametrize("body", [b"item=%FF", b"a&" * 100])
def test_a_form_that_is_none_is_400_or_413(house, body):
    answer = house.ask("POST", "/orders", body + b"&" * (len(body) // 100), FORM)
    assert answer.status in (400, 413)


def test_other_types_are_refused_with_both_names(house):
    answer = house.ask("POST", "/orders", b"x", {"Content-Type": "text/plain"})
    assert answer.status == 415 and "json or application/x-www" in answer.json["detail"]


def test_an_endpoint_that_did_not_ask_for_forms_gets_none(house):
    assert house.ask("POST", "/json", b"item=cup", FORM).status == 415


def test_the_document_shows_both_types():
    paths = openapi([make_app()], title="forms", version="1")["paths"]
    content = paths["/orders"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "application/x-www-form-urlencoded"}
    assert content["application/json"] == content["application/x-www-form-urlencoded"]
    assert set(paths["/json"]["post"]["requestBody"]["content"]) == {"application/json"}
