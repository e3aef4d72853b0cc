"""Which endpoint a path means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from rtserver.app.endpoint import Endpoint
from rtserver.app.parameters import where


class Match(NamedTuple):
    endpoint: Endpoint
    path: Mapping[str, str]


class Routes:
    """Fixed paths by one look-up, then the others by their pattern in the order of declaration."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._fixed: dict[str, dict[str, Endpoint]] = {}
        self._patterns: dict[str, dict[str, Endpoint]] = {}
        self.endpoints = tuple(endpoints)
        for each in self.endpoints:
            table = self._patterns if each.names else self._fixed
            methods = table.setdefault(re.sub(r"\{\w+", "{", each.path), {})
            if each.method in methods:
                raise TypeError(
                    f"{each.method} {each.path} is declared twice, by {where(methods[each.method].function)} and by "
                    f"{where(each.function)}"
                )
            methods[each.method] = each
        self._regexes = [(next(iter(methods.values())).pattern, methods) for methods in self._patterns.values()]

    def find(self, method: str, path: str) -> Match | tuple[str, ...] | None:
        """The endpoint; else the methods that the path knows (405), or None when it is not known at all (404). ``path`` as
        the client sent it, one character for each byte."""
        path = decoded(path)
        allowed: dict[str, None] = {}
        methods = self._fixed.get(path)
        if methods is not None:
            endpoint = _choose(methods, method)
            if endpoint is not None:
                return Match(endpoint, {})
            allowed |= _allowed(methods)
        for regex, methods in self._regexes:
            found = regex.fullmatch(path)
            if found is None:
                continue
            endpoint = _choose(methods, method)
            if endpoint is not None:
                return Match(endpoint, _values(endpoint, found))
            allowed |= _allowed(methods)
        return tuple(allowed) or None


_SLASH = "\udc2f"
"""Stands for a "/" that was sent as %2F, which is part of a name. Nothing that is decoded gives this character."""


def decoded(path: str) -> str:
    if "%" not in path and path.isascii():
        return path
    parts = re.split("%2[Ff]", path)
    return _SLASH.join(unquote_to_bytes(part.encode("latin-1")).decode("utf-8", "replace") for part in parts)


def _values(endpoint: Endpoint, found: re.Match[str]) -> dict[str, str]:
    """By position: the endpoint may have other names for the parts than the one whose pattern it shares."""
    return {name: value.replace(_SLASH, "/") for name, value in zip(endpoint.names, found.groups(), strict=True)}


def _choose(methods: Mapping[str, Endpoint], method: str) -> Endpoint | None:
    return methods.get(method) or (methods.get("GET") if method == "HEAD" else None)


def _allowed(methods: Mapping[str, Endpoint]) -> dict[str, None]:
    return dict.fromkeys((*methods, *(("HEAD",) if "GET" in methods else ())))
