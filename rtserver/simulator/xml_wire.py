"""The gateway's XML, both ways.

A request has tags as the SDK's caller wrote them (underscores), an answer has dashes; here all names have underscores. The
``type`` attribute tells what a text is, as the SDK writes and reads it (``braintree.util.generator`` and ``parser``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import ParseError, XMLParser
from xml.sax.saxutils import escape

MAX_DEPTH = 24
"""Elements within elements. The deepest request of the SDK has about eight."""
MAX_ELEMENTS = 20_000

Value = Any
"""None, bool, int, str, Decimal, date, datetime, a mapping of names to values, a list, ``Array`` or ``Collection``."""

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot carry, not even escaped."""


class BadXml(Exception):
    """The body is no XML, or none that is taken here. The text says why."""


@dataclass(frozen=True, slots=True)
class Array:
    """A list: ``<name type="array"><tag>...</tag></name>``. The SDK's parser loses siblings of one name without the type."""

    tag: str
    items: Sequence[Value] = ()


@dataclass(frozen=True, slots=True)
class Collection:
    """One page of what was found: ``<name type="collection"><page-size/>...<tag>...</tag></name>``."""

    tag: str
    items: Sequence[Value]
    head: Mapping[str, Value] = field(default_factory=dict)


def inside(value: Value, name: str) -> Mapping[str, Value]:
    """The mapping under a name; an empty one when there is something else, or nothing."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


# Reading


def _datetime(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


TYPES: Mapping[str, Callable[[str], Value]] = {
    "boolean": lambda text: text in ("true", "1"),
    "integer": int,
    "datetime": _datetime,
    "date": date.fromisoformat,
}


@dataclass(slots=True)
class _Open:
    """An element whose end has not come yet."""

    tag: str
    attributes: Mapping[str, str]
    texts: list[str] = field(default_factory=list)
    children: list[tuple[str, Value]] = field(default_factory=list)

    def value(self) -> Value:
        kind = self.attributes.get("type", "")
        if kind == "array":
            return [value for _, value in self.children]
        if self.children:
            return dict(self.children)
        text = "".join(self.texts)
        if self.attributes.get("nil") == "true":
            return None
        try:
            return TYPES[kind](text) if kind in TYPES and text else text
        except ValueError as error:
            raise BadXml(f"<{self.tag}> is no {kind}") from error


class _Target:
    """What the parser of the standard library calls. A DOCTYPE is refused, and with it every entity of one's own."""

    def __init__(self) -> None:
        self._open = [_Open("", {})]
        self._count = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._count += 1
        if len(self._open) > MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise BadXml(f"more than {MAX_DEPTH} elements deep, or more than {MAX_ELEMENTS} of them")
        self._open.append(_Open(tag.replace("-", "_"), attributes))

    def data(self, text: str) -> None:
        self._open[-1].texts.append(text)

    def end(self, _tag: str) -> None:
        closed = self._open.pop()
        self._open[-1].children.append((closed.tag, closed.value()))

    def doctype(self, *_parts: str | None) -> None:
        raise BadXml("a DOCTYPE is not taken")

    def close(self) -> dict[str, Value]:
        return dict(self._open[0].children)


def read(body: bytes) -> dict[str, Value]:
    """``{name of the root: its value}``; an empty body is ``{}``. Raises ``BadXml``."""
    if not body.strip():
        return {}
    parser: Any = XMLParser(target=_Target())
    try:
        parser.feed(body.decode("utf-8"))
        found: dict[str, Value] = parser.close()
    except UnicodeDecodeError as error:
        raise BadXml("not in UTF-8") from error
    except ParseError as error:
        raise BadXml(str(error)) from error
    return found


# Writing


def utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def write(tag: str, value: Value) -> bytes:
    """One document."""
    return (HEAD + "".join(_element(tag, value)) + "\n").encode("utf-8")


def fragment(tag: str, value: Value) -> str:
    """One element, to be put into another document."""
    return "".join(_element(tag, value))


def _element(tag: str, value: Value) -> Iterator[str]:
    tag = tag.replace("_", "-")
    match value:
        case None:
            yield f'<{tag} nil="true"/>'
        case Mapping():
            yield f"<{tag}>"
            for name, each in value.items():
                yield from _element(name, each)
            yield f"</{tag}>"
        case Array() | list():
            name, items = (value.tag, value.items) if isinstance(value, Array) else ("item", value)
            yield f'<{tag} type="array">'
            for each in items:
                yield from _element(name, each)
            yield f"</{tag}>"
        case Collection():
            yield f'<{tag} type="collection">'
            for name, each in value.head.items():
                yield from _element(name, each)
            for each in value.items:
                yield from _element(value.tag, each)
            yield f"</{tag}>"
        case _:
            kind, text = _text(value)
            yield f"<{tag}{kind}>{text}</{tag}>"


def _text(value: Value) -> tuple[str, str]:
    match value:
        case bool():
            return ' type="boolean"', str(value).lower()
        case int():
            return ' type="integer"', str(value)
        case datetime():
            return ' type="datetime"', utc(value)
        case date():
            return ' type="date"', value.isoformat()
        case Decimal():
            return "", format(value, "f")
        case _:
            return "", escape(NOT_XML.sub("", str(value)), {"\r": "&#13;"})
