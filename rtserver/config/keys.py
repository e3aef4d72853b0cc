"""The keys of the configuration, read off the dataclasses: paths, types and defaults."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, NamedTuple, cast, get_args, get_origin, get_type_hints

from rtserver.config.options import Config

Path = tuple[str, ...]


class Key(NamedTuple):
    """A key that holds a value. ``hint`` is the resolved type of the field."""

    path: Path
    hint: Any
    default: Any


def type_hints(section: Any) -> dict[str, Any]:
    """The resolved types of the fields of a dataclass instance."""
    return _type_hints(cast(Hashable, type(section)))


@cache
def _type_hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def keys_of(section: Any, path: Path = ()) -> Iterator[Key]:
    """Every key of a section and the sections in it, in the order of the fields; lists of named tables are no keys."""
    for each in fields(section):
        default, hint = getattr(section, each.name), type_hints(section)[each.name]
        if is_dataclass(default):
            yield from keys_of(default, (*path, each.name))
        elif named_table(hint) is None:
            yield Key((*path, each.name), hint, default)


@cache
def all_keys() -> dict[Path, Key]:
    return {key.path: key for key in keys_of(Config())}


def named_table(hint: Any) -> Any:
    """The dataclass of the tables of a field that maps names to them, None for every other field. In the file it is a list
    of tables that have a ``name`` beside the options of that class."""
    kind = get_args(hint)[1] if get_origin(hint) is dict else None
    return kind if is_dataclass(kind) else None


def item_table(hint: Any) -> Any:
    """The dataclass of the items of a list of tables without names, None for every other field."""
    kind = get_args(hint)[0] if get_origin(hint) is tuple else None
    return kind if is_dataclass(kind) else None


def tables_of(section: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    for each in fields(section):
        value, kind = getattr(section, each.name), named_table(type_hints(section)[each.name])
        if is_dataclass(value):
            yield from tables_of(value, (*path, each.name))
        elif kind is not None:
            yield (*path, each.name), kind


@cache
def tables() -> dict[Path, Any]:
    """The lists of named tables, and the class of each."""
    return dict(tables_of(Config()))


@cache
def table_keys(table: Path) -> dict[Path, Key]:
    """The keys of one table of such a list, by their paths in it."""
    return {key.path: key for key in keys_of(tables()[table]())}


def sections_of(section: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of the sections in a section, at every depth."""
    for each in fields(section):
        value = getattr(section, each.name)
        if is_dataclass(value):
            yield (*path, each.name)
            yield from sections_of(value, (*path, each.name))


def homes_of(name: str) -> list[str]:
    """The sections that have a key of this name, for the hint about a key in the wrong section."""
    return [".".join(path[:-1]) for path in all_keys() if path[-1] == name and len(path) > 1]
