"""What can be bought, and paying for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtserver.app.endpoint import Endpoint, Response
from rtserver.payments import items
from rtserver.payments.records import SaleItem
from rtserver.payments.requests import PayRequest, not_found
from rtserver.web.payments.bodies import ClientToken, Id, ItemFacts, ItemList, PaymentAnswer, Purchase
from rtserver.web.payments.desk import Desk
from rtserver.web.payments.endpoint import Door, Key, PaymentEndpoint, answered
from rtserver.web.payments.people import Person


class Buying:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._parts = desk.parts

    def endpoints(self) -> list[Endpoint]:
        doors: dict[Callable[..., Any], Door] = {
            self.items: Door("GET", "/payment/items"),
            self.client_token: Door("GET", "/payment/token/", (401, 404, 422), asks_gateway=True),
            self.process: Door(
                "POST",
                "/payment/process/",
                (202, 401, 402, 404, 409, 422, 429),
                asks_gateway=True,
                meanings={200: "It is done"},
                outcome=PaymentAnswer,
            ),
        }
        return [PaymentEndpoint(self._desk, door, function) for function, door in doors.items()]

    async def items(self) -> ItemList:
        """What can be bought"""
        return ItemList(items=[ItemFacts.of(each) for each in await items.listed(self._parts.database)])

    async def client_token(self, person: Person, item: Id = "") -> ClientToken:
        """What the card form of the gateway needs to begin

        With the saved payment methods of this person, if there are any. ``item``: what is to be bought."""
        wanted = await self._item(item) if item else None
        account = (wanted.merchant_account if wanted else "") or self._desk.options.merchant_account
        token = await self._desk.flows.vault.client_token(person.payer, account)
        price, currency = (wanted.price.text, wanted.price.currency) if wanted else ("", "")
        return ClientToken(client_token=token, mode=self._desk.options.mode, price=price, currency=currency)

    async def process(self, person: Person, body: Purchase, key: Key = "") -> PaymentAnswer | Response:
        """Pay

        The amount is the price of the item; a nonce pays once, and the same request with the same ``Idempotency-Key`` is
        answered with what became of it the first time. 202 means that the outcome is not known yet: it follows on the realtime
        channel of this person, and until then the order cannot be paid again. A saved ``method`` for an ``item`` needs the
        ``Idempotency-Key``."""
        request = PayRequest(
            item=body.item,
            order=body.order,
            nonce=body.nonce,
            method=body.method,
            saves_method=body.save,
            device_data=body.device_data,
            key=key,
        )
        return answered(await self._desk.flows.checkout.pay(person.payer, request))

    async def _item(self, id: str) -> SaleItem:
        item = await items.find(self._parts.database, id)
        if item is None or not item.is_active:
            raise not_found("item", "This item is not for sale.")
        return item
