"""Money for subscriptions: beginning one, and charging one again that is past due. Each is an attempt, written down before the
gateway is asked.

The gateway takes no key for these calls, but an id of ours for the subscription: who asks twice for the same id gets it once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from twisted.logger import Logger

from rtserver.core.errors import Conflict
from rtserver.core.ports import Transaction
from rtserver.core.rows import Runs
from rtserver.payments import attempts, items, sightings, subscription_rows
from rtserver.payments.answers import Answer, answer
from rtserver.payments.calls import BUSY, TIMEOUT, Calls
from rtserver.payments.errors import GatewayAway, GatewayBusy, GatewayRefused, PaymentRefused
from rtserver.payments.moves import outcome_of
from rtserver.payments.parts import Parts, Payer
from rtserver.payments.reconciler import EMPTY, EMPTY_SEARCH, NEVER, UNDONE, Look
from rtserver.payments.records import Attempt, AttemptState, GatewayTransaction, Op, Outcome, SaleItem
from rtserver.payments.requests import check_key, in_progress, key_reused, not_found
from rtserver.payments.rows import keyed
from rtserver.payments.subscription_rows import CHECKING, PAST_DUE, Subscription
from rtserver.payments.subscriptions import Subscriptions, tell
from rtserver.payments.vault import Vault

_log = Logger()

REPEAT_FOR = 900_000
"""Milliseconds after a request for a subscription in which it is repeated: nobody expects it to begin later."""
SKEW = 60_000
"""Milliseconds that the gateway's clock may be behind ours."""

JUST = 60_000
"""Milliseconds after a charge in which a second click gets its answer: what the gateway said of the subscription before it may
still be on its way."""

APPROVED = Outcome(AttemptState.APPROVED, "approved", "")

# Only what is under way has a time of the next look, and that has an index.
_OPEN_RETRY = """
    select id from rt_pay_attempts where next_check_at is not null and op = 'retry' and target = ? order by sent_at limit 1
"""
_PAID_RETRY = """
    select id from rt_pay_attempts where sent_at >= ? and op = 'retry' and target = ? and state = 'approved'
        and answered_at >= ? order by answered_at desc limit 1
"""
_KNOWN_AS = "select id from rt_pay_attempts where op = 'retry' and target = ? and gateway_id = ? and id <> ?"


@dataclass(frozen=True, slots=True)
class SubscribeRequest:
    """What a page asks. ``nonce`` (it is saved) or ``method`` (the token of a saved one) pays. ``key`` is the Idempotency-Key,
    "" for none."""

    item: str
    nonce: str = field(default="", repr=False)
    method: str = ""
    key: str = ""


class SubscriptionAnswer(Answer):
    """``order`` is the record of a subscription."""

    def body(self) -> dict[str, Any]:
        body = Answer.body(self)
        body["subscription"] = body.pop("order")
        return body


