"""Payment instruments: cards, PayPal and the rest, and the names they have in each answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from rtserver.simulator.processor import Outcome
from rtserver.simulator.xml_wire import Value


@dataclass(frozen=True, slots=True)
class Kind:
    """Names of one kind: element of a transaction, root of a vault answer and list of a customer ("" when not vaulted)."""

    in_transaction: str
    in_vault: str = ""
    in_customer: str = ""


KINDS: Mapping[str, Kind] = {
    "credit_card": Kind("credit_card", "credit_card", "credit_cards"),
    "paypal_account": Kind("paypal", "paypal_account", "paypal_accounts"),
    "apple_pay_card": Kind("apple_pay", "apple_pay_card", "apple_pay_cards"),
    "android_pay_card": Kind("android_pay_card", "android_pay_card", "android_pay_cards"),
    "venmo_account": Kind("venmo_account", "venmo_account", "venmo_accounts"),
    "us_bank_account": Kind("us_bank_account", "us_bank_account", "us_bank_accounts"),
    "sepa_debit_account": Kind("sepa_debit_account_detail", "sepa_debit_account", "sepa_debit_accounts"),
    "europe_bank_account": Kind("europe_bank_account", "europe_bank_account", "europe_bank_accounts"),
    "visa_checkout_card": Kind("visa_checkout_card", "visa_checkout_card", "visa_checkout_cards"),
    "masterpass_card": Kind("masterpass_card", "masterpass_card", "masterpass_cards"),
    "samsung_pay_card": Kind("samsung_pay_card", "samsung_pay_card", "samsung_pay_cards"),
    "amex_express_checkout_card": Kind(
        "amex_express_checkout_card", "amex_express_checkout_card", "amex_express_checkout_cards"
    ),
    "meta_checkout_card": Kind("meta_checkout_card"),
    "meta_checkout_token": Kind("meta_checkout_token"),
    "local_payment": Kind("local_payment"),
    "abstract_payment_method": Kind("abstract_payment_method", "abstract_payment_method", ""),
}
"""``payment_instrument_type`` -> its names."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument. ``fields`` are those of its kind; ``number`` tells whether two are the same one; ``outcome`` is what
    every authorisation of it ends with (None: the amount decides)."""

    kind: str
    fields: Mapping[str, Value] = field(default_factory=dict)
    number: str = ""
    outcome: Outcome | None = None
    vaultable: bool = True

    @property
    def names(self) -> Kind:
        return KINDS[self.kind]


BRANDS: Mapping[str, tuple[str, str, str]] = {
    "visa": ("Visa", "401288", "1881"),
    "mastercard": ("MasterCard", "555555", "4444"),
    "amex": ("American Express", "378282", "0005"),
    "discover": ("Discover", "601111", "1117"),
    "jcb": ("JCB", "353011", "0000"),
    "maestro": ("Maestro", "630400", "0000"),
    "dinersclub": ("Diners Club", "362596", "0004"),
    "elo": ("Elo", "506699", "1118"),
}
"""Brand -> name on the wire, first six and last four digits."""

INDICATORS = (
    "business", "commercial", "consumer", "corporate", "debit", "durbin_regulated", "healthcare", "payroll", "prepaid",
    "prepaid_reloadable", "purchase",
)  # fmt: skip
"""What is known of a card by its number."""

LOGO = "https://assets.braintreegateway.com/payment_method_logo/{}.png?environment=simulator"


def face(brand: str) -> dict[str, Value]:
    """What every kind of card has."""
    name, first, last = BRANDS[brand]
    return {
        "bin": first,
        "last_4": last,
        "card_type": name,
        "expiration_month": "12",
        "expiration_year": "2030",
        "cardholder_name": None,
        "expired": False,
        "image_url": LOGO.format(name.lower().replace(" ", "_")),
    }


def card(brand: str, outcome: Outcome | None = None, known: Mapping[str, str] = MappingProxyType({})) -> Instrument:
    """A card; ``known`` are its indicators, all others are Unknown."""
    number = f"sim-{brand}-{'-'.join(known) or 'plain'}"
    fields = {
        **face(brand),
        **dict.fromkeys(INDICATORS, "Unknown"),
        "country_of_issuance": "Unknown",
        "issuing_bank": "Unknown",
        "product_id": "Unknown",
        "customer_location": "US",
        "unique_number_identifier": number,
        **known,
    }
    return Instrument("credit_card", fields, number, outcome)


def wallet_card(kind: str, brand: str, **more: Value) -> Instrument:
    """A card in a wallet: Apple Pay, Google Pay and those that are no more."""
    return Instrument(kind, {**face(brand), **more}, f"sim-{kind}-{brand}")


def account(
    kind: str, fields: Mapping[str, Value], outcome: Outcome | None = None, vaultable: bool = True
) -> Instrument:
    """An instrument that is no card."""
    return Instrument(kind, fields, f"sim-{kind}", outcome, vaultable)
