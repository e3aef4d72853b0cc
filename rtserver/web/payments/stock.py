"""What can be bought, as staff sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtserver.app.endpoint import Endpoint
from rtserver.core.payments import BadAmount, Money, parse_money
from rtserver.payments import items
from rtserver.payments.errors import PaymentRefused
from rtserver.payments.records import SaleItem
from rtserver.web.payments.bodies import StaffItem, StaffItemFacts, StaffItemList
from rtserver.web.payments.desk import Desk
from rtserver.web.payments.endpoint import Door, PaymentEndpoint
from rtserver.web.payments.people import Staff


class Stock:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._parts = desk.parts

    def endpoints(self) -> list[Endpoint]:
        doors: dict[Callable[..., Any], Door] = {
            self.all_items: Door("GET", "/payment/staff/items", (401, 403)),
            self.save: Door("POST", "/payment/staff/items", (401, 422), asks_gateway=True),
        }
        return [PaymentEndpoint(self._desk, door, function) for function, door in doors.items()]

    async def all_items(self, staff: Staff) -> StaffItemList:
        """Staff: everything that can be bought, or could be"""
        found = await items.listed(self._parts.database, only_active=False)
        return StaffItemList(items=[StaffItemFacts.of(each) for each in found])

    async def save(self, staff: Staff, body: StaffItem) -> StaffItemFacts:
        """Staff: make an item, or change it

        Orders keep the price that they were made with. Its currency must be that of its merchant account."""
        item = SaleItem(
            id=body.id,
            name=body.name,
            description=body.description,
            price=_price(body),
            merchant_account=body.merchant_account,
            plan=body.plan,
            is_held=body.is_held,
            is_active=body.is_active,
        )
        await self._desk.flows.currencies.check(item)
        await items.save(self._parts.database, item, self._parts.now)
        return StaffItemFacts.of(item)


def _price(body: StaffItem) -> Money:
    try:
        price = parse_money(body.price, body.currency)
    except BadAmount as error:
        raise PaymentRefused("bad_amount", f"This is no price: {error}.", "price", 422) from None
    if price.minor == 0:
        raise PaymentRefused("bad_amount", "The price is nothing: give one above 0.", "price", 422)
    return price
