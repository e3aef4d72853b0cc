"""Types at the edge: what comes in is validated, what goes out is checked, and both are described as JSON Schema.

A shape is made once per annotation, when the application is put together. Two libraries stand behind it, chosen by a table:
msgspec for its structs (payloads pass through byte for byte), pydantic for everything else.
"""

from __future__ import annotations

import collections
import re
import types
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import is_dataclass
from decimal import Decimal
from enum import Enum
from functools import cache, cached_property
from typing import Annotated, Any, Literal, NewType, Protocol, Union, get_args, get_origin

import msgspec
from pydantic import BaseModel, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, SchemaValidator, to_json, to_jsonable_python

from rtserver.app.first_mistakes import could_miss_too_many, most_missing, stopping
from rtserver.app.long_keys import with_short_keys
from rtserver.app.nesting import too_deep

Location = tuple[str | int, ...]
Mistake = dict[str, Any]
"""One mistake in what a client sent, in FastAPI's form: ``type``, ``loc``, ``msg``, ``input`` and, for limits, ``ctx``."""

REF_TEMPLATE = "#/components/schemas/{model}"

MISTAKE_LIMIT = 1000
"""Mistakes that are listed; of more the client is told the number."""

ECHO_LIMIT = 1_048_576
"""Bytes of what was sent that one answer may have: inputs, and places, which are made of keys. A small request must not become
a huge answer."""

SMALL_TEXT = 16_384
"""Bytes of JSON that cannot do harm by long keys and deep places."""

TOO_DEEP = "Input nests too deep for its many values: send it in parts, or with less around each value"


class Invalid(Exception):
    """What a client sent does not fit; every mistake at once."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        super().__init__("; ".join(f"{each['loc']} {each['msg']}" for each in mistakes[:3]))


class NotText(Exception):
    """A body that is no JSON at all."""


class Unfit(Exception):
    """A result that does not fit its declared type: a mistake of the application, for its developer's eyes only."""


class Shape(Protocol):
    """One type. ``parse`` and ``parse_json`` raise ``Invalid``, the latter ``NotText`` too; ``dump`` raises ``Unfit``."""

    annotation: Any

    def parse(self, value: Any, location: Location) -> Any:
        """From Python values: strings of a path or a query, or JSON that was read already."""

    def parse_json(self, text: bytes, location: Location) -> Any: ...

    def parse_texts(self, value: Any, location: Location) -> Any:
        """From an object of texts, as forms send it: "5" is a number where one is wanted."""

    def dump(self, value: Any) -> bytes:
        """As JSON, without what the type does not declare."""


class PydanticShape:
    """Standard types, dataclasses and pydantic models."""

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self.adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        self._validate = self.adapter.validator.validate_python
        self._validate_json = self.adapter.validator.validate_json
        self._to_json = self.adapter.serializer.to_json

    def parse(self, value: Any, location: Location) -> Any:
        try:
            return self._validate(value)
        except ValidationError as error:
            raise Invalid(_mistakes(error, location, b"")) from None

    def parse_texts(self, value: Any, location: Location) -> Any:
        try:
            return self._validate(value)
        except ValidationError as error:
            raise Invalid(_mistakes(error, location, to_json(value))) from None

    def parse_json(self, text: bytes, location: Location) -> Any:
        if len(text) > SMALL_TEXT:
            self._check_large(text, location)
        return self._parse_json(text, location, self._validate_json)

    def _check_large(self, text: bytes, location: Location) -> None:
        """Raises ``Invalid`` where the library would make too much of the mistakes."""
        if too_deep(text):
            check_json(text)
            raise Invalid([{"type": "nesting", "loc": list(location), "msg": TOO_DEEP, "input": None}])
        cut = with_short_keys(text)
        if could_miss_too_many(text, self._most_missing):
            self._parse_json(cut or text, location, self._stopping.validate_json)
        elif cut is not None:
            self._parse_json(cut, location, self._validate_json)

    @cached_property
    def _most_missing(self) -> int:
        return most_missing(self.adapter.core_schema)

    @cached_property
    def _stopping(self) -> SchemaValidator:
        return stopping(self.adapter.core_schema)

    def _parse_json(self, text: bytes, location: Location, validate: Callable[[bytes], Any]) -> Any:
        try:
            return validate(text)
        except ValidationError as error:
            if error.error_count() == 1:
                only = error.errors(include_url=False, include_input=False)[0]
                if only["type"] == "json_invalid" and not only["loc"]:
                    raise NotText(only["msg"]) from None
            raise Invalid(_mistakes(error, location, text)) from None

    def dump(self, value: Any) -> bytes:
        """Instances of models are taken as valid; what was changed in them since shows when they are written."""
        try:
            found = self._validate(value, from_attributes=True)
            return self._to_json(found, by_alias=True, warnings="error", fallback=_builtins)
        except (ValidationError, PydanticSerializationError) as error:
            raise Unfit(str(error)) from None


