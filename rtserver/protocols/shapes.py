"""What the codecs know of the protocol's structs: the type of each field, taken once from the annotations."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

from msgspec import Struct, inspect


@cache
def shapes(kind: type[Struct]) -> dict[str, inspect.Type]:
    """The type of every field, by its name; of an optional field, the type it has when it is there."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return {field.name: _present(field.type) for field in info.fields}


def _present(kind: inspect.Type) -> inspect.Type:
    if isinstance(kind, inspect.UnionType):
        return next(each for each in kind.types if not isinstance(each, inspect.NoneType))
    return kind


def values_of(names: tuple[str, ...]) -> Callable[[Struct], tuple[Any, ...]]:
    """Reads these fields of a struct, all at once: at least one value for each name, in order."""
    if not names:
        return _nothing
    # attrgetter answers with a bare value when asked for a single name; the first name again keeps it a tuple.
    return attrgetter(*names, names[0])


def _nothing(_struct: Struct) -> tuple[Any, ...]:
    return ()
