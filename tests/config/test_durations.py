"""Lengths of time as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.config.durations import UNITS, parse_duration


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("300s", 300),
        ("25s", 25),
        ("1h30m", 5400),
        ("720h", 2_592_000),
        ("500ms", 0.5),
        ("1m500ms", 60.5),
        ("1.5s", 1.5),
        ("2d", 172_800),
        ("0s", 0),
        (" 5s ", 5),
    ],
)
def test_numbers_with_units_are_summed(text, length):
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["5", "0", "1.5", "-3", " 7 "])
def test_a_bare_number_is_refused_with_the_advice_to_add_a_unit(text):
    with pytest.raises(ValueError, match="add a unit"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "s", "5 s", "-5s", "5w", "1h30", "1e3s", "5S", "infs"])
def test_anything_else_is_refused_with_examples(text):
    with pytest.raises(ValueError, match="for example"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**9), st.sampled_from(sorted(UNITS)))
def test_a_whole_number_of_a_unit_is_so_many_times_its_seconds(number, unit):
    assert parse_duration(f"{number}{unit}") == pytest.approx(number * UNITS[unit])
