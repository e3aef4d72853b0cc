"""The payment methods that a person has saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtserver.app.endpoint import Endpoint
from rtserver.web.payments.bodies import Done, MethodFacts, MethodList, NewMethod
from rtserver.web.payments.desk import Desk
from rtserver.web.payments.endpoint import Door, Key, PaymentEndpoint
from rtserver.web.payments.people import Person


class Methods:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._vault = desk.flows.vault

    def endpoints(self) -> list[Endpoint]:
        one = "/payment/methods/{token}"
        doors: dict[Callable[..., Any], Door] = {
            self.methods: Door("GET", "/payment/methods", (401,), asks_gateway=True),
            self.save: Door("POST", "/payment/methods", (401, 409, 422), asks_gateway=True),
            self.choose: Door("POST", f"{one}/default", (401, 404, 422), asks_gateway=True),
            self.delete: Door("DELETE", one, (401, 404, 409, 422), asks_gateway=True),
        }
        return [PaymentEndpoint(self._desk, door, function) for function, door in doors.items()]

    async def methods(self, person: Person) -> MethodList:
        """One's saved payment methods

        The default one first."""
        return MethodList(methods=[MethodFacts.of(each) for each in await self._vault.methods(person.payer)])

    async def save(self, person: Person, body: NewMethod, key: Key = "") -> MethodFacts:
        """Save a payment method

        Nothing is charged. A nonce is saved once for each ``Idempotency-Key`` (and once without), however often this is
        sent."""
        return MethodFacts.of(await self._vault.save(person.payer, body.nonce, body.default, key))

    async def choose(self, person: Person, token: str) -> MethodFacts:
        """Make one of them the default"""
        return MethodFacts.of(await self._vault.choose(person.payer, token))

    async def delete(self, person: Person, token: str) -> Done:
        """Delete one of them

        One that pays a subscription stays."""
        await self._vault.delete(person.payer, token)
        return Done()
