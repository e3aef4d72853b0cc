"""The sandbox's fake nonces, and nonces that are good for one use only.

Names: ``braintree.test.nonces.Nonces``. Of what they stand for, the public pages and tests of the SDKs tell the processor's
codes, the validation codes, the first 3-D Secure row and the faces of some; the rest is our reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rtserver.simulator.instruments import LOGO, Instrument, account, card, wallet_card
from rtserver.simulator.processor import FAILED, declined, rejected
from rtserver.simulator.refusals import CARD, TRANSACTION, Refused
from rtserver.simulator.shelf import Shelf, World
from rtserver.simulator.xml_wire import Value

VAULT = ("credit_card",)
MAX_NONCES = 10_000


@dataclass(frozen=True, slots=True)
class ThreeDSecure:
    """The result of 3-D Secure as an answer tells it."""

    status: str
    enrolled: str
    shifted: bool
    possible: bool
    eci_flag: str | None = None
    version: str = "1.0.2"

    def view(self) -> dict[str, Value]:
        proved = self.eci_flag is not None
        return {
            "status": self.status,
            "enrolled": self.enrolled,
            "liability_shifted": self.shifted,
            "liability_shift_possible": self.possible,
            "cavv": "cavv_value" if proved else None,
            "xid": "xid_value" if proved else None,
            "eci_flag": self.eci_flag,
            "three_d_secure_version": self.version,
            "ds_transaction_id": "ds_transaction_id_value" if proved and self.version.startswith("2") else None,
            "three_d_secure_authentication_id": f"sim-{self.status}",
        }


@dataclass(frozen=True, slots=True)
class Nonce:
    """What a nonce stands for. ``sale`` and ``vault`` are the codes that it is refused with."""

    instrument: Instrument
    three_d_secure: ThreeDSecure | None = None
    sale: str = ""
    vault: str = ""
    token: str = ""
    """The saved payment method that it was made of."""


PAYPAL: Mapping[str, Value] = {
    "payer_email": "payer@example.com",
    "payer_id": "SIMPAYER",
    "payer_first_name": "Pat",
    "payer_last_name": "Payer",
    "payer_status": "VERIFIED",
    "payment_id": "PAY-SIM",
    "authorization_id": "AUTH-SIM",
    "capture_id": None,
}
VENMO: Mapping[str, Value] = {
    "username": "venmojoe",
    "venmo_user_id": "Venmo-Joe-1",
    "source_description": "Venmo Account: venmojoe",
    "image_url": LOGO.format("venmo"),
}
US_BANK: Mapping[str, Value] = {
    "account_holder_name": "Pat Payer",
    "account_type": "checking",
    "bank_name": "Simulated Bank",
    "last_4": "0002",
    "routing_number": "021000021",
    "ach_mandate": None,
    "verified": True,
}
SEPA: Mapping[str, Value] = {
    "bank_reference_token": "sim-bank",
    "mandate_type": "RECURRENT",
    "last_4": "1234",
    "merchant_or_partner_customer_id": "sim",
}
EUROPE: Mapping[str, Value] = {
    "bic": "SIMUDE00",
    "masked_iban": "DE************1234",
    "account_holder_name": "Pat Payer",
}


def _visa(**known: str) -> Nonce:
    return Nonce(card("visa", known=known))


def _wallet(kind: str, brand: str, **more: Value) -> Nonce:
    return Nonce(wallet_card(kind, brand, **more))


def _apple(brand: str) -> Nonce:
    more = {"payment_instrument_name": f"{brand.title()} 1234", "source_description": brand.title()}
    return _wallet("apple_pay_card", brand, **more)


def _google(brand: str) -> Nonce:
    made = wallet_card("android_pay_card", brand, google_transaction_id="google-sim", is_network_tokenized=False)
    fields = dict(made.fields)
    more = {"virtual_card_type": fields.pop("card_type"), "virtual_card_last_4": fields.pop("last_4")}
    more |= {"source_card_type": more["virtual_card_type"], "source_card_last_4": more["virtual_card_last_4"]}
    more["source_description"] = f"{more['source_card_type']} {more['source_card_last_4']}"
    return Nonce(replace(made, fields={**fields, **more}))


def _secured(*row: object, **more: object) -> Nonce:
    return Nonce(card("visa"), ThreeDSecure(*row, **more))  # type: ignore[arg-type]


PLAIN: Mapping[str, Nonce] = {
    "fake-valid-nonce": _visa(),
    "fake-valid-no-billing-address-nonce": _visa(),
    **{
        f"fake-valid-{brand}-nonce": Nonce(card(brand))
        for brand in ("visa", "mastercard", "amex", "discover", "jcb", "maestro", "dinersclub")
    },
    **{
        f"fake-valid-{name.replace('_', '-')}-nonce": _visa(**{name: "Yes"})
        for name in (
            "business", "commercial", "consumer", "corporate", "debit", "durbin_regulated", "healthcare", "payroll", "prepaid",
            "prepaid_reloadable", "purchase",
        )
    },
    "fake-valid-country-of-issuance-cad-nonce": _visa(country_of_issuance="CAN"),
    "fake-valid-country-of-issuance-usa-nonce": _visa(country_of_issuance="USA"),
    "fake-valid-issuing-bank-network-only-nonce": _visa(issuing_bank="NETWORK ONLY"),
    "fake-valid-no-indicators-nonce": _visa(commercial="No", debit="No", healthcare="No", payroll="No", prepaid="No"),
    "fake-valid-unknown-indicators-nonce": _visa(),
    "fake-pinless-debit-visa-nonce": _visa(debit="Yes"),
    "fake-abstract-transactable-nonce": Nonce(account("abstract_payment_method", {})),
}  # fmt: skip

TROUBLE: Mapping[str, Nonce] = {
    "fake-consumed-nonce": Nonce(card("visa"), sale="91564", vault="91731"),
    "fake-luhn-invalid-nonce": Nonce(card("visa"), sale="81715", vault="81715"),
    **{
        f"fake-processor-declined-{brand}-nonce": Nonce(card(brand, declined(2000)))
        for brand in ("visa", "mastercard", "amex", "discover")
    },
    "fake-processor-failure-jcb-nonce": Nonce(card("jcb", FAILED)),
    "fake-gateway-rejected-fraud-nonce": Nonce(card("visa", rejected("fraud"))),
    "fake-gateway-rejected-risk-thresholds-nonce": Nonce(card("visa", rejected("risk_threshold"))),
    "fake-token-issuance-error-venmo-account-nonce": Nonce(account("venmo_account", VENMO, rejected("token_issuance"))),
}

WALLETS: Mapping[str, Nonce] = {
    "fake-paypal-one-time-nonce": Nonce(account("paypal_account", PAYPAL, vaultable=False)),
    "fake-paypal-billing-agreement-nonce": Nonce(
        account("paypal_account", {**PAYPAL, "billing_agreement_id": "B-SIM"})
    ),
    "fake-paypal-future-nonce": Nonce(account("paypal_account", PAYPAL)),
    "fake-paypal-future-refresh-token-nonce": Nonce(account("paypal_account", PAYPAL)),
    "fake-venmo-account-nonce": Nonce(account("venmo_account", VENMO)),
    "fake-us-bank-account-nonce": Nonce(account("us_bank_account", US_BANK)),
    "fake-sepa-direct-debit-nonce": Nonce(account("sepa_debit_account", SEPA)),
    "fake-sepa-bank-account-nonce": Nonce(account("europe_bank_account", EUROPE)),
    "fake-europe-bank-account-nonce": Nonce(account("europe_bank_account", EUROPE)),
    "fake-local-payment-method-nonce": Nonce(account("local_payment", {**PAYPAL, "funding_source": "ideal"})),
    "fake-apple-pay-mpan-nonce": _apple("visa"),
    **{f"fake-apple-pay-{brand}-nonce": _apple(brand) for brand in ("visa", "mastercard", "amex")},
    "fake-android-pay-nonce": _google("visa"),
    **{f"fake-android-pay-{brand}-nonce": _google(brand) for brand in ("visa", "mastercard", "amex", "discover")},
    **{
        f"fake-{wallet}-{brand}-nonce": _wallet(kind, brand)
        for wallet, kind in (("visa-checkout", "visa_checkout_card"), ("masterpass", "masterpass_card"))
        for brand in ("visa", "mastercard", "amex", "discover")
    },
    "fake-amex-express-checkout-nonce": _wallet("amex_express_checkout_card", "amex"),
    "fake-meta-checkout-card-nonce": _wallet("meta_checkout_card", "visa"),
    "fake-meta-checkout-token-nonce": _wallet("meta_checkout_token", "visa"),
    "tokensam_fake_american_express": _wallet("samsung_pay_card", "amex"),
    "tokensam_fake_mastercard": _wallet("samsung_pay_card", "mastercard"),
    "tokensam_fake_visa": _wallet("samsung_pay_card", "visa"),
}

SECURED: Mapping[str, Nonce] = {
    "visa-full-authentication": _secured("authenticate_successful", "Y", True, True, "05"),
    "visa-attempts-non-participating": _secured("authenticate_attempt_successful", "Y", True, True, "06"),
    "visa-failed-signature": _secured("authenticate_signature_verification_failed", "Y", False, True),
    "visa-failed-authentication": _secured("authenticate_failed", "Y", False, True),
    "visa-authentication-unavailable": _secured("authenticate_unable_to_authenticate", "Y", False, True),
    "visa-mpi-authenticate-error": _secured("authenticate_error", "Y", False, True),
    "visa-not-enrolled": _secured("lookup_not_enrolled", "N", False, False),
    "visa-unavailable": _secured("authentication_unavailable", "U", False, False),
    "visa-lookup-timeout": _secured("lookup_error", "U", False, False),
    "visa-mpi-lookup-error": _secured("lookup_error", "U", False, False),
    "visa-bypassed-authentication": _secured("lookup_bypassed", "B", False, False),
    "two-visa-successful-frictionless-authentication": _secured(
        "authenticate_successful", "Y", True, True, "05", version="2.2.0"
    ),
    "two-visa-successful-step-up-authentication": _secured(
        "authenticate_successful", "Y", True, True, "05", version="2.2.0"
    ),
    "two-visa-error-on-lookup": _secured("lookup_error", "U", False, False, version="2.2.0"),
    "two-visa-timeout-on-lookup": _secured("lookup_error", "U", False, False, version="2.2.0"),
}

FAKE: Mapping[str, Nonce] = {
    **PLAIN,
    **TROUBLE,
    **WALLETS,
    **{f"fake-three-d-secure-{name}-nonce": nonce for name, nonce in SECURED.items()},
}
"""Nonces that can be used again and again."""

AUTHENTICATION_IDS: Mapping[str, ThreeDSecure | None] = {
    f"fake-three-d-secure-{name}-id": nonce.three_d_secure for name, nonce in SECURED.items()
}

PLACES: Mapping[str, tuple[str, ...]] = {"81715": CARD}
"""Where in a sale a code belongs, when not at the transaction itself."""


class Nonces:
    """The fake ones, and those that were made here, which are good once (``single`` -> None when used)."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._single: Shelf[Nonce | None] = Shelf("nonces", MAX_NONCES)

    def make(self, nonce: Nonce) -> str:
        """A nonce for one use, as a page gets one for a card."""
        name = f"tokencc_sim_{self._world.new_id()}"
        self._single.put(name, nonce)
        return name

    def look(self, name: str) -> Nonce | None:
        """What it stands for; None when unknown or used."""
        return FAKE.get(name) or self._single.find(name)

    def for_sale(self, name: str) -> Nonce:
        """Raises ``Refused``."""
        found = self.look(name)
        if found is None:
            raise Refused("91564" if name in self._single else "91565")
        if found.sale:
            raise Refused(found.sale, PLACES.get(found.sale, TRANSACTION))
        return found

    def for_vault(self, name: str) -> Nonce:
        """Raises ``Refused``."""
        found = self.look(name)
        if found is None:
            raise Refused("91731" if name in self._single else "91732", VAULT)
        if found.vault:
            raise Refused(found.vault, VAULT)
        if not found.instrument.vaultable:
            raise Refused("82902", ("paypal_account",))
        if not found.instrument.names.in_vault:
            raise Refused("91738", VAULT)
        return found

    def use(self, name: str) -> None:
        if name in self._single:
            self._single.put(name, None)

    def clear(self) -> None:
        self._single.clear()
