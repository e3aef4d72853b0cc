"""The endpoints of payments on a fresh database, with a gateway that does as it is told, and browsers that are signed in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtserver.app.given import User
from rtserver.app.routes import Routes
from rtserver.payments import items
from rtserver.payments.calls import Calls
from rtserver.payments.changes import Changes
from rtserver.payments.checkout import Checkout
from rtserver.payments.currencies import Currencies
from rtserver.payments.errors import GatewayRefused
from rtserver.payments.ledger import Ledger
from rtserver.payments.options import PaymentsOptions
from rtserver.payments.parts import Parts, Payer
from rtserver.payments.records import SavedMethod
from rtserver.payments.report import Difference, Finding, Report
from rtserver.payments.subscription_rows import Subscription
from rtserver.payments.vault import Vault
from rtserver.services import outbox
from rtserver.web.api_http import ApiAccess, ApiKey
from rtserver.web.endpoints import EndpointsResource, Surroundings, TwistedIncoming
from rtserver.web.payments import (
    Desk,
    Flows,
    PaymentPages,
    payment_backend_endpoints,
    payment_endpoints,
    payment_givers,
)
from tests.api_house import no_threads
from tests.line import Answer, Port
from tests.payments.fake_gateway import FakeGateway
from tests.payments.shop import BOOK, CLUB, OLD, ROOM
from tests.web.accounts.house import Browser, WebHouse, web_house

OPTIONS = PaymentsOptions(enabled=True)
API_KEY = "the key of the API"
VISA = SavedMethod("m1", "card", "Visa", "1881", "12/2030", True)
CLUBBED = Subscription("s1", "u1", "club", "monthly", "m1", "active", CLUB.price, "2030-12-31", 1, 2)
DISPUTE = {
    "dispute": "d1",
    "order": "o1",
    "transaction": "t1",
    "state": "open",
    "amount": "10.00",
    "currency": "USD",
    "reason": "fraud",
    "reply_by": "2030-01-01",
}
PAGES = PaymentPages()


class Gateway(FakeGateway):
    async def client_token(self, customer_id: str, merchant_account: str) -> str:
        self._check()
        return f"token of {customer_id or 'nobody'} at {merchant_account or 'the default'}"


class Customers:
    async def customer(self, payer: Payer) -> str:
        return f"c-{payer.id}"

    async def refresh(self, user_id: str) -> None:
        """There is nothing to refresh."""


class Recorder:
    """A flow that writes down what it is asked, and answers what it was told: a value, or an error."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        async def ask(*arguments: Any) -> Any:
            self.asked.append((name, arguments))
            answer = self.answers[name]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask


class Webhooks(Recorder):
    def challenge(self, text: str) -> str:
        if text != "good":
            raise GatewayRefused("bad_challenge", "This is no challenge.")
        return "public_key|abc"


class Vaulted(Recorder):
    """Client tokens come from the vault as it is."""

    def __init__(self, parts: Parts, **answers: Any) -> None:
        super().__init__(**answers)
        self.client_token = Vault(parts).client_token


class Till:
    """``vault``, ``subscriptions``, ``subscribing``, ``disputes``, ``webhooks`` and ``reports`` only record."""

    def __init__(self, web: WebHouse, options: PaymentsOptions = OPTIONS, pages: PaymentPages = PAGES) -> None:
        self.web = web
        self.house = web.house
        self.gateway = Gateway(lambda: self.house.unix)
        self.parts = Parts(
            database=self.house.database,
            gateway=self.gateway,  # type: ignore[arg-type]  # what is about money
            options=options,
            reactor=web.clock,
            unix=lambda: self.house.unix,
            token=self.house.token,
            new_id=self.house.parts.new_id,
            key=b"k" * 32,
            publish=outbox.put,
        )
        self.vault = Vaulted(self.parts, methods=[VISA], save=VISA, choose=VISA, delete=None)
        self.subscriptions = Recorder(listed=[CLUBBED], change=CLUBBED, cancel=replace(CLUBBED, status="canceled"))
        self.subscribing = Recorder()
        self.disputes = Recorder(listed=[DISPUTE], refresh=None, accept=DISPUTE, add_evidence=DISPUTE, finalize=DISPUTE)
        self.webhooks = Webhooks(receive=True)
        self.reports = Recorder(reconcile=report())
        self.calls = Calls(self.parts, Ledger(self.parts))
        flows: Any = Flows(
            Checkout(self.parts, self.calls, Customers()),
            Changes(self.parts, self.calls),
            *(self.vault, self.subscriptions, self.subscribing, self.disputes, self.webhooks, self.reports),  # type: ignore[arg-type]
            Currencies(self.parts),
        )
        self.desk = Desk(web.desk, self.parts, flows, pages)
        givers = {
            **web.givers,
            **payment_givers(self.desk),
            User: self.bearer,
            ApiKey: ApiAccess(API_KEY).admit,
        }
        around = Surroundings(web.clock, web.log, no_threads, lambda origin: False, givers)
        self.own = [*payment_endpoints(self.desk), *payment_backend_endpoints(self.desk)]
        web.resource = EndpointsResource(Routes([*web.endpoints, *self.own]), around)
        web.port = Port(web.clock, {"/*": web.resource})

    def bearer(self, incoming: TwistedIncoming) -> User | None:
        """The token is the id of the user."""
        kind, _, token = (incoming.header("authorization") or [""])[0].partition(" ")
        return User(token) if kind == "Bearer" and token else None

    async def open(self) -> Till:
        for item in (BOOK, ROOM, OLD, CLUB):
            await items.save(self.parts.database, item, self.parts.now)
        return self

    async def ada(self) -> Browser:
        return await self.signed_in("ada")

    async def keeper(self) -> Browser:
        """Somebody of the staff."""
        return await self.signed_in("keeper", is_staff=True)

    async def signed_in(self, name: str, *, is_staff: bool = False) -> Browser:
        account = await self.web.person(name)
        await self.parts.database.run("update rt_users set is_staff = ? where id = ?", (is_staff, account.id))
        return await self.web.browser().sign_in(name)

    async def settle(self, order: str) -> None:
        """As the gateway does at night."""
        (rows,) = await self.parts.database.run("select id from rt_pay_transactions where order_id = ?", (order,))
        await self.calls.observe(self.gateway.set_status(rows[0], "settled"))


def report() -> Report:
    made = Report(1_800_000_000_000, 1_800_086_400_000, here=2, there=1)
    made.sums["USD"] = 1000
    made.add(Finding(Difference.MISSING_THERE, "t9", "o9", "10.00 USD", ""))
    return made


async def pay(browser: Browser, body: dict[str, Any] | None = None, **headers: str) -> Answer:
    return await browser.post("/payment/process/", body or {"item": "book", "nonce": "a nonce"}, **headers)


def codes(answer: Answer) -> Sequence[tuple[str, list[str]]]:
    """Code and place of each mistake."""
    return [(each["type"], each["loc"]) for each in answer.json["detail"]]


@asynccontextmanager
async def till_in(folder: Path, options: PaymentsOptions = OPTIONS, pages: PaymentPages = PAGES) -> AsyncIterator[Till]:
    async with web_house(folder) as web:
        yield await Till(web, options, pages).open()


__all__ = ["API_KEY", "Browser", "Till", "codes", "json", "pay", "till_in"]
