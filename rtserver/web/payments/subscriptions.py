"""The subscriptions of a person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtserver.app.endpoint import Endpoint, Response
from rtserver.payments.subscribing import SubscribeRequest
from rtserver.payments.subscriptions import SubscriptionChange
from rtserver.web.payments.bodies import (
    ChangeSubscription,
    Subscribe,
    SubscriptionAnswer,
    SubscriptionFacts,
    SubscriptionList,
)
from rtserver.web.payments.desk import Desk
from rtserver.web.payments.endpoint import Door, Key, PaymentEndpoint, answered
from rtserver.web.payments.people import Person


class Subscriptions:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._flow = desk.flows.subscriptions
        self._subscribing = desk.flows.subscribing

    def endpoints(self) -> list[Endpoint]:
        whole, one = "/payment/subscriptions", "/payment/subscriptions/{id}"

        def charge(path: str) -> Door:
            others, done = (202, 401, 402, 404, 409, 422), {200: "It is done"}
            return Door("POST", path, others, asks_gateway=True, meanings=done, outcome=SubscriptionAnswer)

        doors: dict[Callable[..., Any], Door] = {
            self.subscriptions: Door("GET", whole, (401,)),
            self.subscribe: charge(whole),
            self.change: Door("POST", one, (401, 404, 409, 422), asks_gateway=True),
            self.cancel: Door("POST", f"{one}/cancel", (401, 404, 409, 422), asks_gateway=True),
            self.retry: charge(f"{one}/retry"),
        }
        return [PaymentEndpoint(self._desk, door, function) for function, door in doors.items()]

    async def subscriptions(self, person: Person) -> SubscriptionList:
        """One's own subscriptions

        The latest first."""
        found = await self._flow.listed(person.payer)
        return SubscriptionList(subscriptions=[SubscriptionFacts(**each.record()) for each in found])

    async def subscribe(self, person: Person, body: Subscribe, key: Key = "") -> SubscriptionAnswer | Response:
        """Begin a subscription

        To an item with a plan, one at a time for a person and an item. The same request with the same ``Idempotency-Key`` (or
        the same nonce) is done once."""
        request = SubscribeRequest(item=body.item, nonce=body.nonce, method=body.method, key=key)
        return answered(await self._subscribing.subscribe(person.payer, request))

    async def change(self, person: Person, id: str, body: ChangeSubscription) -> SubscriptionFacts:
        """Change a subscription

        To another plan, or to be paid by another saved method. Staff may change those of everybody, and the price."""
        change = SubscriptionChange(body.plan, body.method, body.price)
        return SubscriptionFacts(**(await self._flow.change(person.payer, id, change)).record())

    async def cancel(self, person: Person, id: str) -> SubscriptionFacts:
        """End a subscription

        Nothing is charged any more. Twice is fine."""
        return SubscriptionFacts(**(await self._flow.cancel(person.payer, id)).record())

    async def retry(self, person: Person, id: str, key: Key = "") -> SubscriptionAnswer | Response:
        """Pay what is past due, now"""
        return answered(await self._subscribing.retry(person.payer, id, key))
