"""What may be asked, before anything is done, and the refusals that several flows have."""

from __future__ import annotations

from dataclasses import dataclass, field

from rtserver.payments.errors import PaymentRefused

LONGEST_KEY = 255
LONGEST_NONCE = 4096
LONGEST_DEVICE_DATA = 8192


@dataclass(frozen=True, slots=True)
class PayRequest:
    """What a page asks. ``item`` (a new order) or ``order`` (one that is there); ``nonce`` or ``method`` (the token of a saved
    one). ``key`` is the Idempotency-Key, "" for none."""

    item: str = ""
    order: str = ""
    nonce: str = field(default="", repr=False)
    method: str = ""
    saves_method: bool = False
    device_data: str = field(default="", repr=False)
    key: str = ""


def check(request: PayRequest) -> None:
    """Raises ``PaymentRefused``."""
    check_key(request.key)
    if bool(request.item) == bool(request.order):
        raise PaymentRefused("item_or_order", "Name either an item or an order.", "item", 422)
    if bool(request.nonce) == bool(request.method):
        raise PaymentRefused("nonce_or_method", "Give either a nonce or a saved payment method.", "nonce", 422)
    if len(request.nonce) > LONGEST_NONCE or not request.nonce.isprintable():
        raise PaymentRefused("bad_nonce", "This is no nonce of the gateway: fill the card form again.", "nonce", 422)
    if not _is_word(request.method, LONGEST_KEY):
        raise PaymentRefused("bad_method", "This is no saved payment method: choose one of the list.", "method", 422)
    if len(request.device_data) > LONGEST_DEVICE_DATA:
        raise PaymentRefused(
            "bad_device_data", f"Device data has at most {LONGEST_DEVICE_DATA} characters.", "device_data", 422
        )
    if request.method and request.item and not request.key:
        # A nonce pays once; a saved method pays as often as it is asked.
        raise PaymentRefused(
            "key_missing", "Send an Idempotency-Key with a saved payment method, or make an order first.", "key", 400
        )


def check_key(key: str) -> None:
    """Raises ``PaymentRefused`` for what is no Idempotency-Key."""
    if not _is_word(key, LONGEST_KEY):
        raise PaymentRefused(
            "bad_key", f"An Idempotency-Key has at most {LONGEST_KEY} printable ASCII characters.", "key"
        )


def key_reused(field: str = "key") -> PaymentRefused:
    """``field`` is what named the request: "key", or "nonce" when it had none."""
    return PaymentRefused(
        "key_reused", "This was sent before with something else in it: fill the form again.", field, 409
    )


def in_progress() -> PaymentRefused:
    return PaymentRefused("in_progress", "This order is being worked on: ask again in a second.", "order", 409)


def not_found(field: str, sentence: str) -> PaymentRefused:
    return PaymentRefused(f"no_such_{field}", sentence, field, 404)


def _is_word(text: str, most: int) -> bool:
    return len(text) <= most and text.isascii() and text.isprintable()
