"""Bodies of HTML forms (``application/x-www-form-urlencoded``) as the objects that endpoints take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict
from urllib.parse import parse_qs

import msgspec
from pydantic import BaseModel

from rtserver.app.shapes import NotText, bare, is_list

FORM = "application/x-www-form-urlencoded"

FIELD_LIMIT = 1000
"""Fields of one form."""


def read_form(body: bytes) -> Mapping[str, list[str]]:
    """Every value of each field. Raises ``NotText`` for what is no form in UTF-8, or has too many fields."""
    try:
        return parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELD_LIMIT)
    except UnicodeDecodeError:
        raise NotText("it is not UTF-8") from None
    except ValueError:
        raise NotText(f"it has more than {FIELD_LIMIT:,} fields") from None


class FormReader:
    """Which fields of a model are lists; a field that is none has its last value, as in a query."""

    def __init__(self, annotation: Any) -> None:
        self._lists, self._all = _lists(annotation)

    def read(self, form: Mapping[str, list[str]]) -> dict[str, str | list[str]]:
        return {name: values if self._all or name in self._lists else values[-1] for name, values in form.items()}


def _lists(annotation: Any) -> tuple[frozenset[str], bool]:
    """Names of the fields that take several values, or whether all do."""
    kind = bare(annotation)
    if isinstance(kind, type) and get_origin(kind) is None:
        return frozenset(_of_class(kind)), False
    if get_origin(kind) in (dict, Mapping):
        return frozenset(), is_list(get_args(kind)[1])
    found = [_lists(each) for each in get_args(kind) if each is not NoneType]
    return frozenset[str]().union(*(names for names, _ in found)), any(everything for _, everything in found)


def _of_class(kind: type) -> list[str]:
    if issubclass(kind, BaseModel):
        return [
            each
            for name, item in kind.model_fields.items()
            if is_list(item.annotation)
            for each in {name, item.alias or name, item.validation_alias or name}
            if isinstance(each, str)
        ]
    if issubclass(kind, msgspec.Struct):
        return [item.encode_name for item in msgspec.structs.fields(kind) if is_list(item.type)]
    if is_dataclass(kind) or is_typeddict(kind):
        return [name for name, hint in get_type_hints(kind).items() if is_list(hint)]
    return []
