"""The shop with everything around the sale: a vault, subscriptions, disputes, webhooks and reports."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from rtserver.core.payments import Money
from rtserver.core.ports import Database
from rtserver.payments import items, subscription_rows
from rtserver.payments.checkout import Checkout
from rtserver.payments.disputes import Disputes
from rtserver.payments.parts import Payer
from rtserver.payments.reconciler import Reconciler
from rtserver.payments.records import SaleItem
from rtserver.payments.reports import Reports
from rtserver.payments.subscribing import SubscribeRequest, Subscribing, SubscriptionAnswer
from rtserver.payments.subscription_rows import Subscription
from rtserver.payments.subscriptions import Subscriptions
from rtserver.payments.vault import Vault
from rtserver.payments.webhooks import Webhooks
from tests.payments.fake_vault import FakeVault
from tests.payments.shop import ADA, Shop

GOLD = SaleItem("gold", "A better membership", "", Money(1900, "USD"), "", "golden", is_held=False, is_active=True)

MarketCheck = Callable[["Market"], Awaitable[None]]


class Market(Shop):
    gateway: FakeVault

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.gateway = FakeVault(self.unix)
        self.parts = replace(self.parts, gateway=self.gateway)  # type: ignore[arg-type]  # no client tokens
        self.restart()

    def restart(self) -> None:
        super().restart()
        self.vault = Vault(self.parts)
        self.checkout = Checkout(self.parts, self.calls, self.vault)
        self.subscriptions = Subscriptions(self.parts, self.vault)
        self.subscribing = Subscribing(self.parts, self.calls, self.vault, self.subscriptions)
        self.reconciler = Reconciler(self.parts, self.calls, self.subscribing.looks)
        self.disputes = Disputes(self.parts, self.calls)
        self.webhooks = Webhooks(self.parts, self.calls, self.subscriptions, self.disputes)
        self.reports = Reports(self.parts, self.calls)

    async def open(self) -> Market:
        await super().open()
        await items.save(self.database, GOLD, self.parts.now)
        return self

    # Subscribers

    async def subscribe(self, payer: Payer = ADA, **asked: Any) -> SubscriptionAnswer:
        """To the club with a nonce of its own, unless said otherwise."""
        if not (asked.get("nonce") or asked.get("method")):
            asked["nonce"] = f"nonce-{next(self._numbers)}"
        return await self.subscribing.subscribe(payer, SubscribeRequest(**{"item": "club", **asked}))

    def subscribing_now(self, payer: Payer = ADA, **asked: Any) -> Deferred[SubscriptionAnswer]:
        return Deferred.fromCoroutine(self.subscribe(payer, **asked))

    async def subscribed(self, payer: Payer = ADA, **asked: Any) -> Subscription:
        answer = await self.subscribe(payer, **asked)
        assert answer.result == "done", answer
        return await self.subscription(answer)

    async def subscription(self, of: SubscriptionAnswer | str) -> Subscription:
        id = of if isinstance(of, str) else of.order["subscription"]
        found = await subscription_rows.find(self.database, id)
        assert found is not None
        return found

    # The gateway tells

    async def tell(self, kind: str, id: str, at: int = 0) -> bool:
        return await self.webhooks.receive(*self.gateway.webhook(kind, id, at))

    async def told(self, kind: str, id: str, at: int = 0) -> None:
        await self.tell(kind, id, at)
        await self.work()

    async def work(self) -> None:
        """Everything that is due of the webhooks."""
        while await self.webhooks.round() == 0:
            pass
        await self.quiet()

    async def webhook_states(self) -> list[str]:
        rows = await self.database.run("select state from rt_pay_webhooks order by received_at, sha256")
        return [state for (state,) in rows]

    # What is stored

    async def staff_news(self) -> list[dict[str, Any]]:
        rows = await self.database.run("select data from rt_outbox where channel = 'staff:payments' order by id")
        return [json.loads(data) for (data,) in rows]

    async def everything(self) -> str:
        tables = ("customers", "methods", "subscriptions", "disputes", "webhooks")
        return await super().everything() + repr([await self.rows(f"rt_pay_{each}") for each in tables])

    async def open_attempts(self) -> int:
        rows = await self.database.run("select count(*) from rt_pay_attempts where state in ('sending', 'unknown')")
        return int(rows[0][0])
