"""Names with places in them: "chat:*" and "chat:{room}" for channels, "cart.*" for RPC methods."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Pattern:
    """``*`` stands for anything, ``{name}`` for anything up to the next ``:`` and is given to the function by that name.
    Raises TypeError for braces that hold no name."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names = tuple(re.findall(r"\{(\w+)\}", text))
        rest = re.sub(r"\{\w+\}", "", text)
        if "{" in rest or "}" in rest or not all(name.isidentifier() for name in self.names):
            raise TypeError(f"the pattern {text!r}: write {{name}}; types are annotations of the function")
        if len(set(self.names)) < len(self.names):
            raise TypeError(f"the pattern {text!r} has a name twice")
        self.meaning = re.sub(r"\{\w+\}", "{}", text)
        """Of two patterns that differ in the names of their parts only, one would never be meant."""
        self.is_exact = not self.names and "*" not in text
        parts = re.split(r"(\{\w+\}|\*)", text)
        holes = [Hole(".", 0) if part == "*" else Hole("[^:]", 1, part[1:-1]) for part in parts[1::2]]
        try:
            self._regex = matcher(parts[::2], holes)
        except TypeError as error:
            raise TypeError(f"the pattern {text!r}: {error}") from error
        self.literal = sum(len(part) for part in parts if not part.startswith("{") and part != "*")
        """How many characters are fixed: of two patterns that match, the one with more of them is meant."""

    def match(self, name: str) -> Mapping[str, str] | None:
        found = self._regex.fullmatch(name)
        return None if found is None else found.groupdict()


class PatternTable(Generic[T]):
    """Names to values: an exact name first, then the pattern with the most fixed characters."""

    def __init__(self) -> None:
        self._exact: dict[str, T] = {}
        self._patterns: list[tuple[Pattern, T]] = []

    def add(self, pattern: Pattern, value: T, whose: str = "") -> None:
        """Raises ValueError when the very pattern is there already; ``whose`` tells where."""
        if pattern.text in self._exact or any(each.meaning == pattern.meaning for each, _ in self._patterns):
            raise ValueError(f"{whose or 'this'}: {pattern.text!r} is declared twice")
        if pattern.is_exact:
            self._exact[pattern.text] = value
        else:
            self._patterns.append((pattern, value))
            self._patterns.sort(key=lambda pair: -pair[0].literal)

    def find(self, name: str) -> tuple[T, Mapping[str, str]] | None:
        exact = self._exact.get(name)
        if exact is not None:
            return exact, {}
        for pattern, value in self._patterns:
            found = pattern.match(name)
            if found is not None:
                return value, found
        return None


class Hole(NamedTuple):
    """A place in a name. ``chars``: a regex of one character, "." for any; ``least``: how many there are; ``group``: its name,
    if it has one."""

    chars: str
    least: int
    group: str = ""


def matcher(literals: Sequence[str], holes: Sequence[Hole]) -> re.Pattern[str]:
    """Of names with ``holes`` between ``literals``; the first hole takes as much as it can, then the next.

    So what stands before a hole is not in it again, or the hole before would have taken that too. Said in the regex, this
    spares trying each length of one hole with each of the next: clients send names of many thousand characters. Raises
    TypeError where that cannot be said."""
    _check(literals, holes)
    text, before = re.escape(literals[0]), None
    for hole, literal, following in zip(holes, literals[:-1], literals[1:], strict=True):
        value = _value(hole, literal, before)
        text += (f"(?P<{hole.group}>{value})" if hole.group else value) + re.escape(following)
        before = hole
    return re.compile(text, re.DOTALL)


def _check(literals: Sequence[str], holes: Sequence[Hole]) -> None:
    """A hole for anything that does not reach to the end is looked through to the end. Behind a hole that may end at many
    places, this would be done for each of them."""
    for at, hole in enumerate(holes[1:], start=1):
        before, literal = holes[at - 1], literals[at]
        if hole.chars != "." or before.chars == "." or not any((*literals[at + 1 :], *holes[at + 1 :])):
            continue
        boundary = before.chars[2]
        if boundary not in literal or any(each.chars == "." for each in holes[:at]):
            raise TypeError(
                f"what takes anything must end the name, or be the first such part, with {boundary} between it and the "
                "part before: names would be matched too slowly"
            )


def _value(hole: Hole, literal: str, before: Hole | None) -> str:
    if before is None or before.chars not in (hole.chars, "."):
        return f"{hole.chars}{{{hole.least},}}"
    if not literal:
        return f"{hole.chars}{{{hole.least}}}"
    most = len(literal) - 1 + hole.least
    return f"(?:(?!{re.escape(literal)}){hole.chars})*{hole.chars}{{{hole.least},{most}}}"
