"""What a function wants, read from its annotations: path, query, header, cookie and body parameters, and things to be given.

The rules are those that users of FastAPI know: a name in the path template is a path parameter, a type that fits into a text
a query parameter, anything else the body; ``Annotated[..., Header()]`` and its siblings say otherwise.
"""

from __future__ import annotations

import copy
import enum
import functools
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from rtserver.app.shapes import Invalid, Shape, bare, fits_text, is_list, shape

REQUIRED: Any = inspect.Parameter.empty
Place = Literal["path", "query", "header", "cookie", "body"]


@dataclass(frozen=True, slots=True)
class Marker:
    """Where a parameter comes from, as an annotation: ``Annotated[str, Header("x-request-id")]``.

    ``alias`` is its name on the wire; without one, headers take the parameter's name with "_" as "-". ``description`` and
    ``example`` go into the documentation."""

    alias: str = ""
    description: str = ""
    example: Any = None


class Path(Marker):
    """A part of the path."""


class Query(Marker):
    """A query parameter."""


class Header(Marker):
    """A request header."""


class Cookie(Marker):
    """A cookie."""


class Body(Marker):
    """The request body, or one key of it when there are several."""


_PLACES: dict[type[Marker], Place] = {Path: "path", Query: "query", Header: "header", Cookie: "cookie", Body: "body"}
_ORDER = tuple(_PLACES.values())
"""In which mistakes are told."""


@dataclass(frozen=True, slots=True)
class Depends:
    """A value that ``provider`` makes for each call. Providers declare parameters like any other function; one that yields
    is gone on with when the answer is made."""

    provider: Callable[..., Any]


Scheme = tuple[str, Mapping[str, Any]]
"""What proves who calls, as the OpenAPI document has it: its name there, and what it is."""


class Given:
    """The base of what the server gives to functions that ask for it by type (the connection, the publisher...). ``security``:
    what clients prove it with, one scheme or several of which any will do."""

    security: ClassVar[Scheme | tuple[Scheme, ...]] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value from the request. ``default`` is ``REQUIRED`` when there is none; ``many``: every occurrence, as a list.
    ``location`` begins the place of mistakes."""

    name: str
    place: Place
    alias: str
    shape: Shape
    default: Any
    many: bool
    marker: Marker
    location: tuple[str, str] = field(init=False)
    is_shared: bool = field(init=False)
    """Whether the default is one that no call can change."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "location", (self.place, self.alias))
        object.__setattr__(self, "is_shared", type(self.default).__hash__ is not None)

    def absent(self, location: tuple[str, ...]) -> Any:
        """What it is when the request does not have it. Raises ``Invalid`` when it must."""
        if self.default is REQUIRED:
            raise Invalid([{"type": "missing", "loc": list(location), "msg": "Field required", "input": None}])
        return self.default if self.is_shared else copy.deepcopy(self.default)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One value from the server: an object of ``kind``. ``optional``: None is as good."""

    name: str
    kind: type[Given]
    optional: bool


class Way(enum.Enum):
    """How a function is run. Plain functions have a thread, so that one that blocks keeps nothing else waiting."""

    AWAITED = "async def"
    THREAD = "def"
    HERE = "class"
    AWAITED_GENERATOR = "async def with yield"
    THREAD_GENERATOR = "def with yield"


_KINDS: dict[Way, Callable[[Any], bool]] = {
    Way.AWAITED_GENERATOR: inspect.isasyncgenfunction,
    Way.THREAD_GENERATOR: inspect.isgeneratorfunction,
    Way.AWAITED: inspect.iscoroutinefunction,
}


@dataclass(frozen=True, slots=True)
class Provided:
    """One value from a provider, with what that wants itself."""

    name: str
    provider: Callable[..., Any]
    signature: Signature
    way: Way


@dataclass(frozen=True, slots=True)
class Signature:
    """Everything that a function wants, and the type of what it returns (``REQUIRED``: not declared)."""

    parameters: tuple[Parameter, ...]
    wanted: tuple[Wanted, ...]
    provided: tuple[Provided, ...]
    returns: Any

    def all_parameters(self) -> tuple[Parameter, ...]:
        """Those of providers too."""
        return self.parameters + tuple(each for item in self.provided for each in item.signature.all_parameters())

    def all_wanted(self) -> tuple[Wanted, ...]:
        return self.wanted + tuple(each for item in self.provided for each in item.signature.all_wanted())

    def all_provided(self) -> tuple[Provided, ...]:
        return self.provided + tuple(each for item in self.provided for each in item.signature.all_provided())


def read_signature(function: Callable[..., Any], path_names: frozenset[str] = frozenset()) -> Signature:
    """Raises TypeError, naming function and parameter, when an annotation is missing or means nothing here. Providers may
    take what is in the path too."""
    hints, items = _hints(function), _items(function)
    parameters: list[Parameter] = []
    wanted: list[Wanted] = []
    provided: list[Provided] = []
    for name, item in items.items():
        _check_item(function, item, hints)
        found = _classify(function, item, hints[name], path_names)
        if isinstance(found, Parameter):
            parameters.append(found)
        elif isinstance(found, Wanted):
            wanted.append(found)
        else:
            provided.append(found)
    parameters.sort(key=lambda each: _ORDER.index(each.place))
    return Signature(tuple(parameters), tuple(wanted), tuple(provided), hints.get("return", REQUIRED))


def check_path(function: Callable[..., Any], signature: Signature, names: frozenset[str]) -> None:
    """Raises TypeError when a path parameter is not in the path; nothing would ever fill it."""
    for each in signature.all_parameters():
        if each.place == "path" and each.alias not in names:
            raise TypeError(f"{where(function)}: parameter {each.name}: the path has no {{{each.alias}}}")


def way(function: Callable[..., Any]) -> Way:
    if inspect.isclass(function):
        return Way.HERE
    for kind, found in _KINDS.items():
        if found(function) or found(type(function).__call__):
            return kind
    return Way.THREAD


def where(function: Callable[..., Any]) -> str:
    function = _whole(function)
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    function = _whole(function)
    try:
        target = function if inspect.isroutine(function) or inspect.isclass(function) else type(function).__call__
        return get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{where(function)}: an annotation names {error.name}, which is not there: define or import it in the module"
        ) from error
    except SyntaxError as error:
        raise TypeError(f"{where(function)}: an annotation is no type: {error}") from error


def _items(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Without what ``functools.partial`` has filled: no client chooses that."""
    try:
        hash(function)
        items = inspect.signature(function).parameters
    except TypeError as error:
        raise TypeError(f"{where(function)} cannot be called for each request: {error}") from error
    except ValueError as error:
        raise TypeError(f"{where(function)} does not tell what it takes: call it in a function of your own") from error
    filled = function.keywords if isinstance(function, functools.partial) else {}
    return {name: item for name, item in items.items() if name not in filled}