class StructShape:
    """msgspec structs, and lists and dictionaries of them. msgspec tells the first mistake only."""

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self._decoder = msgspec.json.Decoder(annotation)

    def parse(self, value: Any, location: Location) -> Any:
        try:
            return msgspec.convert(value, self.annotation)
        except msgspec.ValidationError as error:
            raise Invalid([_struct_mistake(error, location)]) from None

    def parse_texts(self, value: Any, location: Location) -> Any:
        try:
            return msgspec.convert(value, self.annotation, strict=False)
        except msgspec.ValidationError as error:
            raise Invalid([_struct_mistake(error, location)]) from None

    def parse_json(self, text: bytes, location: Location) -> Any:
        try:
            return self._decoder.decode(text)
        except msgspec.ValidationError as error:
            check_json(text)
            raise Invalid([_struct_mistake(error, location)]) from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise NotText(str(error)) from None

    def dump(self, value: Any) -> bytes:
        """A struct looks at its values only when it is read: so what was written is read once."""
        try:
            if type(value) is not self.annotation:
                value = msgspec.convert(value, self.annotation, from_attributes=True)
            text = msgspec.json.encode(value)
            self._decoder.decode(text)
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            raise Unfit(str(error)) from None
        return text


def check_json(text: bytes) -> None:
    """msgspec stops at the first mistake: what follows may be no JSON. Raises ``NotText``."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotText(str(error)) from None


def as_json(value: Any) -> bytes:
    """Any JSON value, model, dataclass or struct, also inside of others. Raises ``Unfit`` for anything else."""
    try:
        return to_json(value, by_alias=True, inf_nan_mode="null", fallback=_builtins)
    except PydanticSerializationError as error:
        raise Unfit(str(error)) from None


def _builtins(value: Any) -> Any:
    """pydantic knows no structs."""
    if isinstance(value, msgspec.Struct | msgspec.Raw):
        return msgspec.json.decode(msgspec.json.encode(value))
    raise TypeError(f"{type(value).__name__} is no JSON value and no model")


@cache
def _cached(annotation: Any, parts: tuple[Any, ...]) -> Shape:
    return _make(annotation)


def shape(annotation: Any) -> Shape:
    """The shape of a type. Raises TypeError, with the remedy, for a type that neither library knows."""
    try:
        return _cached(annotation, _parts(annotation))
    except TypeError:
        return _make(annotation)


def _parts(annotation: Any) -> tuple[Any, ...]:
    """What it is made of, in its order. Unions of the same types are equal in any, but the order decides what is read where
    several fit."""
    return tuple((each, _parts(each)) for each in get_args(annotation))


def _make(annotation: Any) -> Shape:
    kind: Callable[[Any], Shape] = StructShape if is_struct(annotation) else PydanticShape
    try:
        return kind(annotation)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        if getattr(error, "code", "") == "class-not-fully-defined":
            raise TypeError(
                f"{annotation!r} names types that are not there yet: declare the function below them"
            ) from error
        why = str(error).partition("\n")[0]
        raise TypeError(
            f"{annotation!r} is no type that can be validated: use a model, a dataclass or a standard type ({why})"
        ) from error


def is_struct(annotation: Any) -> bool:
    """Whether msgspec is the one to ask."""
    if get_origin(annotation) is Annotated:
        annotation = annotation.__origin__
    inner = getattr(annotation, "__args__", ())
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return True
    return any(is_struct(each) for each in inner)


LISTS = (list, set, frozenset, tuple, collections.deque, Sequence, Set)


def is_list(annotation: Any) -> bool:
    """Whether several values make one of these."""
    annotation = bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return any(is_list(each) for each in get_args(annotation))
    return get_origin(annotation) in LISTS or annotation in LISTS


def fits_text(annotation: Any, *, many: bool = False) -> bool:
    """Whether a value of this type can be written as one text, as in a query; with ``many`` also as several."""
    annotation = bare(annotation)
    origin = get_origin(annotation)
    if origin is Literal or annotation is type(None):
        return True
    if annotation is Any:
        return False
    if origin in (Union, types.UnionType):
        return all(fits_text(each, many=many) for each in get_args(annotation))
    if origin in LISTS or annotation in LISTS:
        return many and all(fits_text(each) for each in get_args(annotation) if each is not ...)
    return isinstance(annotation, type) and origin is None and not _has_fields(annotation)


def _has_fields(kind: type) -> bool:
    if issubclass(kind, BaseModel | msgspec.Struct | Mapping) or is_dataclass(kind):
        return True
    return issubclass(kind, Collection) and not issubclass(kind, str | bytes | Enum)


def bare(annotation: Any) -> Any:
    """Without ``Annotated`` and other names."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def _mistakes(error: ValidationError, location: Location, text: bytes) -> list[Mistake]:
    """``text``: what they were found in, where that may be long."""
    count = error.error_count()
    if count > MISTAKE_LIMIT:
        return _too_many(count, location)
    shows_input = count * len(text) <= ECHO_LIMIT
    errors = error.errors(include_url=False, include_input=shows_input)
    if not shows_input and sum(len(part) for each in errors for part in each["loc"] if type(part) is str) > ECHO_LIMIT:
        return _too_many(count, location)
    found = []
    for each in errors:
        given = each["input"] if shows_input else None
        mistake: Mistake = {
            "type": each["type"],
            "loc": [*location, *each["loc"]],
            "msg": each["msg"],
            "input": to_jsonable_python(given, fallback=repr, bytes_mode="utf8", inf_nan_mode="strings"),
        }
        if "ctx" in each:
            ctx = {name: _number(value) if type(value) is Decimal else value for name, value in each["ctx"].items()}
            mistake["ctx"] = to_jsonable_python(ctx, fallback=str)
        found.append(mistake)
    return found


def _too_many(count: int, location: Location) -> list[Mistake]:
    text = f"{count} mistakes, too many to list"
    return [{"type": "too_many_mistakes", "loc": list(location), "msg": text, "input": None}]


def _number(limit: Decimal) -> int | float:
    """The limit of a decimal, as FastAPI writes it."""
    exponent = limit.as_tuple().exponent
    return int(limit) if isinstance(exponent, int) and exponent >= 0 else float(limit)


def _struct_mistake(error: msgspec.ValidationError, location: Location) -> Mistake:
    """msgspec ends its sentence with the place: "Expected `int`, got `str` - at `$.a[0].b`"; "[...]" is any key of a map."""
    text, _, place = str(error).partition(" - at `")
    parts = re.findall(r"\[(\d+|\.\.\.)\]|\.([^.\[]+)", place.rstrip("`"))
    path = [int(index) if index.isdigit() else index or name for index, name in parts]
    return {"type": "value_error", "loc": [*location, *path], "msg": text, "input": None}
