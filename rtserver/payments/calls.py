"""Calls that move money. Each comes to its end and is written down, whoever waits for it or does not any more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rtserver.core.errors import StoreError, StoreUnavailable
from rtserver.payments.errors import GatewayBusy, PaymentRefused
from rtserver.payments.ledger import Finished, Ledger
from rtserver.payments.parts import Parts
from rtserver.payments.records import Attempt, AttemptState, GatewayTransaction, Op, Outcome, Sale

_log = Logger()

SPARE = 1.0
"""Seconds after the deadline. The gateway keeps it by itself, and knows more about what it means."""
KEPT = 1000
"""Sales of which the nonce is remembered, so that they can be repeated while their outcome is unknown."""
KEPT_FOR = 900.0
"""Seconds."""
WRITE_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 20.0)
"""Seconds between attempts to write an outcome down while the database is away; then the reconciler has to find it."""

BUSY = Outcome(
    AttemptState.ERROR, "busy", "Too many payments are under way. You were not charged: try again in a minute.", True
)
BROKEN = Outcome(AttemptState.UNKNOWN, "broken_call", "")
TIMEOUT = Outcome(AttemptState.UNKNOWN, "timeout", "")

Done = Callable[[Attempt], Awaitable[None]]
Ask = Callable[[Attempt], Awaitable[Outcome]]
Follow = Callable[[Attempt, Outcome], Awaitable[Outcome]]


@dataclass(slots=True)
class _Running:
    attempt: Attempt
    waiters: list[Deferred[Attempt | None]] = field(default_factory=list)
    is_late: bool = False
    """Whoever comes now does not wait."""
    ended: Deferred[None] = field(default_factory=Deferred)


class Calls:
    """Calls of this process, from now to ``stop``."""

    def __init__(self, parts: Parts, ledger: Ledger) -> None:
        self._parts = parts
        self.ledger = ledger
        self._running: dict[str, _Running] = {}
        self._kept: OrderedDict[str, tuple[Sale, float]] = OrderedDict()
        self._others: dict[Op, Ask] = {}
        self._follows: dict[Op, Follow] = {}
        self._is_closing = False

    # Calling

    def offer(self, op: Op, ask: Ask, follow: Follow | None = None) -> None:
        """How to call for what is not about orders. ``follow``: what else is to be done before an outcome that came late is
        written down."""
        self._others[op] = ask
        if follow is not None:
            self._follows[op] = follow

    def check_open(self) -> None:
        """Raises ``PaymentRefused`` while the server shuts down: nothing new is to be written down then."""
        if self._is_closing:
            raise PaymentRefused("closing", "The server is about to restart: try again in a minute.", status=503)

    def start(self, attempt: Attempt, sale: Sale | None = None, done: Done | None = None) -> None:
        """Make the call of an attempt that was written down. ``sale`` is what a sale needs beside it. ``done`` is called when
        the outcome is known."""
        running = self._running[attempt.id] = _Running(attempt)
        if sale is not None:
            self._keep(sale)
        timer = self._parts.reactor.callLater(self._parts.deadline + SPARE, self._too_late, running)
        self._spawn(self._run(running, sale, timer, done))

    @property
    def under_way(self) -> int:
        """How many calls have not come to their end."""
        return len(self._running)

    def is_running(self, attempt_id: str) -> bool:
        return attempt_id in self._running

    async def wait(self, attempt_id: str) -> Attempt | None:
        """The attempt as soon as its outcome is known, or unknown by now. None: it is not a call of this process, or not one
        to wait for."""
        running = self._running.get(attempt_id)
        if running is None or running.is_late:
            return None
        waiter: Deferred[Attempt | None] = Deferred(partial(_leave, running))
        running.waiters.append(waiter)
        return await waiter

    async def ask(self, attempt: Attempt, sale: Sale | None = None) -> Outcome:
        """Make the call, once. The same one as before when the attempt was called before."""
        try:
            return await self._send(attempt, sale)
        except GatewayBusy:
            return BUSY
        except Exception as error:
            # Neither its text nor its traceback: they may hold the nonce.
            _log.error("the call of attempt {id} broke: {kind}", id=attempt.id, kind=type(error).__name__)
            return BROKEN

    async def _send(self, attempt: Attempt, sale: Sale | None) -> Outcome:
        gateway = self._parts.gateway
        if attempt.op is Op.SALE:
            return await gateway.sale(sale) if sale is not None else BROKEN
        if attempt.op is Op.SETTLE:
            return await gateway.settle(attempt, attempt.is_part)
        plain = {Op.VOID: gateway.void, Op.REFUND: gateway.refund, **self._others}
        return await plain[attempt.op](attempt)

    async def _run(self, running: _Running, sale: Sale | None, timer: Any, done: Done | None) -> None:
        attempt = running.attempt
        try:
            outcome = await self.ask(attempt, sale)
            finished = await self._write(attempt.id, outcome)
            self._release(running, finished.attempt)
            if done is not None and finished.attempt is not None:
                await done(finished.attempt)
        finally:
            if timer.active():
                timer.cancel()
            self._release(running, None)
            del self._running[attempt.id]
            running.ended.callback(None)

    def late(self, attempt: Attempt, outcome: Outcome) -> None:
        """The outcome of a call came when nobody waited for it any more."""
        self._spawn(self._written(attempt, outcome))

    async def _written(self, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.op in self._follows:
            outcome = await self._follows[attempt.op](attempt, outcome)
        await self._write(attempt.id, outcome)

    def _too_late(self, running: _Running) -> None:
        self._spawn(self._say_unknown(running))

    async def _say_unknown(self, running: _Running) -> None:
        """The call goes on; who waits for it is told that nothing is known."""
        try:
            finished = await self.ledger.finish(running.attempt.id, TIMEOUT)
            self._release(running, finished.attempt)
        finally:
            self._release(running, None)

    def _release(self, running: _Running, attempt: Attempt | None) -> None:
        running.is_late = True
        waiters, running.waiters = running.waiters, []
        for each in waiters:
            if not each.called:
                each.callback(attempt)

    # Writing down

    async def _write(self, attempt_id: str, outcome: Outcome) -> Finished:
        """Raises ``StoreError`` when the outcome could not be written down."""
        for pause in WRITE_PAUSES:
            try:
                return await self.finish(attempt_id, outcome)
            except StoreUnavailable:
                await deferLater(self._parts.reactor, pause)
        return await self.finish(attempt_id, outcome)

    async def finish(self, attempt_id: str, outcome: Outcome) -> Finished:
        """Write an outcome down, and do what follows from it."""
        return self._followed(await self.ledger.finish(attempt_id, outcome))

    async def observe(self, seen: GatewayTransaction) -> Finished:
        """Write down what exists at the gateway, and do what follows from it."""
        return self._followed(await self.ledger.observe(seen))

    def _followed(self, finished: Finished) -> Finished:
        for each in finished.follow:
            self.start(each)
        attempt = finished.attempt
        if attempt is not None and attempt.state not in (AttemptState.SENDING, AttemptState.UNKNOWN):
            self.forget(attempt.id)
        return finished

    # Nonces

    def kept(self, attempt_id: str) -> Sale | None:
        """The sale as it was asked for, while this process remembers it."""
        self._drop_old()
        found = self._kept.get(attempt_id)
        return found[0] if found else None

    def forget(self, attempt_id: str) -> None:
        self._kept.pop(attempt_id, None)

    def _keep(self, sale: Sale) -> None:
        self._drop_old()
        self._kept[sale.attempt.id] = (sale, self._parts.reactor.seconds())
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def _drop_old(self) -> None:
        oldest = self._parts.reactor.seconds() - KEPT_FOR
        while self._kept and next(iter(self._kept.values()))[1] < oldest:
            self._kept.popitem(last=False)

    # The end

    async def stop(self) -> int:
        """Begin nothing, and let what is under way come to its end within the deadline. How many calls were left behind."""
        self._is_closing = True
        self._kept.clear()
        everything = DeferredList([each.ended for each in self._running.values()], consumeErrors=True)
        await everything.addTimeout(self._parts.deadline + 2 * SPARE, self._parts.reactor)
        return self.under_way

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(work).addErrback(_tell)


def _leave(running: _Running, waiter: Deferred[Attempt | None]) -> None:
    if waiter in running.waiters:
        running.waiters.remove(waiter)


def _tell(failure: Any) -> None:
    if failure.check(StoreError):
        _log.warn("what became of a call could not be written down yet: {why}", why=str(failure.value))
    else:
        _log.failure("a call of the gateway ended badly", failure)
