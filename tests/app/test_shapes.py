"""Types at the edge: what is read, which mistakes are told, and what may leave."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import ipaddress
import json
import pathlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, NewType

import msgspec
import pytest
from msgspec import Raw, Struct
from pydantic import BaseModel, Field, HttpUrl, SecretStr, computed_field, field_serializer
from typing_extensions import TypedDict

from rtserver.app.long_keys import LONG_KEY, with_short_keys
from rtserver.app.shapes import (
    ECHO_LIMIT,
    MISTAKE_LIMIT,
    Invalid,
    NotText,
    PydanticShape,
    StructShape,
    Unfit,
    as_json,
    fits_text,
    is_list,
    shape,
)


class Item(BaseModel):
    id: int
    name: str = "cup"


class Hidden(Item):
    secret: str = "hidden"


class Tick(Struct):
    price: float
    tags: list[str] = []


class Detailed(Tick):
    secret: str = "hidden"


@dataclass
class Point:
    x: int
    y: int = 0


class Book(TypedDict):
    title: str


class Pair(NamedTuple):
    a: int
    b: int


class Colour(enum.Enum):
    RED = "red"


UserId = NewType("UserId", int)


def mistakes(kind: Any, text: bytes) -> list[dict[str, Any]]:
    with pytest.raises(Invalid) as caught:
        shape(kind).parse_json(text, ("body",))
    return caught.value.mistakes


# Which library


@pytest.mark.parametrize("kind", [Tick, list[Tick], dict[str, Tick], Tick | None, Annotated[Tick, "x"]])
def test_structs_and_what_holds_them_are_msgspecs(kind):
    assert isinstance(shape(kind), StructShape)


@pytest.mark.parametrize("kind", [int, Item, Point, Book, list[Item], Any, Annotated[int, Field(gt=1)], Item | None])
def test_everything_else_is_pydantics(kind):
    assert isinstance(shape(kind), PydanticShape)


def test_a_shape_is_made_once():
    assert shape(Item) is shape(Item)


def test_unions_are_tried_in_their_own_order():
    date, moment = datetime.date, datetime.datetime
    found = [shape(kind).parse("2026-01-02", ()) for kind in (date | moment, moment | date)]
    assert [type(each) for each in found] == [date, moment]
    inside = [shape(kind).parse(["2026-01-02"], ()) for kind in (list[date | moment], list[moment | date])]
    assert [type(each) for (each,) in inside] == [date, moment]


def test_an_annotation_that_cannot_be_remembered_has_a_shape_too():
    assert shape(Annotated[int, Field(json_schema_extra={"a": 1}), []]).parse("5", ()) == 5


class Unknown:
    """What neither library knows."""


def test_a_type_that_cannot_be_validated_is_refused_with_the_remedy():
    with pytest.raises(TypeError, match="use a model, a dataclass or a standard type"):
        shape(Unknown)


def test_the_reason_of_the_library_stands_in_the_refusal():
    class Plain(__import__("typing").TypedDict):
        a: int

    with pytest.raises(TypeError, match="typing_extensions.TypedDict"):
        shape(Plain)


def test_a_model_of_types_that_come_later_is_refused_with_the_remedy():
    class Early(BaseModel):
        later: Later  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match="not there yet: declare the function below them"):
        shape(Early)


# Reading


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Item, b'{"id":"1"}', Item(id=1)),
        (Tick, b'{"price":1.5}', Tick(1.5)),
        (list[Tick], b'[{"price":1}]', [Tick(1)]),
        (Point, b'{"x":1}', Point(1)),
        (Book, b'{"title":"a"}', {"title": "a"}),
        (UserId, b"5", 5),
        (decimal.Decimal, b"1.10", decimal.Decimal("1.10")),
        (Pair, b"[1,2]", Pair(1, 2)),
    ],
)
def test_what_fits_is_read(kind, text, value):
    assert shape(kind).parse_json(text, ()) == value


@pytest.mark.parametrize("kind", [Item, Tick])
@pytest.mark.parametrize("text", [b"", b"{", b"nope", b'{"id":1}x', b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_told_apart(kind, text):
    with pytest.raises(NotText):
        shape(kind).parse_json(text, ())


def test_json_inside_of_a_text_that_is_none_is_a_mistake_like_others():
    from pydantic import Json

    class Outer(BaseModel):
        inner: Json[int]

    assert mistakes(Outer, b'{"inner":"{"}')[0]["loc"] == ["body", "inner"]


def test_every_mistake_is_told_with_its_place():
    class Deep(BaseModel):
        items: list[Item]
        point: Point

    found = mistakes(Deep, b'{"items":[{"id":"x"},{"id":1,"name":2}],"point":{}}')
    assert [each["loc"][1:] for each in found] == [["items", 0, "id"], ["items", 1, "name"], ["point", "x"]]
    assert all({"type", "loc", "msg", "input"} <= set(each) for each in found)
    assert found[0]["input"] == "x"


def test_msgspec_tells_the_first_mistake_with_its_place():
    assert mistakes(list[Tick], b'[{"price":1},{"price":2,"tags":["a",5]}]') == [
        {"type": "value_error", "loc": ["body", 1, "tags", 1], "msg": "Expected `str`, got `int`", "input": None}
    ]
    assert mistakes(dict[str, Tick], b'{"a":{"price":"x"}}')[0]["loc"] == ["body", "...", "price"]


def test_values_are_read_as_texts_are():
    assert shape(Item).parse({"id": "5"}, ()) == Item(id=5)
    assert shape(Tick).parse({"price": 5}, ()) == Tick(5.0)
    for kind in (Item, Tick):
        with pytest.raises(Invalid):
            shape(kind).parse({"id": "x", "price": "x"}, ("data",))


def test_inputs_of_any_kind_can_be_told():
    for text in (b'{"id":[1e400]}', b'{"id":1' + b"0" * 40 + b".5}", b'{"id":{"a":[null,true]}}'):
        assert as_json(mistakes(Item, text))


def test_too_many_mistakes_are_counted_instead_of_listed():
    count = MISTAKE_LIMIT + 1
    found = mistakes(list[int], b"[" + b",".join([b'"x"'] * count) + b"]")
    assert found == [
        {"type": "too_many_mistakes", "loc": ["body"], "msg": f"{count} mistakes, too many to list", "input": None}
    ]


def size_of(found: list[dict[str, Any]]) -> int:
    return len(json.dumps(found))


@pytest.mark.parametrize(
    "key", ["k" * 400_000, 'k\\"' * 130_000, "k\\\\" * 130_000], ids=["plain", "quotes", "backslashes"]
)
def test_a_long_key_with_many_mistakes_in_it_is_not_told_with_each(key):
    text = b'{"%b": [%b]}' % (key.encode(), b",".join([b'"x"'] * 900))
    assert size_of(mistakes(dict[str, list[int]], text)) < 300_000


def test_keys_within_each_other_are_not_told_with_each_mistake_either():
    class Branch(BaseModel):
        below: dict[str, Branch] = {}
        leaves: list[int] = []

    text = b'{"leaves": [' + b",".join([b'"x"'] * 900) + b"]}"
    for _ in range(60):
        text = b'{"below": {"' + b"k" * 100 + b'": ' + text + b"}}"
    assert [each["msg"] for each in mistakes(Branch, text)] == ["900 mistakes, too many to list"]


class Tree(BaseModel):
    kids: dict[str, Tree] = {}
    leaves: list[int] = []


def tree(levels: int, leaves: list[bytes]) -> bytes:
    text = b'{"leaves":[%b]}' % b",".join(leaves)
    for _ in range(levels // 2 - 1):
        text = b'{"kids":{"a":%b}}' % text
    return text


@pytest.mark.parametrize("leaf", [b"1", b'""'], ids=["right", "wrong"])
def test_very_many_values_may_not_be_very_deep(leaf):
    """The library would keep gigabytes of places for a megabyte of mistakes."""
    (mistake,) = mistakes(Tree, tree(100, [leaf] * 30_000))
    assert (mistake["type"], mistake["loc"]) == ("nesting", ["body"])
    assert "send it in parts" in mistake["msg"]


@pytest.mark.parametrize(("levels", "count"), [(4, 500_000), (24, 100_000), (100, 20_000), (190, 10_000)])
def test_many_values_may_be_somewhat_deep_and_some_very_deep(levels, count):
    assert shape(Tree).parse_json(tree(levels, [b"1"] * count), ("body",)) is not None


def test_brackets_and_commas_in_texts_are_no_values_and_no_levels():
    text = json.dumps(['[{,"\\' * 100_000, [[[[[[[[["deep"]]]]]]]]]])
    assert shape(list[Any]).parse_json(text.encode(), ("body",)) == json.loads(text)


def test_what_is_no_json_is_told_as_such_and_not_as_deep():
    with pytest.raises(NotText):
        shape(Tree).parse_json(tree(100, [b"1"] * 30_000)[:-1], ("body",))


class Wide(BaseModel):
    a: int
    b: int
    c: int
    d: int
    type: str = "wide"
    default: dict[str, str] = {"type": "list"}


class Narrow(BaseModel):
    wides: dict[str, Wide] = {}


@pytest.mark.parametrize(
    ("annotation", "text", "place"),
    [
        (list[Wide], [{}] * 200_000, [0]),
        (list[Wide | Narrow], [{"wides": 1}] * 100_000, [0]),
        (dict[str, Wide], {str(number): {} for number in range(90_000)}, ["0"]),
        (Narrow, {"wides": {str(number): {} for number in range(90_000)}}, ["wides", "0"]),
        (list[tuple[int, int, int, int, int, int]], [[]] * 200_000, [0]),
    ],
    ids=["list", "union", "dict", "model", "tuple"],
)
def test_of_objects_that_could_miss_very_many_fields_the_first_wrong_one_is_told(annotation, text, place):
    """The library would keep gigabytes for what is missing in a megabyte."""
    found = mistakes(annotation, json.dumps(text).encode())
    assert 0 < len(found) <= 12
    assert all(each["loc"][1 : 1 + len(place)] == place for each in found)


def test_very_many_objects_that_are_right_are_taken():
    text = json.dumps([{"a": 1, "b": 2, "c": 3, "d": 4}] * 90_000).encode()
    assert shape(list[Wide]).parse_json(text, ("body",))[-1] == Wide(a=1, b=2, c=3, d=4)


def test_mistakes_below_a_long_key_are_found_with_the_key_cut_short():
    """The key stands in the place of each of them, which the library makes before it counts them."""
    text = b'{"%b": [%b]}' % (b"k" * 20_000, b",".join([b'"x"'] * 5))
    found = mistakes(dict[str, list[int]], text)
    assert [each["loc"] for each in found] == [["body", "k" * LONG_KEY + "...", number] for number in range(5)]


@pytest.mark.parametrize(
    "key",
    ["k" * 20_000, '"' * 20_000, "\\" * 20_000, "é" * 20_000, "k" * 127 + "😀" * 20_000, "k:" * 9000, "\n" * 9000],
    ids=["plain", "quotes", "backslashes", "two bytes", "pairs", "colons", "control"],
)
@pytest.mark.parametrize("is_ascii", [True, False])
def test_long_keys_arrive_whole(key, is_ascii):
    value = {key: ["v" * 20_000, ': "' * 9000, key], "a": [":"]}
    assert shape(dict[str, list[str]]).parse_json(json.dumps(value, ensure_ascii=is_ascii).encode(), ()) == value


@pytest.mark.parametrize("text", [b"\xff" * 20_000, b'{"' + b"k" * 20_000, b'"' + b"\\" * 20_001 + b'"', b" " * 20_000])
def test_a_long_text_that_is_no_json_is_told_apart(text):
    with pytest.raises(NotText):
        shape(dict[str, int]).parse_json(text, ("body",))


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        (b'{"a": "%b"}' % (b"v" * 200), None),
        (b"[%b1]" % (b"1," * 200), None),
        (b'{"%b" : 1}' % (b"k" * 200), b'{"%b..." : 1}' % (b"k" * LONG_KEY)),
        (b'{"k\\"%b":1}' % (b"k" * 200), b'{"k...":1}'),
        (b'["%b","%b",":"]' % (b"v" * 200, b"w" * 200), None),
    ],
)
def test_keys_alone_are_cut(text, cut):
    assert with_short_keys(text) == cut


def test_many_mistakes_in_a_long_text_are_told_when_their_places_are_short():
    text = json.dumps([{"id": 1, "name": "plate" * 20}] * 5000 + [{"id": "x"}] * 500).encode()
    assert len(mistakes(list[Item], text)) == 500


def test_a_large_form_is_not_sent_back_many_times():
    class Wide(BaseModel):
        a: int
        b: int

    with pytest.raises(Invalid) as caught:
        shape(Wide).parse_texts({"x": "y" * ECHO_LIMIT}, ("body",))
    assert [each["input"] for each in caught.value.mistakes] == [None, None]


def test_limits_of_decimals_are_numbers():
    kind = Annotated[decimal.Decimal, Field(ge=0, lt=decimal.Decimal("2.5"))]
    assert [mistakes(kind, text)[0]["ctx"] for text in (b"-1", b"3")] == [{"ge": 0}, {"lt": 2.5}]


def test_a_large_input_is_not_sent_back_many_times():
    class Wide(BaseModel):
        a: int
        b: int
        c: int

    small = mistakes(Wide, b'{"x":"' + b"y" * 1000 + b'"}')
    large = mistakes(Wide, b'{"x":"' + b"y" * (ECHO_LIMIT // 2) + b'"}')
    assert len(small) == len(large) == 3
    assert small[0]["input"] == {"x": "y" * 1000} and large[0]["input"] is None


# Writing


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Item, Item(id=1), b'{"id":1,"name":"cup"}'),
        (Item, {"id": 1, "more": 2}, b'{"id":1,"name":"cup"}'),
        (Item, Hidden(id=1), b'{"id":1,"name":"cup"}'),
        (list[Item], [Hidden(id=1)], b'[{"id":1,"name":"cup"}]'),
        (dict[str, Item], {"a": Hidden(id=1)}, b'{"a":{"id":1,"name":"cup"}}'),
        (Item | None, Hidden(id=1), b'{"id":1,"name":"cup"}'),
        (Item | None, None, b"null"),
        (Point, Point(1), b'{"x":1,"y":0}'),
        (Book, {"title": "a", "more": 1}, b'{"title":"a"}'),
        (Tick, Detailed(1.0), b'{"price":1.0,"tags":[]}'),
        (list[Tick], [Detailed(1.0)], b'[{"price":1.0,"tags":[]}]'),
        (Tick, {"price": 2}, b'{"price":2.0,"tags":[]}'),
        (dict[str, Any], {"at": datetime.date(2026, 1, 2), "who": Colour.RED}, b'{"at":"2026-01-02","who":"red"}'),
        (Any, {"struct": [Tick(1.0)]}, b'{"struct":[{"price":1.0,"tags":[]}]}'),
        (Any, float("nan"), b"null"),
        (float, float("inf"), b"null"),
        (str, "é", '"é"'.encode()),
    ],
)
def test_only_what_the_type_declares_leaves(kind, value, text):
    assert shape(kind).dump(value) == text


def test_objects_with_the_same_attributes_fit_a_model():
    class Row:
        id = 5
        name = "plate"
        password = "hidden"

    assert shape(Item).dump(Row()) == b'{"id":5,"name":"plate"}'
    assert shape(Tick).dump(type("Row", (), {"price": 1.0, "tags": []})()) == b'{"price":1.0,"tags":[]}'


def test_names_on_the_wire_and_computed_fields_are_those_of_the_model():
    class Cart(BaseModel):
        item_count: int = Field(alias="itemCount")

        @computed_field
        @property
        def is_empty(self) -> bool:
            return self.item_count == 0

        @field_serializer("item_count")
        def doubled(self, value: int) -> int:
            return 2 * value

    assert shape(Cart).dump(Cart(itemCount=2)) == b'{"itemCount":4,"is_empty":false}'


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Item, {"id": "x"}),
        (Item, None),
        (Item, 5),
        (int, "x"),
        (list[Item], [Item(id=1), {}]),
        (str, b"\xff"),
        (Any, object()),
        (Any, "\ud800"),
        (Tick, {"price": "x"}),
        (Tick, 5),
        (Tick, Tick("x")),  # type: ignore[arg-type]
        (list[Tick], [Tick(None)]),  # type: ignore[arg-type]
        (Tick, Tick(1.0, ["\ud800"])),
    ],
)
def test_a_result_of_another_type_does_not_fit(kind, value):
    with pytest.raises(Unfit):
        shape(kind).dump(value)


def test_a_model_that_was_changed_into_something_else_does_not_fit():
    item = Item(id=1)
    item.id = "x"  # type: ignore[assignment]
    with pytest.raises(Unfit, match="id"):
        shape(Item).dump(item)


def test_payloads_in_structs_pass_through_byte_for_byte():
    class Envelope(Struct):
        data: Raw

    assert shape(Envelope).dump(Envelope(Raw(b'{"a": 1.10}'))) == b'{"data":{"a": 1.10}}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, None]}, b'{"a":[1,null]}'),
        (Item(id=1), b'{"id":1,"name":"cup"}'),
        ([Item(id=1), Tick(1.0), Point(1)], b'[{"id":1,"name":"cup"},{"price":1.0,"tags":[]},{"x":1,"y":0}]'),
        (uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (10**30, b"1" + b"0" * 30),
        (float("nan"), b"null"),
        ({"raw": Raw(b"[1]")}, b'{"raw":[1]}'),
        (msgspec.UNSET, None),
        ({1, "é"}, None),
    ],
)
def test_anything_that_has_a_json_form_is_written(value, text):
    if text is None:
        if isinstance(value, set):
            assert sorted(map(str, msgspec.json.decode(as_json(value)))) == ["1", "é"]
        else:
            with pytest.raises(Unfit):
                as_json(value)
    else:
        assert as_json(value) == text


# What fits into a text


@pytest.mark.parametrize(
    "kind",
    [
        *(int, str, bytes, bool, float, decimal.Decimal, uuid.UUID, datetime.date, datetime.timedelta, pathlib.Path),
        *(Colour, enum.Flag, Literal["a", 1], int | None, int | str, UserId, Annotated[int, Field(gt=1)], type(None)),
        *(HttpUrl, SecretStr, ipaddress.IPv4Address),
    ],
)
def test_plain_values_fit_into_a_text(kind):
    assert fits_text(kind)


@pytest.mark.parametrize(
    "kind",
    [
        *(Item, Tick, Point, Book, Pair, dict, dict[str, int], Any, Item | None, int | Item, list[Item]),
        *(list, list[int], set[str], tuple[int, ...], Sequence[int], collections.deque[int], list[int] | None),
    ],
)
def test_values_with_parts_do_not_fit_into_one_text(kind):
    assert not fits_text(kind)


def test_lists_of_plain_values_fit_into_several_texts():
    for kind in (list, list[int], set[str], tuple[int, ...], Sequence[int], list[int] | None, frozenset[Colour]):
        assert fits_text(kind, many=True) and is_list(kind)
    for kind in (list[Item], dict[str, int], list[list[int]], list[Tick] | None):
        assert not fits_text(kind, many=True)
    assert not is_list(dict[str, int]) and not is_list(str)
