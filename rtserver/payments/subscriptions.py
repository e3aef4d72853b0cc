"""Subscriptions of people: what they are now, changing and ending them. Their state is what the gateway says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from rtserver.core.payments import BadAmount, Money, parse_money
from rtserver.core.ports import Transaction
from rtserver.payments import events, items, sightings, subscription_rows
from rtserver.payments.errors import GatewayAway, GatewayRefused, PaymentRefused
from rtserver.payments.parts import Parts, Payer
from rtserver.payments.records import GatewaySubscription, SaleItem
from rtserver.payments.requests import in_progress, not_found
from rtserver.payments.subscription_rows import CHECKING, OVER, Subscription, rank, word
from rtserver.payments.vault import Vault


@dataclass(frozen=True, slots=True)
class SubscriptionChange:
    """What is to be another one; "" stays. ``plan`` is that of an item on sale, whose price is taken with it; ``method`` the
    token of a saved method of the subscriber. ``price`` as in "10.00" is for staff only."""

    plan: str = ""
    method: str = ""
    price: str = ""


class Looked(NamedTuple):
    """``row`` None: it is no subscription of ours."""

    is_there: bool
    row: Subscription | None


class Subscriptions:
    """Each call raises ``PaymentRefused`` for what cannot be, ``GatewayAway`` when nothing can be learned from the gateway now,
    ``GatewayRefused`` when it says no, and ``StoreUnavailable``."""

    def __init__(self, parts: Parts, vault: Vault) -> None:
        self._parts = parts
        self._vault = vault

    async def listed(self, payer: Payer) -> Sequence[Subscription]:
        return await subscription_rows.listed(self._parts.database, payer.id)

    async def find(self, payer: Payer, id: str) -> Subscription:
        """One's own, or for staff that of anybody."""
        row = await subscription_rows.find(self._parts.database, id)
        if row is None or not (payer.is_staff or row.user_id == payer.id):
            raise not_found("subscription", "There is no such subscription.")
        return row

    async def look(self, id: str, item_id: str = "") -> Looked:
        """Read it at the gateway and write down what it is now. ``item_id``: the item that it is of from now on."""

        async def write(transaction: Transaction, seen: GatewaySubscription, seen_at: int) -> Looked:
            return Looked(True, await self._apply(transaction, seen, seen_at, item_id))

        looked = await sightings.read(self._parts, lambda: self._parts.gateway.subscription(id), write)
        return looked or Looked(False, await subscription_rows.find(self._parts.database, id))

    async def mark(self, id: str, status: str) -> None:
        """Write down what became of the request for it, unless more is known."""

        async def work(transaction: Transaction) -> None:
            row = await subscription_rows.find(transaction, id)
            if row is not None and rank(status) > rank(row.status):
                await self._move(transaction, replace(row, status=status), self._parts.now)

        await self._parts.database.transact(work)

    async def change(self, payer: Payer, id: str, asked: SubscriptionChange) -> Subscription:
        row = await self._changeable(payer, id)
        item, price = await self._priced(payer, row, asked)
        if asked.method:
            await self._vault.method(Payer(row.user_id), asked.method)
        wanted = replace(
            row,
            item_id=item.id if item else row.item_id,
            plan=asked.plan or row.plan,
            method=asked.method or row.method,
            price=price or row.price,
        )
        if wanted == row:
            return row
        try:
            await self._parts.gateway.change_subscription(id, wanted.plan, wanted.method, price)
        except GatewayAway:
            now = (await self.look(id, wanted.item_id)).row
            if now is None or (now.plan, now.method, now.price) != (wanted.plan, wanted.method, wanted.price):
                raise
            return now
        return await self._looked(wanted)

    async def cancel(self, payer: Payer, id: str) -> Subscription:
        """Twice is fine: the second time there is nothing to do."""
        row = await self.find(payer, id)
        if row.is_ended:
            return row
        if row.status == CHECKING:
            raise in_progress()
        try:
            await self._parts.gateway.cancel_subscription(id)
        except (GatewayAway, GatewayRefused):
            # An earlier request may have ended it, or time.
            now = (await self.look(id)).row
            if now is None or now.status not in OVER:
                raise
            return now
        return await self._looked(replace(row, status="canceled"))

    # Parts

    async def _changeable(self, payer: Payer, id: str) -> Subscription:
        row = await self.find(payer, id)
        if row.status == CHECKING:
            raise in_progress()
        if row.is_ended:
            sentence = "This subscription has ended: begin a new one."
            raise PaymentRefused("subscription_ended", sentence, "subscription", 409)
        return row

    async def _priced(
        self, payer: Payer, row: Subscription, asked: SubscriptionChange
    ) -> tuple[SaleItem | None, Money | None]:
        """The item and the price of what is asked for; None for what stays."""
        if asked.price and not payer.is_staff:
            raise PaymentRefused("not_staff", "Only staff may change the price of a subscription.", "price", 403)
        currency = row.price.currency
        item = None
        if asked.plan and asked.plan != row.plan:
            item = await self._item_of(asked.plan, currency)
        if not asked.price:
            return item, item.price if item else None
        try:
            price = parse_money(asked.price, currency)
        except BadAmount as error:
            raise PaymentRefused("bad_amount", f"This is no price: {error}.", "price", 422) from None
        return item, price

    async def _item_of(self, plan: str, currency: str) -> SaleItem:
        on_sale = await items.listed(self._parts.database)
        found = next((each for each in on_sale if each.plan == plan and each.price.currency == currency), None)
        if found is None:
            sentence = f"No item in {currency} with this plan is on sale: choose another plan."
            raise PaymentRefused("no_such_plan", sentence, "plan", 422)
        return found

    async def _looked(self, expected: Subscription) -> Subscription:
        """What it is after a change that the gateway has made. When it cannot be read now, what it must be."""
        try:
            now = (await self.look(expected.id, expected.item_id)).row
        except GatewayAway:
            now = None
        if now is not None:
            return now
        return await self._parts.database.transact(
            lambda transaction: self._move(transaction, expected, self._parts.now)
        )

    async def _apply(
        self, transaction: Transaction, seen: GatewaySubscription, seen_at: int, item_id: str
    ) -> Subscription | None:
        for each in seen.transactions:
            known = replace(each, subscription_id=each.subscription_id or seen.id)
            await sightings.put_foreign(self._parts, transaction, known)
        row = await subscription_rows.find(transaction, seen.id)
        if row is None:
            return None
        wanted = replace(
            row,
            item_id=item_id or row.item_id,
            plan=seen.plan,
            method=seen.method,
            status=word(seen.status),
            price=seen.price,
            paid_through=seen.paid_through or row.paid_through,
        )
        if wanted == row or rank(wanted.status) < rank(row.status):
            return row
        if seen_at < row.changed_at:
            raise sightings.Stale
        return await self._move(transaction, wanted, seen_at)

    async def _move(self, transaction: Transaction, wanted: Subscription, seen_at: int) -> Subscription:
        moved = await subscription_rows.move(transaction, wanted, seen_at)
        await tell(self._parts, transaction, moved)
        return moved


async def tell(parts: Parts, transaction: Transaction, row: Subscription) -> None:
    """Pages and applications, in the order of what happens to one subscription."""
    await events.put(parts, transaction, (f"subscription.{row.status}", row.user_id, row.id), row.record())
