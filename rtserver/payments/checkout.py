"""Paying: one order, one attempt at a time, written down before the gateway is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.logger import Logger

from rtserver.core.errors import Conflict
from rtserver.core.ports import Transaction
from rtserver.payments import attempts, customers, items, methods, orders
from rtserver.payments.answers import Answer, answer, records_of
from rtserver.payments.calls import Calls, Done
from rtserver.payments.errors import GatewayAway, GatewayRefused, PaymentRefused
from rtserver.payments.parts import Customers, Parts, Payer
from rtserver.payments.records import Attempt, AttemptState, Op, Order, OrderState, Sale, SaleItem
from rtserver.payments.requests import PayRequest, check, check_key, in_progress, key_reused, not_found
from rtserver.payments.rows import keyed
from rtserver.payments.vault import UNREAD

_log = Logger()

MOST_ATTEMPTS = 50
"""Attempts to pay one order."""
COLLISIONS = 5
"""How often a request begins anew that met another one for the same order or with the same key."""

_OVER = {OrderState.VOIDED, OrderState.REFUNDED, OrderState.FAILED}
_HOLDS_ORDER = {AttemptState.SENDING, AttemptState.UNKNOWN, AttemptState.APPROVED}


@dataclass(frozen=True, slots=True)
class _Named:
    """The names of a request: digests of its key and of what was asked. ``is_given``: the key is the program's own, and not
    made of the nonce."""

    key: str
    body: str
    is_given: bool


@dataclass(frozen=True, slots=True)
class _Begun:
    """``item`` None: the attempt was there before."""

    attempt: Attempt
    item: SaleItem | None = field(default=None)


MOST_REFUSED = 20
"""Payments of a person that may be refused within ``LUCK_TIME``, until the next ones are not even tried."""
LUCK_TIME = 3_600_000
"""Milliseconds."""


class Checkout:
    """``start_order`` and ``pay`` raise ``PaymentRefused`` for what cannot be, ``StoreUnavailable`` when nothing can be written
    now, and ``GatewayAway`` or ``GatewayRefused`` when the vault is needed and cannot be had."""

    def __init__(self, parts: Parts, calls: Calls, customers: Customers) -> None:
        self._parts = parts
        self._calls = calls
        self._customers = customers

    # Orders

    async def start_order(self, payer: Payer, item_id: str, key: str = "") -> Order:
        """An order of this item at its price of now. ``key``: the Idempotency-Key of the request, "" for none."""
        check_key(key)
        secret = self._parts.key
        name = keyed(secret, "order", key) if key else ""
        body = keyed(secret, item_id)

        async def work(transaction: Transaction) -> Order:
            found = await orders.by_request(transaction, payer.id, name) if name else None
            if found is None:
                return await self._new_order(transaction, payer, item_id, (name, body))
            if found[1] != body:
                raise key_reused()
            return found[0]

        for _ in range(COLLISIONS):
            try:
                return await self._parts.database.transact(work)
            except Conflict:
                continue
        raise in_progress()

    async def _new_order(
        self, transaction: Transaction, payer: Payer, item_id: str, request: tuple[str, str] = ("", "")
    ) -> Order:
        item = await items.find(transaction, item_id)
        if item is None or not item.is_active:
            raise not_found("item", "This item is not for sale.")
        if item.plan:
            raise PaymentRefused(
                "is_subscription", "This item is a subscription: subscribe to it instead.", "item", 422
            )
        return await orders.create(transaction, self._parts.new_id(), payer.id, item, self._parts.now, request)

    # Paying

    async def pay(self, payer: Payer, request: PayRequest) -> Answer:
        """One charge however often this is asked with the same key or nonce, and one for an order however many pages pay it.
        Returns when the outcome is known, or when ``Parts.deadline`` is over; who is cancelled cancels nothing but the
        waiting."""
        check(request)
        self._calls.check_open()
        named = self._named(payer, request)
        customer_id = await self._customer(payer, request)
        begun = await self._begun(payer, request, named)
        if begun.item is not None:
            sale = self._sale(request, begun.attempt, begun.item, customer_id)
            self._calls.start(begun.attempt, sale, self._refresh(payer) if request.saves_method else None)
        return await self._answer(begun.attempt)

    def _named(self, payer: Payer, request: PayRequest) -> _Named:
        secret = self._parts.key
        kind, value = ("key", request.key) if request.key else ("nonce", request.nonce)
        asked = (request.item, request.order, request.nonce, request.method, str(request.saves_method))
        key = keyed(secret, "pay", payer.id, kind, value) if value else ""
        return _Named(key, keyed(secret, *asked), bool(request.key))

    async def _customer(self, payer: Payer, request: PayRequest) -> str:
        """The customer of the vault, for what is saved or was."""
        if not (request.saves_method or request.method):
            return ""
        return await self._customers.customer(payer)

    async def _begun(self, payer: Payer, request: PayRequest, named: _Named) -> _Begun:
        async def work(transaction: Transaction) -> _Begun:
            return await self._begin(transaction, payer, request, named)

        for _ in range(COLLISIONS):
            try:
                return await self._parts.database.transact(work)
            except Conflict:
                # Another page was faster: the next look finds what it began.
                continue
        raise in_progress()

    async def _begin(self, transaction: Transaction, payer: Payer, request: PayRequest, named: _Named) -> _Begun:
        order_id = request.order
        found = await attempts.by_request(transaction, named.key) if named.key else None
        if found is not None:
            attempt, body = found
            is_unused = attempt.state is AttemptState.ERROR and not named.is_given
            if body != named.body and not is_unused:
                raise key_reused("key" if named.is_given else "nonce")
            if not is_unused:
                return _Begun(attempt)
            # The nonce surely was not used: it may be tried again, for the same order.
            await attempts.release(transaction, attempt.id)
            order_id = order_id or (attempt.order_id if body == named.body else "")
        if request.method:
            await self._check_method(transaction, payer, request.method)
        await self._check_luck(transaction, payer)
        order = await self._order(transaction, payer, order_id, request.item)
        begun = await self._attempt(transaction, order, named)
        if request.saves_method and begun.item is not None:
            await customers.saving(transaction, payer.id, self._parts.now)
        return begun

    async def _check_luck(self, transaction: Transaction, payer: Payer) -> None:
        """Whoever tries out stolen cards has most of them refused."""
        if await attempts.refused_since(transaction, payer.id, self._parts.now - LUCK_TIME) >= MOST_REFUSED:
            raise PaymentRefused(
                "too_many_refused",
                "Too many of your payments were refused in the last hour: ask your bank, and try again later.",
                status=429,
            )

    async def _check_method(self, transaction: Transaction, payer: Payer, token: str) -> None:
        kept = await methods.find(transaction, token)
        if kept is None or kept.user_id != payer.id or not kept.is_usable:
            raise not_found("method", "There is no such payment method: choose one of the list.")

    async def _order(self, transaction: Transaction, payer: Payer, order_id: str, item_id: str) -> Order:
        if not order_id:
            return await self._new_order(transaction, payer, item_id)
        order = await orders.find(transaction, order_id)
        if order is None or order.user_id != payer.id:
            raise not_found("order", "There is no such order.")
        return order

    async def _attempt(self, transaction: Transaction, order: Order, named: _Named) -> _Begun:
        """A new one, or the one that holds the order."""
        tried = await attempts.of_order(transaction, order.id)
        holding = next((each for each in tried if each.op is Op.SALE and each.state in _HOLDS_ORDER), None)
        if order.state in _OVER:
            raise PaymentRefused("order_over", "This order is over: start a new one.", "order", 409)
        if holding is not None:
            return _Begun(holding)
        if order.state is not OrderState.OPEN:
            raise in_progress()
        if len(tried) >= MOST_ATTEMPTS:
            raise PaymentRefused("too_many_attempts", "Too many attempts: start a new order.", "order", 429)
        item = await items.find(transaction, order.item_id)
        if item is None:
            raise not_found("item", "This item is not for sale.")
        attempt = self._calls.ledger.draft(Op.SALE, order.id, order.price)
        await attempts.begin(transaction, attempt, (named.key, named.body))
        return _Begun(attempt, item)

    def _sale(self, request: PayRequest, attempt: Attempt, item: SaleItem, customer_id: str) -> Sale:
        options = self._parts.options
        named = {"name": options.descriptor_name, "phone": options.descriptor_phone, "url": options.descriptor_url}
        return Sale(
            attempt=attempt,
            is_held=item.is_held,
            merchant_account=item.merchant_account or options.merchant_account,
            nonce=request.nonce,
            method=request.method,
            customer_id=customer_id,
            saves_method=request.saves_method,
            needs_3d_secure=options.needs_3d_secure,
            device_data=request.device_data,
            descriptor={name: value for name, value in named.items() if value},
            paypal_description=item.description or item.name,
        )

    def _refresh(self, payer: Payer) -> Done:
        async def refresh(attempt: Attempt) -> None:
            if attempt.state is AttemptState.APPROVED:
                try:
                    await self._customers.refresh(payer.id)
                except (GatewayAway, GatewayRefused) as error:
                    # Whoever lists the methods asks again.
                    _log.warn(UNREAD, why=str(error))

        return refresh

    async def _answer(self, attempt: Attempt) -> Answer:
        database = self._parts.database
        waited = await self._calls.wait(attempt.id)
        now = waited or await attempts.find(database, attempt.id) or attempt
        if now.state is AttemptState.SENDING:
            # Its call is made by another process.
            raise in_progress()
        order = await orders.find(database, now.order_id)
        if order is None:
            raise not_found("order", "There is no such order.")
        (record,) = await records_of(database, [order])
        return answer(record, now)
