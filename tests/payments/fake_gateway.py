"""A gateway that keeps transactions, knows keys, and does what a test tells it to."""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from rtserver.core.payments import Money
from rtserver.payments.errors import GatewayAway, GatewayBusy
from rtserver.payments.records import (
    Attempt,
    AttemptState,
    FieldError,
    GatewayTransaction,
    MerchantAccount,
    Op,
    Outcome,
    Sale,
)

Work = Callable[[], Outcome]
Way = Callable[["FakeGateway", Work], Awaitable[Outcome]]

HELD = {"authorized"}
VOIDABLE = {"authorized", "submitted_for_settlement"}
REFUNDABLE = {"settling", "settled"}
OVER = {"voided", "processor_declined", "gateway_rejected", "failed", "settlement_declined"}

UNKNOWN = Outcome(AttemptState.UNKNOWN, "timeout", "")


async def works(gateway: FakeGateway, work: Work) -> Outcome:
    return work()


async def works_then_loses_the_answer(gateway: FakeGateway, work: Work) -> Outcome:
    work()
    return UNKNOWN


async def is_lost_on_the_way(gateway: FakeGateway, work: Work) -> Outcome:
    return UNKNOWN


async def is_busy(gateway: FakeGateway, work: Work) -> Outcome:
    raise GatewayBusy("too many calls wait")


async def breaks(gateway: FakeGateway, work: Work) -> Outcome:
    raise RuntimeError("fake-valid-nonce was in this text")


def waits(*, done_first: bool = False) -> tuple[Way, Deferred[None]]:
    """A way that answers when the Deferred is fired, having worked before (or after) that."""
    gate: Deferred[None] = Deferred()

    async def way(gateway: FakeGateway, work: Work) -> Outcome:
        outcome = work() if done_first else None
        await gate
        return outcome or work()

    return way, gate


def refuses(state: AttemptState, code: str, sentence: str = "No.", is_soft: bool = False) -> Way:
    """A final no. Declined and rejected sales leave a transaction."""
    status = {AttemptState.DECLINED: "processor_declined", AttemptState.REJECTED: "gateway_rejected"}.get(state)

    async def way(gateway: FakeGateway, work: Work) -> Outcome:
        errors = (FieldError("credit_card.number", "81715", "Credit card number is invalid."),)
        seen = gateway.add("sale", status, gateway.asked[-1][1]) if status else None
        return Outcome(state, code, sentence, is_soft, seen, errors if state is AttemptState.INVALID else ())

    return way


def approves(minor: int, currency: str = "USD") -> Way:
    """Another amount than was asked."""

    async def way(gateway: FakeGateway, work: Work) -> Outcome:
        outcome = work()
        assert outcome.transaction is not None
        seen = replace(outcome.transaction, amount=Money(minor, currency))
        gateway.transactions[seen.id] = seen
        return replace(outcome, transaction=seen)

    return way


def tells(details: dict[str, Any]) -> Way:
    """It works, and says more about it."""

    async def way(gateway: FakeGateway, work: Work) -> Outcome:
        outcome = work()
        assert outcome.transaction is not None
        return replace(outcome, transaction=replace(outcome.transaction, details=details))

    return way


class _Refused(Exception):
    """By the gateway, with this code."""


