"""Names with places in them, and which of several patterns is meant."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from rtserver.app.patterns import Hole, Pattern, PatternTable, matcher


@pytest.mark.parametrize(
    ("pattern", "name", "found"),
    [
        ("news", "news", {}),
        ("news", "news:1", None),
        ("news", "NEWS", None),
        ("chat:*", "chat:a:b", {}),
        ("chat:*", "chat:", {}),
        ("chat:*", "chat", None),
        ("*", "", {}),
        ("*", "any\nthing", {}),
        ("chat:{room}", "chat:a b", {"room": "a b"}),
        ("chat:{room}", "chat:", None),
        ("chat:{room}", "chat:a:b", None),
        ("chat:{room}:{user}", "chat:a:b", {"room": "a", "user": "b"}),
        ("chat:{room}:*", "chat:a:b:c", {"room": "a"}),
        ("a.b+c", "a.b+c", {}),
        ("a.b", "axb", None),
        ("{x}#{y}", "a#b", {"x": "a", "y": "b"}),
    ],
)
def test_a_pattern_matches_whole_names_and_gives_their_parts(pattern, name, found):
    assert Pattern(pattern).match(name) == found


@pytest.mark.parametrize("text", ["{room:int}", "{a", "b}", "{}", "{a b}", "{1a}", "{{a}}"])
def test_braces_that_hold_no_name_are_refused(text):
    with pytest.raises(TypeError, match="write {name}"):
        Pattern(text)


def test_a_name_stands_once():
    with pytest.raises(TypeError, match="twice"):
        Pattern("{a}:{a}")


def table(*patterns: str) -> PatternTable[str]:
    made: PatternTable[str] = PatternTable()
    for each in patterns:
        made.add(Pattern(each), each)
    return made


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("chat:lobby", "chat:lobby"),
        ("chat:vip-1", "chat:vip-*"),
        ("chat:other", "chat:{room}"),
        ("chat:a:b", "chat:*"),
        ("news", "*"),
    ],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_the_exact_name_is_meant_first_then_the_pattern_with_the_most_fixed_characters(name, found, backwards):
    patterns = ["*", "chat:{room}", "chat:*", "chat:lobby", "chat:vip-*"]
    if backwards and found not in ("chat:{room}", "chat:*"):
        patterns.reverse()
    got = table(*patterns).find(name)
    assert got is not None and got[0] == found


def test_of_two_patterns_with_as_many_fixed_characters_the_first_is_meant():
    assert table("chat:{room}", "chat:*").find("chat:a") == ("chat:{room}", {"room": "a"})
    assert table("chat:*", "chat:{room}").find("chat:a") == ("chat:*", {})


def test_nothing_is_found_where_nothing_fits():
    assert table("chat:*").find("news") is None and table().find("") is None


@pytest.mark.parametrize("pattern", ["news", "chat:*"])
def test_a_pattern_is_declared_once(pattern):
    with pytest.raises(ValueError, match="declared twice"):
        table(pattern, pattern)


def test_patterns_that_differ_in_the_names_of_their_parts_only_are_one():
    with pytest.raises(ValueError, match="shop.g: 'chat:{name}:{n}' is declared twice"):
        found: PatternTable[str] = PatternTable()
        found.add(Pattern("chat:{room}:{number}"), "f", "shop.f")
        found.add(Pattern("chat:{name}:{n}"), "g", "shop.g")


NAME, REST = Hole("[^/]", 1), Hole(".", 0)
TEXTS = st.text("a-/", max_size=10)


def in_plain_words(literals: list[str], holes: list[Hole]) -> re.Pattern[str]:
    values = [f"({hole.chars}{{{hole.least},}})" for hole in holes]
    parts = [re.escape(literals[0]), *(v + re.escape(each) for v, each in zip(values, literals[1:], strict=True))]
    return re.compile("".join(parts), re.DOTALL)


@given(st.lists(st.tuples(st.sampled_from([NAME, REST]), st.text("a-/", max_size=2)), min_size=1, max_size=4), TEXTS)
@settings(max_examples=500, deadline=None)
def test_values_are_those_of_the_plain_regex(parts, name):
    literals = ["", *(literal for _, literal in parts)]
    holes = [hole for hole, _ in parts]
    named = [hole._replace(group=f"g{number}") for number, hole in enumerate(holes)]
    try:
        made = matcher(literals, named)
    except TypeError:
        reject()
    found, wanted = made.fullmatch(name), in_plain_words(literals, holes).fullmatch(name)
    assert (found and found.groups()) == (wanted and wanted.groups())


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{a}.{b}.{c}.{d}x", "." * 20_000),
        ("*.*.*.*x", "." * 20_000),
        ("{a}--{b}--{c}--{d}x", "-" * 20_000),
        ("{a}.{b}-{c}.{d}x", ".-" * 10_000),
        ("{a}:*x", "a:" * 10_000),
        ("{a}-{b}:*x", "-a" * 10_000 + ":" + "-" * 10_000),
        ("*:{a}:{b}x", "a:" * 10_000),
        ("*a*aax", "a" * 20_000),
    ],
)
def test_a_long_name_that_nearly_fits_is_seen_through_at_once(pattern, name):
    """The plain regex would try every length of one part with every length of the others, for years."""
    assert Pattern(pattern).match(name) is None


@pytest.mark.parametrize("pattern", ["{a}-*x", "{a}*x", "{a}-*-{b}", "*:{a}:*x", "*{a}*x"])
def test_a_pattern_that_would_be_tried_from_many_places_to_the_end_is_refused(pattern):
    with pytest.raises(
        TypeError,
        match=r"the pattern '.*': what takes anything must end the name, or be the first such part, with : between",
    ):
        Pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{a}-*", "a-b:c"),
        ("{a}*", "a:b"),
        ("*:{a}:*", "a:b:c"),
        ("a-*-{b}", "a-b:c-d"),
        ("{a}:*-x", "a:b-x"),
        ("*-*-x", "a-b-x"),
    ],
)
def test_a_part_for_anything_may_end_a_name_or_follow_a_boundary(pattern, name):
    assert Pattern(pattern).match(name) is not None
