"""Names with places in them, and which of several patterns is meant."""

from __future__ import annotations

import pytest

from rtserver.app.patterns import Pattern, PatternTable


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
