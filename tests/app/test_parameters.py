"""What is read from the annotations of a function, and which functions are refused at once."""

import datetime
import functools
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from msgspec import Struct
from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from rtserver.app import Body, Cookie, Depends, Given, Header, Path, Query
from rtserver.app.parameters import REQUIRED, Parameter, Way, check_path, read_signature, way
from rtserver.app.shapes import Invalid


class Item(BaseModel):
    id: int


class Tick(Struct):
    price: float


@dataclass(frozen=True)
class Shop(Given):
    name: str


@dataclass(frozen=True)
class Gate(Given):
    name: str


def cook() -> str:
    return "soup"


@dataclass
class Unhashable:
    size: int = 0

    def __call__(self, limit: int) -> int:
        return limit


Sold = TypeAliasType("Sold", Annotated[str, Depends(cook)])
Named = TypeAliasType("Named", Shop)


def one(function: Any, *names: str) -> Parameter:
    signature = read_signature(function, frozenset(names))
    assert len(signature.parameters) == 1 and not signature.wanted and not signature.provided
    return signature.parameters[0]


# Places


def test_a_name_in_the_path_is_a_path_parameter():
    def read(item: int): ...

    assert one(read, "item").place == "path"


@pytest.mark.parametrize("kind", [int, str, bool, datetime.date, int | None, Annotated[int, Field(gt=1)]])
def test_a_type_that_fits_into_a_text_is_a_query_parameter(kind):
    def read(value): ...

    read.__annotations__["value"] = kind
    assert one(read).place == "query"


@pytest.mark.parametrize("kind", [Item, Tick, dict[str, int], list[int], list[Item], Any, Item | None])
def test_anything_else_is_the_body(kind):
    def read(value): ...

    read.__annotations__["value"] = kind
    assert one(read).place == "body"


@pytest.mark.parametrize(
    ("marker", "place"),
    [(Path(), "path"), (Query(), "query"), (Header(), "header"), (Cookie(), "cookie"), (Body(), "body")],
)
def test_a_marker_says_where_a_value_comes_from(marker, place):
    def read(value): ...

    read.__annotations__["value"] = Annotated[int, marker]
    assert one(read).place == place


def test_headers_are_named_with_dashes_and_the_rest_as_the_parameter():
    def header(x_request_id: Annotated[str, Header()]): ...

    def query(x_request_id: str): ...

    def alias(x_request_id: Annotated[str, Header("X_Odd")]): ...

    assert [one(each).alias for each in (header, query, alias)] == ["x-request-id", "x_request_id", "X_Odd"]
    assert one(header).location == ("header", "x-request-id")


def test_lists_of_the_query_and_of_headers_take_every_occurrence():
    def query(values: Annotated[list[int], Query()]): ...

    def header(values: Annotated[set[str] | None, Header()] = None): ...

    def body(values: list[int]): ...

    assert one(query).many and one(header).many and not one(body).many


def test_parameters_stand_in_the_order_in_which_mistakes_are_told():
    def read(e: Item, d: Annotated[str, Cookie()], c: Annotated[str, Header()], b: int, a: int): ...

    assert [each.name for each in read_signature(read, frozenset("a")).parameters] == ["a", "b", "c", "d", "e"]


# Defaults


def test_a_parameter_without_a_default_is_missed():
    def read(a: int): ...

    assert one(read).default is REQUIRED
    with pytest.raises(Invalid) as caught:
        one(read).absent(("query", "a"))
    assert caught.value.mistakes == [{"type": "missing", "loc": ["query", "a"], "msg": "Field required", "input": None}]


def test_a_default_that_a_call_could_change_is_a_new_one_for_every_call():
    def lists(a: Annotated[list[int], Query()] = []): ...  # noqa: B006

    def models(a: Item = Item(id=1)): ...  # noqa: B008

    for each in (one(lists), one(models)):
        assert each.absent(()) == each.default and each.absent(()) is not each.default


def test_a_default_that_no_call_can_change_is_given_as_it_is():
    day = datetime.date(2026, 1, 2)

    def read(a: datetime.date = day): ...

    assert one(read).absent(()) is day


