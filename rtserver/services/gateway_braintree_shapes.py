"""The SDK's objects -> records. An attribute exists only if the answer had the element, so all are read with care.

What is missing and needed (an id, a status, an amount, its currency) is a ``BadShape``: then the answer cannot be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from rtserver.core.payments import Money, parse_money
from rtserver.payments.records import (
    GatewayDispute,
    GatewaySubscription,
    GatewayTransaction,
    MerchantAccount,
    SavedMethod,
)

LONGEST = 255
"""Characters of one text that are kept."""
MOST = 100
"""Items of one list that are kept."""


class BadShape(Exception):
    """The answer lacks something, or has it in another form. The text names it."""


def text(source: Any, name: str) -> str:
    """ "" for what is not there."""
    value = getattr(source, name, None)
    return "" if value is None or isinstance(value, (list, dict)) else str(value)[:LONGEST]


def needed(source: Any, name: str) -> str:
    found = text(source, name)
    if not found:
        raise BadShape(f"{type(source).__name__} without {name}")
    return found


def inner(source: Any, name: str) -> Any:
    return getattr(source, name, None)


def items(source: Any, name: str) -> list[Any]:
    found = getattr(source, name, None)
    return found[:MOST] if isinstance(found, list) else []


def money(source: Any, name: str, currency: str) -> Money:
    """Raises ``BadAmount`` and ``BadShape``."""
    return parse_money(needed(source, name), currency)


def ms(moment: Any) -> int:
    """The SDK's moments are in UTC and say nothing of it."""
    return int(moment.replace(tzinfo=UTC).timestamp() * 1000) if isinstance(moment, datetime) else 0


def day(value: Any) -> str:
    """As in "2030-12-31"; "" for none."""
    return value.isoformat()[:10] if isinstance(value, date) else ""


# Transactions


def transaction(source: Any, currency: str = "") -> GatewayTransaction:
    """``currency``: of what was asked, for an answer that does not tell."""
    made = money(source, "amount", text(source, "currency_iso_code") or currency or needed(source, "currency_iso_code"))
    return GatewayTransaction(
        id=needed(source, "id"),
        kind=text(source, "type") or "sale",
        status=needed(source, "status"),
        amount=made,
        order_id=text(source, "order_id"),
        created_at=ms(inner(source, "created_at")),
        parent=text(source, "refunded_transaction_id") or text(source, "authorized_transaction_id"),
        customer_id=text(inner(source, "customer_details"), "id"),
        instrument=instrument(source),
        subscription_id=text(source, "subscription_id"),
        refund_ids=tuple(str(each) for each in items(source, "refund_ids")),
        details=details(source),
    )


INSTRUMENTS: Mapping[str, tuple[str, str]] = {
    "credit_card": ("", "credit_card_details"),
    "network_token": ("", "credit_card_details"),
    "paypal_account": ("PayPal", ""),
    "local_payment": ("Local payment", ""),
    "apple_pay_card": ("Apple Pay", "apple_pay_details"),
    "android_pay_card": ("Google Pay", "android_pay_card_details"),
    "android_pay_network_token": ("Google Pay", "android_pay_card_details"),
    "venmo_account": ("Venmo", ""),
    "us_bank_account": ("Bank account", "us_bank_account"),
    "sepa_debit_account": ("SEPA debit", "sepa_direct_debit_account_details"),
    "europe_bank_account": ("Bank account", ""),
    "visa_checkout_card": ("Visa Checkout", "visa_checkout_card_details"),
    "masterpass_card": ("Masterpass", "masterpass_card_details"),
    "samsung_pay_card": ("Samsung Pay", "samsung_pay_card_details"),
    "amex_express_checkout_card": ("Amex Express Checkout", "amex_express_checkout_card_details"),
    "meta_checkout_card": ("Meta Pay", "meta_checkout_card_details"),
    "meta_checkout_token": ("Meta Pay", "meta_checkout_token_details"),
}
"""payment_instrument_type -> its name, and the attribute with the card (or account) behind it."""


def instrument(source: Any) -> str:
    """For people: "Visa ending in 1881", "Google Pay (Visa ending in 1881)", "PayPal"; "" for none."""
    kind = text(source, "payment_instrument_type")
    name, attribute = INSTRUMENTS.get(kind, (kind.replace("_", " ").capitalize(), ""))
    card = inner(source, attribute) if attribute else None
    if attribute == "us_bank_account" or attribute.startswith("sepa"):
        return _ending(name, _last4(card))
    behind = _ending(_brand(card) or ("Card" if kind and not name else ""), _last4(card))
    return f"{name} ({behind})" if name and behind else name or behind


def _ending(brand: str, last4: str) -> str:
    return f"{brand} ending in {last4}".strip() if last4 else brand


def _brand(card: Any) -> str:
    return _first(card, ("card_type", "virtual_card_type", "source_card_type"))