class Subscribing:
    """Each call returns when the outcome is known or the deadline is over, and raises as those of ``Subscriptions``."""

    def __init__(self, parts: Parts, calls: Calls, vault: Vault, subscriptions: Subscriptions) -> None:
        self._parts = parts
        self._calls = calls
        self._vault = vault
        self._subscriptions = subscriptions
        calls.offer(Op.SUBSCRIBE, self._create)
        calls.offer(Op.RETRY, self._charge, self._charged)
        self.looks: dict[Op, Look] = {Op.SUBSCRIBE: self._look_at_creation, Op.RETRY: self._look_at_retry}
        """For the reconciler."""

    async def subscribe(self, payer: Payer, asked: SubscribeRequest) -> SubscriptionAnswer:
        """One subscription however often this is asked with the same key or nonce, and one of a person to an item at a time."""
        _check(asked)
        self._calls.check_open()
        request = self._request(payer, asked)
        repeated = await _repeated(self._parts.database, request, "key" if asked.key else "nonce")
        if repeated is not None:
            return await self._answer(repeated)
        item = await self._item(asked.item)
        if asked.nonce:
            method = await self._vault.save(payer, asked.nonce)
        else:
            method = await self._vault.method(payer, asked.method)
        return await self._answer(await self._begun(payer, item, method.token, request))

    async def retry(self, payer: Payer, id: str, key: str = "") -> SubscriptionAnswer:
        """Charge what is past due, now. A second click waits for the same charge, or gets the answer of the one before."""
        check_key(key)
        self._calls.check_open()
        await self._subscriptions.find(payer, id)
        secret = self._parts.key
        request = (keyed(secret, "retry", payer.id, key) if key else "", keyed(secret, "retry", id))
        found = await _repeated(self._parts.database, request) or await self._other_retry(self._parts.database, id)
        if found is None:
            await self._subscriptions.look(id)
            found = await self._begun_retry(id, request)
        return await self._answer(found)

    # Beginning

    def _request(self, payer: Payer, asked: SubscribeRequest) -> tuple[str, str]:
        secret, name = self._parts.key, asked.key or asked.nonce
        kind = "key" if asked.key else "nonce"
        body = keyed(secret, "subscribe", asked.item, asked.nonce, asked.method)
        return keyed(secret, "subscribe", kind, payer.id, name) if name else "", body

    async def _item(self, id: str) -> SaleItem:
        item = await items.find(self._parts.database, id)
        if item is None or not item.is_active:
            raise not_found("item", "There is no such item on sale.")
        if not item.plan:
            raise PaymentRefused("not_a_subscription", "This item is bought once: make an order of it.", "item", 422)
        return item

    async def _begun(self, payer: Payer, item: SaleItem, method: str, request: tuple[str, str]) -> Attempt:
        id = self._parts.new_id()
        drafted = self._calls.ledger.draft(Op.SUBSCRIBE, "", item.price, id)

        async def work(transaction: Transaction) -> Attempt:
            found = await _repeated(transaction, request)
            if found is not None:
                return found
            _check_free(await subscription_rows.live(transaction, payer.id, item.id))
            row = await subscription_rows.create(transaction, id, payer.id, item, method, self._parts.now)
            await attempts.begin(transaction, drafted, request)
            await tell(self._parts, transaction, row)
            return drafted

        return await self._start(drafted, work)

    async def _begun_retry(self, id: str, request: tuple[str, str]) -> Attempt:
        row = await subscription_rows.find(self._parts.database, id)
        if row is None:
            raise not_found("subscription", "There is no such subscription.")
        drafted = self._calls.ledger.draft(Op.RETRY, "", row.price, id)

        async def work(transaction: Transaction) -> Attempt:
            found = await _repeated(transaction, request) or await self._other_retry(transaction, id)
            if found is not None:
                return found
            now = await subscription_rows.find(transaction, id)
            if now is None or now.status != PAST_DUE:
                sentence = "There is nothing to pay: this subscription is not past due."
                raise PaymentRefused("not_past_due", sentence, "subscription", 409)
            await attempts.begin(transaction, drafted, request)
            return drafted

        return await self._start(drafted, work)

    async def _start(self, drafted: Attempt, work: Any) -> Attempt:
        try:
            attempt: Attempt = await self._parts.database.transact(work)
        except Conflict:
            raise in_progress() from None
        if attempt.id == drafted.id:
            self._calls.start(attempt)
        return attempt

    async def _other_retry(self, runs: Runs, id: str) -> Attempt | None:
        """One that is under way, or was made just now."""
        just = self._parts.now - JUST
        rows = await runs.run(_OPEN_RETRY, (id,)) or await runs.run(_PAID_RETRY, (just - REPEAT_FOR, id, just))
        return await attempts.find(runs, rows[0][0]) if rows else None

    async def _answer(self, attempt: Attempt) -> SubscriptionAnswer:
        database = self._parts.database
        now = await self._calls.wait(attempt.id) or await attempts.find(database, attempt.id) or attempt
        if now.state is AttemptState.SENDING:
            raise in_progress()
        row = await subscription_rows.find(database, now.target)
        told = answer(row.record() if row else {}, now)
        return SubscriptionAnswer(
            told.status, told.result, told.code, told.message, told.retry, told.order, told.errors
        )

    # Calls. The state of the subscription is written down before the outcome of the attempt, so that whoever looks for an
    # attempt without an outcome finds both.

    async def _create(self, attempt: Attempt) -> Outcome:
        try:
            outcome = await self._asked(attempt)
        except GatewayBusy:
            outcome = BUSY
        return await self._concluded(attempt, outcome)

    async def _asked(self, attempt: Attempt) -> Outcome:
        database = self._parts.database
        row = await subscription_rows.find(database, attempt.target)
        item = await items.find(database, row.item_id) if row else None
        if row is None or item is None:
            return NEVER
        return await self._parts.gateway.subscribe(row.id, row.plan, row.method, row.price, item.merchant_account)

    async def _concluded(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        if outcome.state is AttemptState.UNKNOWN:
            return outcome
        if outcome.transaction is not None:
            await self._keep(attempt, outcome.transaction)
        if outcome.state not in (AttemptState.APPROVED, AttemptState.INVALID):
            await self._subscriptions.mark(attempt.target, outcome.state.value)
            return outcome
        try:
            is_there = (await self._subscriptions.look(attempt.target)).is_there
        except (GatewayAway, GatewayRefused):
            if outcome.state is AttemptState.INVALID:
                return TIMEOUT
            is_there = False
        if is_there:
            # It may be invalid because it is there already: an earlier answer was lost.
            return outcome if outcome.state is AttemptState.APPROVED else APPROVED
        is_approved = outcome.state is AttemptState.APPROVED
        await self._subscriptions.mark(attempt.target, "active" if is_approved else outcome.state.value)
        return outcome

    async def _charge(self, attempt: Attempt) -> Outcome:
        return await self._charged(attempt, await self._parts.gateway.retry_charge(attempt))

    async def _charged(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        if outcome.state is AttemptState.UNKNOWN:
            return outcome
        if outcome.transaction is not None:
            await self._keep(attempt, outcome.transaction)
        try:
            await self._subscriptions.look(attempt.target)
        except (GatewayAway, GatewayRefused) as error:
            _log.warn("subscription {id} cannot be read now: {why}", id=attempt.target, why=str(error))
        return outcome

    async def _keep(self, attempt: Attempt, seen: GatewayTransaction) -> None:
        known = replace(seen, subscription_id=attempt.target)
        await self._parts.database.transact(lambda transaction: sightings.put_foreign(self._parts, transaction, known))

    # Looks

    async def _look_at_creation(self, attempt: Attempt) -> Outcome | None:
        if (await self._subscriptions.look(attempt.target)).is_there:
            return APPROVED
        if self._parts.now - attempt.sent_at < REPEAT_FOR:
            outcome = await self._asked(attempt)
            if outcome.state not in (AttemptState.UNKNOWN, AttemptState.ERROR):
                return await self._concluded(attempt, outcome)
            return None
        if attempt.empties + 1 < EMPTY:
            return EMPTY_SEARCH
        await self._subscriptions.mark(attempt.target, AttemptState.ERROR.value)
        return NEVER

    async def _look_at_retry(self, attempt: Attempt) -> Outcome | None:
        looked = await self._subscriptions.look(attempt.target)
        seen = await self._parts.gateway.subscription(attempt.target)
        own = [each for each in seen.transactions if await self._is_its(attempt, each)] if seen else []
        if own:
            own.sort(key=lambda each: (outcome_of(each).state is AttemptState.APPROVED, each.created_at))
            return outcome_of(own[-1])
        if looked.row is not None and looked.row.status == "active":
            return APPROVED
        return UNDONE if attempt.empties + 1 >= EMPTY else EMPTY_SEARCH

    async def _is_its(self, attempt: Attempt, seen: GatewayTransaction) -> bool:
        """Made since the attempt, and not by another one."""
        if seen.created_at < attempt.sent_at - SKEW:
            return False
        return not await self._parts.database.run(_KNOWN_AS, (attempt.target, seen.id, attempt.id))


async def _repeated(runs: Runs, request: tuple[str, str], field: str = "key") -> Attempt | None:
    name, body = request
    found = await attempts.by_request(runs, name) if name else None
    if found is None:
        return None
    if found[1] != body:
        raise key_reused(field)
    return found[0]


def _check(asked: SubscribeRequest) -> None:
    check_key(asked.key)
    if bool(asked.nonce) == bool(asked.method):
        raise PaymentRefused("nonce_or_method", "Give either a nonce or a saved payment method.", "nonce", 422)


def _check_free(other: Subscription | None) -> None:
    if other is None:
        return
    if other.status == CHECKING:
        raise in_progress()
    raise PaymentRefused("already_subscribed", "You have a subscription to this already.", "item", 409)
