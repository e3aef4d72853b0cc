"""A shop on a fresh database: two people, a few items, a gateway that does as it is told, and a clock that tests move."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from rtserver.core.payments import Money
from rtserver.core.ports import Database, Row
from rtserver.payments import attempts, items, orders
from rtserver.payments.answers import Answer
from rtserver.payments.calls import Calls
from rtserver.payments.changes import Changes
from rtserver.payments.checkout import Checkout
from rtserver.payments.errors import PaymentRefused
from rtserver.payments.ledger import Ledger
from rtserver.payments.options import PaymentsOptions
from rtserver.payments.parts import Parts, Payer
from rtserver.payments.reconciler import Reconciler
from rtserver.payments.records import Attempt, Order, SaleItem
from rtserver.payments.requests import PayRequest
from rtserver.services import outbox
from tests.payments.fake_gateway import FakeGateway

START = 1_800_000_000.0

ADA = Payer("u-ada", "ada@example.org", "Ada")
BOB = Payer("u-bob", "bob@example.org", "Bob")
KEEPER = Payer("u-keeper", "keeper@example.org", "Keeper", is_staff=True)

BOOK = SaleItem("book", "A book", "Paper", Money(1000, "USD"), "", "", is_held=False, is_active=True)
ROOM = SaleItem("room", "A room", "", Money(9000, "EUR"), "hotel", "", is_held=True, is_active=True)
OLD = SaleItem("old", "Sold out", "", Money(500, "USD"), "", "", is_held=False, is_active=False)
CLUB = SaleItem("club", "A membership", "", Money(700, "USD"), "", "monthly", is_held=False, is_active=True)

Check = Callable[["Shop"], Awaitable[None]]


class FakeCustomers:
    def __init__(self) -> None:
        self.refreshed: list[str] = []

    async def customer(self, payer: Payer) -> str:
        return f"c-{payer.id}"

    async def refresh(self, user_id: str) -> None:
        self.refreshed.append(user_id)


class Shop:
    """``restart`` is what a server has after it was killed: the tables, and nothing else."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = Clock()
        self.clock_is_behind = 0.0
        """Seconds that the clock on the wall was set back."""
        self.gateway = FakeGateway(self.unix)
        self.customers = FakeCustomers()
        self._numbers = itertools.count(1)
        self.parts = Parts(
            database=database,
            gateway=self.gateway,  # type: ignore[arg-type]  # what is about money
            options=PaymentsOptions(enabled=True, descriptor_name="SHOP*BOOKS"),
            reactor=self.clock,
            unix=self.unix,
            token=lambda size: f"{next(self._numbers):0{size}d}",
            new_id=lambda: f"id{next(self._numbers)}",
            key=b"k" * 32,
            publish=outbox.put,
        )
        self.restart()

    def restart(self) -> None:
        self.calls = Calls(self.parts, Ledger(self.parts))
        self.checkout = Checkout(self.parts, self.calls, self.customers)
        self.changes = Changes(self.parts, self.calls)
        self.reconciler = Reconciler(self.parts, self.calls)

    def unix(self) -> float:
        return START + self.clock.seconds() - self.clock_is_behind

    async def open(self) -> Shop:
        for payer in (ADA, BOB, KEEPER):
            values = (payer.id, payer.name, payer.name.lower(), payer.email, payer.email, payer.is_staff, 0)
            await self.database.run(
                "insert into rt_users (id, username, username_norm, email, email_norm, is_staff, created_at) "
                "values (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
        for item in (BOOK, ROOM, OLD, CLUB):
            await items.save(self.database, item, self.parts.now)
        return self

    # Payers

    async def pay(self, payer: Payer = ADA, **request: Any) -> Answer:
        """A book with a nonce of its own, unless said otherwise."""
        if not (request.get("item") or request.get("order")):
            request["item"] = "book"
        if not (request.get("nonce") or request.get("method")):
            request["nonce"] = f"nonce-{next(self._numbers)}"
        return await self.checkout.pay(payer, PayRequest(**request))

    def paying(self, payer: Payer = ADA, **request: Any) -> Deferred[Answer]:
        """As ``pay``, under way."""
        return Deferred.fromCoroutine(self.pay(payer, **request))

    async def paid(self, **request: Any) -> Order:
        answer = await self.pay(**request)
        assert answer.result == "done", answer
        return await self.order(answer)

    async def settled(self, **request: Any) -> Order:
        order = await self.paid(**request)
        for id in [each.id for each in self.gateway.charged()]:
            await self.calls.observe(self.gateway.set_status(id, "settled"))
        return await self.order(order.id)

    # What is stored

    async def order(self, of: Answer | str) -> Order:
        found = await orders.find(self.database, of if isinstance(of, str) else of.order["order"])
        assert found is not None
        return found

    async def attempts(self, of: Answer | Order | str) -> list[Attempt]:
        id = of if isinstance(of, str) else of.id if isinstance(of, Order) else of.order["order"]
        return await attempts.of_order(self.database, id)

    async def rows(self, table: str) -> list[Row]:
        return await self.database.run(f"select * from {table}")

    async def news(self, user: str = ADA.id) -> list[str]:
        """What was said on the channel of this person, by kind, in order."""
        rows = await self.database.run("select data from rt_outbox where channel = ? order by id", (f"user:{user}",))
        return [json.loads(data)["kind"] for (data,) in rows]

    async def everything(self) -> str:
        tables = ("rt_pay_orders", "rt_pay_attempts", "rt_pay_transactions", "rt_pay_events", "rt_outbox")
        return repr([await self.rows(table) for table in tables])

    # Time

    async def until(self, condition: Callable[[], bool]) -> None:
        """Turns of the real reactor, until something is so: the database works in a thread or a process."""
        while not condition():
            await self.turn()

    async def turn(self) -> None:
        await deferLater(reactor, 0.001)  # type: ignore[arg-type]  # the reactor is chosen at run time

    async def quiet(self) -> None:
        """Until every call of this process is written down."""
        await self.until(lambda: not self.calls.under_way)

    async def later(self, seconds: float) -> None:
        """Time passes, and the reconciler looks, as often as it is due."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.clock.advance(min(5.0, end - self.clock.seconds()))
            while await self.reconciler.round() == 0:
                pass
            await self.quiet()


async def refusal(work: Awaitable[Any]) -> PaymentRefused:
    try:
        await work
    except PaymentRefused as error:
        return error
    raise AssertionError("it was not refused")


def checks_of(names: dict[str, Any]) -> list[Check]:
    """The checks among the names of a module."""
    return [check for name, check in sorted(names.items()) if name.startswith("check_")]


def changed(item: SaleItem, **changes: Any) -> SaleItem:
    return replace(item, **changes)
