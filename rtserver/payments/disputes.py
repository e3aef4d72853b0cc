"""Disputes: a payer asked the bank for the money back. An order that is disputed says so, until the dispute is won."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

from rtserver.core.ports import Transaction
from rtserver.core.rows import Runs
from rtserver.payments import dispute_rows, events, orders, sightings, subscription_rows, transactions
from rtserver.payments.calls import Calls
from rtserver.payments.dispute_rows import rank
from rtserver.payments.errors import GatewayAway, GatewayRefused, PaymentRefused
from rtserver.payments.parts import Parts, Payer
from rtserver.payments.records import Attempt, GatewayDispute
from rtserver.payments.requests import not_found
from rtserver.payments.subscription_rows import word

LONGEST_EVIDENCE = 50_000
"""Characters of a text; Braintree takes no more (its code 95708)."""


class Disputes:
    """For staff. Each call raises ``PaymentRefused`` for what cannot be, ``GatewayAway`` when nothing can be learned from the
    gateway now, ``GatewayRefused`` when it says no, and ``StoreUnavailable``."""

    def __init__(self, parts: Parts, calls: Calls) -> None:
        self._parts = parts
        self._calls = calls

    async def listed(self, payer: Payer, is_open: bool = False) -> list[dict[str, Any]]:
        """Records, the latest first."""
        _check_staff(payer)
        found = await dispute_rows.listed(self._parts.database, is_open)
        return [dispute_rows.record(dispute, order_id) for dispute, order_id in found]

    async def refresh(self, payer: Payer) -> None:
        """Ask the gateway for all that are open: a webhook may have been lost."""
        _check_staff(payer)
        for each in await self._parts.gateway.disputes(True):
            await self.look(each.id)

    async def accept(self, payer: Payer, id: str) -> dict[str, Any]:
        """Give the money back. Twice is fine."""
        _check_staff(payer)
        await self._known(id)
        return await self._done(id, self._parts.gateway.accept_dispute(id), ("accepted", "auto_accepted"))

    async def add_evidence(self, payer: Payer, id: str, text: str) -> dict[str, Any]:
        """A text that the bank reads after ``finalize``."""
        _check_staff(payer)
        if not text.strip() or len(text) > LONGEST_EVIDENCE:
            sentence = f"Evidence is a text of 1 to {LONGEST_EVIDENCE} characters."
            raise PaymentRefused("bad_evidence", sentence, "text", 422)
        await self._known(id)
        await self._parts.gateway.add_evidence(id, text)
        return await self._record(id)

    async def finalize(self, payer: Payer, id: str) -> dict[str, Any]:
        """Send the evidence to the bank. Twice is fine."""
        _check_staff(payer)
        await self._known(id)
        return await self._done(
            id, self._parts.gateway.finalize_dispute(id), ("disputed", "under_review", "won", "lost")
        )

    async def look(self, id: str) -> bool:
        """Read it at the gateway and write down what it is now. False: there is none."""

        async def read() -> GatewayDispute | None:
            seen = await self._parts.gateway.dispute(id)
            if seen is not None:
                await self._know(seen.transaction_id)
            return seen

        async def write(transaction: Transaction, seen: GatewayDispute, seen_at: int) -> tuple[Attempt, ...]:
            return await self._apply(transaction, replace(seen, status=word(seen.status)), seen_at)

        follow = await sightings.read(self._parts, read, write)
        for each in follow or ():
            self._calls.start(each)
        return follow is not None

    # Parts

    async def _known(self, id: str) -> None:
        if await dispute_rows.find(self._parts.database, id) is None:
            raise not_found("dispute", "There is no such dispute.")

    async def _done(self, id: str, call: Awaitable[None], ends: tuple[str, ...]) -> dict[str, Any]:
        """``ends``: what it may be after the call, also when this was done before."""
        try:
            await call
        except (GatewayAway, GatewayRefused):
            await self.look(id)
            record = await self._record(id)
            if record["state"] not in ends:
                raise
            return record
        await self.look(id)
        return await self._record(id)

    async def _record(self, id: str) -> dict[str, Any]:
        found = await dispute_rows.find(self._parts.database, id)
        if found is None:
            raise not_found("dispute", "There is no such dispute.")
        order_id, _ = await self._whose(self._parts.database, found[0].transaction_id)
        return dispute_rows.record(found[0], order_id)

    async def _know(self, transaction_id: str) -> None:
        """The transaction that a dispute is about may be one that we have not heard of."""
        if await transactions.find(self._parts.database, transaction_id) is None:
            seen = await self._parts.gateway.transaction(transaction_id)
            if seen is not None:
                await sightings.put(self._parts, self._calls, seen)

    async def _apply(self, transaction: Transaction, seen: GatewayDispute, seen_at: int) -> tuple[Attempt, ...]:
        """Returns what is to be called after the commit."""
        known = await dispute_rows.find(transaction, seen.id)
        if known is not None:
            before, changed_at = known
            if before == seen or rank(seen.status) < rank(before.status):
                return ()
            if seen_at < changed_at:
                raise sightings.Stale
        await dispute_rows.put(transaction, seen, seen_at)
        order_id, user_id = await self._whose(transaction, seen.transaction_id)
        record = dispute_rows.record(seen, order_id)
        await events.put(self._parts, transaction, (f"dispute.{seen.status}", user_id, order_id), record)
        if not order_id:
            return ()
        is_disputed = await dispute_rows.is_disputed(transaction, order_id)
        return (await self._calls.ledger.restate(transaction, order_id, is_disputed)).follow

    async def _whose(self, runs: Runs, transaction_id: str) -> tuple[str, str]:
        """The order and the person, "" for none."""
        paid = await transactions.find(runs, transaction_id)
        order = await orders.find(runs, paid.order_id) if paid is not None else None
        if order is not None:
            return order.id, order.user_id
        id = await sightings.subscription_of(runs, transaction_id)
        charged = await subscription_rows.find(runs, id)
        return "", charged.user_id if charged is not None else ""


def _check_staff(payer: Payer) -> None:
    if not payer.is_staff:
        raise PaymentRefused("not_staff", "Only staff may do this.", status=403)
