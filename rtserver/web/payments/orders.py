"""Orders: those of a person, and what staff does to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from rtserver.app.endpoint import Endpoint, Response
from rtserver.payments import orders
from rtserver.payments.answers import records_of
from rtserver.payments.records import Order, OrderState
from rtserver.payments.requests import not_found
from rtserver.web.payments.bodies import (
    Id,
    NewOrder,
    OrderFacts,
    OrderList,
    PaymentAnswer,
    RefundOrder,
    SettleOrder,
    StaffOrder,
    StaffOrderList,
)
from rtserver.web.payments.desk import Desk
from rtserver.web.payments.endpoint import Door, Key, PaymentEndpoint, answered
from rtserver.web.payments.people import Person, Staff

Before = Annotated[int, Field(ge=0, le=10**14)]
"""Milliseconds since 1970; 0: now."""
Limit = Annotated[int, Field(ge=1, le=orders.MOST)]

CHANGED = (202, 401, 402, 404, 409, 422)


class Orders:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._database = desk.parts.database
        self._changes = desk.flows.changes

    def endpoints(self) -> list[Endpoint]:
        def change(word: str) -> Door:
            path, done = f"/payment/orders/{{id}}/{word}", {200: "It is done"}
            return Door("POST", path, CHANGED, asks_gateway=True, meanings=done, outcome=PaymentAnswer)

        doors: dict[Callable[..., Any], Door] = {
            self.start: Door("POST", "/payment/orders", (401, 404, 409, 422)),
            self.orders: Door("GET", "/payment/orders", (401,)),
            self.order: Door("GET", "/payment/orders/{id}", (401, 404)),
            self.settle: change("settle"),
            self.void: change("void"),
            self.refund: change("refund"),
            self.reverse: change("reverse"),
            self.all_orders: Door("GET", "/payment/staff/orders", (401, 403)),
        }
        return [PaymentEndpoint(self._desk, door, function) for function, door in doors.items()]

    # Of a person

    async def start(self, person: Person, body: NewOrder, key: Key = "") -> OrderFacts:
        """Make an order, to be paid then

        It keeps the price that the item has now."""
        order = await self._desk.flows.checkout.start_order(person.payer, body.item, key)
        return OrderFacts(**await self._record(order))

    async def orders(self, person: Person, before: Before = 0, limit: Limit = 50) -> OrderList:
        """One's own orders

        The latest first; ``before``: only those that were made before this time (``created_at`` of the last one)."""
        found = await orders.listed(self._database, user_id=person.payer.id, before=before, limit=limit)
        return OrderList(orders=[OrderFacts(**each) for each in await records_of(self._database, found)])

    async def order(self, person: Person, id: str) -> OrderFacts:
        """One of one's own orders

        Staff may see any."""
        order = await orders.find(self._database, id)
        if order is None or (order.user_id != person.payer.id and not person.payer.is_staff):
            raise not_found("order", "There is no such order.")
        return OrderFacts(**await self._record(order))

    # Staff

    async def settle(
        self,
        staff: Staff,
        id: str,
        body: SettleOrder = SettleOrder(),  # noqa: B008
        key: Key = "",
    ) -> PaymentAnswer | Response:
        """Staff: take the money that is held

        All of it or a part. What is not taken is released, unless ``more`` is to follow."""
        return answered(await self._changes.settle(staff.payer, id, body.amount, body.more, key))

    async def void(self, staff: Staff, id: str, key: Key = "") -> PaymentAnswer | Response:
        """Staff: release what is held or not settled yet"""
        return answered(await self._changes.void(staff.payer, id, key))

    async def refund(
        self,
        staff: Staff,
        id: str,
        body: RefundOrder = RefundOrder(),  # noqa: B008
        key: Key = "",
    ) -> PaymentAnswer | Response:
        """Staff: give back what was settled

        All of it or a part, never more than is left."""
        return answered(await self._changes.refund(staff.payer, id, body.amount, key))

    async def reverse(self, staff: Staff, id: str, key: Key = "") -> PaymentAnswer | Response:
        """Staff: undo a payment, however far it is

        It is released if it was not settled yet, and given back if it was."""
        return answered(await self._changes.reverse(staff.payer, id, key))

    async def all_orders(
        self, staff: Staff, state: OrderState | None = None, user: Id = "", before: Before = 0, limit: Limit = 50
    ) -> StaffOrderList:
        """Staff: orders of everybody

        The latest first; of one state or of one person's id, if they are given."""
        found = await orders.listed(self._database, user_id=user, state=state, before=before, limit=limit)
        records = await records_of(self._database, found)
        pairs = zip(records, found, strict=True)
        return StaffOrderList(orders=[StaffOrder(**record, user=order.user_id) for record, order in pairs])

    async def _record(self, order: Order) -> dict[str, Any]:
        (record,) = await records_of(self._database, [order])
        return record
