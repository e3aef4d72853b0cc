"""JSON Schema of shapes: of pydantic, of msgspec, and of both in one document."""

import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
import pytest
from jsonschema import Draft202012Validator
from msgspec import Meta, Raw, Struct
from pydantic import BaseModel, Field, computed_field

from rtserver.app.parameters import REQUIRED
from rtserver.app.schemas import IN, OUT, Schemas, plain, sent
from rtserver.app.shapes import shape

T = TypeVar("T")


def described(annotation, mode=IN):
    """The schema of a type and its components."""
    made = Schemas([(shape(annotation), mode)])
    return made.of(shape(annotation), mode), made.components


def resolved(annotation, mode=IN):
    """The schema with its components inside."""
    schema, components = described(annotation, mode)
    text = msgspec.json.encode({**schema, "$defs": components}).replace(b"#/components/schemas/", b"#/$defs/")
    return msgspec.json.decode(text)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(NamedTuple):
    x: int
    y: int = 0


class Cat(Struct, tag="cat"):
    lives: int = 9


class Dog(Struct, tag="dog"):
    name: str


class Tree(Struct):
    """Grows."""

    leaves: list["Tree"] = []


class Page(Struct, Generic[T]):
    items: list[T]


class Everything(Struct, forbid_unknown_fields=True, rename="camel"):
    whole_number: Annotated[int, Meta(ge=1, lt=10)]
    part: Annotated[float, Meta(gt=0, description="Of the whole.")]
    text: Annotated[str, Meta(min_length=1, max_length=5, pattern="^a")]
    letters: Annotated[list[str], Meta(min_length=1, max_length=3)]
    names: dict[str, int]
    pair: tuple[int, str]
    many: tuple[int, ...]
    some: set[int]
    choice: Literal["a", 1]
    colour: Colour
    pet: Cat | Dog
    point: Point
    when: datetime.datetime
    day: datetime.date
    who: uuid.UUID
    price: decimal.Decimal
    blob: Annotated[bytes, Meta(max_length=2)]
    anything: Any
    raw: Raw = Raw(b"")
    maybe: int | None = None
    yes: bool = True
    listed: list[int] = []


VALUE = {
    "wholeNumber": 1,
    "part": 0.5,
    "text": "ab",
    "letters": ["a"],
    "names": {"a": 1},
    "pair": [1, "a"],
    "many": [1, 2],
    "some": [1],
    "choice": "a",
    "colour": "red",
    "pet": {"type": "dog", "name": "Rex"},
    "point": [1],
    "when": "2026-01-02T03:04:05Z",
    "day": "2026-01-02",
    "who": "8a7c3e46-9c3e-4b7e-8a38-0b9b0e6a3f11",
    "price": "1.50",
    "blob": "AAA=",
    "anything": [None],
    "raw": {"a": 1},
    "maybe": None,
}

WRONG = [
    ("wholeNumber", 10),
    ("part", 0),
    ("text", "b"),
    ("text", "abcdef"),
    ("letters", []),
    ("names", {"a": "b"}),
    ("pair", [1]),
    ("pair", [1, "a", 2]),
    ("many", ["a"]),
    ("some", ["a"]),
    ("choice", "b"),
    ("colour", "green"),
    ("pet", {"type": "dog"}),
    ("pet", {"type": "cow"}),
    ("point", []),
    ("maybe", "a"),
    ("yes", 1),
    ("other", 1),
]


def test_the_schema_of_a_struct_is_valid_and_takes_what_msgspec_takes():
    schema = resolved(Everything)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(VALUE)
    shape(Everything).parse_json(msgspec.json.encode(VALUE), ())


@pytest.mark.parametrize("key, value", WRONG)
def test_the_schema_of_a_struct_refuses_what_msgspec_refuses(key, value):
    wrong = {**VALUE, key: value}
    assert not Draft202012Validator(resolved(Everything)).is_valid(wrong)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(wrong), type=Everything)


def test_what_msgspec_writes_fits_the_schema():
    value = msgspec.json.decode(msgspec.json.encode(VALUE), type=Everything)
    Draft202012Validator(resolved(Everything, OUT)).validate(msgspec.json.decode(msgspec.json.encode(value)))


def test_words_and_defaults_of_a_struct_are_told_but_none_that_is_no_json():
    _, components = described(Everything)
    properties = components["Everything"]["properties"]
    assert properties["part"]["description"] == "Of the whole."
    assert properties["yes"]["default"] is True
    assert properties["listed"]["default"] == []
    assert properties["raw"] == {}