# What is given


@pytest.mark.parametrize(
    ("kind", "optional"),
    [(Shop, False), (Shop | None, True), (Annotated[Shop, "x"], False), (Annotated[Shop | None, 1], True)],
)
def test_a_kind_of_given_is_wanted_from_the_server(kind, optional):
    def read(shop): ...

    read.__annotations__["shop"] = kind
    (wanted,) = read_signature(read).wanted
    assert (wanted.name, wanted.kind, wanted.optional) == ("shop", Shop, optional)


def test_providers_declare_parameters_like_functions_and_know_the_path():
    def inner(item: int, shop: Shop): ...

    def outer(inner: Annotated[str, Depends(inner)], q: str): ...

    def read(value: Annotated[str, Depends(outer)], n: int): ...

    signature = read_signature(read, frozenset({"item"}))
    assert {each.name: each.place for each in signature.all_parameters()} == {
        "item": "path",
        "q": "query",
        "n": "query",
    }
    assert [each.kind for each in signature.all_wanted()] == [Shop]
    assert [each.provider for each in signature.all_provided()] == [outer, inner]


def test_a_class_may_be_a_provider():
    class Page:
        def __init__(self, skip: int = 0) -> None:
            self.skip = skip

    def read(page: Annotated[Page, Depends(Page)]): ...

    (provided,) = read_signature(read).provided
    assert provided.way is Way.HERE and provided.signature.parameters[0].name == "skip"


# How functions are run


class AsyncCall:
    async def __call__(self, a: int) -> int:
        return a


class PlainCall:
    def __call__(self, a: int) -> int:
        return a

    def method(self, a: int) -> int:
        return a

    async def later(self, a: int) -> int:
        return a


async def awaited() -> None: ...


def plain() -> None: ...


async def awaited_generator() -> AsyncIterator[int]:
    yield 1


def plain_generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (awaited, Way.AWAITED),
        (plain, Way.THREAD),
        (awaited_generator, Way.AWAITED_GENERATOR),
        (plain_generator, Way.THREAD_GENERATOR),
        (Item, Way.HERE),
        (AsyncCall(), Way.AWAITED),
        (PlainCall(), Way.THREAD),
        (PlainCall().method, Way.THREAD),
        (PlainCall().later, Way.AWAITED),
        (functools.partial(awaited), Way.AWAITED),
    ],
)
def test_how_a_function_is_run_is_seen_from_what_it_is(function, expected):
    assert way(function) is expected


def test_methods_and_objects_that_can_be_called_are_functions_too():
    for each in (AsyncCall(), PlainCall().method):
        assert one(each).name == "a"


def test_a_decorated_function_is_read_as_what_it_wraps():
    def decorate(function):
        @functools.wraps(function)
        def call(*args, **keywords):
            return function(*args, **keywords)

        return call

    @decorate
    def read(a: int): ...

    assert one(read).name == "a"


# What is refused


class Plain:
    """Nothing that could be validated."""


def refused(function: Any, *names: str) -> str:
    with pytest.raises(TypeError) as caught:
        read_signature(function, frozenset(names))
    assert function.__qualname__ in str(caught.value)
    return str(caught.value)


def test_a_parameter_without_an_annotation_is_refused():
    def read(a): ...

    assert "parameter a has no annotation" in refused(read)


def test_parameters_without_names_are_refused():
    def positional(a: int, /): ...

    def many(*a: int): ...

    def keywords(**a: int): ...

    for each in (positional, many, keywords):
        assert "take named parameters only" in refused(each)


def test_an_annotation_that_names_nothing_is_refused():
    def read(a: "Missing"): ...  # noqa: F821

    assert "names Missing, which is not there" in refused(read)


def test_a_type_that_nobody_knows_is_refused():
    def read(a: Annotated[Plain, Body()]): ...

    assert "parameter a" in refused(read) and "use a model" in refused(read)


