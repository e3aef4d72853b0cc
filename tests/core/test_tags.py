"""Tags filters: what they accept, what they match, and when they are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.core.errors import BAD_REQUEST, CommandError
from rtserver.core.messages import FilterNode
from rtserver.core.tags import MAX_DEPTH, MAX_NODES, MAX_VALUES, compile_filter, decimal


def leaf(cmp: str, val: str = "", *vals: str, key: str = "k") -> FilterNode:
    return FilterNode(key=key, cmp=cmp, val=val, vals=list(vals))


def node(op: str, *nodes: FilterNode) -> FilterNode:
    return FilterNode(op=op, nodes=list(nodes))


A, B = leaf("eq", "a"), leaf("ex", key="b")


@pytest.mark.parametrize(
    ("wanted", "tags", "matches"),
    [
        (leaf("eq", "a"), {"k": "a"}, True),
        (leaf("eq", "a"), {"k": "b"}, False),
        (leaf("eq", "a"), None, False),
        (leaf("neq", "a"), {"k": "b"}, True),
        (leaf("neq", "a"), {"k": "a"}, False),
        (leaf("neq", "a"), {}, True),
        (leaf("in", "", "a", "b"), {"k": "b"}, True),
        (leaf("in", "", "a", "b"), {"k": "c"}, False),
        (leaf("in", "", "a", ""), {}, True),
        (leaf("nin", "", "a", "b"), {"k": "c"}, True),
        (leaf("nin", "", "a", "b"), {}, True),
        (leaf("nin", "", "a", ""), {}, False),
        (leaf("ex"), {"k": ""}, True),
        (leaf("ex"), None, False),
        (leaf("nex"), {"k": ""}, False),
        (leaf("nex"), None, True),
        (leaf("sw", "ab"), {"k": "abc"}, True),
        (leaf("sw", "ab"), {"k": "ba"}, False),
        (leaf("sw", "ab"), None, False),
        (leaf("ew", "bc"), {"k": "abc"}, True),
        (leaf("ew", "bc"), {}, False),
        (leaf("ct", "b"), {"k": "abc"}, True),
        (leaf("ct", "d"), {"k": "abc"}, False),
        (leaf("ct", "d"), {}, False),
        (leaf("lt", "10"), {"k": "9.5"}, True),
        (leaf("lt", "10"), {"k": "10"}, False),
        (leaf("lte", "10"), {"k": "10.0"}, True),
        (leaf("gt", "10"), {"k": "9"}, False),
        (leaf("gt", "-1"), {"k": "-0.5"}, True),
        (leaf("gte", "0.1"), {"k": ".1"}, True),
        (leaf("gt", "10"), {}, False),
        (leaf("gt", "10"), {"k": "many"}, False),
        (leaf("gt", "ten"), {"k": "11"}, False),
        (leaf("lt", "ten"), {"k": "11"}, False),
        (leaf("gt", "0.99999999999999999999999999999999998"), {"k": "0.99999999999999999999999999999999999"}, True),
        (node("and", A, B), {"k": "a", "b": ""}, True),
        (node("and", A, B), {"k": "a"}, False),
        (node("or", A, B), {"b": ""}, True),
        (node("or", A, B), {"k": "b"}, False),
        (node("not", A), {"k": "a"}, False),
        (node("not", node("or", A, B)), {}, True),
    ],
)
def test_a_filter_matches_what_it_names(wanted: FilterNode, tags: dict[str, str] | None, matches: bool) -> None:
    assert compile_filter(wanted).matches(tags) is matches


def deep(levels: int) -> FilterNode:
    wanted = A
    for _ in range(levels - 1):
        wanted = node("not", wanted)
    return wanted


@pytest.mark.parametrize(
    "wanted",
    [
        FilterNode(),
        leaf("", "a"),
        leaf("like", "a"),
        leaf("eq"),
        leaf("eq", "a", key=""),
        leaf("eq", "a", "b"),
        leaf("in"),
        leaf("in", "a"),
        leaf("nin", "a", "b"),
        leaf("in", "", "b", key=""),
        leaf("ex", "a"),
        leaf("nex", "", "a"),
        leaf("gt"),
        node("xor", A, B),
        node("and"),
        node("or"),
        node("not"),
        node("not", A, B),
        node("and", A, leaf("like", "a")),
        node("and", *[A] * MAX_NODES),
        leaf("in", "", *["a"] * (MAX_VALUES + 1)),
        deep(MAX_DEPTH + 1),
        deep(3000),
    ],
)
def test_a_malformed_filter_is_a_bad_request(wanted: FilterNode) -> None:
    with pytest.raises(CommandError) as refused:
        compile_filter(wanted)
    assert refused.value.error is BAD_REQUEST


def test_a_filter_may_reach_the_limits() -> None:
    compile_filter(deep(MAX_DEPTH))
    compile_filter(node("and", *[A] * (MAX_NODES - 1)))
    compile_filter(leaf("in", "", *["a"] * MAX_VALUES))


def test_filters_that_say_the_same_are_equal() -> None:
    one, other = (compile_filter(node("and", leaf("in", "", *vals), B)) for vals in (("x", "y"), ("y", "x", "x")))
    assert one == other and hash(one) == hash(other)
    assert len({one, other, compile_filter(A)}) == 2


def test_filters_that_differ_are_not_equal() -> None:
    kinds = [
        A,
        B,
        leaf("neq", "a"),
        leaf("eq", "b"),
        leaf("in", "", "a"),
        node("not", A),
        node("and", A),
        node("or", A),
        node("and", A, B),
    ]
    assert len({compile_filter(kind) for kind in kinds}) == len(kinds)


@pytest.mark.parametrize(
    "text", ["", "+", ".", "1e5", "1e999999999", "NaN", "inf", "1_000", " 1", "1\n", "٣", "0x1", "1.2.3", "9" * 65]
)
def test_only_plain_decimals_are_numbers(text: str) -> None:
    assert decimal(text) is None


@given(
    st.decimals(min_value=-(10**30), max_value=10**30, places=9),
    st.decimals(min_value=-(10**30), max_value=10**30, places=9),
)
def test_numbers_compare_exactly(one: object, other: object) -> None:
    for cmp, expected in (("lt", one < other), ("lte", one <= other), ("gt", one > other), ("gte", one >= other)):  # type: ignore[operator]
        assert compile_filter(leaf(cmp, f"{other:f}")).matches({"k": f"{one:f}"}) is expected