def test_a_struct_may_hold_itself():
    schema, components = described(list[Tree])
    assert schema == {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}
    assert components["Tree"]["description"] == "Grows."
    Draft202012Validator(resolved(list[Tree])).validate([{"leaves": [{"leaves": []}]}])


def test_a_generic_struct_is_named_with_its_arguments():
    _, components = described(Page[Cat])
    assert components["Page_Cat_"]["title"] == "Page[Cat]"


def test_a_struct_that_says_nothing_gets_no_description():
    assert "description" not in described(Cat)[1]["Cat"]


# Both libraries in one document


def models():
    class Item(BaseModel):
        one: int

    return Item


def structs():
    class Item(Struct):
        two: int

    return Item


def test_two_models_of_one_name_are_told_by_their_module():
    class Item(BaseModel):
        other: str

    both = [models(), Item]
    made = Schemas([(shape(each), IN) for each in both])
    first, second = (made.of(shape(each), IN)["$ref"].rpartition("/")[2] for each in both)
    assert set(made.components) == {first, second}
    assert made.components[first]["required"] == ["one"]
    assert made.components[second]["required"] == ["other"]


def test_a_model_and_a_struct_of_one_name_are_kept_apart():
    model, struct = models(), structs()
    made = Schemas([(shape(model), IN), (shape(list[struct]), OUT)])
    assert made.of(shape(model), IN) == {"$ref": "#/components/schemas/Item"}
    name = made.of(shape(list[struct]), OUT)["items"]["$ref"].rpartition("/")[2]
    assert name.endswith("test_schemas__structs___locals___Item")
    assert made.components[name]["required"] == ["two"]


def test_two_structs_of_one_name_are_both_told_by_their_module():
    made = Schemas([(shape(structs()), IN), (shape(structs()), IN)])
    first, second = made.components
    assert first.endswith("test_schemas__structs___locals___Item")
    assert second == f"{first}__2"


def test_the_same_model_twice_is_described_once():
    model = models()
    assert list(Schemas([(shape(model), IN), (shape(list[model]), IN), (shape(model), OUT)]).components) == ["Item"]


class Account(BaseModel):
    name: str
    secret: str = Field(default="", exclude=True)

    @computed_field
    @property
    def initial(self) -> str:
        return self.name[:1]


def test_a_model_that_is_read_otherwise_than_it_is_sent_has_two_schemas():
    made = Schemas([(shape(Account), IN), (shape(Account), OUT)])
    assert set(made.components) == {"Account-Input", "Account-Output"}
    assert "secret" in made.components["Account-Input"]["properties"]
    assert set(made.components["Account-Output"]["properties"]) == {"name", "initial"}


class Renamed(BaseModel):
    own_name: int = Field(alias="ownName")


def test_a_model_with_other_names_on_the_wire_is_described_by_those_and_sent_with_them():
    schema = resolved(Renamed, OUT)
    answer = msgspec.json.decode(shape(Renamed).dump(Renamed(ownName=1)))
    Draft202012Validator(schema).validate(answer)
    assert answer == {"ownName": 1}


def test_what_json_schema_has_no_words_for_is_anything():
    class Odd(BaseModel, arbitrary_types_allowed=True):
        thing: object
        callback: type[int] = int

    assert described(Odd)[1]["Odd"]["properties"].keys() == {"thing", "callback"}


def test_a_schema_that_was_given_is_a_copy():
    made = Schemas([(shape(int), IN)])
    made.of(shape(int), IN)["title"] = "spoilt"
    assert made.of(shape(int), IN) == {"type": "integer"}


def test_no_shapes_make_no_components():
    assert Schemas([]).components == {}


# Small things


@pytest.mark.parametrize(
    "returns, left",
    [(REQUIRED, Any), (int | str, int | str), (int | bytes, int), (bytes, None), (bytes | None, None), (None, None)],
)
def test_what_tells_the_server_what_to_do_is_no_part_of_the_result(returns, left):
    found = sent(returns, [bytes])
    assert found is (None if left is None else shape(left))


@pytest.mark.parametrize("returns", [[int], {"a": int}, (int, str)])
def test_a_result_that_is_a_value_is_refused(returns):
    with pytest.raises(TypeError, match=r"is a value and no type: write list\[Item\]"):
        sent(returns, [bytes])


def test_values_without_a_json_form_are_left_out():
    assert plain(object()) is None
    assert plain(b"\xff") is None
    assert plain({decimal.Decimal("1.5"): Colour.RED}) == {"1.5": "red"}
