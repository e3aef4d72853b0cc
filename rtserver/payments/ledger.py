"""What became of calls, and what exists at the gateway, written down: attempt, transaction, order and news together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from twisted.logger import Logger

from rtserver.core.payments import Money
from rtserver.core.ports import Transaction
from rtserver.payments import attempts, events, orders, transactions
from rtserver.payments.answers import AMOUNT_MISMATCH, record_of
from rtserver.payments.moves import VOIDABLE, Standing, Stored, is_open, moved, outcome_of, standing
from rtserver.payments.parts import Parts
from rtserver.payments.records import Attempt, AttemptState, GatewayTransaction, Op, Order, Outcome

_log = Logger()

FIRST_LOOK = 5_000
"""Milliseconds from the end of a call with an unknown outcome to the first search for it."""

MOST_UNDOING = 20
"""Attempts to undo one transaction that nobody wants; after them people have to."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What was written down. ``follow`` are attempts that were begun by it, and are to be called now."""

    attempt: Attempt | None
    order: Order | None
    follow: tuple[Attempt, ...] = ()


class Ledger:
    """Each call raises ``StoreUnavailable`` when nothing can be written now."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def draft(self, op: Op, order_id: str, amount: Money, target: str = "", is_part: bool = False) -> Attempt:
        """A new attempt, to be written down by ``attempts.begin`` before its call."""
        now = self._parts.now
        return Attempt(
            id=self._parts.new_id(),
            order_id=order_id,
            op=op,
            api_request_key=self._parts.token(24),
            amount=amount,
            target=target,
            state=AttemptState.SENDING,
            gateway_id="",
            code="",
            sentence="",
            sent_at=now,
            answered_at=0,
            checks=0,
            next_check_at=now + int(self._parts.deadline * 1000),
            is_part=is_part,
        )

    async def finish(self, attempt_id: str, outcome: Outcome) -> Finished:
        """The outcome of a call, or what was found out about it. What is known for good stays; a payment that turns up after
        it was given up is undone."""
        return await self._parts.database.transact(lambda transaction: self._finish(transaction, attempt_id, outcome))

    async def observe(self, seen: GatewayTransaction) -> Finished:
        """Something that exists at the gateway, as it was read there a moment ago. ``order`` None: it is no order of ours."""
        return await self._parts.database.transact(lambda transaction: self._observe(transaction, seen))

    async def restate(self, transaction: Transaction, order_id: str, disputed: bool | None = None) -> Finished:
        """Move an order to where its transactions are. ``disputed``: True while there is a dispute and when it was lost, False
        when it came to its good end."""
        return await self._restate(transaction, order_id, disputed=disputed)

    async def _finish(self, transaction: Transaction, attempt_id: str, outcome: Outcome) -> Finished:
        attempt = await attempts.find(transaction, attempt_id)
        if attempt is None:
            return Finished(None, None)
        if not is_open(attempt):
            return await self._late(transaction, attempt, outcome)
        stands = await self._stands(transaction, attempt.order_id)
        outcome = _judged(attempt, outcome, stands)
        if outcome.state is AttemptState.APPROVED and attempt.op is Op.SALE and self._parts.options.needs_3d_secure:
            outcome = _confirmed(outcome)
        if outcome.state is AttemptState.UNKNOWN:
            return await self._unknown(transaction, attempt, outcome)
        attempt = await attempts.conclude(transaction, attempt, outcome, self._parts.now)
        await self._keep(transaction, attempt, outcome.transaction)
        is_refused_refund = attempt.op is Op.REFUND and attempt.state is not AttemptState.APPROVED
        finished = await self._restate(
            transaction, attempt.order_id, is_news=attempt.op is Op.SALE, undoes=not is_refused_refund
        )
        return replace(finished, attempt=attempt)

    async def _unknown(self, transaction: Transaction, attempt: Attempt, outcome: Outcome) -> Finished:
        if attempt.state is AttemptState.UNKNOWN:
            return Finished(attempt, await orders.find(transaction, attempt.order_id))
        now = self._parts.now
        attempt = await attempts.conclude(transaction, attempt, outcome, now, now + FIRST_LOOK)
        finished = await self._restate(transaction, attempt.order_id, is_news=attempt.op is Op.SALE)
        return replace(finished, attempt=attempt)

    async def _late(self, transaction: Transaction, attempt: Attempt, outcome: Outcome) -> Finished:
        if outcome.state is AttemptState.APPROVED:
            await self._keep(transaction, attempt, outcome.transaction)
        finished = await self._restate(transaction, attempt.order_id)
        return replace(finished, attempt=attempt)

    async def _observe(self, transaction: Transaction, seen: GatewayTransaction) -> Finished:
        attempt = await attempts.find(transaction, seen.order_id)
        if attempt is not None and is_open(attempt) and is_its(attempt, seen):
            return await self._finish(transaction, attempt.id, outcome_of(seen))
        known = await transactions.find(transaction, seen.id) or await transactions.find(transaction, seen.parent)
        order_id = known.order_id if known is not None else attempt.order_id if attempt is not None else ""
        if not order_id:
            return Finished(attempt, None)
        its = attempt.id if attempt is not None and is_its(attempt, seen) else ""
        await transactions.put(transaction, seen, order_id, its, self._parts.now)
        return await self._restate(transaction, order_id)

    async def _keep(self, transaction: Transaction, attempt: Attempt, seen: GatewayTransaction | None) -> None:
        if seen is None or not attempt.order_id:
            return
        parent = attempt.target if seen.id != attempt.target else ""
        await transactions.put(transaction, seen, attempt.order_id, attempt.id, self._parts.now, parent)

    async def _restate(
        self,
        transaction: Transaction,
        order_id: str,
        *,
        is_news: bool = False,
        undoes: bool = True,
        disputed: bool | None = None,
    ) -> Finished:
        before = await orders.find(transaction, order_id)
        if before is None:
            return Finished(None, None)
        stands = await self._stands(transaction, order_id)
        after = moved(before, stands, disputed)
        if after != before:
            after = await orders.move(transaction, after, self._parts.now)
        if after != before or is_news:
            sale = next((each for each in reversed(stands.attempts) if each.op is Op.SALE), None)
            about = (f"payment.{after.state.value}", after.user_id, after.id)
            await events.put(self._parts, transaction, about, record_of(after, sale))
        follow = [await self._undo(transaction, each, stands) for each in stands.unwanted] if undoes else []
        return Finished(None, after, tuple(each for each in follow if each is not None))

    async def _stands(self, transaction: Transaction, order_id: str) -> Standing:
        tried = await attempts.of_order(transaction, order_id)
        return standing(tried, await transactions.of_order(transaction, order_id))

    async def _undo(self, transaction: Transaction, unwanted: Stored, stands: Standing) -> Attempt | None:
        """A payment that nobody meant is released, or given back when that was refused; once more whenever the gateway
        has something to say about it."""
        past = [each for each in stands.attempts if each.target == unwanted.id]
        if any(is_open(each) for each in past):
            return None
        if len(past) >= MOST_UNDOING:
            _log.error("transaction {id} could not be undone: void or refund it at the gateway", id=unwanted.id)
            return None
        was_void = bool(past) and past[-1].op is Op.VOID
        op = Op.VOID if unwanted.status in VOIDABLE and not was_void else Op.REFUND
        attempt = self.draft(op, unwanted.order_id, unwanted.amount, unwanted.id)
        await attempts.begin(transaction, attempt)
        return attempt


def is_its(attempt: Attempt, found: GatewayTransaction) -> bool:
    """Whether the attempt made this. Refunds and parts have the order id of the sale when they have none of their own."""
    if found.order_id != attempt.id:
        return False
    if attempt.op is Op.SALE:
        return found.kind == "sale" and not found.parent
    kind = "credit" if attempt.op is Op.REFUND else "sale"
    return found.kind == kind and found.parent in ("", attempt.target)


def _judged(attempt: Attempt, outcome: Outcome, stands: Standing) -> Outcome:
    """What an outcome means for this attempt."""
    seen = outcome.transaction
    if outcome.state is AttemptState.APPROVED and seen is None and attempt.order_id:
        return Outcome(AttemptState.UNKNOWN, "no_transaction", "")
    if outcome.state is AttemptState.APPROVED and attempt.op is Op.SALE and seen and seen.amount != attempt.amount:
        is_other = seen.amount.currency != attempt.amount.currency
        what = "the shop has to mend this, no other card helps" if is_other else "use another card"
        sentence = f"{seen.amount} were approved instead of {attempt.amount}. It is undone; {what}."
        return Outcome(AttemptState.REJECTED, AMOUNT_MISMATCH, sentence, transaction=seen)
    if outcome.state is AttemptState.ERROR and any(each.id == attempt.target for each in stands.unwanted):
        # It must be undone sometime: it is repeated until there is an answer.
        return replace(outcome, state=AttemptState.UNKNOWN)
    return outcome


def _confirmed(outcome: Outcome) -> Outcome:
    """Whether the bank of a card stands in for the payment, as 3-D Secure promises; the gateway has seen to it that there was
    a try. Other ways to pay have nothing of the kind."""
    secure = outcome.transaction.details.get("three_d_secure") if outcome.transaction else None
    if not isinstance(secure, Mapping) or secure.get("liability_shifted") is True:
        return outcome
    sentence = "Your bank did not confirm that it was you. The payment is undone: try again, or use another card."
    return replace(outcome, state=AttemptState.REJECTED, code="three_d_secure", sentence=sentence, is_soft=True)
