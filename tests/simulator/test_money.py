"""Amounts by currency, and what the bank says to them."""

from decimal import Decimal

import pytest

from rtserver.simulator.money import amount_of, exact
from rtserver.simulator.processor import DECLINES, Status, authorization, declined, settlement
from rtserver.simulator.refusals import Refused


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("10", "USD", "10.00"),
        ("10.5", "USD", "10.50"),
        ("0.01", "EUR", "0.01"),
        ("1000", "JPY", "1000"),
        ("1.125", "KWD", "1.125"),
        ("9999999999.99", "USD", "9999999999.99"),
        ("0010.00", "USD", "10.00"),
    ],
)
def test_an_amount_has_the_digits_of_its_currency(text, currency, amount):
    assert str(amount_of(text, currency)) == amount


@pytest.mark.parametrize(
    ("text", "currency", "code"),
    [
        (None, "USD", "81502"),
        ("", "USD", "81502"),
        ("1E+1", "USD", "81503"),
        ("10.", "USD", "81503"),
        ("1,00", "USD", "81503"),
        ("NaN", "USD", "81503"),
        ("٣.00", "USD", "81503"),
        (["1"], "USD", "81503"),
        ("10.001", "USD", "81503"),
        ("10.0", "JPY", "81503"),
        ("10000000000", "USD", "81528"),
        ("-0.01", "USD", "81501"),
        ("0.00", "USD", "81531"),
        ("-0", "USD", "81531"),
    ],
)
def test_what_is_no_amount_has_its_code(text, currency, code):
    with pytest.raises(Refused) as refused:
        amount_of(text, currency)
    assert (refused.value.code, refused.value.place) == (code, ("transaction",))


def test_exact_never_shows_an_exponent():
    assert str(exact(Decimal("1E+1"), "USD")) == "10.00"


CARD, PAYPAL = "credit_card", "paypal_account"


@pytest.mark.parametrize(
    ("amount", "kind", "status", "code"),
    [
        ("0.01", CARD, Status.AUTHORIZED, "1000"),
        ("1999.99", CARD, Status.AUTHORIZED, "1000"),
        ("2000.00", CARD, Status.DECLINED, "2000"),
        ("2046.99", CARD, Status.DECLINED, "2046"),
        ("2999.99", CARD, Status.DECLINED, "2999"),
        ("3000.00", CARD, Status.FAILED, "3000"),
        ("3000.99", CARD, Status.FAILED, "3000"),
        ("3001.00", CARD, Status.AUTHORIZED, "1000"),
        ("4001.00", PAYPAL, Status.AUTHORIZED, "1000"),
        ("5001.00", CARD, Status.REJECTED, ""),
        ("5001.01", CARD, Status.AUTHORIZED, "1000"),
        ("5001.01", PAYPAL, Status.DECLINED, "2038"),
        ("5001.02", PAYPAL, Status.AUTHORIZED, "1000"),
        ("5002.00", PAYPAL, Status.AUTHORIZED, "1000"),
        ("99999.00", CARD, Status.AUTHORIZED, "1000"),
    ],
)
def test_the_table_of_amounts_decides_the_authorisation(amount, kind, status, code):
    outcome = authorization(Decimal(amount), kind)
    assert (outcome.status, outcome.code) == (status, code)


@pytest.mark.parametrize(
    ("amount", "kind", "status", "code"),
    [
        ("4000.99", PAYPAL, Status.SETTLED, "4000"),
        ("4001.00", PAYPAL, Status.SETTLEMENT_DECLINED, "4001"),
        ("4001.99", CARD, Status.SETTLED, "4000"),
        ("4002.00", PAYPAL, Status.SETTLEMENT_PENDING, "4002"),
        ("4002.99", CARD, Status.SETTLED, "4000"),
        ("4003.00", PAYPAL, Status.SETTLEMENT_DECLINED, "4003"),
        ("5000.99", PAYPAL, Status.SETTLEMENT_DECLINED, "5000"),
        ("5001.02", PAYPAL, Status.SETTLEMENT_DECLINED, "3000"),
        ("5001.02", CARD, Status.SETTLED, "4000"),
        ("5002.00", PAYPAL, Status.SETTLED, "4000"),
    ],
)
def test_the_table_of_amounts_decides_the_settlement(amount, kind, status, code):
    how = settlement(Decimal(amount), kind)
    assert (how.status, how.code) == (status, code)


def test_every_decline_is_soft_or_hard_and_has_a_sentence():
    for code in (*DECLINES, 2999):
        outcome = declined(code)
        assert outcome.kind in ("soft_declined", "hard_declined")
        assert outcome.text == outcome.message
