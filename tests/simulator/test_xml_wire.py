"""The simulator's XML, in and out, against the SDK's own generator and parser."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from braintree.util.generator import Generator
from braintree.util.parser import Parser
from hypothesis import given
from hypothesis import strategies as st

from rtserver.simulator.xml_wire import Array, BadXml, Collection, inside, read, write

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)


def trees(text):
    return st.recursive(
        text | st.booleans() | st.integers(0, 10**9),
        lambda inner: st.dictionaries(
            st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True), inner, min_size=1, max_size=4
        ),
        max_leaves=12,
    )


TREE = trees(TEXT)
READ_BY_SDK = trees(TEXT.filter(lambda text: not text.isspace()))
"""Its parser takes a text of nothing but spaces for none."""


@given(TREE)
def test_what_the_sdk_writes_is_read_as_it_was_meant(tree):
    assert read(Generator({"root": tree}).generate().encode()) == {"root": tree}


@given(READ_BY_SDK)
def test_what_is_written_is_read_by_the_sdk_as_it_was_meant(tree):
    assert Parser(write("root", {"only": tree})).parse()["root"] == {"only": tree}


def test_every_type_keeps_its_type():
    at = datetime(2026, 11, 22, 9, 24, 51, 123456, UTC)
    value = {
        "none": None,
        "yes": True,
        "count": 7,
        "amount": Decimal("1E+1"),
        "at": at,
        "day": date(2026, 11, 22),
        "few_items": ["a", "b"],
        "nothing": [],
        "made": Array("one_thing", [{"id": "1"}, {"id": "2"}]),
        "text": "<&> \r\n é",
    }
    parsed = Parser(write("root_tag", value)).parse()["root_tag"]
    assert parsed["none"] is None
    assert (parsed["yes"], parsed["count"], parsed["amount"]) == (True, 7, "10")
    assert (parsed["at"], parsed["day"]) == (datetime(2026, 11, 22, 9, 24, 51), date(2026, 11, 22))
    assert (parsed["few_items"], parsed["nothing"], parsed["made"]) == (["a", "b"], [], [{"id": "1"}, {"id": "2"}])
    assert parsed["text"] == "<&> \r\n é"


def test_a_collection_has_its_numbers_and_its_items():
    parsed = Parser(write("disputes", Collection("dispute", [{"id": "1"}, {"id": "2"}], {"page_size": 50}))).parse()
    assert parsed == {"disputes": {"page_size": 50, "dispute": [{"id": "1"}, {"id": "2"}]}}


def test_characters_that_xml_cannot_carry_are_left_out():
    assert read(write("a", {"text": "x\x00\x0b\ufffey"})) == {"a": {"text": "xy"}}


def test_names_come_with_underscores_and_go_with_dashes():
    assert read(b"<credit-card><last-4>1881</last-4></credit-card>") == {"credit_card": {"last_4": "1881"}}
    assert b"<last-4>" in write("credit_card", {"last_4": "1881"})


def test_an_empty_body_is_an_empty_request():
    assert read(b"") == read(b" \n") == {}


@pytest.mark.parametrize(
    "body",
    [
        b"<a>",
        b"text",
        b"<a></b>",
        b"\xff\xfe<\x00a\x00>\x00",
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b"<a>&unknown;</a>",
        b"<a>" * 40 + b"</a>" * 40,
        b"<a>" + b"<b/>" * 20_001 + b"</a>",
        b'<a><b type="integer">x</b></a>',
        b'<a><b type="datetime">x</b></a>',
    ],
)
def test_what_is_no_xml_or_too_much_of_it_is_refused(body):
    with pytest.raises(BadXml):
        read(body)


def test_inside_gives_a_mapping_whatever_is_there():
    assert inside({"options": {"a": 1}}, "options") == {"a": 1}
    assert inside({"options": "text"}, "options") == inside({}, "options") == inside("text", "options") == {}
