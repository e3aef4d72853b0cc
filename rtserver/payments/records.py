"""What payments are made of. Times are integer milliseconds since 1970, amounts ``Money``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rtserver.core.payments import Money


class Op(StrEnum):
    """What is asked of the gateway."""

    SALE = "sale"
    SETTLE = "settle"
    VOID = "void"
    REFUND = "refund"
    SUBSCRIBE = "subscribe"
    """Begin a subscription; its first period may be charged at once."""
    RETRY = "retry"
    """Charge a subscription that is past due."""


class AttemptState(StrEnum):
    SENDING = "sending"
    UNKNOWN = "unknown"
    """It may have been done or not; the reconciler finds out. Until then there is no second attempt."""
    APPROVED = "approved"
    DECLINED = "declined"
    """By the processor (the bank)."""
    REJECTED = "rejected"
    """By the gateway's own rules."""
    INVALID = "invalid"
    FAILED = "failed"
    """The processor could not do it."""
    ERROR = "error"
    """It surely was not done: never sent, or refused as a whole."""


class OrderState(StrEnum):
    OPEN = "open"
    """Not paid. A declined attempt leaves it so: another card may do."""
    CHECKING = "checking"
    AUTHORIZED = "authorized"
    """The money is held, and can be settled or released."""
    PAID = "paid"
    """Submitted for settlement."""
    SETTLED = "settled"
    VOIDED = "voided"
    PARTLY_REFUNDED = "partly_refunded"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    FAILED = "failed"
    """Its settlement was declined."""


@dataclass(frozen=True, slots=True)
class SaleItem:
    id: str
    name: str
    description: str
    price: Money
    merchant_account: str
    plan: str
    is_held: bool
    is_active: bool


@dataclass(frozen=True, slots=True)
class MerchantAccount:
    """One of the shop's at the gateway: everything that is paid into it is in its currency."""

    id: str
    currency: str
    is_default: bool


@dataclass(frozen=True, slots=True)
class Order:
    """``captured`` was submitted for settlement, ``refunded`` was given back of it."""

    id: str
    user_id: str
    item_id: str
    price: Money
    state: OrderState
    captured: Money
    refunded: Money
    created_at: int
    changed_at: int


@dataclass(frozen=True, slots=True)
class FieldError:
    """One mistake that the gateway found, however deep: ``attribute`` as in "credit_card.number"."""

    attribute: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """``id`` is the order id that the gateway sees, by which it can be searched for; ``order_id`` "" for what is about a
    subscription. ``target``: the transaction (or subscription) that it is about; ``is_part``: a settlement after which more may
    follow. ``checks`` counts how often its outcome was looked for, ``empties`` the searches that found nothing. ``answered_at``
    and ``next_check_at`` are 0 for never."""

    id: str
    order_id: str
    op: Op
    api_request_key: str
    amount: Money
    target: str
    state: AttemptState
    gateway_id: str
    code: str
    sentence: str
    sent_at: int
    answered_at: int
    checks: int
    next_check_at: int
    is_part: bool = False
    empties: int = 0
    is_soft: bool = False
    errors: tuple[FieldError, ...] = ()


@dataclass(frozen=True, slots=True)
class GatewayTransaction:
    """``kind`` is "sale" or "credit"; ``status`` the gateway's own word. ``instrument`` is for people: "Visa ending in 1881".
    ``details``: further facts that may be stored (3-D Secure, risk, descriptor), and no card data but the last four digits."""

    id: str
    kind: str
    status: str
    amount: Money
    order_id: str
    created_at: int
    parent: str = ""
    customer_id: str = ""
    instrument: str = ""
    subscription_id: str = ""
    refund_ids: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one call. ``state`` is never SENDING. ``code`` is stable ("approved", "2000", "fraud", "81715",
    "timeout", "duplicate_request"...), ``sentence`` for a person. ``is_soft``: trying again later may help."""

    state: AttemptState
    code: str
    sentence: str
    is_soft: bool = False
    transaction: GatewayTransaction | None = None
    errors: tuple[FieldError, ...] = ()


@dataclass(frozen=True, slots=True)
class Sale:
    """``nonce`` or ``method`` (the token of a saved one) pays."""

    attempt: Attempt
    is_held: bool
    merchant_account: str = ""
    nonce: str = field(default="", repr=False)
    method: str = ""
    customer_id: str = ""
    saves_method: bool = False
    needs_3d_secure: bool = False
    device_data: str = field(default="", repr=False)
    descriptor: Mapping[str, str] = field(default_factory=dict)
    paypal_description: str = ""


@dataclass(frozen=True, slots=True)
class SavedMethod:
    """A payment method in the vault. ``expires`` as in "12/2030"."""

    token: str
    kind: str
    brand: str
    last4: str
    expires: str
    is_default: bool


@dataclass(frozen=True, slots=True)
class GatewaySubscription:
    id: str
    plan: str
    method: str
    status: str
    price: Money
    paid_through: str = ""
    transactions: tuple[GatewayTransaction, ...] = ()


@dataclass(frozen=True, slots=True)
class GatewayDispute:
    id: str
    transaction_id: str
    status: str
    amount: Money
    reason: str = ""
    reply_by: str = ""


@dataclass(frozen=True, slots=True)
class Notification:
    """A webhook that was signed well. ``subject`` is "transaction", "subscription", "dispute" or "other"."""

    kind: str
    happened_at: int
    subject: str
    subject_id: str
