"""Tags filters: a subscriber names the publications that it wants by their tags.

A leaf compares one tag of the publication with the filter's value; "and", "or" and "not" combine filters. A publication
without tags has the empty map. What a leaf says of a missing tag is part of the protocol:

    eq, sw, ew, ct, ex        false: they need the tag
    neq, nex                  true
    in, nin                   the value is ""
    lt, lte, gt, gte          false, as for a value that is no decimal number
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from rtserver.core.errors import BAD_REQUEST, CommandError
from rtserver.core.messages import FilterNode

MAX_NODES = 64
"""Of one filter. Every publication is held against every filter of its channel; long lists belong into "in"."""
MAX_DEPTH = 16
MAX_VALUES = 1024
"""In the lists of one filter together."""
MAX_DIGITS = 64
"""Characters of a decimal number; a longer text is none."""

Tags = Mapping[str, str]
Test = Callable[[Tags], bool]
Key = tuple[object, ...]

_NO_TAGS: Tags = {}
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")


@dataclass(frozen=True, slots=True)
class TagsFilter:
    """A compiled filter. Filters that say the same are equal, so that their subscribers share one group; the order of a
    list of values says nothing."""

    key: Key
    _test: Test = field(compare=False, repr=False)

    def matches(self, tags: Tags | None) -> bool:
        """Whether a publication with these tags is wanted."""
        return self._test(tags or _NO_TAGS)


def compile_filter(node: FilterNode) -> TagsFilter:
    """Raises ``CommandError(BAD_REQUEST)`` for a filter that is malformed or above the limits of this module."""
    _check_size(node)
    return _compile(node)


def _check_size(root: FilterNode) -> None:
    level, nodes, values, depth = [root], 0, 0, 0
    while level:
        nodes += len(level)
        values += sum(len(node.vals) for node in level)
        depth += 1
        if nodes > MAX_NODES or values > MAX_VALUES or depth > MAX_DEPTH:
            raise CommandError(BAD_REQUEST)
        level = [child for node in level for child in node.nodes]


def _compile(node: FilterNode) -> TagsFilter:
    if not node.op:
        return _leaf(node)
    combine = _COMBINATIONS.get(node.op)
    if combine is None or not node.nodes:
        raise CommandError(BAD_REQUEST)
    children = [_compile(child) for child in node.nodes]
    key = (node.op, *(child.key for child in children))
    return TagsFilter(key, combine([child._test for child in children]))


# Combinations


def _all(tests: list[Test]) -> Test:
    return lambda tags: all(test(tags) for test in tests)


def _any(tests: list[Test]) -> Test:
    return lambda tags: any(test(tags) for test in tests)


def _none(tests: list[Test]) -> Test:
    if len(tests) != 1:
        raise CommandError(BAD_REQUEST)
    [test] = tests
    return lambda tags: not test(tags)


_COMBINATIONS: dict[str, Callable[[list[Test]], Test]] = {"and": _all, "or": _any, "not": _none}


# Leaves


def _leaf(node: FilterNode) -> TagsFilter:
    takes, test_for = _LEAVES.get(node.cmp, _UNKNOWN)
    if not takes(node):
        raise CommandError(BAD_REQUEST)
    values = tuple(sorted(set(node.vals)))
    return TagsFilter((node.cmp, node.key, node.val, values), test_for(node))


def _one_value(node: FilterNode) -> bool:
    return bool(node.key and node.val) and not node.vals


def _list_of_values(node: FilterNode) -> bool:
    return bool(node.key and node.vals) and not node.val


def _no_value(node: FilterNode) -> bool:
    return not node.val and not node.vals


def _never(_node: FilterNode) -> bool:
    return False


def _equal(node: FilterNode) -> Test:
    key, val = node.key, node.val
    return lambda tags: tags.get(key) == val


def _not_equal(node: FilterNode) -> Test:
    key, val = node.key, node.val
    return lambda tags: tags.get(key) != val


def _in(node: FilterNode) -> Test:
    key, vals = node.key, frozenset(node.vals)
    return lambda tags: tags.get(key, "") in vals


def _not_in(node: FilterNode) -> Test:
    key, vals = node.key, frozenset(node.vals)
    return lambda tags: tags.get(key, "") not in vals


def _exists(node: FilterNode) -> Test:
    key = node.key
    return lambda tags: key in tags


def _not_exists(node: FilterNode) -> Test:
    key = node.key
    return lambda tags: key not in tags


# A value to look for is never empty, so a missing tag, taken as "", has none of these.


def _starts_with(node: FilterNode) -> Test:
    key, val = node.key, node.val
    return lambda tags: tags.get(key, "").startswith(val)


def _ends_with(node: FilterNode) -> Test:
    key, val = node.key, node.val
    return lambda tags: tags.get(key, "").endswith(val)


def _contains(node: FilterNode) -> Test:
    key, val = node.key, node.val
    return lambda tags: val in tags.get(key, "")


def _number(compare: Callable[[Decimal, Decimal], bool]) -> Callable[[FilterNode], Test]:
    def test_for(node: FilterNode) -> Test:
        key, bound = node.key, decimal(node.val)

        def test(tags: Tags) -> bool:
            number = decimal(tags.get(key, ""))
            return number is not None and bound is not None and compare(number, bound)

        return test

    return test_for


@lru_cache(maxsize=1024)
def decimal(text: str) -> Decimal | None:
    """The exact value of a plain decimal number; None for anything else, exponents included."""
    if len(text) > MAX_DIGITS or not _DECIMAL.fullmatch(text):
        return None
    return Decimal(text)


_Leaf = tuple[Callable[[FilterNode], bool], Callable[[FilterNode], Test]]

_LEAVES: dict[str, _Leaf] = {
    "eq": (_one_value, _equal),
    "neq": (_one_value, _not_equal),
    "in": (_list_of_values, _in),
    "nin": (_list_of_values, _not_in),
    "ex": (_no_value, _exists),
    "nex": (_no_value, _not_exists),
    "sw": (_one_value, _starts_with),
    "ew": (_one_value, _ends_with),
    "ct": (_one_value, _contains),
    "lt": (_one_value, _number(operator.lt)),
    "lte": (_one_value, _number(operator.le)),
    "gt": (_one_value, _number(operator.gt)),
    "gte": (_one_value, _number(operator.ge)),
}
_UNKNOWN: _Leaf = (_never, _exists)
