"""What the bank would say: the sandbox's table of amounts, and the processor's codes.

Amounts: https://developer.paypal.com/braintree/docs/reference/general/testing. "Certain transaction types", which that page
does not name, are PayPal and local payments here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Status(StrEnum):
    """States of a transaction, as on the wire."""

    AUTHORIZED = "authorized"
    SUBMITTED = "submitted_for_settlement"
    SETTLING = "settling"
    SETTLED = "settled"
    SETTLEMENT_CONFIRMED = "settlement_confirmed"
    SETTLEMENT_DECLINED = "settlement_declined"
    SETTLEMENT_PENDING = "settlement_pending"
    VOIDED = "voided"
    DECLINED = "processor_declined"
    FAILED = "failed"
    REJECTED = "gateway_rejected"
    EXPIRED = "authorization_expired"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to an authorisation. ``kind`` is the ``processor_response_type``, ``rejection`` a gateway rejection reason."""

    status: Status
    code: str = ""
    text: str = ""
    kind: str = ""
    rejection: str = ""

    @property
    def message(self) -> str:
        return f"Gateway Rejected: {self.rejection}" if self.rejection else self.text


@dataclass(frozen=True, slots=True)
class Settlement:
    status: Status
    code: str = "4000"
    text: str = "Confirmed"


SOFT, HARD = "soft_declined", "hard_declined"
APPROVED = Outcome(Status.AUTHORIZED, "1000", "Approved", "approved")
FAILED = Outcome(Status.FAILED, "3000", "Processor Network Unavailable - Try Again", SOFT)

DECLINES: Mapping[int, tuple[str, str]] = {
    2000: ("Do Not Honor", SOFT),
    2001: ("Insufficient Funds", SOFT),
    2002: ("Limit Exceeded", SOFT),
    2003: ("Cardholder's Activity Limit Exceeded", SOFT),
    2004: ("Expired Card", HARD),
    2005: ("Invalid Credit Card Number", HARD),
    2006: ("Invalid Expiration Date", HARD),
    2007: ("No Account", HARD),
    2008: ("Card Account Length Error", HARD),
    2009: ("No Such Issuer", HARD),
    2010: ("Card Issuer Declined CVV", HARD),
    2011: ("Voice Authorization Required", HARD),
    2012: ("Processor Declined - Possible Lost Card", HARD),
    2013: ("Processor Declined - Possible Stolen Card", HARD),
    2014: ("Processor Declined - Fraud Suspected", HARD),
    2015: ("Transaction Not Allowed", HARD),
    2016: ("Duplicate Transaction", SOFT),
    2017: ("Cardholder Stopped Billing", HARD),
    2018: ("Cardholder Stopped All Billing", HARD),
    2019: ("Invalid Transaction", HARD),
    2020: ("Violation", HARD),
    2021: ("Security Violation", SOFT),
    2024: ("Card Type Not Enabled", HARD),
    2038: ("Processor Declined", SOFT),
    2044: ("Declined - Call Issuer", HARD),
    2046: ("Declined", SOFT),
    2047: ("Call Issuer. Pick Up Card.", HARD),
    2053: ("Card reported as lost or stolen", HARD),
    2057: ("Issuer or Cardholder has put a restriction on the card", SOFT),
}
"""Codes with a sentence of their own; all others are a soft ``Processor Declined``."""

PAYPAL = frozenset({"paypal_account", "local_payment"})


def declined(code: int) -> Outcome:
    text, kind = DECLINES.get(code, ("Processor Declined", SOFT))
    return Outcome(Status.DECLINED, str(code), text, kind)


def rejected(reason: str) -> Outcome:
    return Outcome(Status.REJECTED, rejection=reason)


def authorization(amount: Decimal, kind: str) -> Outcome:
    """The outcome of an amount, of whatever currency, for a kind of payment instrument."""
    whole = int(amount)
    if 2000 <= whole < 3000:
        return declined(whole)
    if whole == 3000:
        return FAILED
    if amount == Decimal("5001"):
        return rejected("application_incomplete")
    if amount == Decimal("5001.01") and kind in PAYPAL:
        return declined(2038)
    return APPROVED


def settlement(amount: Decimal, kind: str) -> Settlement:
    """What becomes of an authorised amount when it is settled."""
    whole = int(amount)
    if kind not in PAYPAL or not 4001 <= whole <= 5001:
        return Settlement(Status.SETTLED)
    if whole == 4002:
        return Settlement(Status.SETTLEMENT_PENDING, "4002", "Settlement Pending")
    if amount == Decimal("5001.02"):
        return Settlement(Status.SETTLEMENT_DECLINED, "3000", "Processor Unavailable")
    if whole <= 5000:
        return Settlement(Status.SETTLEMENT_DECLINED, str(whole), "Settlement Declined")
    return Settlement(Status.SETTLED)
