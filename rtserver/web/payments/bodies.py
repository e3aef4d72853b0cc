"""What clients of payments send and get. Amounts are texts as in "10.00", times milliseconds since 1970."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from rtserver.payments.records import OrderState, SaleItem, SavedMethod
from rtserver.payments.report import Difference


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("Text has no NUL characters")
    return value


Id = Annotated[str, StringConstraints(max_length=64), AfterValidator(_text)]
Line = Annotated[str, StringConstraints(max_length=300), AfterValidator(_text)]
Secret = Annotated[str, StringConstraints(max_length=8192), AfterValidator(_text), Field(repr=False)]
"""A nonce, device data."""
Amount = Annotated[str, StringConstraints(max_length=32), AfterValidator(_text)]
"""Exact, with a point: "10.00"."""

Result = Literal["done", "declined", "rejected", "invalid", "failed", "amount_mismatch", "unknown"]

ORDER: dict[str, Any] = {
    "order": "7d1f0c",
    "item": "book",
    "amount": "10.00",
    "currency": "EUR",
    "state": "paid",
    "code": "approved",
    "message": "",
    "captured": "10.00",
    "refunded": "0.00",
    "transaction": "68b54d14",
    "created_at": 1_800_000_000_000,
    "changed_at": 1_800_000_001_000,
}
"""For examples."""


def _example(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


# What is sent


class Purchase(BaseModel):
    """``item`` (a new order) or ``order`` (one that is there); ``nonce`` of the card form, or ``method``, the token of a saved
    one. ``save`` keeps the card in the vault. The price is never sent: it is that of the item."""

    model_config = _example({"item": "book", "nonce": "fake-valid-nonce"})

    item: Id = ""
    order: Id = ""
    nonce: Secret = ""
    method: Id = ""
    save: bool = False
    device_data: Secret = ""


class NewOrder(BaseModel):
    model_config = _example({"item": "book"})

    item: Id


class SettleOrder(BaseModel):
    """``amount`` "": all that is held. ``more``: the rest stays held and may be settled later; else it is released."""

    model_config = _example({"amount": "4.00", "more": True})

    amount: Amount = ""
    more: bool = False


class RefundOrder(BaseModel):
    """``amount`` "": all that is left."""

    model_config = _example({"amount": "4.00"})

    amount: Amount = ""


class NewMethod(BaseModel):
    model_config = _example({"nonce": "fake-valid-nonce", "default": True})

    nonce: Secret
    default: bool = False


class Subscribe(BaseModel):
    """``method`` is the token of a saved one; a ``nonce`` is saved first."""

    model_config = _example({"item": "magazine", "nonce": "fake-valid-nonce"})

    item: Id
    method: Id = ""
    nonce: Secret = ""


class ChangeSubscription(BaseModel):
    """``plan`` is that of an item on sale, whose price is taken with it; ``method`` the token of another saved one. What is ""
    stays. Only staff may send a ``price``."""

    model_config = _example({"method": "b7c2"})

    plan: Id = ""
    method: Id = ""
    price: Amount = ""


class Evidence(BaseModel):
    model_config = _example({"text": "The parcel was delivered on 3 May, see the receipt."})

    text: Annotated[str, StringConstraints(min_length=1, max_length=8192), AfterValidator(_text)]


class StaffItem(BaseModel):
    """``plan``: one of the gateway's makes the item a subscription. ``is_held``: the money is only held until the order is
    settled. ``merchant_account`` "": the default one."""

    model_config = _example({"id": "book", "name": "A book", "price": "10.00", "currency": "EUR"})

    id: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
    name: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_text)]
    description: Annotated[str, StringConstraints(max_length=2000), AfterValidator(_text)] = ""
    price: Amount
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    merchant_account: Id = ""
    plan: Id = ""
    is_held: bool = False
    is_active: bool = True


class Span(BaseModel):
    """Milliseconds since 1970. ``start`` 0: the day before ``end``; ``end`` 0: now."""

    model_config = _example({"start": 1_800_000_000_000, "end": 1_800_086_400_000})

    start: Annotated[int, Field(ge=0, le=10**14)] = 0
    end: Annotated[int, Field(ge=0, le=10**14)] = 0


# What is answered


class ItemFacts(BaseModel):
    id: str
    name: str
    description: str
    price: str
    currency: str
    is_subscription: bool
    is_held: bool

    @staticmethod
    def of(item: SaleItem) -> ItemFacts:
        return ItemFacts(
            id=item.id,
            name=item.name,
            description=item.description,
            price=item.price.text,
            currency=item.price.currency,
            is_subscription=bool(item.plan),
            is_held=item.is_held,
        )


class ItemList(BaseModel):
    items: list[ItemFacts]


class StaffItemFacts(StaffItem):
    @staticmethod
    def of(item: SaleItem) -> StaffItemFacts:
        return StaffItemFacts(
            id=item.id,
            name=item.name,
            description=item.description,
            price=item.price.text,
            currency=item.price.currency,
            merchant_account=item.merchant_account,
            plan=item.plan,
            is_held=item.is_held,
            is_active=item.is_active,
        )


class StaffItemList(BaseModel):
    items: list[StaffItemFacts]


class OrderFacts(BaseModel):
    """``code`` and ``message`` are those of the latest attempt to pay, or of where the order is beyond that; ``captured`` was
    submitted for settlement, ``refunded`` given back of it; ``transaction`` is the gateway's id."""

    model_config = _example(ORDER)

    order: str
    item: str
    amount: str
    currency: str
    state: OrderState
    code: str
    message: str
    captured: str
    refunded: str
    transaction: str
    created_at: int
    changed_at: int


