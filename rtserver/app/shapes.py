"""Types at the edge: what comes in is validated, what goes out is checked, and both are described as JSON Schema.

A shape is made once per annotation, when the application is put together. Two libraries stand behind it, chosen by a table:
msgspec for its structs (payloads pass through byte for byte), pydantic for everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Protocol, get_origin

import msgspec
from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import to_jsonable_python

Location = tuple[str | int, ...]
Mistake = dict[str, Any]
"""One mistake in what a client sent, in FastAPI's form: ``type``, ``loc``, ``msg``, ``input`` and, for limits, ``ctx``."""

REF_TEMPLATE = "#/components/schemas/{model}"


class Invalid(Exception):
    """What a client sent does not fit; every mistake at once."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        super().__init__(f"{len(mistakes)} mistakes, the first: {mistakes[0]['loc']} {mistakes[0]['msg']}")


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
            raise Invalid(_mistakes(error, location)) from None

    def parse_json(self, text: bytes, location: Location) -> Any:
        try:
            return self._validate_json(text)
        except ValidationError as error:
            mistakes = _mistakes(error, location)
            if mistakes[0]["type"] == "json_invalid":
                raise NotText(mistakes[0]["msg"]) from None
            raise Invalid(mistakes) from None

    def dump(self, value: Any) -> bytes:
        try:
            return self._to_json(self._validate(value, from_attributes=True), warnings=False)
        except ValidationError as error:
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

    def parse_json(self, text: bytes, location: Location) -> Any:
        try:
            return self._decoder.decode(text)
        except msgspec.ValidationError as error:
            raise Invalid([_struct_mistake(error, location)]) from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise NotText(str(error)) from None

    def dump(self, value: Any) -> bytes:
        if type(value) is self.annotation:
            return msgspec.json.encode(value)
        try:
            return msgspec.json.encode(msgspec.convert(value, self.annotation, from_attributes=True))
        except (msgspec.ValidationError, TypeError) as error:
            raise Unfit(str(error)) from None


@cache
def _cached(annotation: Any) -> Shape:
    return _make(annotation)


def shape(annotation: Any) -> Shape:
    """The shape of a type. Raises TypeError, with the remedy, for a type that neither library knows."""
    try:
        return _cached(annotation)
    except TypeError:
        return _make(annotation)


def _make(annotation: Any) -> Shape:
    kind: Callable[[Any], Shape] = StructShape if is_struct(annotation) else PydanticShape
    try:
        return kind(annotation)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise TypeError(
            f"{annotation!r} is no type that can be validated: use a model, a dataclass or a standard type"
        ) from error


def is_struct(annotation: Any) -> bool:
    """Whether msgspec is the one to ask."""
    if get_origin(annotation) is Annotated:
        annotation = annotation.__origin__
    inner = getattr(annotation, "__args__", ())
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return True
    return any(is_struct(each) for each in inner)


def _mistakes(error: ValidationError, location: Location) -> list[Mistake]:
    found = []
    for each in error.errors(include_url=False):
        mistake: Mistake = {
            "type": each["type"],
            "loc": [*location, *each["loc"]],
            "msg": each["msg"],
            "input": to_jsonable_python(each["input"], fallback=repr, bytes_mode="utf8", inf_nan_mode="strings"),
        }
        if "ctx" in each:
            mistake["ctx"] = to_jsonable_python(each["ctx"], fallback=str)
        found.append(mistake)
    return found


def _struct_mistake(error: msgspec.ValidationError, location: Location) -> Mistake:
    """msgspec ends its sentence with the place: "Expected `int`, got `str` - at `$.a[0].b`"."""
    text, _, place = str(error).partition(" - at `")
    path: list[str | int] = []
    for part in place.rstrip("`").removeprefix("$").replace("[", ".[").split("."):
        if part.startswith("["):
            index = part.strip("[]")
            path.append(int(index) if index.isdigit() else index)
        elif part:
            path.append(part)
    return {"type": "value_error", "loc": [*location, *path], "msg": text, "input": None}
