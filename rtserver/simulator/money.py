"""Amounts: exact decimals, with as many digits after the point as their currency has (ISO 4217)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from rtserver.simulator.refusals import Refused

DIGITS: Mapping[str, int] = {
    **dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""Currencies that do not have two digits after the point."""

WRITTEN = re.compile(r"(?P<sign>-?)(?P<whole>[0-9]+)(?:\.(?P<part>[0-9]+))?")
MAX_WHOLE_DIGITS = 10


def digits(currency: str) -> int:
    return DIGITS.get(currency, 2)


def exact(amount: Decimal, currency: str) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-digits(currency)))


def amount_of(text: object, currency: str) -> Decimal:
    """The amount as the request has it. Raises ``Refused`` on the attribute ``amount`` of ``transaction``.

    ``1E+1``, ``10.`` and ``10.001`` USD are no amounts: what the SDK's caller forgot to format shows here.
    """
    if text is None or text == "":
        raise Refused("81502")
    found = WRITTEN.fullmatch(str(text))
    if found is None or len(found["part"] or "") > digits(currency):
        raise Refused("81503")
    if len(found["whole"].lstrip("0")) > MAX_WHOLE_DIGITS:
        raise Refused("81528")
    amount = Decimal(found[0])
    if found["sign"] and amount:
        raise Refused("81501")
    if not amount:
        raise Refused("81531")
    return exact(amount, currency)
