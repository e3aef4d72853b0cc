"""Sentences for persons, by the codes of the gateway and of the banks behind it.

Codes: https://developer.paypal.com/braintree/docs/reference/general/processor-responses/authorization-responses,
.../gateway-rejections and .../validation-errors; ``braintree.error_codes``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rtserver.payments.records import FieldError

_ASK_BANK = "Your bank declined this payment. Use another card, or ask your bank."
_ANOTHER = "This card cannot be used here. Use another one."
_PAYPAL = "PayPal declined this payment. Choose another way to pay in PayPal, or use a card."
_SHOP = "The bank did not take this payment as the shop sent it. You were not charged. Tell the shop."
_LATER = "Your bank cannot decide at the moment. Try again later, or use another card."

DECLINED: Mapping[str, str] = {
    "2001": "There is not enough money on this card or account. Use another one, or try again later.",
    **dict.fromkeys(
        ("2002", "2003"), "This payment is above the limit of the card. Use another one, or try again later."
    ),
    "2004": "This card has expired. Use another one.",
    "2005": "The number of the card is not right. Look at it again.",
    "2006": "The expiry date is not right. Look at it again.",
    "2010": "The security code of the card is not right. Look at it again.",
    **dict.fromkeys(("2007", "2008", "2009", "2015", "2024", "2051", "2108"), _ANOTHER),
    "2016": "Your bank takes this for a repeat of a payment that was made before. Look at your orders before you try again.",
    **dict.fromkeys(
        ("2017", "2018"), "Your bank was told to stop payments to this shop. Use another card, or ask your bank."
    ),
    **dict.fromkeys(
        ("2019", "2023", "2025", "2026", "2027", "2028", "2030", "2040", "2042", "2045", "2048", "2055"), _SHOP
    ),
    "2021": _ASK_BANK,
    **dict.fromkeys(
        ("2034", "2046"), "Your bank declined this payment. Try again later, use another card, or ask your bank."
    ),
    **dict.fromkeys(("2059", "2060"), "The billing address is not the one that your bank has. Look at it again."),
    **dict.fromkeys([str(code) for code in range(2068, 2095)], _PAYPAL),
    "2065": "It is too late to give this payment back.",
    "2067": "The payment was held for too long and is released. Pay again.",
    "2099": "Your bank wants you to confirm this payment. Pay again, and confirm it when your bank asks.",
    "3000": _LATER,
}
"""By the processor's code. Whether a card is reported as lost or stolen is not for the one who holds it."""

HARD = {
    *map(str, (*range(2004, 2016), *range(2017, 2021), *range(2022, 2025), 2027, 2031, 2032, 2036, 2037, 2039)),
    *map(str, (2041, 2043, 2044, 2047, 2049, 2051, 2053, *range(2054, 2057), *range(2058, 2062), 2063, *range(2065, 2092))),
}  # fmt: skip
"""Declines that trying again does not help against, for answers that do not say it themselves."""

_REJECTED = "This payment was rejected for safety. Use another way to pay."

REJECTED: Mapping[str, str] = {
    "avs": "The billing address does not fit the card. Look at it again.",
    "cvv": "The security code of the card is not right. Look at it again.",
    "avs_and_cvv": "The billing address and the security code do not fit the card. Look at them again.",
    "duplicate": "The same payment was made a moment ago. Look at your orders before you pay again.",
    "excessive_retry": "This card was declined too often. Use another one.",
    "fraud": _REJECTED,
    "risk_threshold": _REJECTED,
    "three_d_secure": "Your bank did not confirm that it was you (3-D Secure). Try again and confirm it, or use another card.",
    "token_issuance": "Your wallet did not release the payment. Try again, or use another way to pay.",
    "application_incomplete": "The shop cannot take payments yet. You were not charged.",
}
"""By the gateway's reason."""

SOFT_REJECTIONS = {"avs", "cvv", "avs_and_cvv", "three_d_secure", "token_issuance"}
"""The payer can do something about these."""

_CARD = "The card is not filled in rightly. Look at it again."
_USED = "This form was sent before. Fill it in again."
_UNREADABLE_FORM = "The payment form is not valid any more. Fill it in again."

INVALID: Mapping[str, str] = {
    **dict.fromkeys(("91564", "91731"), _USED),
    **dict.fromkeys(("91565", "91566", "91732", "91733", "91925", "91930"), _UNREADABLE_FORM),
    **dict.fromkeys(
        (
            "81703",
            "81706",
            "81707",
            "81709",
            "81710",
            "81711",
            "81712",
            "81713",
            "81714",
            "81715",
            "81716",
            "81736",
            "81737",
        ),
        _CARD,
    ),
    **dict.fromkeys(("91518", "91903", "91516"), "This saved card is not there any more. Choose another one."),
    **dict.fromkeys(("91504", "915185"), "This payment cannot be cancelled any more: give it back instead."),
    **dict.fromkeys(("91505", "91506"), "This payment cannot be given back yet: it is not settled. Cancel it instead."),
    **dict.fromkeys(("91507", "915103"), "This payment is not held (any more), so it cannot be settled."),
    "91512": "This payment was given back completely before.",
    "91521": "That is more than is left to give back.",
    "91522": "That is more than was held.",
    "91531": "There is nothing to pay: this subscription is not past due.",
    "91904": "The shop does not offer this subscription any more.",
    "81901": "This subscription has ended and cannot be changed.",
    "81905": "This subscription was cancelled before.",
    **dict.fromkeys(("95701", "95704", "95705"), "This dispute is not open any more."),
    "95708": "This text is too long for the bank.",
    "81604": "The payment service does not take this e-mail address.",
    "81724": "This card is saved already.",
    "82902": "This PayPal payment is for one purchase and cannot be saved.",
}
"""By the code of a validation error."""

INVALID_OTHERWISE = "The payment service did not take this as it was sent. Nothing was charged."


def declined(code: str) -> str:
    return DECLINED.get(code, _ASK_BANK)


def rejected(reason: str) -> str:
    return REJECTED.get(reason, "This payment was rejected. Use another way to pay.")


def invalid(errors: Sequence[FieldError]) -> str:
    return next((INVALID[each.code] for each in errors if each.code in INVALID), INVALID_OTHERWISE)
