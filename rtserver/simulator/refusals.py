"""What the gateway says no with: validation errors by code, and answers for what this simulator does not offer.

Codes and their attributes are those of ``braintree.error_codes``; the sentences are our own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rtserver.simulator.xml_wire import Array, Value

TRANSACTION = ("transaction",)
CARD = ("transaction", "credit_card")

CODES: Mapping[str, tuple[str, str]] = {
    # transactions
    "81501": ("amount", "Amount cannot be negative."),
    "81502": ("amount", "Amount is required."),
    "81503": ("amount", "Amount is an invalid format."),
    "81528": ("amount", "Amount is too large."),
    "81531": ("amount", "Amount must be greater than zero."),
    "91501": ("order_id", "Order ID is too long."),
    "91504": ("base", "Transaction can only be voided if status is authorized or submitted_for_settlement."),
    "91505": ("base", "Cannot refund a credit."),
    "91506": ("base", "Cannot refund transaction unless it is settled or settling."),
    "91507": ("base", "Cannot submit for settlement unless status is authorized."),
    "91508": ("base", "A payment method is required: send a nonce, a token or a customer with one."),
    "91510": ("customer_id", "Customer ID is invalid."),
    "91511": ("base", "Customer does not have a payment method."),
    "91512": ("base", "Transaction has already been completely refunded."),
    "91513": ("merchant_account_id", "Merchant account ID is invalid."),
    "91514": ("merchant_account_id", "Merchant account is suspended."),
    "91515": ("base", "Send one payment method, not several."),
    "91516": ("payment_method_token", "Payment method does not belong to this customer."),
    "91518": ("payment_method_token", "Payment method token is invalid."),
    "91521": ("amount", "Refund amount is too large."),
    "91522": ("amount", "Settlement amount is too large."),
    "91523": ("type", "Transaction type is invalid."),
    "91524": ("type", "Transaction type is required."),
    "91528": ("subscription_id", "Subscription ID is invalid."),
    "91531": ("base", "Subscription status must be Past Due in order to retry."),
    "91564": ("payment_method_nonce", "Cannot use a payment method nonce more than once."),
    "91565": ("payment_method_nonce", "Unknown payment method nonce."),
    "91575": ("base", "Cannot simulate this settlement from the transaction's status."),
    "915103": ("base", "Cannot submit for partial settlement from the transaction's status."),
    "915196": ("three_d_secure_authentication_id", "3D Secure authentication ID is invalid."),
    "915230": ("api_request_key", "API request key is too long."),
    "915231": ("api_request_key", "API request keys are not enabled for this merchant."),
    "915232": ("api_request_key", "API request key can be reused only with the same request."),
    "915233": ("api_request_key", "A request with this API request key is in flight."),
    "915234": ("api_request_key", "The request with this API request key failed."),
    "915282": ("base", "Cannot reverse the transaction at this time."),
    # cards, customers, payment methods
    "81604": ("email", "Email is an invalid format."),
    "81715": ("number", "Credit card number is invalid."),
    "81724": ("number", "Duplicate card exists in the vault."),
    "82902": ("base", "Cannot vault a one-time use PayPal account."),
    "91609": ("id", "Customer ID has already been taken."),
    "91610": ("id", "Customer ID is invalid: use letters, digits, - and _."),
    "91612": ("id", "Customer ID is too long."),
    "91704": ("customer_id", "Customer ID is required."),
    "91705": ("customer_id", "Customer ID is invalid."),
    "91718": ("token", "Payment method token is invalid: use letters, digits, - and _."),
    "91719": ("token", "Payment method token has already been taken."),
    "91720": ("token", "Payment method token is too long."),
    "91731": ("payment_method_nonce", "Cannot use a payment method nonce more than once."),
    "91732": ("payment_method_nonce", "Unknown payment method nonce."),
    "91738": ("base", "The payment method cannot be vaulted."),
    "92804": ("customer_id", "Customer specified by customer_id does not exist."),
    "92807": ("merchant_account_id", "Merchant account specified by merchant_account_id does not exist."),
    # subscriptions and plans
    "81901": ("base", "Cannot edit a canceled subscription."),
    "81902": ("id", "ID has already been taken."),
    "81904": ("price", "Price is an invalid format."),
    "81905": ("status", "Subscription has already been canceled."),
    "81906": ("id", "Subscription ID is invalid: use letters, digits, - and _."),
    "91901": ("merchant_account_id", "Merchant account ID is invalid."),
    "91903": ("payment_method_token", "Payment method token is invalid."),
    "91904": ("plan_id", "Plan ID is invalid."),
    "91923": ("plan_id", "The plan's currency is not the merchant account's."),
    "91925": ("payment_method_nonce", "Payment method nonce is invalid."),
    "91927": ("payment_method_nonce", "The payment method of this nonce is not in the vault."),
    # disputes
    "84901": ("kind", "Document upload kind is invalid."),
    "84902": ("file", "The file is too large."),
    "84903": ("file", "The file type is not taken: use JPEG, PNG or PDF."),
    "84906": ("file", "The file is empty."),
    "95701": ("status", "Evidence can only be added to an open dispute."),
    "95702": ("status", "Evidence can only be removed from an open dispute."),
    "95703": ("document_upload_id", "The document upload is unknown."),
    "95704": ("status", "Only an open dispute can be accepted."),
    "95705": ("status", "Only an open dispute can be finalized."),
    "95708": ("comments", "Evidence content is too long."),
}
"""Code -> attribute and sentence."""


class Refused(Exception):
    """Validation failed: nothing was done. ``place`` is where in the request, as the SDK's ``for_object`` takes it."""

    def __init__(self, code: str, place: tuple[str, ...] = TRANSACTION) -> None:
        super().__init__(code)
        self.code = code
        self.place = place


class NotFound(Exception):
    """There is no such object: 404."""


class NotOffered(Exception):
    """The gateway may know it, this simulator does not: 501, so that nobody takes it for an answer about money."""


class Full(Exception):
    """A bound was reached: 503. The text says which."""


def frame(message: str, errors: Iterable[Refused] = (), **more: Value) -> dict[str, Value]:
    """The value of ``api_error_response``. ``errors`` is always there, even when empty: the SDK needs it."""
    tree: dict[str, Value] = {"errors": []}
    for error in errors:
        level = tree
        for name in error.place:
            level = level.setdefault(name, {"errors": []})
        attribute, sentence = CODES[error.code]
        level["errors"].append({"code": error.code, "attribute": attribute, "message": sentence})
    return {"errors": _wired(tree), "message": message, **more}


def refusal(error: Refused, params: Mapping[str, Value]) -> dict[str, Value]:
    return frame(CODES[error.code][1], [error], params=params or None)


def _wired(level: Mapping[str, Value]) -> dict[str, Value]:
    return {name: Array("error", each) if name == "errors" else _wired(each) for name, each in level.items()}