@pytest.mark.parametrize("marker", [Query, Header, Cookie])
@pytest.mark.parametrize("kind", [Item, list[Item], dict[str, int], Tick, Any])
def test_models_do_not_fit_into_a_query_a_header_or_a_cookie(marker, kind):
    def read(value): ...

    read.__annotations__["value"] = Annotated[kind, marker()]
    assert "Depends(function)" in refused(read)


def test_a_cookie_and_a_part_of_the_path_are_one_value():
    def cookie(value: Annotated[list[int], Cookie()]): ...

    def path(value: list[int]): ...

    assert "does not fit into a cookie" in refused(cookie)
    assert "does not fit into a path" in refused(path, "value")


@pytest.mark.parametrize("default", [Query("a"), Depends(plain), Header()])
def test_a_marker_as_a_default_is_refused_with_the_way_to_write_it(default):
    def read(value: int = default): ...

    assert "Annotated[..., " in refused(read)


def test_a_path_parameter_that_is_not_in_the_path_is_refused():
    def read(a: Annotated[int, Path()], b: Annotated[int, Path("c")]): ...

    signature = read_signature(read, frozenset("a"))
    with pytest.raises(TypeError, match="parameter b: the path has no {c}"):
        check_path(read, signature, frozenset("a"))


def test_mistakes_of_providers_name_the_provider():
    def provide(a): ...

    def read(value: Annotated[int, Depends(provide)]): ...

    with pytest.raises(TypeError, match="provide: parameter a has no annotation"):
        read_signature(read)


@pytest.mark.parametrize(
    "kind",
    [
        lambda: Annotated[str, Depends(cook)] | None,
        lambda: list[Annotated[str, Depends(cook)]],
        lambda: Annotated[str, Header()] | int,
    ],
)
def test_a_marker_inside_of_another_type_is_refused_because_the_client_would_choose(kind):
    def read(a): ...

    read.__annotations__["a"] = kind()
    assert "stands outside: Annotated[X | None, " in refused(read)


@pytest.mark.parametrize("kind", [Shop | Gate, list[Shop], dict[str, Shop | None], Shop | str])
def test_what_the_server_gives_stands_alone_because_the_client_would_choose(kind):
    def read(a): ...

    read.__annotations__["a"] = kind
    assert "stands alone, or with None" in refused(read)


@pytest.mark.parametrize("marker", [Query, Depends])
def test_a_marker_without_brackets_is_refused(marker):
    def read(a): ...

    read.__annotations__["a"] = Annotated[str, marker]
    assert f"write {marker.__name__}(), with brackets" in refused(read)


def test_a_function_that_is_no_provider_is_refused():
    def read(a: Annotated[str, cook]): ...

    assert "write Depends(cook)" in refused(read)


def test_an_annotation_that_is_no_python_is_refused():
    def read(a: "no type"): ...  # type: ignore[valid-type]  # noqa: F722

    assert "an annotation is no type" in refused(read)


def test_a_name_for_a_type_is_that_type():
    def read(a: Sold, b: Named): ...

    signature = read_signature(read)
    assert [each.provider for each in signature.provided] == [cook]
    assert [each.kind for each in signature.wanted] == [Shop]


def test_what_partial_has_filled_is_no_parameter():
    def choose(kind: str, size: int, limit: int = 5): ...

    def read(a: Annotated[int, Depends(functools.partial(choose, kind="a"))]): ...

    (provided,) = read_signature(read).provided
    assert [each.name for each in provided.signature.parameters] == ["size", "limit"]
    assert [each.name for each in read_signature(functools.partial(choose, "a", 1)).parameters] == ["limit"]


@pytest.mark.parametrize(
    ("provider", "text"),
    [
        (time.time, "time.time does not tell what it takes"),
        (5, "not a callable object"),
        (Unhashable(), "unhashable type: 'Unhashable'"),
    ],
)
def test_what_cannot_be_called_for_each_request_is_no_provider(provider, text):
    def read(a): ...

    read.__annotations__["a"] = Annotated[float, Depends(provider)]
    with pytest.raises(TypeError, match=text):
        read_signature(read)
