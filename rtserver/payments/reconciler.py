"""Finding out what became of calls whose outcome is unknown: a timeout, a broken answer, a server that died.

One node at a time (a lease) looks. A sale is repeated with the same key while this process still has its nonce, then searched
for by the id of the attempt. The search of a gateway lags, so that one empty answer proves nothing
(https://developer.paypal.com/braintree/docs/reference/general/searching/search-results): only after ``EMPTY`` of them, spread
over ten minutes, a payment counts as never made. Voids, refunds and settlements need no nonce, and are repeated until there is
an answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from rtserver.payments import attempts, transactions
from rtserver.payments.calls import Calls
from rtserver.payments.errors import GatewayAway, GatewayRefused
from rtserver.payments.ledger import is_its
from rtserver.payments.moves import CAPTURED, outcome_of
from rtserver.payments.parts import Parts
from rtserver.payments.records import Attempt, AttemptState, GatewayTransaction, Op, Outcome
from rtserver.rounds import Rounds, Work

_log = Logger()

TABLE = "rt_pay_attempts"

PAUSES = (30_000, 120_000, 600_000)
"""Milliseconds from one look to the next; the first comes ``ledger.FIRST_LOOK`` after the call, the last pause repeats."""
EMPTY = len(PAUSES) + 1
"""Empty searches after which a payment counts as never made."""
REPEATS = 3
"""Looks at one sale that repeat it."""
BATCH = 3
"""Attempts that are looked at together. Payers need the threads of the gateway too."""
INTERVAL = 1.0
"""Seconds between two looks at the table."""
AWHILE = 5_000
"""Milliseconds until the next look at an attempt whose call is still under way here."""

NOT_REPEATED = {"915230", "915231", "915234"}
"""Answers to a repeated call by which nothing was done this time: its key is too long, the merchant has no keys, the first
request with it failed."""
UNTRUSTED = {"duplicate", "duplicate_request"}
"""Rejections of a repeated call that say that there was another one before it."""

NEVER = Outcome(
    AttemptState.ERROR, "never_arrived", "The payment did not reach the bank. You were not charged: try again.", True
)
UNDONE = Outcome(AttemptState.ERROR, "never_arrived", "The gateway did not do this: try again.", True)
EMPTY_SEARCH = Outcome(AttemptState.UNKNOWN, "not_found", "")
INTERRUPTED = Outcome(AttemptState.UNKNOWN, "interrupted", "")

Look = Callable[[Attempt], Awaitable[Outcome | None]]
"""What became of an attempt; ``EMPTY_SEARCH`` when nothing of it was found by a search that counts, None (or another unknown
outcome) when that cannot be known yet. Raises ``GatewayAway`` or ``GatewayRefused``."""


class Reconciler:
    """Works while this node holds the lease, from ``start`` to ``stop``. ``others`` are the looks at what is not about orders,
    by the operation."""

    def __init__(self, parts: Parts, calls: Calls, others: Mapping[Op, Look] | None = None) -> None:
        self._parts = parts
        self._calls = calls
        self._looks: dict[Op, Look] = {
            Op.SALE: self._look_at_sale,
            Op.SETTLE: self._look_at_settlement,
            Op.VOID: self._look_at_void,
            Op.REFUND: self._look_at_refund,
            **(others or {}),
        }
        self._rounds = Rounds(parts.database, parts.reactor, Work(TABLE, "the search for unknown payments", self.round))

    async def start(self) -> None:
        await self._rounds.start()

    async def stop(self) -> None:
        """The looks that are under way come to their end."""
        await self._rounds.stop()

    # Looking

    async def round(self) -> float:
        """Look once for attempts that are due, at most ``BATCH``; each is due again later, however the look ends. Returns the
        seconds until the next round. Raises ``StoreError``."""
        due = await attempts.due(self._parts.database, self._parts.now, BATCH)
        await gatherResults([Deferred.fromCoroutine(self._look(each)) for each in due], consumeErrors=True)
        return 0 if len(due) == BATCH else INTERVAL

    async def _look(self, attempt: Attempt) -> None:
        if self._calls.is_running(attempt.id):
            await self._later(attempt, attempt.empties, AWHILE)
            return
        if attempt.state is AttemptState.SENDING:
            # Who began it has died, or could not write its outcome down.
            await self._calls.finish(attempt.id, INTERRUPTED)
            return
        found = await self._found(attempt)
        if found is EMPTY_SEARCH:
            await self._later(attempt, attempt.empties + 1, _pause(attempt.empties))
        elif found is None or found.state is AttemptState.UNKNOWN:
            await self._later(attempt, attempt.empties, _pause(attempt.checks))
        else:
            await self._later(attempt, attempt.empties, _pause(attempt.checks))
            _log.info("attempt {id} was {state}: {code}", id=attempt.id, state=found.state.value, code=found.code)
            await self._calls.finish(attempt.id, found)

    async def _found(self, attempt: Attempt) -> Outcome | None:
        try:
            return await self._looks[attempt.op](attempt)
        except (GatewayAway, GatewayRefused) as error:
            _log.warn("attempt {id} cannot be looked for now: {why}", id=attempt.id, why=str(error))
            return None

    async def _later(self, attempt: Attempt, empties: int, pause: int) -> None:
        await attempts.looked(self._parts.database, attempt.id, empties, self._parts.now + pause)

    async def _look_at_sale(self, attempt: Attempt) -> Outcome | None:
        sale = self._calls.kept(attempt.id)
        is_repeated = False
        if sale is not None and attempt.checks < REPEATS:
            answered = await self._calls.ask(attempt, replace(sale, attempt=attempt))
            if _is_of(attempt, answered):
                return answered
            is_repeated = answered.code not in NOT_REPEATED
        if not is_repeated:
            self._calls.forget(attempt.id)
        found = await self._search(attempt)
        if found is not None:
            return found
        if is_repeated:
            # The call that was just made may still be at work: that nothing is found says nothing.
            return None
        return NEVER if attempt.empties + 1 >= EMPTY else EMPTY_SEARCH

    async def _search(self, attempt: Attempt) -> Outcome | None:
        """By the id of the attempt. What is found beside the one that is meant is undone."""
        seen = await self._parts.gateway.transactions_of(attempt.id)
        own = [each for each in seen if is_its(attempt, each)]
        if not own:
            return None
        first, *others = sorted(own, key=_goodness)
        if others:
            await self._calls.finish(attempt.id, outcome_of(first))
            for each in others:
                await self._calls.observe(each)
        return outcome_of(first)

    async def _look_at_void(self, attempt: Attempt) -> Outcome | None:
        return await self._look_then_repeat(attempt, self._seen_voided)

    async def _look_at_settlement(self, attempt: Attempt) -> Outcome | None:
        return await self._look_then_repeat(attempt, self._search_new if attempt.is_part else self._seen_captured)

    async def _look_at_refund(self, attempt: Attempt) -> Outcome | None:
        return await self._look_then_repeat(attempt, self._seen_refunded)

    async def _look_then_repeat(self, attempt: Attempt, look: Look) -> Outcome | None:
        found = await look(attempt)
        if found is not None:
            return found
        answered = await self._calls.ask(attempt)
        is_nothing = answered.code in NOT_REPEATED or answered.code in UNTRUSTED
        if answered.state is AttemptState.APPROVED:
            return answered
        if answered.state in (AttemptState.UNKNOWN, AttemptState.ERROR) and not is_nothing:
            # Whether it was sent this time or not, that says nothing about the first.
            return None
        found = await look(attempt)
        if found is not None:
            return found
        if is_nothing:
            return UNDONE if attempt.empties + 1 >= EMPTY else EMPTY_SEARCH
        return answered

    async def _seen_voided(self, attempt: Attempt) -> Outcome | None:
        seen = await self._parts.gateway.transaction(attempt.target)
        return outcome_as_approved(seen) if seen is not None and seen.status == "voided" else None

    async def _seen_captured(self, attempt: Attempt) -> Outcome | None:
        seen = await self._parts.gateway.transaction(attempt.target)
        return outcome_as_approved(seen) if seen is not None and seen.status in CAPTURED else None

    async def _seen_refunded(self, attempt: Attempt) -> Outcome | None:
        return await self._search_new(attempt) or await self._among_refunds(attempt)

    async def _search_new(self, attempt: Attempt) -> Outcome | None:
        seen = await self._parts.gateway.transactions_of(attempt.id)
        own = next((each for each in seen if is_its(attempt, each)), None)
        return outcome_of(own) if own is not None else None

    async def _among_refunds(self, attempt: Attempt) -> Outcome | None:
        """The transaction names its refunds, also those that a search does not find yet."""
        seen = await self._parts.gateway.transaction(attempt.target)
        for id in seen.refund_ids if seen is not None else ():
            if await transactions.find(self._parts.database, id) is None:
                refund = await self._parts.gateway.transaction(id)
                if refund is not None and is_its(attempt, refund):
                    return outcome_of(refund)
        return None


def outcome_as_approved(seen: GatewayTransaction) -> Outcome:
    return Outcome(AttemptState.APPROVED, "approved", "", transaction=seen)


def _is_of(attempt: Attempt, answered: Outcome) -> bool:
    """Whether the answer to a repeated call tells what became of the first one. A refusal to repeat does not."""
    seen = answered.transaction
    if answered.state is AttemptState.UNKNOWN or seen is None or answered.code in UNTRUSTED:
        return False
    return seen.order_id == attempt.id


def _goodness(found: GatewayTransaction) -> tuple[bool, int]:
    return outcome_of(found).state is not AttemptState.APPROVED, found.created_at


def _pause(looks: int) -> int:
    return PAUSES[min(looks, len(PAUSES) - 1)]