class OrderList(BaseModel):
    orders: list[OrderFacts]


class StaffOrder(OrderFacts):
    """``user`` is who pays."""

    user: str


class StaffOrderList(BaseModel):
    orders: list[StaffOrder]


class Mistake(BaseModel):
    """``attribute`` as in "credit_card.number"."""

    attribute: str
    code: str
    message: str


class PaymentAnswer(BaseModel):
    """``result`` and ``code`` are stable and for programs, ``message`` is for the person. ``retry``: the same may be tried
    again."""

    model_config = _example(
        {"result": "done", "code": "approved", "message": "", "retry": False, "order": ORDER, "errors": []}
    )

    result: Result
    code: str
    message: str
    retry: bool
    order: OrderFacts
    errors: list[Mistake]


class ClientToken(BaseModel):
    """For the card form of the gateway. ``price`` and ``currency`` are those of the item that was named, else ""."""

    client_token: str
    mode: Literal["simulator", "sandbox", "production"]
    price: str = ""
    currency: str = ""


class MethodFacts(BaseModel):
    """``expires`` as in "12/2030"."""

    token: str
    kind: str
    brand: str
    last4: str
    expires: str
    is_default: bool

    @staticmethod
    def of(method: SavedMethod) -> MethodFacts:
        return MethodFacts(
            token=method.token,
            kind=method.kind,
            brand=method.brand,
            last4=method.last4,
            expires=method.expires,
            is_default=method.is_default,
        )


class MethodList(BaseModel):
    methods: list[MethodFacts]


class SubscriptionFacts(BaseModel):
    """``state`` is "checking", "pending", "active", "past_due", "canceled", "expired", or what became of the request for it
    ("declined"...). ``method`` is the token of what pays, ``paid_through`` a day, "" for none."""

    subscription: str
    item: str
    plan: str
    method: str
    state: str
    amount: str
    currency: str
    paid_through: str
    created_at: int
    changed_at: int


class SubscriptionList(BaseModel):
    subscriptions: list[SubscriptionFacts]


class SubscriptionAnswer(BaseModel):
    """As the answer to a payment, with the subscription."""

    result: Result
    code: str
    message: str
    retry: bool
    subscription: SubscriptionFacts
    errors: list[Mistake]


class DisputeFacts(BaseModel):
    """``reply_by`` is a day, "" for none; ``order`` "" for what is of no order of ours."""

    dispute: str
    order: str
    transaction: str
    state: str
    amount: str
    currency: str
    reason: str
    reply_by: str


class DisputeList(BaseModel):
    disputes: list[DisputeFacts]


class FindingFacts(BaseModel):
    """``here`` and ``there``: amounts or states, "" for nothing. ``is_mended``: our side is right since this reconciliation."""

    difference: Difference
    transaction: str
    order: str
    here: str
    there: str
    is_mended: bool


class ReportFacts(BaseModel):
    """``here`` and ``there`` are how many transactions were compared; ``caught_up`` how many of ours were behind and are right
    now; ``unknown`` how many attempts have no outcome yet; the others count findings. ``settled``: sums by currency.
    ``is_clean``: nobody has to look at anything. ``text`` is the whole report for people."""

    start: str
    end: str
    here: int
    there: int
    caught_up: int
    unknown: int
    missing_here: int
    missing_there: int
    other_amount: int
    other_state: int
    mended: int
    is_clean: bool
    settled: dict[str, str]
    findings: list[FindingFacts]
    text: str


class Done(BaseModel):
    done: bool = True
