"""The environment as a layer over the file: ``RTSERVER_`` and the path of the key in capitals, joined by ``_``.

The same names with ``CENTRIFUGO_`` in front are taken too where the key exists here, below ``RTSERVER_`` in precedence, so
that environment files that people already have go on working.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_origin

from rtserver.config.keys import NAMESPACES, Key, Path, all_keys, namespace_keys
from rtserver.config.problems import Problem, nearest

PREFIX = "RTSERVER_"
ALIAS_PREFIX = "CENTRIFUGO_"

BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def variable(path: Path) -> str:
    """The name of a key in the environment, without a prefix."""
    return re.sub(r"[^A-Z0-9]", "_", "_".join(path).upper())


NAMESPACES_VARIABLE = variable(NAMESPACES)


def read_boolean(text: str) -> bool:
    if text.strip().lower() not in BOOLEANS:
        raise ValueError("write true or false")
    return BOOLEANS[text.strip().lower()]


def read_integer(text: str) -> int:
    if not re.fullmatch(r"\s*\d+\s*", text):
        raise ValueError("write a whole number")
    return int(text)


def read_words(text: str) -> list[Any]:
    """A JSON array, or words separated by spaces or commas."""
    if not text.strip().startswith("["):
        return [word for word in re.split(r"[\s,]+", text) if word]
    try:
        return list(json.loads(text))
    except ValueError:
        raise ValueError("write a JSON array, or words separated by spaces") from None


def reader(hint: Any) -> Callable[[str], Any]:
    """How a text becomes a value of this type; durations and choices stay texts until they are validated."""
    if get_origin(hint) is tuple:
        return read_words
    return {bool: read_boolean, int: read_integer}.get(hint, str)


@dataclass(slots=True)
class Layer:
    """What one pass over the environment found. ``namespaces`` is None when no variable is about namespaces."""

    values: dict[Path, Any] = field(default_factory=dict)
    namespaces: list[Any] | None = None
    sources: dict[str, str] = field(default_factory=dict)
    """Dotted key path to the variable that set it."""
    problems: list[Problem] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    """Dotted key paths whose variable could not be read."""
    unknown: list[str] = field(default_factory=list)


def read_environment(environ: Mapping[str, str], prefix: str, namespaces: Any) -> Layer:
    """Read every variable with the prefix. ``namespaces`` is the list of tables of the layer below (or whatever stands
    there); the layer holds a changed copy of it when variables are about namespaces."""
    layer, named = Layer(), {variable(path): key for path, key in all_keys().items()}
    options: dict[str, str] = {}
    for name in sorted(environ):
        short = name.removeprefix(prefix)
        if short == name:
            continue
        if short in named:
            layer_value(layer, name, named[short], environ[name])
        elif short.startswith(f"{NAMESPACES_VARIABLE}_"):
            options[name] = environ[name]
        elif short != NAMESPACES_VARIABLE:
            layer.unknown.append(name)
    listed = environ.get(prefix + NAMESPACES_VARIABLE)
    if listed is not None or options:
        read_namespaces(layer, prefix, namespaces, listed, options)
    return layer


def layer_value(layer: Layer, name: str, key: Key, text: str) -> None:
    path = ".".join(key.path)
    try:
        layer.values[key.path] = reader(key.hint)(text)
        layer.sources[path] = name
    except ValueError as error:
        layer.problems.append(Problem(name, str(error)))
        layer.broken.add(path)


def read_namespaces(layer: Layer, prefix: str, below: Any, listed: str | None, options: Mapping[str, str]) -> None:
    """The list of namespaces, then the variables of single options of a namespace."""
    tables = [dict(each) if isinstance(each, dict) else each for each in below] if isinstance(below, list) else []
    if listed is not None:
        layer.sources[".".join(NAMESPACES)] = prefix + NAMESPACES_VARIABLE
        try:
            tables = listed_namespaces(listed, tables)
        except ValueError as error:
            layer.problems.append(Problem(prefix + NAMESPACES_VARIABLE, str(error)))
            layer.broken.add(".".join(NAMESPACES))
            options = {}
    known = namespace_variables(tables)
    for name, text in options.items():
        found = known.get(name.removeprefix(prefix))
        if found is None:
            layer.unknown.append(name)
            continue
        table, key = found
        path = (*NAMESPACES, table["name"], *key.path)
        layer_value(layer, name, key._replace(path=path), text)
        if path in layer.values:
            table[key.path[0]] = layer.values.pop(path)
    layer.namespaces = tables


def listed_namespaces(text: str, below: list[Any]) -> list[Any]:
    """Tables from a JSON array of tables, or from a list of names: a name that the layer below has keeps its options."""
    tables = {each["name"]: each for each in below if isinstance(each, dict) and isinstance(each.get("name"), str)}
    return [tables.get(each, {"name": each}) if isinstance(each, str) else each for each in read_words(text)]


def namespace_variables(tables: Iterable[Any]) -> dict[str, tuple[dict[str, Any], Key]]:
    """The variables of the options of namespaces, without a prefix."""
    return {
        variable((*NAMESPACES, table["name"], *key.path)): (table, key)
        for table in tables
        if isinstance(table, dict) and isinstance(table.get("name"), str)
        for key in namespace_keys().values()
    }


def unknown_variable(name: str, layer: Layer) -> Problem:
    """The mistake of a variable that stands for no key."""
    if name.startswith(f"{PREFIX}{NAMESPACES_VARIABLE}_"):
        hint = nearest(name, [PREFIX + each for each in namespace_variables(layer.namespaces or [])])
        hint = hint or f"; name the namespace in {PREFIX}{NAMESPACES_VARIABLE} first"
    else:
        hint = nearest(name, [PREFIX + NAMESPACES_VARIABLE, *(PREFIX + variable(path) for path in all_keys())])
    return Problem(name, f"this environment variable stands for no key{hint}")


def ignored_variables(environ: Mapping[str, str], namespaces: Iterable[str] = ()) -> list[str]:
    """The ``CENTRIFUGO_`` variables that stand for no key of this server, to be told in the log."""
    return sorted(read_environment(environ, ALIAS_PREFIX, [{"name": each} for each in namespaces]).unknown)
