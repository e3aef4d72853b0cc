"""JSON Schema of msgspec structs. msgspec has a generator of its own, which gives up at a default that is no JSON value (such
as the empty ``Raw``) and knows nothing of the names that other models have taken."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import inspect as kinds

Schema = dict[str, Any]

BOUNDS: Mapping[str, str] = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "pattern": "pattern",
}
LENGTHS: Mapping[str, tuple[str, str]] = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}

PLAIN: Mapping[type, Schema] = {
    kinds.AnyType: {},
    kinds.RawType: {},
    kinds.NoneType: {"type": "null"},
    kinds.BoolType: {"type": "boolean"},
    kinds.IntType: {"type": "integer"},
    kinds.FloatType: {"type": "number"},
    kinds.StrType: {"type": "string"},
    kinds.DateTimeType: {"type": "string", "format": "date-time"},
    kinds.DateType: {"type": "string", "format": "date"},
    kinds.TimeType: {"type": "string", "format": "time"},
    kinds.TimeDeltaType: {"type": "string", "format": "duration"},
    kinds.UUIDType: {"type": "string", "format": "uuid"},
    kinds.DecimalType: {"type": "string", "format": "decimal"},
    **{
        kind: {"type": "string", "contentEncoding": "base64"}
        for kind in (kinds.BytesType, kinds.ByteArrayType, kinds.MemoryViewType)
    },
}
"""Types that need no more than their bounds."""

RECORDS = (kinds.StructType, kinds.DataclassType, kinds.TypedDictType, kinds.NamedTupleType)
NAMED = (*RECORDS, kinds.EnumType)
SETS = (kinds.SetType, kinds.FrozenSetType)


class StructSchemas:
    """``schemas`` in the order of ``annotations``, ``components`` by name. Classes whose name is one of ``taken``, or that
    share theirs with another, are told by their module."""

    def __init__(self, annotations: Sequence[Any], taken: Collection[str], reference: str) -> None:
        types = kinds.multi_type_info(annotations)
        found = {each.cls: each for each in _walk(types, set())}
        self._names = _names(list(found), taken)
        self._reference = reference
        self.schemas = [self.of(each) for each in types]
        self.components = {self._names[cls]: self._component(each) for cls, each in found.items()}

    def of(self, kind: kinds.Type) -> Schema:
        more: Schema = {}
        while isinstance(kind, kinds.Metadata):
            more = {**(kind.extra_json_schema or {}), **more}
            kind = kind.type
        if isinstance(kind, NAMED):
            return {"$ref": self._reference + self._names[kind.cls], **more}
        if type(kind) in PLAIN:
            return {**_bounded(PLAIN[type(kind)], kind), **more}
        write = next((write for types, write in _WRITERS if isinstance(kind, types)), None)
        return {**(write(self, kind) if write else {}), **more}

    def _component(self, kind: Any) -> Schema:
        words = {"title": _title(kind.cls), "description": _doc(kind.cls)}
        shown = {key: value for key, value in words.items() if value}
        if isinstance(kind, kinds.EnumType):
            return {**shown, "enum": [each.value for each in kind.cls]}
        return {**shown, **self._record(kind)}

    def _record(self, kind: Any) -> Schema:
        fields = {field.encode_name: self._field(field) for field in kind.fields}
        required = [field.encode_name for field in kind.fields if field.required]
        if isinstance(kind, kinds.NamedTupleType) or getattr(kind, "array_like", False):
            return {"type": "array", "prefixItems": list(fields.values()), "minItems": len(required)}
        tag = getattr(kind, "tag_field", None)
        if tag is not None:
            fields = {tag: {"const": kind.tag}, **fields}
            required = [tag, *required]
        closed = {"additionalProperties": False} if getattr(kind, "forbid_unknown_fields", False) else {}
        return {"type": "object", "properties": fields, **({"required": required} if required else {}), **closed}

    def _field(self, field: kinds.Field) -> Schema:
        schema = self.of(field.type)
        default = field.default
        if field.default_factory in (list, dict, set):
            default = field.default_factory()
        if default is msgspec.NODEFAULT:
            return schema
        try:
            return {**schema, "default": msgspec.to_builtins(default, str_keys=True)}
        except TypeError:
            return schema  # a default without a JSON form is not told

    def _list(self, kind: Any) -> Schema:
        unique = {"uniqueItems": True} if isinstance(kind, SETS) else {}
        return _bounded({"type": "array", "items": self.of(kind.item_type), **unique}, kind)

    def _tuple(self, kind: Any) -> Schema:
        count = len(kind.item_types)
        parts = [self.of(each) for each in kind.item_types]
        return {"type": "array", "prefixItems": parts, "items": False, "minItems": count, "maxItems": count}

    def _mapping(self, kind: Any) -> Schema:
        return _bounded({"type": "object", "additionalProperties": self.of(kind.value_type)}, kind)

    def _union(self, kind: Any) -> Schema:
        return {"anyOf": [self.of(each) for each in kind.types]}

    def _literal(self, kind: Any) -> Schema:
        return {"enum": list(kind.values)}


_WRITERS: list[tuple[Any, Callable[[StructSchemas, Any], Schema]]] = [
    (kinds.CollectionType, StructSchemas._list),
    (kinds.TupleType, StructSchemas._tuple),
    ((kinds.DictType, getattr(kinds, "FrozenDictType", kinds.DictType)), StructSchemas._mapping),
    (kinds.UnionType, StructSchemas._union),
    (kinds.LiteralType, StructSchemas._literal),
]


def _bounded(schema: Schema, kind: Any) -> Schema:
    low, high = LENGTHS.get(schema.get("type", ""), ("", ""))
    words = {**BOUNDS, "min_length": low, "max_length": high}
    found = {word: getattr(kind, name, None) for name, word in words.items() if word}
    if "contentEncoding" in schema:
        found = {}  # they count bytes, not characters
    return {**schema, **{word: value for word, value in found.items() if value is not None}}


def _walk(types: Sequence[Any], seen: set[Any]) -> Iterator[Any]:
    """Every class in the types, once each."""
    for each in types:
        if isinstance(each, NAMED):
            if each.cls in seen:
                continue
            seen.add(each.cls)
            yield each
        values = [getattr(each, name) for name in each.__struct_fields__]
        inner = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
        yield from _walk([part for part in inner if isinstance(part, kinds.Type | kinds.Field)], seen)


def _names(classes: Sequence[Any], taken: Collection[str]) -> dict[Any, str]:
    counts = Counter(_name(cls) for cls in classes)
    used = Counter(taken)
    names = {}
    for cls in classes:
        name = _full_name(cls) if counts[_name(cls)] > 1 or _name(cls) in taken else _name(cls)
        used[name] += 1
        names[cls] = name if used[name] == 1 else f"{name}__{used[name]}"
    return names


def _title(cls: Any) -> str:
    """``Page[Item]`` for a generic with its arguments."""
    arguments = getattr(cls, "__args__", ())
    name: str = getattr(cls, "__origin__", cls).__name__
    return f"{name}[{', '.join(getattr(each, '__name__', repr(each)) for each in arguments)}]" if arguments else name


def _name(cls: Any) -> str:
    return re.sub(r"[^a-zA-Z0-9._-]", "_", _title(cls))


def _full_name(cls: Any) -> str:
    own = getattr(cls, "__origin__", cls)
    return re.sub(r"[^a-zA-Z0-9._-]", "_", f"{own.__module__}__{own.__qualname__}").replace(".", "__")


def _doc(cls: Any) -> str:
    """What the author wrote: not what dataclasses and enums say of themselves."""
    own = getattr(cls, "__origin__", cls)
    text = inspect.cleandoc(own.__dict__.get("__doc__") or "")
    return "" if text.startswith(f"{own.__name__}(") or text == "An enumeration." else text
