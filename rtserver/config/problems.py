"""The mistakes in a configuration, each with the key it is about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from rtserver.core.errors import RtError


@dataclass(frozen=True, slots=True)
class Problem:
    """``path`` is a key ("client.ping_interval"), an environment variable, or "" for the file as a whole. ``message`` says
    what to change and never holds the value of a key."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(RtError):
    """The configuration cannot be used. ``problems`` holds every mistake that was found, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as ``; did you mean "presence"?``, or "" when nothing is near."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{matches[0]}"?' if matches else ""
