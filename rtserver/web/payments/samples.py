"""What is on the demonstration page to be tried without money: items whose prices the test gateway treats in its own way, and
its well-known nonces.

Prices: https://developer.paypal.com/braintree/docs/reference/general/testing. Nonces: ``braintree.test.nonces``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rtserver.core.payments import parse_money
from rtserver.core.rows import Runs
from rtserver.payments import items
from rtserver.payments.records import SaleItem

PREFIX = "test-"
"""How the ids of the items begin."""

CURRENCY = "USD"


class SampleNonce(NamedTuple):
    """A way to pay. ``text`` says what becomes of it."""

    nonce: str
    title: str
    text: str


NONCES: Sequence[SampleNonce] = (
    SampleNonce("fake-valid-visa-nonce", "Valid Visa", "is approved"),
    SampleNonce("fake-valid-mastercard-nonce", "Valid Mastercard", "is approved"),
    SampleNonce("fake-valid-amex-nonce", "Valid American Express", "is approved"),
    SampleNonce("fake-paypal-one-time-nonce", "PayPal", "is approved"),
    SampleNonce("fake-processor-declined-visa-nonce", "Declined", "the bank says no (2000)"),
    SampleNonce("fake-processor-failure-jcb-nonce", "Failure of the bank", "the bank cannot process it (3000)"),
    SampleNonce("fake-gateway-rejected-fraud-nonce", "Fraud", "the gateway rejects it"),
    SampleNonce("fake-gateway-rejected-risk-thresholds-nonce", "Too risky", "the gateway rejects it"),
    SampleNonce("fake-consumed-nonce", "Consumed", "was used before (91564)"),
    SampleNonce("fake-luhn-invalid-nonce", "Mistyped number", "is no card number (81715)"),
)

_ROWS: Sequence[tuple[str, str, str]] = (
    ("10", "10.00", "is paid at once"),
    ("held", "25.00", "is held until staff settles it"),
    ("2000", "2000.00", "is declined: Do Not Honor"),
    ("2001", "2001.00", "is declined: Insufficient Funds"),
    ("3000", "3000.00", "fails: the bank cannot be reached"),
    ("4001", "4001.00", "with PayPal: paid, and declined when it is settled"),
    ("4002", "4002.00", "with PayPal: paid, and its settlement takes long"),
    ("5001", "5001.00", "is rejected by the gateway"),
)

ITEMS: Sequence[SaleItem] = tuple(
    SaleItem(
        id=f"{PREFIX}{id}",
        name=f"Item {price.partition('.')[0]}",
        description=text,
        price=parse_money(price, CURRENCY),
        merchant_account="",
        plan="",
        is_held=id == "held",
        is_active=True,
    )
    for id, price, text in _ROWS
)


async def put_items(runs: Runs, now: int) -> None:
    """Write the items down, as they are here. For a server that speaks to the simulator."""
    for each in ITEMS:
        await items.save(runs, each, now)
