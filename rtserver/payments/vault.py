"""People and their payment methods in the gateway's vault.

Customers and methods have ids of ours, made from secrets that nobody can guess: when an answer is lost, the same is asked for
again and nothing is made twice. Whose a method is, only our own rows say.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.logger import Logger

from rtserver.core.errors import Conflict
from rtserver.core.ports import Transaction
from rtserver.payments import customers, methods, subscription_rows
from rtserver.payments.errors import GatewayAway, GatewayBusy, GatewayRefused, PaymentRefused
from rtserver.payments.methods import KeptMethod
from rtserver.payments.parts import Parts, Payer
from rtserver.payments.records import SavedMethod
from rtserver.payments.requests import LONGEST_NONCE, check_key, in_progress, not_found
from rtserver.payments.rows import keyed

_log = Logger()

ID = 32
"""Characters of the ids that are made here. Braintree takes 36 (its codes 91612 and 91720)."""
UNREAD = "whether a payment method was saved cannot be learned now: {why}"
NO_CUSTOMER = "91705"
"""Braintree's code for a customer that is not there."""
MOST_METHODS = 20
"""Saved methods of one person."""


class Vault:
    """Implements ``parts.Customers``. Each call raises ``PaymentRefused`` for what cannot be, ``GatewayAway`` when nothing can
    be learned from the gateway now, ``GatewayRefused`` when it says no, and ``StoreUnavailable``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # Customers

    async def customer(self, payer: Payer) -> str:
        """The id of this person's customer; made at the gateway when there is none."""
        known = await customers.find(self._parts.database, payer.id)
        if known:
            return known
        made = keyed(self._parts.key, "customer", payer.id)[:ID]
        await self._parts.gateway.make_customer(made, payer.email, payer.name)
        await customers.keep(self._parts.database, payer.id, made, self._parts.now)
        return made

    async def client_token(self, payer: Payer, account: str) -> str:
        """What the card form begins with, with this person's methods if there are any; ``account`` "" is the default one."""
        customer_id = await customers.find(self._parts.database, payer.id)
        try:
            return await self._parts.gateway.client_token(customer_id, account)
        except GatewayRefused as error:
            if not customer_id:
                raise
            await self._make_again(payer, customer_id, error)
            return await self._parts.gateway.client_token(customer_id, account)

    async def refresh(self, user_id: str) -> None:
        """Methods that the gateway saved while they were used become known, those that it has no more are removed."""
        customer_id = await customers.find(self._parts.database, user_id)
        if not customer_id:
            return
        database = self._parts.database
        saving_at = await customers.saving_at(database, user_id)
        is_known = saving_at and not await customers.is_paying(database, user_id)
        await self._refresh(user_id, customer_id)
        if is_known:
            await customers.saved(database, user_id, saving_at)

    # Methods

    async def methods(self, payer: Payer) -> list[SavedMethod]:
        """The default one first. As we know them: when an answer of the gateway was lost, or a payment may have saved one, it
        is asked anew if it can be."""
        kept = await methods.of_user(self._parts.database, payer.id)
        if any(self._is_lost(each) for each in kept) or await customers.saving_at(self._parts.database, payer.id):
            try:
                await self.refresh(payer.id)
            except (GatewayAway, GatewayRefused) as error:
                _log.warn(UNREAD, why=str(error))
            else:
                kept = await methods.of_user(self._parts.database, payer.id)
        return [each.method for each in kept if each.is_usable]

    async def method(self, payer: Payer, token: str) -> SavedMethod:
        """This person's own method."""
        kept = await methods.find(self._parts.database, token)
        if kept is None or kept.user_id != payer.id or not kept.is_usable:
            raise not_found("method", "There is no such payment method: choose one of the list.")
        return kept.method

    async def save(self, payer: Payer, nonce: str, is_default: bool = False, key: str = "") -> SavedMethod:
        """Once for a nonce and a ``key`` (the Idempotency-Key, "" for none), however often this is asked."""
        check_key(key)
        if not nonce or len(nonce) > LONGEST_NONCE or not nonce.isprintable():
            raise PaymentRefused(
                "bad_nonce", "This is no nonce of the gateway: fill the card form again.", "nonce", 422
            )
        token = keyed(self._parts.key, "method", payer.id, nonce, key)[:ID]
        known = await methods.find(self._parts.database, token)
        if known is not None and known.is_saved:
            return _usable(known)
        customer_id = await self.customer(payer)
        if known is None:
            await self._begin(payer, token)
        elif not self._is_lost(known):
            raise in_progress()
        method = await self._saved(payer, customer_id, nonce, (token, is_default))
        await self._keep(payer.id, [method])
        return method

    async def choose(self, payer: Payer, token: str) -> SavedMethod:
        """The default one from now on."""
        method = await self.method(payer, token)
        if not method.is_default:
            await self._parts.gateway.choose_method(token)
            await self._parts.database.transact(lambda transaction: methods.choose(transaction, payer.id, token))
        return await self.method(payer, token)

    async def delete(self, payer: Payer, token: str) -> None:
        """Twice is fine. One that pays a subscription stays: the gateway would end the subscription with it."""
        kept = await methods.find(self._parts.database, token)
        if kept is not None and kept.user_id == payer.id and kept.removed_at:
            return
        await self.method(payer, token)
        if await subscription_rows.is_paid_by(self._parts.database, payer.id, token):
            sentence = "This pays a subscription: choose another payment method for it, or cancel it first."
            raise PaymentRefused("method_in_use", sentence, "method", 409)
        try:
            await self._parts.gateway.delete_method(token)
        except GatewayRefused:
            if await self._listed(payer, token) is not None:
                raise
        await methods.remove(self._parts.database, token, self._parts.now)

    # Parts

    async def _make_again(self, payer: Payer, customer_id: str, refused: GatewayRefused) -> None:
        """Somebody deleted the customer in the control panel. Raises ``refused`` when it is there."""
        try:
            await self._parts.gateway.make_customer(customer_id, payer.email, payer.name)
        except GatewayRefused:
            raise refused from None

    def _is_lost(self, kept: KeptMethod) -> bool:
        """Whether nobody here waits any more for the answer to its saving."""
        return not kept.is_saved and self._parts.now - kept.created_at >= self._parts.deadline * 1000

    async def _begin(self, payer: Payer, token: str) -> None:
        async def work(transaction: Transaction) -> None:
            if len(await methods.of_user(transaction, payer.id)) >= MOST_METHODS:
                sentence = f"At most {MOST_METHODS} payment methods are saved: delete one first."
                raise PaymentRefused("too_many_methods", sentence, "method", 409)
            await methods.begin(transaction, token, payer.id, self._parts.now)

        try:
            await self._parts.database.transact(work)
        except Conflict:
            raise in_progress() from None

    async def _saved(self, payer: Payer, customer_id: str, nonce: str, wanted: tuple[str, bool]) -> SavedMethod:
        token, is_default = wanted
        gateway = self._parts.gateway
        try:
            try:
                return await gateway.save_method(customer_id, nonce, token, is_default)
            except GatewayRefused as error:
                if error.code != NO_CUSTOMER:
                    raise
                await self._make_again(payer, customer_id, error)
                return await gateway.save_method(customer_id, nonce, token, is_default)
        except GatewayBusy:
            await methods.abandon(self._parts.database, token)
            raise
        except (GatewayAway, GatewayRefused) as error:
            # An earlier call may have saved it whose answer was lost: then this one was refused for that.
            found = await self._listed(payer, token)
            if found is not None:
                return found
            if isinstance(error, GatewayRefused):
                await methods.abandon(self._parts.database, token)
            raise

    async def _listed(self, payer: Payer, token: str) -> SavedMethod | None:
        customer_id = await customers.find(self._parts.database, payer.id)
        listed = await self._parts.gateway.methods(customer_id) if customer_id else ()
        return next((each for each in listed if each.token == token), None)

    async def _refresh(self, user_id: str, customer_id: str) -> None:
        # Only what was there before the gateway was asked can be missing in its answer.
        before = await methods.of_user(self._parts.database, user_id)
        listed = await self._parts.gateway.methods(customer_id)
        await self._keep(user_id, listed)
        tokens = {each.token for each in listed}
        for each in before:
            if each.method.token in tokens:
                continue
            if each.is_saved:
                await methods.remove(self._parts.database, each.method.token, self._parts.now)
            elif self._is_lost(each):
                await methods.abandon(self._parts.database, each.method.token)

    async def _keep(self, user_id: str, seen: Sequence[SavedMethod]) -> None:
        async def work(transaction: Transaction) -> None:
            for each in seen[: methods.MOST]:
                await methods.save(transaction, user_id, each, self._parts.now)
            default = next((each.token for each in seen if each.is_default), "")
            if default:
                await methods.choose(transaction, user_id, default)

        await self._parts.database.transact(work)


def _usable(kept: KeptMethod) -> SavedMethod:
    if kept.removed_at:
        raise PaymentRefused(
            "nonce_used", "This card was saved and deleted again: fill the card form anew.", "nonce", 409
        )
    return kept.method