class FakeGateway:
    """``ways`` are taken one after the other for each operation; without one it works. ``asked`` are the calls that moved
    money. ``is_away``: reading fails. ``blind``: so many searches find nothing."""

    def __init__(self, unix: Callable[[], float]) -> None:
        self._unix = unix
        self.ways: dict[Op, deque[Way]] = defaultdict(deque)
        self.asked: list[tuple[Op, Attempt]] = []
        self.sales: list[Sale] = []
        self.transactions: dict[str, GatewayTransaction] = {}
        self._by_key: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self.accounts = [MerchantAccount("shop", "USD", True), MerchantAccount("hotel", "EUR", False)]
        self.is_away = False
        self.knows_keys = True
        self.blind = 0
        self.searches = 0

    def will(self, op: Op, *ways: Way) -> None:
        self.ways[op].extend(ways)

    def count(self, op: Op) -> int:
        return sum(1 for each, _ in self.asked if each is op)

    def add(self, kind: str, status: str, attempt: Attempt, **changes: Any) -> GatewayTransaction:
        id = f"bt{next(self._numbers)}"
        plain = GatewayTransaction(id, kind, status, attempt.amount, attempt.id, int(self._unix() * 1000))
        self.transactions[id] = replace(plain, **changes)
        return self.transactions[id]

    def set_status(self, id: str, status: str) -> GatewayTransaction:
        self.transactions[id] = replace(self.transactions[id], status=status)
        return self.transactions[id]

    def charged(self) -> list[GatewayTransaction]:
        """Sales that take or hold money."""
        return [each for each in self.transactions.values() if each.kind == "sale" and each.status not in OVER]

    # Money

    async def sale(self, sale: Sale) -> Outcome:
        self.sales.append(sale)
        status = "authorized" if sale.is_held else "submitted_for_settlement"
        return await self._do(Op.SALE, sale.attempt, lambda: self.add("sale", status, sale.attempt))

    async def settle(self, attempt: Attempt, is_part: bool) -> Outcome:
        def whole() -> GatewayTransaction:
            held = self._in(attempt, HELD, "91507")
            done = replace(held, status="submitted_for_settlement", amount=attempt.amount)
            self.transactions[held.id] = done
            return done

        def part() -> GatewayTransaction:
            self._in(attempt, HELD, "91507")
            return self.add("sale", "submitted_for_settlement", attempt, parent=attempt.target)

        return await self._do(Op.SETTLE, attempt, part if is_part else whole)

    async def void(self, attempt: Attempt) -> Outcome:
        def work() -> GatewayTransaction:
            return self.set_status(self._in(attempt, VOIDABLE, "91504").id, "voided")

        return await self._do(Op.VOID, attempt, work)

    async def refund(self, attempt: Attempt) -> Outcome:
        def work() -> GatewayTransaction:
            sale = self._in(attempt, REFUNDABLE, "91506")
            given = sum(self.transactions[id].amount.minor for id in sale.refund_ids)
            if given + attempt.amount.minor > sale.amount.minor:
                raise _Refused("91521")
            made = self.add("credit", "submitted_for_settlement", attempt, parent=attempt.target)
            self.transactions[sale.id] = replace(sale, refund_ids=(*sale.refund_ids, made.id))
            return made

        return await self._do(Op.REFUND, attempt, work)

    async def retry_charge(self, attempt: Attempt) -> Outcome:
        return await self._do(Op.RETRY, attempt, lambda: self.add("sale", "submitted_for_settlement", attempt))

    def _in(self, attempt: Attempt, statuses: set[str], code: str) -> GatewayTransaction:
        """What the attempt is about, if it is so far."""
        found = self.transactions[attempt.target]
        if found.status not in statuses:
            raise _Refused(code)
        return found

    async def _do(self, op: Op, attempt: Attempt, work: Callable[[], GatewayTransaction]) -> Outcome:
        self.asked.append((op, attempt))
        way = self.ways[op].popleft() if self.ways[op] else works

        def once() -> Outcome:
            known = self._by_key.get(attempt.api_request_key) if self.knows_keys else None
            try:
                if known is None:
                    known = self._by_key[attempt.api_request_key] = work().id
            except _Refused as error:
                return Outcome(AttemptState.INVALID, str(error), "No.")
            return Outcome(AttemptState.APPROVED, "approved", "Approved", transaction=self.transactions[known])

        return await way(self, once)

    # Reading

    async def merchant_accounts(self) -> Sequence[MerchantAccount]:
        self._check()
        return self.accounts

    async def transaction(self, id: str) -> GatewayTransaction | None:
        self._check()
        return self.transactions.get(id)

    async def transactions_of(self, attempt_id: str) -> Sequence[GatewayTransaction]:
        self._check()
        self.searches += 1
        if self.blind:
            self.blind -= 1
            return []
        return [each for each in self.transactions.values() if each.order_id == attempt_id]

    def _check(self) -> None:
        if self.is_away:
            raise GatewayAway("the gateway cannot be reached")
