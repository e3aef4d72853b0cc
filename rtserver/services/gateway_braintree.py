"""Braintree by its own SDK (``braintree`` 4.48), which blocks: every call runs in a thread of a bounded pool.

A call that has begun comes to its end whoever waits for it. Files beside this one: ``_config`` where the gateway is, ``_wire``
HTTP, ``_errors`` and ``_results`` what came of a call, ``_shapes`` records, ``_words`` sentences, ``_money`` and ``_vault`` the
calls, ``_webhooks``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtserver.app.calling import TooBusy
from rtserver.core.payments import Money
from rtserver.payments.errors import GatewayAway, GatewayBusy
from rtserver.payments.options import PaymentsOptions
from rtserver.payments.records import (
    Attempt,
    GatewayDispute,
    GatewaySubscription,
    GatewayTransaction,
    MerchantAccount,
    Notification,
    Outcome,
    Sale,
    SavedMethod,
)
from rtserver.services.gateway_braintree_config import link_of
from rtserver.services.gateway_braintree_errors import NOT_BEGUN, TIMEOUT, VERDICTS
from rtserver.services.gateway_braintree_money import MoneyCalls, is_repeat
from rtserver.services.gateway_braintree_vault import VaultCalls
from rtserver.services.gateway_braintree_webhooks import Webhooks
from rtserver.threads import Threads

_log = Logger()

MARGIN = 2.0
"""Seconds that a call may take beyond the time limits of its connection."""
READING = 600.0
"""Seconds that a search may take: it may turn many pages."""

BUSY = "too many calls wait for the payment gateway: try again in a moment, or raise payments.threads"
ALARMS = {verdict.code: verdict.about for _, verdict in VERDICTS if verdict.is_alarm}

Late = Callable[[Attempt, Outcome], None]


class BraintreeGateway:
    """Implements ``payments.ports.Gateway``. ``environment`` and ``strategy`` stand in for the SDK's in tests. Raises
    ``CannotStart`` for options that cannot be."""

    def __init__(
        self,
        options: PaymentsOptions,
        reactor: Any,
        environment: Any = None,
        strategy: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        link = link_of(options, environment, strategy)
        self._reactor = reactor
        self._deadline = options.connect_timeout + options.timeout + MARGIN
        self._threads = Threads(reactor, "payments", options.threads, options.queue)
        self._calls = MoneyCalls(link)
        self._vault = VaultCalls(link)
        self._webhooks = Webhooks(link)
        self._knew_keys = True
        self.late: Late | None = None
        """Gets the outcome of a call that nobody waits for any more: it took too long, or who waited was cancelled."""

    async def start(self) -> None:
        await self._threads.start()

    async def stop(self) -> None:
        """What has begun comes to its end, within the time limit of a call."""
        latest = self._reactor.seconds() + self._deadline
        left = await self._threads.stop()
        while left and self._reactor.seconds() < latest:
            left = await self._threads.stop()
        if left:
            _log.warn("{n} calls to the payment gateway were left behind: their outcome will be looked for", n=left)

    async def client_token(self, customer_id: str, merchant_account: str) -> str:
        return str(await self._ask(self._vault.client_token, customer_id, merchant_account))

    async def merchant_accounts(self) -> Sequence[MerchantAccount]:
        found: Sequence[MerchantAccount] = await self._ask(self._vault.merchant_accounts)
        return found

    # Money

    async def sale(self, sale: Sale) -> Outcome:
        return await self._move(sale.attempt, self._calls.sale, sale)

    async def settle(self, attempt: Attempt, is_part: bool) -> Outcome:
        return await self._move(attempt, self._calls.settle, attempt, is_part)

    async def void(self, attempt: Attempt) -> Outcome:
        return await self._move(attempt, self._calls.void, attempt)

    async def refund(self, attempt: Attempt) -> Outcome:
        return await self._move(attempt, self._calls.refund, attempt)

    async def retry_charge(self, attempt: Attempt) -> Outcome:
        return await self._move(attempt, self._calls.retry_charge, attempt)

    async def transaction(self, id: str) -> GatewayTransaction | None:
        found: GatewayTransaction | None = await self._ask(self._calls.transaction, id)
        return found

    async def transactions_of(self, attempt_id: str) -> Sequence[GatewayTransaction]:
        found: Sequence[GatewayTransaction] = await self._ask(self._calls.transactions_of, attempt_id)
        return found

    async def transactions_between(self, start: int, end: int) -> Sequence[GatewayTransaction]:
        found: Sequence[GatewayTransaction] = await self._read(self._calls.transactions_between, start, end)
        return found

    # The vault

    async def make_customer(self, id: str, email: str, name: str) -> None:
        await self._ask(self._vault.make_customer, id, email, name)

    async def save_method(self, customer_id: str, nonce: str, token: str, is_default: bool) -> SavedMethod:
        saved: SavedMethod = await self._ask(self._vault.save_method, customer_id, nonce, token, is_default)
        return saved

    async def methods(self, customer_id: str) -> Sequence[SavedMethod]:
        found: Sequence[SavedMethod] = await self._ask(self._vault.methods, customer_id)
        return found

    async def choose_method(self, token: str) -> None:
        await self._ask(self._vault.choose_method, token)

    async def delete_method(self, token: str) -> None:
        await self._ask(self._vault.delete_method, token)

    # Subscriptions

    async def subscribe(self, id: str, plan: str, method: str, price: Money, merchant_account: str) -> Outcome:
        call = self._begin(_not_begun, self._vault.subscribe, id, plan, method, price, merchant_account)
        outcome = await self._outcome(call, lambda late: self._tell("subscription", id, late))
        self._tell("subscription", id, outcome)
        return outcome

    async def change_subscription(self, id: str, plan: str, method: str, price: Money | None) -> GatewaySubscription:
        changed: GatewaySubscription = await self._ask(self._vault.change_subscription, id, plan, method, price)
        return changed

    async def cancel_subscription(self, id: str) -> GatewaySubscription:
        ended: GatewaySubscription = await self._ask(self._vault.cancel_subscription, id)
        return ended

    async def subscription(self, id: str) -> GatewaySubscription | None:
        found: GatewaySubscription | None = await self._ask(self._vault.subscription, id)
        return found

    # Disputes

    async def disputes(self, is_open: bool) -> Sequence[GatewayDispute]:
        found: Sequence[GatewayDispute] = await self._read(self._vault.disputes, is_open)
        return found

    async def dispute(self, id: str) -> GatewayDispute | None:
        found: GatewayDispute | None = await self._ask(self._vault.dispute, id)
        return found

    async def accept_dispute(self, id: str) -> None:
        await self._ask(self._vault.accept_dispute, id)

    async def add_evidence(self, id: str, text: str) -> None:
        await self._ask(self._vault.add_evidence, id, text)

    async def finalize_dispute(self, id: str) -> None:
        await self._ask(self._vault.finalize_dispute, id)

    # Webhooks

    def answer_challenge(self, challenge: str) -> str:
        return self._webhooks.answer_challenge(challenge)

    def read_webhook(self, signature: str, payload: str) -> Notification:
        return self._webhooks.read(signature, payload)

    # Calls

    async def _move(self, attempt: Attempt, function: Callable[..., Outcome], *values: Any) -> Outcome:
        call = self._begin(_unknown if is_repeat(attempt) else _not_begun, function, *values)
        outcome = await self._outcome(call, lambda late: self._tell_late(attempt, late))
        self._tell(attempt.op.value, attempt.id, outcome)
        return outcome

    async def _outcome(self, call: _Call, late: Callable[[Outcome], None]) -> Outcome:
        try:
            outcome: Outcome = await call.wait(self._deadline, late)
        except TimeoutError:
            return TIMEOUT.outcome
        except TooBusy:
            raise GatewayBusy(BUSY) from None
        return outcome

    async def _ask(self, function: Callable[..., Any], *values: Any) -> Any:
        return await self._answer(self._deadline, function, *values)

    async def _read(self, function: Callable[..., Any], *values: Any) -> Any:
        return await self._answer(READING, function, *values)

    async def _answer(self, seconds: float, function: Callable[..., Any], *values: Any) -> Any:
        try:
            return await self._begin(_busy, function, *values).wait(seconds, _nobody)
        except TimeoutError:
            raise GatewayAway(f"{TIMEOUT.about} ({TIMEOUT.code})") from None
        except TooBusy:
            raise GatewayBusy(BUSY) from None

    def _begin(self, stale: Callable[[], Any], function: Callable[..., Any], *values: Any) -> _Call:
        job = _Job(self._reactor.seconds, self._deadline, function, stale)
        running = Deferred.fromCoroutine(self._threads.run(job.run, {"values": values}))
        return _Call(self._reactor, running)

    # Log: ids and codes

    def _tell_late(self, attempt: Attempt, outcome: Outcome) -> None:
        _log.info("an outcome came late: {op} {id}", op=attempt.op.value, id=attempt.id)
        self._tell(attempt.op.value, attempt.id, outcome)
        if self.late is not None:
            self.late(attempt, outcome)

    def _tell(self, op: str, id: str, outcome: Outcome) -> None:
        made = outcome.transaction.id if outcome.transaction else "-"
        _log.info(
            "{op} {id}: {state} {code} {made}", op=op, id=id, state=outcome.state.value, code=outcome.code, made=made
        )
        if outcome.code in ALARMS:
            _log.critical("no payment can be made: {why}", why=ALARMS[outcome.code])
        if self._knew_keys and not self._calls.has_keys:
            self._knew_keys = False
            _log.warn(
                "the gateway takes no request keys of this merchant (915231): a payment whose outcome is not known is searched"
                " for and never asked for again. Ask Braintree to allow api_request_key"
            )


class _Job:
    """One call. When it waited for a thread longer than ``seconds`` it does not begin any more: by then somebody may have
    decided that it never was. Then ``stale`` answers."""

    def __init__(
        self, clock: Callable[[], float], seconds: float, function: Callable[..., Any], stale: Callable[[], Any]
    ) -> None:
        self._clock = clock
        self._latest = clock() + seconds
        self._function = function
        self._stale = stale

    def run(self, values: tuple[Any, ...]) -> Any:
        return self._stale() if self._clock() > self._latest else self._function(*values)


def _not_begun() -> Outcome:
    return NOT_BEGUN.outcome


def _unknown() -> Outcome:
    return TIMEOUT.outcome


def _busy() -> Any:
    raise GatewayBusy(BUSY)


class _Call:
    """A call that runs, and the one who waits for it. Who stops waiting does not stop the call."""

    def __init__(self, clock: Any, running: Deferred[Any]) -> None:
        self._clock = clock
        self._running = running
        self._waiting: Deferred[Any] | None = None
        self._late: Callable[[Any], None] = _nobody

    async def wait(self, seconds: float, late: Callable[[Any], None]) -> Any:
        """Raises ``TimeoutError`` after ``seconds``. ``late`` gets the answer if it comes when nobody waits any more."""
        self._late = late
        waiting: Deferred[Any] = Deferred(self._left)
        self._waiting = waiting
        self._running.addCallbacks(self._ended, self._failed)
        return await waiting.addTimeout(seconds, self._clock)

    def _left(self, _waiting: Deferred[Any]) -> None:
        self._waiting = None

    def _ended(self, answer: Any) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(answer)
        else:
            self._late(answer)

    def _failed(self, failure: Failure) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(failure)
        else:
            _log.info("a question to the payment gateway failed late: {kind}", kind=type(failure.value).__name__)


def _nobody(_answer: Any) -> None:
    """Whoever asked has what there was to have."""
