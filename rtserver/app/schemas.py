"""JSON Schema of shapes: those of one document together, so that no two models in it share a name."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError, to_jsonable_python

from rtserver.app.parameters import REQUIRED, Parameter
from rtserver.app.shapes import REF_TEMPLATE, PydanticShape, Shape, StructShape, shape
from rtserver.app.structs import StructSchemas

Mode = Literal["validation", "serialization"]
"""What is read from clients, or what is sent to them: with defaults and computed fields the two differ."""

Schema = dict[str, Any]
IN: Mode = "validation"
OUT: Mode = "serialization"


class _Lenient(GenerateJsonSchema):
    """What JSON Schema has no words for is documented as "anything": a server must not fail over its documentation."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Schema:
        return {}


class Schemas:
    """``components`` by name, for ``#/components/schemas``. Two models of one name are both told by their module; a model
    that is read otherwise than it is sent has two entries, ``Name-Input`` and ``Name-Output``."""

    def __init__(self, wanted: Iterable[tuple[Shape, Mode]]) -> None:
        unique = {(id(shape), mode): shape for shape, mode in wanted}
        found, models = _of_pydantic(unique)
        structs, struct_models = _of_structs(unique, taken=models.keys())
        self._found = {**found, **structs}
        self.components: dict[str, Schema] = dict(sorted({**models, **struct_models}.items()))
        self._kept = list(unique.values())  # so that no id is used again

    def of(self, shape: Shape, mode: Mode) -> Schema:
        """A copy: add to it what you like. Raises KeyError for what was not wanted."""
        return dict(self._found[id(shape), mode])

    def of_parameter(self, parameter: Parameter) -> Schema:
        """With what its marker says and its default."""
        schema = self.of(parameter.shape, IN)
        if parameter.marker.description:
            schema["description"] = parameter.marker.description
        if parameter.marker.example is not None:
            schema["examples"] = [plain(parameter.marker.example)]
        if "default" not in schema and parameter.default is not REQUIRED and parameter.default is not None:
            schema |= _default(parameter.default)
        return schema

    def of_keys(self, parameters: Iterable[Parameter]) -> Schema:
        """An object with one key for each parameter."""
        by_name = distinct(parameters)
        properties = {each.alias: self.of_parameter(each) for each in by_name}
        required = [each.alias for each in by_name if each.default is REQUIRED]
        return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def distinct(parameters: Iterable[Parameter]) -> list[Parameter]:
    """A function and its providers may take the same one: it stands once, required when one of them requires it."""
    found: dict[tuple[str, str], Parameter] = {}
    for each in parameters:
        known = found.get((each.place, each.alias))
        if known is None or (each.default is REQUIRED and known.default is not REQUIRED):
            found[each.place, each.alias] = each
    return list(found.values())


def sent(returns: Any, orders: Iterable[Any]) -> Shape | None:
    """The shape of a result without ``orders``, the types that tell the server what to do; None when nothing is left."""
    if returns is REQUIRED:
        return shape(Any)
    if isinstance(returns, list | dict | set | tuple):
        raise TypeError(f"{returns!r} is a value and no type: write list[Item] or dict[str, Item]")
    kinds = get_args(returns) if get_origin(returns) in (Union, UnionType) else (returns,)
    left = [each for each in kinds if each not in tuple(orders)]
    return shape(Union[tuple(left)]) if set(left) - {None, NoneType} else None  # noqa: UP007


def plain(value: Any) -> Any:
    """As JSON values; None for what has no such form."""
    try:
        return to_jsonable_python(value, inf_nan_mode="strings", bytes_mode="utf8")
    except (PydanticSerializationError, UnicodeDecodeError):
        return None


Found = dict[tuple[int, Mode], Schema]


def _of_pydantic(unique: dict[tuple[int, Mode], Shape]) -> tuple[Found, dict[str, Schema]]:
    inputs = [
        (number, mode, shape.adapter) for (number, mode), shape in unique.items() if isinstance(shape, PydanticShape)
    ]
    if not inputs:
        return {}, {}
    found, definitions = TypeAdapter.json_schemas(inputs, ref_template=REF_TEMPLATE, schema_generator=_Lenient)
    return found, definitions.get("$defs", {})


def _of_structs(unique: dict[tuple[int, Mode], Shape], taken: Collection[str]) -> tuple[Found, dict[str, Schema]]:
    wanted = {key: shape for key, shape in unique.items() if isinstance(shape, StructShape)}
    made = StructSchemas([shape.annotation for shape in wanted.values()], taken, REF_TEMPLATE.format(model=""))
    return dict(zip(wanted, made.schemas, strict=True)), made.components


def _default(value: Any) -> Schema:
    value = plain(value)
    return {} if value is None else {"default": value}
