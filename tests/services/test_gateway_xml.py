"""Answers are read as the SDK reads them, and leave nothing to the collector."""

import gc
from contextlib import suppress

import pytest
from braintree.util.xml_util import XmlUtil

from rtserver.payments.records import AttemptState
from rtserver.services.gateway_braintree_xml import TidyXml
from tests.services.gateway_house import House, sale, sold


@pytest.fixture
def still():
    """Nothing is collected but by the test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_what_is_read_is_what_the_sdk_reads():
    answer = sold()
    assert TidyXml.dict_from_xml(answer) == XmlUtil.dict_from_xml(answer)


def test_bytes_are_read_too():
    assert TidyXml.dict_from_xml(b"<a><b type='integer'>1</b></a>") == {"a": {"b": 1}}


@pytest.mark.usefixtures("still")
def test_nothing_of_an_answer_is_left_to_the_collector():
    answer = sold()
    XmlUtil.dict_from_xml(answer)
    assert gc.collect() > 0, "the SDK is tidy by itself now: this file of ours is not needed any more"
    TidyXml.dict_from_xml(answer)
    assert gc.collect() == 0


@pytest.mark.usefixtures("still")
def test_nothing_is_left_when_the_answer_cannot_be_understood():
    with suppress(ValueError):
        TidyXml.dict_from_xml("<a type='integer'>no number</a>")
    assert gc.collect() == 0


@pytest.mark.usefixtures("still")
def test_a_sale_is_read_in_this_way():
    house = House(sold())
    gc.collect()
    assert house.money.sale(sale()).state is AttemptState.APPROVED
    assert gc.collect() == 0
