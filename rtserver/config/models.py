"""The validating models, made from the dataclasses: nobody writes a key, a type or a default twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails, PydanticCustomError

from rtserver.config.durations import EXAMPLES, parse_duration
from rtserver.config.keys import Path, homes_of, item_table, named_table, type_hints
from rtserver.config.options import Config
from rtserver.config.problems import Problem, nearest
from rtserver.core.options import Seconds

STRICT = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

Location = tuple[str | int, ...]


def read_duration(value: object) -> Seconds:
    """A duration of the file or the environment. A bare number is refused: it has no unit."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise PydanticCustomError("duration", "write a length of time in quotes, {examples}", {"examples": EXAMPLES})
    try:
        return parse_duration(value if isinstance(value, str) else str(value))
    except ValueError as error:
        raise PydanticCustomError("duration", "{why}", {"why": str(error)}) from None


def read_list(value: object) -> object:
    """Strict models take tuples only; TOML and JSON have lists."""
    return tuple(value) if isinstance(value, list) else value


def annotation(hint: Any, default: Any) -> Any:
    """The type by which a model checks a field of this type."""
    if hint is Seconds or hint is float:
        return Annotated[float, BeforeValidator(read_duration)]
    if hint is int:
        return Annotated[int, Field(ge=0)]
    if is_dataclass(default):
        return model_of(default)
    if get_origin(hint) is tuple:
        item: Any = model_of(item_table(hint)()) if item_table(hint) else get_args(hint)[0]
        return Annotated[tuple[item, ...], BeforeValidator(read_list)]
    if named_table(hint):
        table: Any = model_of(named_table(hint)(), name=(str, ...))
        return list[table]
    return hint


def field_of(hint: Any, default: Any) -> tuple[Any, Any]:
    kind = annotation(hint, default)
    if is_dataclass(default):
        return kind, Field(default_factory=kind)
    return kind, [] if named_table(hint) else default


def model_of(section: Any, **more: tuple[Any, Any]) -> type[BaseModel]:
    """A model with the fields, types and defaults of a dataclass instance, and ``more`` fields. A mapping of names to
    dataclasses becomes a list of tables with a ``name``."""
    hints = type_hints(section)
    made = {each.name: field_of(hints[each.name], getattr(section, each.name)) for each in fields(section)}
    fields_made: Any = more | made
    return create_model(type(section).__name__, __config__=STRICT, **fields_made)


@cache
def config_model() -> type[BaseModel]:
    return model_of(Config())


class Refused(Exception):
    """A section that refuses its own values, by a sentence."""

    def __init__(self, place: Location, sentence: str) -> None:
        self.place = place
        self.sentence = sentence
        super().__init__(sentence)


def built(section: Any, values: Mapping[str, Any], at: Location = ()) -> Any:
    """The dataclass ``section`` with ``values`` in place of its defaults; tables become dataclasses at every depth. Raises
    ``Refused`` when a dataclass does not take its values."""
    hints = type_hints(section)
    made = {key: _value(hints[key], getattr(section, key), value, (*at, key)) for key, value in values.items()}
    try:
        return replace(section, **made)
    except ValueError as error:
        raise Refused(at, str(error)) from None


def _value(hint: Any, default: Any, value: Any, at: Location) -> Any:
    if is_dataclass(default):
        return built(default, value, at)
    if kind := named_table(hint):
        return {table.pop("name"): built(kind(), table, (*at, n)) for n, table in enumerate(value)}
    if kind := item_table(hint):
        return tuple(built(kind(), table, (*at, n)) for n, table in enumerate(value))
    return value


def validate(tree: Mapping[str, Any]) -> tuple[Config, list[tuple[Location, Problem]]]:
    """Check a tree of plain values. Returns what is left when every faulty key is taken out, and the faults with their
    places in the tree."""
    faults: list[tuple[Location, Problem]] = []
    rest: Any = tree
    while True:
        try:
            model = config_model().model_validate(rest)
            return built(Config(), model.model_dump(exclude_unset=True)), faults
        except ValidationError as error:
            found = [
                (key_location(rest, each["loc"]), Problem(dotted(rest, each["loc"]), sentence(rest, each)))
                for each in error.errors(include_url=False)
            ]
        except Refused as error:
            found = [(error.place, Problem(dotted(rest, error.place), error.sentence))]
        faults += found
        rest = without(rest, {place for place, _ in found})


def key_location(tree: Any, location: Location) -> Location:
    """The place to take out so that the rest is valid: the key, not one item of its list; a nameless table whole."""
    if location[-1] == "name" and isinstance(location[-2], int):
        return location[:-1]
    for depth in range(1, len(location)):
        tree = _child(tree, location[depth - 1])
        if isinstance(tree, list) and not all(isinstance(item, dict) for item in tree):
            return location[:depth]
    return location


def without(tree: Any, places: set[Location], at: Location = ()) -> Any:
    """A copy of a tree of dicts and lists without some places."""
    if isinstance(tree, dict):
        return {key: without(value, places, (*at, key)) for key, value in tree.items() if (*at, key) not in places}
    if isinstance(tree, list):
        return [without(item, places, (*at, n)) for n, item in enumerate(tree) if (*at, n) not in places]
    return tree


def dotted(tree: Any, location: Location) -> str:
    """A place as people write it: ``client.ping_interval``, ``listen[0]``, ``channel.namespaces.chat.presence``."""
    written = ""
    for step in location:
        tree = _child(tree, step)
        if isinstance(step, str):
            written += f".{step}" if written else step
        elif isinstance(tree, dict) and isinstance(tree.get("name"), str):
            written += f".{tree['name']}"
        else:
            written += f"[{step}]"
    return written


def _child(tree: Any, step: str | int) -> Any:
    try:
        return tree[step]
    except (KeyError, IndexError, TypeError):
        return None


SENTENCES = {
    "missing": "give it a name",
    "bool_type": "write true or false, without quotes",
    "int_type": "write a whole number, without quotes",
    "int_from_float": "write a whole number, without a fraction",
    "string_type": "write a text in quotes",
    "tuple_type": "write a list in square brackets",
    "list_type": "write a list of tables, each with its name in double square brackets",
    "dict_type": "write a table of texts",
    "model_type": "this is a section: write it as a table",
    "model_attributes_type": "this is a section: write it as a table",
    "greater_than_equal": "write 0 or more",
}


def sentence(tree: Any, fault: ErrorDetails) -> str:
    """What to change, in one sentence that does not repeat the value."""
    match fault["type"]:
        case "extra_forbidden":
            return unknown_key(tree, fault["loc"])
        case "literal_error":
            return f"write one of {fault['ctx']['expected']}"
    return SENTENCES.get(fault["type"], fault["msg"])


def unknown_key(tree: Any, location: Location) -> str:
    """Names the nearest known key beside it, or the section where a key of this name lives."""
    name = str(location[-1])
    homes = homes_of(name)
    hint = f"; a key of this name belongs to [{homes[0]}]" if homes else nearest(name, siblings(location))
    return f"unknown key{hint}"


def siblings(location: Location) -> list[str]:
    """The known names at the depth of an unknown one."""
    section: Any = Config()
    named = False
    for step in location[:-1]:
        if isinstance(step, int):
            continue
        hint = type_hints(section)[step]
        named = named_table(hint) is not None
        kind = named_table(hint) or item_table(hint)
        section = kind() if kind else getattr(section, step)
    more: Path = ("name",) if named and isinstance(location[-2], int) else ()
    return [*more, *(each.name for each in fields(section))]
