"""The keys of the configuration, read off the dataclasses: paths, types and defaults."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, NamedTuple, cast, get_origin, get_type_hints

from rtserver.config.options import Config
from rtserver.core.options import ChannelOptions

Path = tuple[str, ...]

NAMESPACES: Path = ("channel", "namespaces")
"""The one section that is a list of tables: each has a ``name`` and the options of ``ChannelOptions``."""


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
    """Every key of a section and the sections in it, in the order of the fields; namespaces count as no key."""
    for each in fields(section):
        default, hint = getattr(section, each.name), type_hints(section)[each.name]
        if is_dataclass(default):
            yield from keys_of(default, (*path, each.name))
        elif get_origin(hint) is not dict:
            yield Key((*path, each.name), hint, default)


@cache
def all_keys() -> dict[Path, Key]:
    return {key.path: key for key in keys_of(Config())}


@cache
def namespace_keys() -> dict[str, Key]:
    return {key.path[0]: key for key in keys_of(ChannelOptions())}


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
