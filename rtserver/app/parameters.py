"""What a function wants, read from its annotations: path, query, header, cookie and body parameters, and things to be given.

The rules are those that users of FastAPI know: a name in the path template is a path parameter, a standard type a query
parameter, a model the body; ``Annotated[..., Header()]`` and its siblings say otherwise.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import inspect
import pathlib
import types
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from rtserver.app.shapes import Shape, is_struct, shape

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


@dataclass(frozen=True, slots=True)
class Depends:
    """A value that ``provider`` makes for each call. Providers declare parameters like any other function."""

    provider: Callable[..., Any]


class Given:
    """The base of what the server gives to functions that ask for it by type (the connection, the publisher...)."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value from the request. ``default`` is ``REQUIRED`` when there is none; ``many``: every occurrence, as a list."""

    name: str
    place: Place
    alias: str
    shape: Shape
    default: Any
    many: bool
    marker: Marker


@dataclass(frozen=True, slots=True)
class Wanted:
    """One value from the server: an object of ``kind``. ``optional``: None is as good."""

    name: str
    kind: type[Given]
    optional: bool


@dataclass(frozen=True, slots=True)
class Provided:
    """One value from a provider, with what that wants itself."""

    name: str
    provider: Callable[..., Any]
    signature: Signature


@dataclass(frozen=True, slots=True)
class Signature:
    """Everything that a function wants, and the type of what it returns (None: not declared)."""

    parameters: tuple[Parameter, ...]
    wanted: tuple[Wanted, ...]
    provided: tuple[Provided, ...]
    returns: Any

    def all_parameters(self) -> tuple[Parameter, ...]:
        """Those of providers too."""
        return self.parameters + tuple(each for item in self.provided for each in item.signature.all_parameters())

    def all_wanted(self) -> tuple[Wanted, ...]:
        return self.wanted + tuple(each for item in self.provided for each in item.signature.all_wanted())


def read_signature(function: Callable[..., Any], path_names: frozenset[str] = frozenset()) -> Signature:
    """Raises TypeError, naming function and parameter, when an annotation is missing or means nothing here."""
    hints = _hints(function)
    parameters: list[Parameter] = []
    wanted: list[Wanted] = []
    provided: list[Provided] = []
    for name, item in inspect.signature(function).parameters.items():
        if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD, item.POSITIONAL_ONLY):
            raise TypeError(f"{where(function)}: parameter {name} cannot be filled: take named parameters only")
        if name not in hints:
            raise TypeError(f"{where(function)}: parameter {name} has no annotation: say its type")
        found = _classify(function, item, hints[name], path_names)
        if isinstance(found, Parameter):
            parameters.append(found)
        elif isinstance(found, Wanted):
            wanted.append(found)
        else:
            provided.append(found)
    missing = path_names - {each.alias for each in parameters if each.place == "path"} - _path_names(provided)
    if missing:
        raise TypeError(f"{where(function)}: the path has {', '.join(sorted(missing))}, the function does not take it")
    return Signature(tuple(parameters), tuple(wanted), tuple(provided), hints.get("return", REQUIRED))


def where(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"


def _path_names(provided: list[Provided]) -> set[str]:
    return {each.alias for item in provided for each in item.signature.all_parameters() if each.place == "path"}


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        target = function if inspect.isroutine(function) or inspect.isclass(function) else type(function).__call__
        return get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)
    except NameError as error:
        raise TypeError(f"{where(function)}: an annotation names {error.name}, which is not there") from error


def _classify(
    function: Callable[..., Any], item: inspect.Parameter, annotation: Any, path_names: frozenset[str]
) -> Parameter | Wanted | Provided:
    markers = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    for marker in markers:
        if isinstance(marker, Depends):
            return Provided(item.name, marker.provider, read_signature(marker.provider, frozenset()))
    given = _given(annotation)
    if given is not None:
        return Wanted(item.name, *given)
    marker = next((each for each in markers if isinstance(each, Marker)), None)
    place = _place(item.name, annotation, marker, path_names)
    marker = marker or Marker()
    try:
        return Parameter(
            item.name,
            place,
            marker.alias or (item.name.replace("_", "-") if place == "header" else item.name),
            shape(annotation),
            item.default,
            place in ("query", "header") and _is_list(annotation),
            marker,
        )
    except TypeError as error:
        raise TypeError(f"{where(function)}: parameter {item.name}: {error}") from error


def _place(name: str, annotation: Any, marker: Marker | None, path_names: frozenset[str]) -> Place:
    if marker is not None:
        return _PLACES[type(marker)]
    if name in path_names:
        return "path"
    return "query" if _is_plain(annotation) else "body"


def _given(annotation: Any) -> tuple[type[Given], bool] | None:
    if isinstance(annotation, type) and issubclass(annotation, Given):
        return annotation, False
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [each for each in get_args(annotation) if each is not type(None)]
        if len(inner) == 1 and isinstance(inner[0], type) and issubclass(inner[0], Given):
            return inner[0], True
    return None


_PLAIN = (
    *(str, int, float, bool, bytes, decimal.Decimal, uuid.UUID, enum.Enum, pathlib.PurePath),
    *(datetime.date, datetime.time, datetime.timedelta),
)


def _is_plain(annotation: Any) -> bool:
    """Whether a type fits into a text: then it is looked for in the query."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_plain(get_args(annotation)[0])
    if origin is Literal or annotation is type(None):
        return True
    if origin in (Union, types.UnionType):
        return all(_is_plain(each) for each in get_args(annotation))
    if origin in (list, set, frozenset, tuple):
        return not is_struct(annotation) and all(_is_plain(each) for each in get_args(annotation) if each is not ...)
    return isinstance(annotation, type) and issubclass(annotation, _PLAIN)


def _is_list(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_list(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return any(_is_list(each) for each in get_args(annotation))
    return origin in (list, set, frozenset, tuple) or annotation in (list, set, frozenset, tuple)