def _whole(function: Callable[..., Any]) -> Callable[..., Any]:
    return function.func if isinstance(function, functools.partial) else function


def _check_item(function: Callable[..., Any], item: inspect.Parameter, hints: Mapping[str, Any]) -> None:
    if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD, item.POSITIONAL_ONLY):
        raise TypeError(f"{where(function)}: parameter {item.name} cannot be filled: take named parameters only")
    if item.name not in hints:
        raise TypeError(f"{where(function)}: parameter {item.name} has no annotation: say its type")
    if isinstance(item.default, Marker | Depends):
        kind = type(item.default).__name__
        raise TypeError(
            f"{where(function)}: parameter {item.name}: {kind} is no default: write {item.name}: Annotated[..., {kind}()]"
        )


def _classify(
    function: Callable[..., Any], item: inspect.Parameter, annotation: Any, path_names: frozenset[str]
) -> Parameter | Wanted | Provided:
    if type(annotation).__name__ == "TypeAliasType" and get_origin(annotation.__value__) is Annotated:
        annotation = annotation.__value__
    markers = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    for marker in markers:
        _check_marker(function, item.name, marker)
        if isinstance(marker, Depends):
            provider = marker.provider
            return Provided(item.name, provider, read_signature(provider, path_names), way(provider))
    given = _given(annotation)
    if given is not None:
        return Wanted(item.name, *given)
    for each in get_args(bare(annotation)):
        _check_inside(function, item.name, each)
    marker = next((each for each in markers if isinstance(each, Marker)), None)
    place = _place(item.name, annotation, marker, path_names)
    marker = marker or Marker()
    many = is_list(annotation)
    if place != "body" and not fits_text(annotation, many=many and place in ("query", "header")):
        raise TypeError(
            f"{where(function)}: parameter {item.name}: {annotation!r} does not fit into a {place}: take its fields as "
            f"parameters of their own, or a provider of it: Annotated[..., Depends(function)]"
        )
    alias = marker.alias or (item.name.replace("_", "-") if place == "header" else item.name)
    try:
        found = shape(annotation)
    except TypeError as error:
        raise TypeError(f"{where(function)}: parameter {item.name}: {error}") from error
    return Parameter(item.name, place, alias, found, item.default, many and place in ("query", "header"), marker)


def _check_marker(function: Callable[..., Any], name: str, marker: Any) -> None:
    """Anything may stand in ``Annotated``, and what means nothing there would leave the value to the client."""
    if inspect.isclass(marker) and issubclass(marker, Marker | Depends):
        raise TypeError(f"{where(function)}: parameter {name}: write {marker.__name__}(), with brackets")
    if inspect.isroutine(marker):
        raise TypeError(
            f"{where(function)}: parameter {name}: a function means nothing there: write Depends({marker.__name__}), "
            "or a validator of pydantic"
        )


def _check_inside(function: Callable[..., Any], name: str, annotation: Any) -> None:
    """What the server or a provider should make must not be taken from the client instead."""
    kind = bare(annotation)
    if inspect.isclass(kind) and issubclass(kind, Given):
        raise TypeError(f"{where(function)}: parameter {name}: {kind.__name__} stands alone, or with None")
    for each in get_args(annotation):
        if isinstance(each, Marker | Depends):
            word = type(each).__name__
            raise TypeError(
                f"{where(function)}: parameter {name}: {word} stands outside: Annotated[X | None, {word}(...)]"
            )
        _check_inside(function, name, each)


def _place(name: str, annotation: Any, marker: Marker | None, path_names: frozenset[str]) -> Place:
    if marker is not None:
        return _PLACES[type(marker)]
    if name in path_names:
        return "path"
    return "query" if fits_text(annotation) else "body"


def _given(annotation: Any) -> tuple[type[Given], bool] | None:
    annotation = bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Given):
        return annotation, False
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [each for each in get_args(annotation) if each is not type(None)]
        if len(inner) == 1 and isinstance(inner[0], type) and issubclass(inner[0], Given):
            return inner[0], True
    return None
