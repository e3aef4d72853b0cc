"""The environment as a layer over the file: ``RTSERVER_`` and the path of the key in capitals, joined by ``_``.

The same names with ``CENTRIFUGO_`` in front are taken too where the key exists here, below ``RTSERVER_`` in precedence, so
that environment files that people already have go on working.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, get_origin

from rtserver.config.keys import Key, Path, all_keys, item_table, table_keys, tables
from rtserver.config.options import Config
from rtserver.config.problems import Problem, nearest

PREFIX = "RTSERVER_"
ALIAS_PREFIX = "CENTRIFUGO_"

BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def variable(path: Path) -> str:
    """The name of a key in the environment, without a prefix."""
    return re.sub(r"[^A-Z0-9]", "_", "_".join(path).upper())


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


def read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError("write it as JSON") from None


def reader(hint: Any) -> Callable[[str], Any]:
    """How a text becomes a value of this type; durations and choices stay texts until they are validated."""
    if item_table(hint) or get_origin(hint) is dict:
        return read_json
    if get_origin(hint) is tuple:
        return read_words
    return {bool: read_boolean, int: read_integer}.get(hint, str)


Tables = Mapping[Path, Any]
"""What stands at the place of each list of named tables: a list of tables, or a mistake."""


@dataclass(slots=True)
class Layer:
    """What one pass over the environment found. ``tables`` holds the lists that variables are about."""

    values: dict[Path, Any] = field(default_factory=dict)
    tables: dict[Path, list[Any]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """Dotted key path to the variable that set it."""
    problems: list[Problem] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    """Dotted key paths whose variable could not be read."""
    unknown: list[str] = field(default_factory=list)


def read_environment(environ: Mapping[str, str], prefix: str, below: Tables) -> Layer:
    """Read every variable with the prefix. ``below`` are the lists of tables of the layer below; the layer holds changed
    copies of those that variables are about."""
    layer, named = Layer(), {variable(path): key for path, key in all_keys().items()}
    options: dict[Path, dict[str, str]] = {path: {} for path in tables()}
    lists = {variable(path): path for path in tables()}
    for name in sorted(environ):
        short = name.removeprefix(prefix)
        if short == name or short in lists:
            continue
        about = [path for listed, path in lists.items() if short.startswith(f"{listed}_")]
        if short in named:
            layer_value(layer, name, named[short], environ[name])
        elif about:
            options[about[0]][name] = environ[name]
        else:
            layer.unknown.append(name)
    for name, path in lists.items():
        read_tables(layer, prefix, path, (below.get(path, []), environ.get(prefix + name), options[path]))
    return layer


def layer_value(layer: Layer, name: str, key: Key, text: str) -> None:
    path = ".".join(key.path)
    try:
        layer.values[key.path] = reader(key.hint)(text)
        layer.sources[path] = name
    except ValueError as error:
        layer.problems.append(Problem(name, str(error)))
        layer.broken.add(path)


def read_tables(layer: Layer, prefix: str, at: Path, found: tuple[Any, str | None, Mapping[str, str]]) -> None:
    """A list of tables, then the variables of single options of a table. ``found`` is what stands below, the text of the
    list and the texts of the options."""
    below, listed, options = found
    if listed is None and not options:
        return
    made = deepcopy(below) if isinstance(below, list) else []
    if listed is not None:
        layer.sources[".".join(at)] = prefix + variable(at)
        try:
            made = listed_tables(listed, made)
        except ValueError as error:
            layer.problems.append(Problem(prefix + variable(at), str(error)))
            layer.broken.add(".".join(at))
            options = {}
    known = table_variables(at, made)
    for name, text in options.items():
        if name.removeprefix(prefix) not in known:
            layer.unknown.append(name)
            continue
        table, key = known[name.removeprefix(prefix)]
        path = (*at, table["name"], *key.path)
        layer_value(layer, name, key._replace(path=path), text)
        if path in layer.values:
            put(table, key.path, layer.values.pop(path))
    layer.tables[at] = made


def put(tree: dict[str, Any], path: Path, value: Any) -> None:
    """Set a value at a path. Where the file has no table on the way, the file's mistake stays to be told."""
    for step in path[:-1]:
        tree = tree.setdefault(step, {})
        if not isinstance(tree, dict):
            return
    tree[path[-1]] = value


def listed_tables(text: str, below: list[Any]) -> list[Any]:
    """Tables from a JSON array of tables, or from a list of names: a name that the layer below has keeps its options."""
    known = {each["name"]: each for each in below if is_named(each)}
    return [known.get(each, {"name": each}) if isinstance(each, str) else each for each in read_words(text)]


def is_named(table: Any) -> bool:
    return isinstance(table, dict) and isinstance(table.get("name"), str)


def table_variables(at: Path, made: Iterable[Any]) -> dict[str, tuple[dict[str, Any], Key]]:
    """The variables of the options of tables, without a prefix."""
    return {
        variable((*at, table["name"], *key.path)): (table, key)
        for table in made
        if is_named(table)
        for key in table_keys(at).values()
    }


def unknown_variable(name: str, layer: Layer) -> Problem:
    """The mistake of a variable that stands for no key."""
    for path in tables():
        if name.startswith(f"{PREFIX}{variable(path)}_"):
            hint = nearest(name, [PREFIX + each for each in table_variables(path, layer.tables.get(path, []))])
            hint = hint or f"; name it in {PREFIX}{variable(path)} first"
            break
    else:
        hint = nearest(name, [PREFIX + variable(path) for path in (*tables(), *all_keys())])
    return Problem(name, f"this environment variable stands for no key{hint}")


def ignored_variables(environ: Mapping[str, str], config: Config) -> list[str]:
    """The ``CENTRIFUGO_`` variables that stand for no key of this server, to be told in the log."""
    below = {path: [{"name": name} for name in names_at(config, path)] for path in tables()}
    return sorted(read_environment(environ, ALIAS_PREFIX, below).unknown)


def names_at(config: Config, path: Path) -> Iterator[str]:
    """The names of the tables of one list."""
    section: Any = config
    for step in path:
        section = getattr(section, step)
    yield from section
