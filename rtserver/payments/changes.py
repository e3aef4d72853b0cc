"""What staff does to orders: settle what is held, release it, give money back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from rtserver.core.errors import Conflict
from rtserver.core.payments import BadAmount, Money, parse_money
from rtserver.core.ports import Transaction
from rtserver.core.rows import Runs
from rtserver.payments import attempts, dispute_rows, orders, transactions
from rtserver.payments.answers import Answer, answer, record_of
from rtserver.payments.calls import Calls
from rtserver.payments.errors import PaymentRefused
from rtserver.payments.moves import REFUNDABLE, VOIDABLE, Standing, Stored, standing
from rtserver.payments.parts import Parts, Payer
from rtserver.payments.records import Attempt, AttemptState, Op, Order
from rtserver.payments.requests import check_key, in_progress, key_reused, not_found
from rtserver.payments.rows import keyed

MOST_STEPS = 50
"""Calls for one request: an order that was settled in parts is given back part by part."""


class _Step(NamedTuple):
    op: Op
    sale: Stored
    amount: Money
    is_part: bool = False


class _Asked(NamedTuple):
    """``amount`` None: everything. ``more``: after a settlement the rest stays held."""

    amount: Money | None
    more: bool = False


_Plan = Callable[[Standing, _Asked, int], _Step | None]
"""The next step, given what was asked and what the steps before it have moved already (in the smallest unit). None: nothing
is left to do. Raises ``PaymentRefused``."""


@dataclass(frozen=True, slots=True)
class _Change:
    who: Payer
    order_id: str
    plan: _Plan
    name: str
    amount: str = ""
    more: bool = False
    key: str = ""


class Changes:
    """Each returns when the outcome is known or the deadline is over, and raises ``PaymentRefused`` for what cannot be,
    ``StoreUnavailable`` when nothing can be written now, and ``GatewayAway`` when it must be known first how far a payment is
    and that cannot be learned. ``amount`` is a text as in "10.00", "" for everything; ``key`` the Idempotency-Key or ""."""

    def __init__(self, parts: Parts, calls: Calls) -> None:
        self._parts = parts
        self._calls = calls

    async def settle(self, who: Payer, order_id: str, amount: str = "", more: bool = False, key: str = "") -> Answer:
        """``more``: what is not settled now stays held and may be settled later; else it is released."""
        return await self._do(_Change(who, order_id, _settle, "settle", amount, more, key))

    async def void(self, who: Payer, order_id: str, key: str = "") -> Answer:
        """Release what is held or not settled yet."""
        return await self._do(_Change(who, order_id, _void, "void", key=key))

    async def refund(self, who: Payer, order_id: str, amount: str = "", key: str = "") -> Answer:
        """Give back what was settled, never more than is left of it."""
        return await self._do(_Change(who, order_id, _refund, "refund", amount, key=key))

    async def reverse(self, who: Payer, order_id: str, key: str = "") -> Answer:
        """Undo a payment however far it is: release it, or give everything back."""
        return await self._do(_Change(who, order_id, _reverse, "reverse", key=key))

    async def _do(self, change: _Change) -> Answer:
        if not change.who.is_staff:
            raise PaymentRefused("not_staff", "Only staff may do this.", status=403)
        check_key(change.key)
        self._calls.check_open()
        order = await orders.find(self._parts.database, change.order_id)
        if order is None:
            raise not_found("order", "There is no such order.")
        asked = _asked(change, order)
        if change.plan is not _settle:
            await self._look(order)
        last: Attempt | None = None
        moved = 0
        for number in range(MOST_STEPS):
            begun = await self._begun(change, order, asked, number, moved)
            if begun is None:
                break
            last = await self._outcome(begun)
            moved += last.amount.minor
            if last.state is not AttemptState.APPROVED or change.plan is _settle or _is_all(asked, moved):
                break
        return await self._answer(order, last)

    async def _look(self, order: Order) -> None:
        """How far its transactions are may have changed since the last word of the gateway."""
        stored = await transactions.of_order(self._parts.database, order.id)
        for each in stored:
            if each.kind == "sale" and each.status in VOIDABLE:
                seen = await self._parts.gateway.transaction(each.id)
                if seen is not None and seen.status != each.status:
                    await self._calls.observe(seen)

    async def _begun(self, change: _Change, order: Order, asked: _Asked, number: int, moved: int) -> Attempt | None:
        async def work(transaction: Transaction) -> tuple[Attempt | None, bool]:
            return await self._begin(transaction, change, order, asked, (number, moved))

        try:
            attempt, is_new = await self._parts.database.transact(work)
        except Conflict:
            raise in_progress() from None
        if attempt is not None and is_new:
            self._calls.start(attempt)
        return attempt

    async def _begin(
        self, transaction: Transaction, change: _Change, order: Order, asked: _Asked, done: tuple[int, int]
    ) -> tuple[Attempt | None, bool]:
        """The attempt of this step, and whether it is new."""
        number, moved = done
        secret = self._parts.key
        name = keyed(secret, "change", change.who.id, change.key, str(number)) if change.key else ""
        body = keyed(secret, change.name, order.id, change.amount, str(change.more))
        found = await attempts.by_request(transaction, name) if name else None
        if found is not None:
            if found[1] != body:
                raise key_reused()
            return found[0], False
        stands = await _stands(transaction, order.id)
        if stands.open_sale is not None or stands.open_change is not None:
            raise _half_done(Money(moved, order.price.currency)) if moved and asked.amount else in_progress()
        step = change.plan(stands, asked, moved)
        if step is None:
            return None, False
        attempt = self._calls.ledger.draft(step.op, order.id, step.amount, step.sale.id, step.is_part)
        await attempts.begin(transaction, attempt, (name, body))
        return attempt, True

    async def _outcome(self, attempt: Attempt) -> Attempt:
        waited = await self._calls.wait(attempt.id)
        now = waited or await attempts.find(self._parts.database, attempt.id) or attempt
        if now.state is AttemptState.SENDING:
            raise in_progress()
        return now

    async def _answer(self, order: Order, last: Attempt | None) -> Answer:
        if last is None:
            raise PaymentRefused("nothing_left", "Nothing is left to do for this order.", "order", 409)
        database = self._parts.database
        now = await orders.find(database, order.id) or order
        sales = await attempts.latest_sales(database, [order.id])
        return answer(record_of(now, sales.get(order.id)), last)


def _asked(change: _Change, order: Order) -> _Asked:
    if not change.amount:
        return _Asked(None, change.more)
    try:
        amount = parse_money(change.amount, order.price.currency)
    except BadAmount as error:
        raise PaymentRefused("bad_amount", f"This is no amount: {error}.", "amount", 422) from None
    if amount.minor == 0:
        raise PaymentRefused("bad_amount", "The amount is nothing: give one above 0.", "amount", 422)
    return _Asked(amount, change.more)


def _is_all(asked: _Asked, moved: int) -> bool:
    return asked.amount is not None and moved >= asked.amount.minor


def _half_done(moved: Money) -> PaymentRefused:
    """Who is told to ask again asks for the whole amount again."""
    sentence = f"Only {moved} were moved, then something else was under way: look at the order before you do the rest."
    return _refusal("half_done", sentence)


async def _stands(runs: Runs, order_id: str) -> Standing:
    stands = standing(await attempts.of_order(runs, order_id), await transactions.of_order(runs, order_id))
    return replace(stands, disputed=await dispute_rows.taken(runs, order_id))


# Plans


def _settle(stands: Standing, asked: _Asked, moved: int) -> _Step | None:
    held = next((each for each in stands.wanted if stands.left_to_settle(each) > 0), None)
    if held is None:
        raise _refusal("not_held", "Nothing is held for this order: there is nothing to settle.")
    left = Money(stands.left_to_settle(held), held.amount.currency)
    amount = asked.amount or left
    if amount.minor > left.minor:
        raise _refusal("too_much", f"At most {left} can be settled.", "amount", 422)
    return _Step(Op.SETTLE, held, amount, asked.more or stands.has_parts(held))


def _void(stands: Standing, asked: _Asked, moved: int) -> _Step | None:
    sale = next((each for each in stands.live if each.status in VOIDABLE), None)
    if sale is not None:
        return _Step(Op.VOID, sale, sale.amount)
    if not moved and stands.live:
        raise _refusal("not_voidable", "This payment is settled already: refund it instead.")
    _check_some(moved)
    return None


def _refund(stands: Standing, asked: _Asked, moved: int) -> _Step | None:
    lefts = [(each, stands.left_to_refund(each)) for each in stands.live if each.status in REFUNDABLE]
    lefts = [(each, left) for each, left in lefts if left > 0]
    total = sum(left for _, left in lefts)
    wanted = (asked.amount.minor if asked.amount else total + moved) - moved
    if not lefts and not moved and any(each.status in VOIDABLE for each in stands.live):
        raise _refusal("not_settled", "This payment is not settled yet: void it instead.")
    if not lefts and not moved:
        _check_undisputed(stands)
    if asked.amount and wanted > total:
        most = Money(total, asked.amount.currency)
        raise _refusal("too_much", f"At most {most} can be refunded.", "amount", 422)
    if wanted <= 0:
        _check_some(moved)
        return None
    sale, left = max(lefts, key=lambda pair: (pair[1] >= wanted, pair[1]))
    return _Step(Op.REFUND, sale, Money(min(left, wanted), sale.amount.currency))


def _reverse(stands: Standing, asked: _Asked, moved: int) -> _Step | None:
    for sale in stands.live:
        if sale.status in VOIDABLE:
            return _Step(Op.VOID, sale, sale.amount)
        left = stands.left_to_refund(sale)
        if left > 0 and sale.status in REFUNDABLE:
            return _Step(Op.REFUND, sale, Money(left, sale.amount.currency))
    if not moved:
        _check_undisputed(stands)
    _check_some(moved)
    return None


def _check_undisputed(stands: Standing) -> None:
    if stands.disputed:
        raise _refusal(
            "disputed", "The payer asked the bank for this money: accept the dispute, do not pay back twice."
        )


def _check_some(moved: int) -> None:
    if not moved:
        raise _refusal("nothing_left", "Nothing is left to undo: this order is not paid, or was given back already.")


def _refusal(code: str, sentence: str, field: str = "order", status: int = 409) -> PaymentRefused:
    return PaymentRefused(code, sentence, field, status)