def _last4(card: Any) -> str:
    """Never more than four."""
    return _first(card, ("last_4", "virtual_card_last_4", "source_card_last_4", "dpan_last_4"))[-4:]


def _first(source: Any, names: tuple[str, ...]) -> str:
    return next((found for name in names if (found := text(source, name))), "")


_PLAIN = {
    "merchant_account": "merchant_account_id",
    "processor_code": "processor_response_code",
    "processor_text": "processor_response_text",
    "processor_kind": "processor_response_type",
    "settlement_code": "processor_settlement_response_code",
    "settlement_text": "processor_settlement_response_text",
    "network_code": "network_response_code",
    "rejection": "gateway_rejection_reason",
    "avs_postal_code": "avs_postal_code_response_code",
    "avs_street_address": "avs_street_address_response_code",
    "avs_error": "avs_error_response_code",
    "cvv": "cvv_response_code",
    "batch": "settlement_batch_id",
    "plan": "plan_id",
}
_SECURE = ("status", "enrolled", "liability_shifted", "liability_shift_possible", "eci_flag", "three_d_secure_version")
_RISK = ("decision", "device_data_captured", "fraud_service_provider", "transaction_risk_score")


def details(source: Any) -> dict[str, Any]:
    """Ready for JSON, without what is not there. ``code``: the bank's, or the gateway's reason of a rejection."""
    found: dict[str, Any] = {name: text(source, attribute) for name, attribute in _PLAIN.items()}
    found["code"] = found["rejection"] or found["processor_code"]
    found["three_d_secure"] = _some(inner(source, "three_d_secure_info"), _SECURE)
    found["risk"] = _some(inner(source, "risk_data"), _RISK)
    found["descriptor"] = _some(inner(source, "descriptor"), ("name", "phone", "url"))
    found["is_part"] = inner(source, "partially_authorized") is True
    return {name: value for name, value in found.items() if value}


def _some(source: Any, names: tuple[str, ...]) -> dict[str, Any]:
    found = {name: inner(source, name) for name in names}
    return {
        name: value if isinstance(value, bool) else str(value)[:LONGEST]
        for name, value in found.items()
        if value is not None
    }


# Saved payment methods

METHODS: Mapping[str, tuple[str, str]] = {
    "CreditCard": ("card", ""),
    "PayPalAccount": ("paypal", "PayPal"),
    "ApplePayCard": ("apple_pay", ""),
    "AndroidPayCard": ("google_pay", ""),
    "VenmoAccount": ("venmo", "Venmo"),
    "UsBankAccount": ("bank", ""),
    "SepaDirectDebitAccount": ("sepa", "SEPA debit"),
    "EuropeBankAccount": ("bank", "Bank account"),
    "VisaCheckoutCard": ("visa_checkout", ""),
    "MasterpassCard": ("masterpass", ""),
    "SamsungPayCard": ("samsung_pay", ""),
    "AmexExpressCheckoutCard": ("amex_express", ""),
}
"""The SDK's class -> kind, and the brand where there is no card behind it."""


def method(source: Any) -> SavedMethod:
    kind, brand = METHODS.get(type(source).__name__, ("other", ""))
    month, year = text(source, "expiration_month"), text(source, "expiration_year")
    return SavedMethod(
        token=needed(source, "token"),
        kind=kind,
        brand=brand or _brand(source) or text(source, "bank_name"),
        last4=_last4(source),
        expires=f"{month}/{year}" if month and year else "",
        is_default=inner(source, "default") is True,
    )


# Merchant accounts


def merchant_account(source: Any) -> MerchantAccount:
    currency = needed(source, "currency_iso_code")
    return MerchantAccount(needed(source, "id"), currency, inner(source, "default") is True)


# Subscriptions and disputes


def currency_of(source: Any) -> str:
    """Of a subscription: it does not say it itself, but what happened to it does. "" for nowhere."""
    told = [*items(source, "transactions"), *items(source, "status_history")]
    return next((found for each in told if (found := text(each, "currency_iso_code"))), "")


def subscription(source: Any, currency: str) -> GatewaySubscription:
    return GatewaySubscription(
        id=needed(source, "id"),
        plan=text(source, "plan_id"),
        method=text(source, "payment_method_token"),
        status=needed(source, "status"),
        price=money(source, "price", currency),
        paid_through=day(inner(source, "paid_through_date")),
        transactions=tuple(transaction(each, currency) for each in items(source, "transactions")),
    )


def dispute(source: Any) -> GatewayDispute:
    amount = "amount_disputed" if inner(source, "amount_disputed") is not None else "amount"
    return GatewayDispute(
        id=needed(source, "id"),
        transaction_id=text(inner(source, "transaction_details"), "id"),
        status=needed(source, "status"),
        amount=money(source, amount, needed(source, "currency_iso_code")),
        reason=text(source, "reason"),
        reply_by=day(inner(source, "reply_by_date")),
    )
