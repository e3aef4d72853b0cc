"""What the gateway tells by itself: verified, written down, answered; looked at afterwards.

A notification has no id of its own, comes again and in any order
(https://developer.paypal.com/braintree/docs/guides/webhooks/overview): its digest tells whether it came before, and it only
says what is to be read at the gateway anew. So nothing depends on the order, and an old one sent again changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from rtserver.core.errors import RtError
from rtserver.payments import sightings, webhook_rows
from rtserver.payments.calls import Calls
from rtserver.payments.disputes import Disputes
from rtserver.payments.errors import GatewayRefused
from rtserver.payments.parts import Parts
from rtserver.payments.subscriptions import Subscriptions
from rtserver.payments.webhook_rows import Subject
from rtserver.rounds import Rounds, Work

_log = Logger()

TABLE = "rt_pay_webhooks"

MOST = 256 * 1024
"""Characters of a payload; real ones have some thousands."""
BATCH = 4
"""Objects that are read at a time."""
INTERVAL = 30.0
"""Seconds between two looks at the table when nothing waits and nobody calls."""
FIRST_PAUSE = 5_000
LONGEST_PAUSE = 3_600_000
"""Milliseconds; the pauses double."""
TRIES = 60
"""They take two days; what was lost until then, the nightly report finds."""
STAY = 90 * 86_400_000
"""Milliseconds that a notification is remembered after it was dealt with."""
SWEEP_INTERVAL = 3600.0
WARNING_INTERVAL = 60.0
"""Seconds between two log lines that strangers can cause."""

Look = Callable[[str], Awaitable[bool]]
"""Read this object at the gateway and write down what it is now. False: there is none."""


class Webhooks:
    """``receive`` works always; what was received is looked at while this node holds the lease, from ``start`` to ``stop``."""

    def __init__(self, parts: Parts, calls: Calls, subscriptions: Subscriptions, disputes: Disputes) -> None:
        self._parts = parts
        self._calls = calls
        self._subscriptions = subscriptions
        self._looks: Mapping[str, Look] = {
            "transaction": self._look_at_transaction,
            "subscription": self._look_at_subscription,
            "dispute": disputes.look,
        }
        self._rounds = Rounds(parts.database, parts.reactor, Work(TABLE, "the queue of webhooks", self.round))
        self._swept_at = float("-inf")
        self._warned_at = float("-inf")
        self._unwarned = 0

    async def start(self) -> None:
        await self._rounds.start()

    async def stop(self) -> None:
        """What is being looked at comes to its end; the rest waits for the next start."""
        await self._rounds.stop()

    def challenge(self, text: str) -> str:
        """The answer to the gateway's question whether this address is ours. Raises ``GatewayRefused``."""
        return self._parts.gateway.answer_challenge(text)

    async def receive(self, signature: str, payload: str) -> bool:
        """Returns when it is written down; False: it was before. Raises ``GatewayRefused`` for what the gateway did not sign,
        and ``StoreUnavailable`` when it cannot be written down now: the gateway then sends it again."""
        try:
            if len(payload) > MOST:
                raise GatewayRefused("too_large", f"A webhook has at most {MOST} characters.")
            told = self._parts.gateway.read_webhook(signature, payload)
        except GatewayRefused as error:
            self._warn(error.code)
            raise
        digest = hashlib.sha256(payload.strip().encode()).hexdigest()
        state = "new" if told.subject in self._looks and told.subject_id else "ignored"
        is_new = await webhook_rows.put(self._parts.database, digest, told, state, self._parts.now)
        _log.info(
            "webhook {kind} of {subject} {id}: {what}",
            kind=told.kind,
            subject=told.subject,
            id=told.subject_id,
            what=state if is_new else "came before",
        )
        if is_new and state == "new":
            self._rounds.wake()
        return is_new

    async def round(self) -> float:
        """Look at what is due. Raises ``StoreError``."""
        parts = self._parts
        await self._sweep()
        due = await webhook_rows.due(parts.database, parts.now, BATCH)
        await gatherResults([Deferred.fromCoroutine(self._look(each)) for each in due], consumeErrors=True)
        if due:
            return 0
        next_at = await webhook_rows.next_at(parts.database)
        return min(INTERVAL, max(1.0, (next_at - parts.now) / 1000)) if next_at else INTERVAL

    # Looking

    async def _look(self, subject: Subject) -> None:
        """One look for all that came before it."""
        webhooks = await webhook_rows.of(self._parts.database, subject, self._parts.now)
        try:
            is_there = await self._looks[subject.kind](subject.id)
            why = "the gateway does not know it"
        except RtError as error:
            is_there, why = False, str(error)
        except Exception as error:
            # What it says may hold what the gateway said.
            is_there, why = False, f"unforeseen: {type(error).__name__}"
            _log.error("{kind} {id} could not be looked at: {why}", kind=subject.kind, id=subject.id, why=why)
        if is_there:
            await webhook_rows.end(self._parts.database, webhooks, "done")
        else:
            await self._put_off(subject, webhooks, why)

    async def _put_off(self, subject: Subject, webhooks: list[webhook_rows.Webhook], why: str) -> None:
        self._warn(f"{subject.kind} {subject.id}: {why}")
        over = [each for each in webhooks if each.tries + 1 >= TRIES]
        if over:
            _log.error("webhooks of {kind} {id} are given up: {why}", kind=subject.kind, id=subject.id, why=why)
            await webhook_rows.end(self._parts.database, over, "failed")
        for each in webhooks:
            if each not in over:
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(each.tries, 20))
                await webhook_rows.put_off(self._parts.database, each, self._parts.now + pause)

    async def _look_at_transaction(self, id: str) -> bool:
        seen = await self._parts.gateway.transaction(id)
        if seen is None:
            return False
        await sightings.put(self._parts, self._calls, seen)
        if seen.subscription_id:
            await self._subscriptions.look(seen.subscription_id)
        return True

    async def _look_at_subscription(self, id: str) -> bool:
        return (await self._subscriptions.look(id)).is_there

    async def _sweep(self) -> None:
        seconds = self._parts.reactor.seconds()
        if seconds - self._swept_at >= SWEEP_INTERVAL:
            self._swept_at = seconds
            await webhook_rows.sweep(self._parts.database, self._parts.now - STAY)

    def _warn(self, why: str) -> None:
        seconds = self._parts.reactor.seconds()
        if seconds - self._warned_at < WARNING_INTERVAL:
            self._unwarned += 1
            return
        _log.warn("a webhook was not dealt with: {why} ({n} more since the last such line)", why=why, n=self._unwarned)
        self._warned_at, self._unwarned = seconds, 0
