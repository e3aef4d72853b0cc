"""Money, exactly, and the decisions about payments that need no storage."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from rtserver.core.errors import RtError

DIGITS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
}
"""Digits after the point of currencies that do not have two (ISO 4217)."""

LARGEST = 10**12
"""In the smallest unit: far above what a gateway takes, far below 64 bits."""


class BadAmount(RtError):
    """The sentence says what an amount looks like."""


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """``minor`` is a whole number of the smallest unit, 0 or more; ``currency`` three capital letters (ISO 4217)."""

    minor: int
    currency: str

    @property
    def digits(self) -> int:
        return DIGITS.get(self.currency, 2)

    @property
    def text(self) -> str:
        """As gateways and people write it: "10.00", never "1E+1"."""
        return format(Decimal(self.minor).scaleb(-self.digits), "f")

    def __str__(self) -> str:
        return f"{self.text} {self.currency}"


def parse_money(text: str, currency: str) -> Money:
    """Raises ``BadAmount`` for what is no exact amount of the currency."""
    digits = DIGITS.get(currency, 2)
    try:
        scaled = Decimal(text).scaleb(digits)
        minor = int(scaled)
    except (InvalidOperation, ValueError, OverflowError):
        raise BadAmount(f"write an amount as in {Money(1000, currency).text}") from None
    if scaled != minor or not 0 <= minor <= LARGEST:
        raise BadAmount(f"write an amount of {currency} with {digits} digits after the point at most, and not below 0")
    return Money(minor, currency)
