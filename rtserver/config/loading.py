"""From a text, the environment and command-line options to a checked ``Config``."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from rtserver.config.environment import (
    ALIAS_PREFIX,
    PREFIX,
    Layer,
    Tables,
    put,
    read_environment,
    reader,
    unknown_variable,
)
from rtserver.config.keys import all_keys, tables
from rtserver.config.models import dotted, validate
from rtserver.config.options import Config
from rtserver.config.problems import ConfigError, Problem, nearest
from rtserver.config.rules import check

NO_OVERRIDES: Mapping[str, object] = MappingProxyType({})


def embedded() -> str:
    """The configuration that is used when no file is named."""
    return files("rtserver").joinpath("embedded.toml").read_text("utf-8")


def load(text: str | None, environ: Mapping[str, str], overrides: Mapping[str, object] = NO_OVERRIDES) -> Config:
    """The configuration; precedence is option over environment over file over default.

    ``text`` is the content of the file, None: no file is named and the embedded one counts. ``overrides`` maps dotted keys
    ("engine.type") to values, or to texts as they would stand in the environment; None: not given. Raises ``ConfigError``
    with every mistake there is.
    """
    tree = parse(embedded() if text is None else text)
    if environ.get("STATE_DIRECTORY"):
        tree.setdefault("state_dir", environ["STATE_DIRECTORY"].split(":")[0])
    problems: list[Problem] = []
    sources: dict[str, str] = {}
    broken: set[str] = set()
    for layer in layers(tree, environ, overrides):
        apply(tree, layer)
        problems += layer.problems
        sources |= layer.sources
        broken |= layer.broken
    problems += duplicates(tree)
    config, faults = validate(tree)
    for place, problem in faults:
        problems.append(with_source(problem, sources))
        broken.add(dotted(tree, place))
    problems += (with_source(problem, sources) for problem, keys in check(config) if not touched(keys, broken))
    if problems:
        raise ConfigError(problems)
    return config


def touched(keys: Iterable[str], broken: Iterable[str]) -> bool:
    """Whether a rule looks at a key that is wrong by itself, has a wrong item, or stands in a section that is wrong: it would
    judge a default."""
    return any(
        key == each or key.startswith(f"{each}.") or each.startswith(f"{key}[") for key in keys for each in broken
    )


def parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Problem("", f"the file is no TOML: {error}")]) from None


def layers(tree: Mapping[str, Any], environ: Mapping[str, str], overrides: Mapping[str, object]) -> Iterator[Layer]:
    """The layers over the file, lowest first. Each is read when the one below it has been applied."""
    yield read_environment(environ, ALIAS_PREFIX, tables_in(tree))
    own = read_environment(environ, PREFIX, tables_in(tree))
    own.problems += [unknown_variable(name, own) for name in own.unknown]
    yield own
    yield read_overrides(overrides)


def tables_in(tree: Mapping[str, Any]) -> Tables:
    """What stands in a tree at the place of each list of named tables."""
    found = {}
    for path in tables():
        value: Any = tree
        for step in path:
            value = value.get(step, []) if isinstance(value, dict) else []
        found[path] = value
    return found


def read_overrides(overrides: Mapping[str, object]) -> Layer:
    layer, keys = Layer(), {".".join(path): key for path, key in all_keys().items()}
    for name, value in overrides.items():
        if name not in keys:
            layer.problems.append(Problem(name, f"this option stands for no key{nearest(name, keys)}"))
        elif value is not None:
            try:
                layer.values[keys[name].path] = reader(keys[name].hint)(value) if isinstance(value, str) else value
                layer.sources[name] = "the command line"
            except ValueError as error:
                layer.problems.append(Problem(name, f"{error} (set by the command line)"))
                layer.broken.add(name)
    return layer


def apply(tree: dict[str, Any], layer: Layer) -> None:
    for path, value in layer.values.items():
        put(tree, path, value)
    for path, value in layer.tables.items():
        put(tree, path, value)


def duplicates(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """Two tables of one name in a list."""
    for path, listed in tables_in(tree).items():
        given = [each.get("name") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        for name, count in Counter(str(each) for each in given if each).items():
            if count > 1:
                sentence = "one of this name is there already: rename one or join the two"
                yield Problem(f"{'.'.join(path)}.{name}", sentence)


def with_source(problem: Problem, sources: Mapping[str, str]) -> Problem:
    """Say where a value came from when it was not the file."""
    key = problem.path.split("[")[0]
    return Problem(problem.path, f"{problem.message} (set by {sources[key]})") if key in sources else problem
