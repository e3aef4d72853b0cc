"""Which endpoint a path means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from rtserver.app.endpoint import Endpoint
from rtserver.app.parameters import where


class Match(NamedTuple):
    endpoint: Endpoint
    path: Mapping[str, str]


class Routes:
    """Fixed paths by one look-up, others by their pattern in the order of declaration."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._fixed: dict[str, dict[str, Endpoint]] = {}
        self._patterns: dict[str, dict[str, Endpoint]] = {}
        for each in endpoints:
            table = self._patterns if each.names else self._fixed
            methods = table.setdefault(each.path, {})
            if each.method in methods:
                raise TypeError(
                    f"{each.method} {each.path} is declared twice, the second time by {where(each.function)}"
                )
            methods[each.method] = each

    def find(self, method: str, path: str) -> Match | tuple[str, ...] | None:
        """The endpoint; else the methods that the path knows (405), or None when it is not known at all (404)."""
        methods = self._fixed.get(path)
        if methods is not None:
            endpoint = _choose(methods, method)
            return Match(endpoint, {}) if endpoint else _allowed(methods)
        allowed: tuple[str, ...] = ()
        for methods in self._patterns.values():
            found = next(iter(methods.values())).pattern.fullmatch(path)
            if found is None:
                continue
            endpoint = _choose(methods, method)
            if endpoint is not None:
                return Match(endpoint, {name: unquote(value) for name, value in found.groupdict().items()})
            allowed += _allowed(methods)
        return allowed or None


def _choose(methods: Mapping[str, Endpoint], method: str) -> Endpoint | None:
    return methods.get("GET" if method == "HEAD" else method)


def _allowed(methods: Mapping[str, Endpoint]) -> tuple[str, ...]:
    return (*methods, *(("HEAD",) if "GET" in methods else ()))
