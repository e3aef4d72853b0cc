"""Payments while the database is away, the server starts and ends, on every database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from twisted.internet.defer import Deferred

from rtserver.core.errors import StoreUnavailable
from rtserver.core.ports import Database, Lease, Row, Transaction, Value
from rtserver.payments.calls import SPARE, WRITE_PAUSES
from rtserver.payments.records import AttemptState, Op, OrderState
from rtserver.rounds import LONGEST_PAUSE
from tests.payments.fake_gateway import is_lost_on_the_way, waits, works_then_loses_the_answer
from tests.payments.shop import Shop, checks_of, refusal

T = TypeVar("T")


class FailingDatabase:
    """A database that can be away."""

    unready = ""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.is_away = False

    def _check(self) -> None:
        if self.is_away:
            raise StoreUnavailable("the database is away")

    async def start(self) -> None:
        await self._inner.start()

    async def stop(self) -> None:
        await self._inner.stop()

    async def run(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        self._check()
        return await self._inner.run(sql, params)

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        self._check()
        return await self._inner.transact(work)

    def lease(self, name: str, gained: Callable[[], None], lost: Callable[[], None], wake: Callable[[], None]) -> Lease:
        return self._inner.lease(name, gained, lost, wake)


def failing(shop: Shop) -> FailingDatabase:
    database = FailingDatabase(shop.database)
    shop.parts = replace(shop.parts, database=database)
    shop.restart()
    return database


async def check_without_a_database_nobody_is_charged(shop: Shop) -> None:
    failing(shop).is_away = True
    try:
        await shop.pay()
    except StoreUnavailable:
        assert shop.gateway.asked == []
    else:
        raise AssertionError("it went on")


async def check_a_database_that_is_away_for_a_moment_loses_no_outcome(shop: Shop) -> None:
    database = failing(shop)
    way, gate = waits()
    shop.gateway.will(Op.SALE, way)
    paying = shop.paying()
    await shop.until(lambda: bool(shop.gateway.asked))
    database.is_away = True
    gate.callback(None)
    for pause in WRITE_PAUSES[:3]:
        await shop.turn()
        shop.clock.advance(pause)
    database.is_away = False
    shop.clock.advance(WRITE_PAUSES[3])
    answer = await paying
    assert (answer.result, answer.order["state"]) == ("done", "paid")


async def check_an_outcome_that_could_never_be_written_is_found_again(shop: Shop) -> None:
    database = failing(shop)
    way, gate = waits(done_first=True)
    shop.gateway.will(Op.SALE, way)
    paying = shop.paying(nonce="n1")
    await shop.until(lambda: bool(shop.gateway.asked))
    database.is_away = True
    gate.callback(None)
    for _ in range(60):
        await shop.turn()
        shop.clock.advance(2 * SPARE)
    await shop.quiet()
    try:
        await paying
    except StoreUnavailable:
        database.is_away = False
    else:
        raise AssertionError("nobody could know that")
    await shop.later(40)
    again = await shop.pay(nonce="n1")
    assert (again.result, again.order["state"]) == ("done", "paid")
    assert len(shop.gateway.transactions) == 1


async def check_looking_begins_with_the_server_and_ends_with_it(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, works_then_loses_the_answer, is_lost_on_the_way)
    first = await shop.pay()
    shop.restart()
    await shop.reconciler.start()
    while (await shop.order(first)).state is not OrderState.PAID:
        await shop.turn()
        shop.clock.advance(1.0)
    await shop.reconciler.stop()
    second = await shop.pay()
    assert second.result == "unknown"
    shop.clock.advance(60)
    await shop.turn()
    assert (await shop.order(second)).state is OrderState.CHECKING


async def check_looking_goes_on_after_the_database_was_away(shop: Shop) -> None:
    database = failing(shop)
    shop.gateway.will(Op.SALE, works_then_loses_the_answer)
    answer = await shop.pay()
    database.is_away = True
    await shop.reconciler.start()
    for _ in range(10):
        await shop.turn()
        shop.clock.advance(LONGEST_PAUSE)
    database.is_away = False
    while (await shop.order(answer)).state is not OrderState.PAID:
        await shop.turn()
        shop.clock.advance(LONGEST_PAUSE)
    await shop.reconciler.stop()


async def check_two_servers_that_look_at_once_find_the_same(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, works_then_loses_the_answer)
    answer = await shop.pay()
    first = shop.reconciler
    shop.restart()
    shop.clock.advance(6)
    rounds = [Deferred.fromCoroutine(each.round()) for each in (first, shop.reconciler)]
    for each in rounds:
        await each
    await shop.quiet()
    assert (await shop.order(answer)).state is OrderState.PAID
    assert await shop.news() == ["payment.checking", "payment.paid"] and len(shop.gateway.transactions) == 1


async def check_a_server_that_ends_lets_calls_end_and_begins_none(shop: Shop) -> None:
    way, gate = waits()
    shop.gateway.will(Op.SALE, way)
    paying = shop.paying()
    await shop.until(lambda: bool(shop.gateway.asked))
    stopping = Deferred.fromCoroutine(shop.calls.stop())
    assert (await refusal(shop.pay())).status == 503
    gate.callback(None)
    assert (await paying).result == "done"
    assert await stopping == 0


async def check_a_server_that_ends_does_not_wait_for_ever(shop: Shop) -> None:
    way, gate = waits()
    shop.gateway.will(Op.SALE, way)
    paying = shop.paying()
    await shop.until(lambda: bool(shop.gateway.asked))
    stopping = Deferred.fromCoroutine(shop.calls.stop())
    shop.clock.advance(shop.parts.deadline + SPARE)
    assert (await paying).result == "unknown"
    shop.clock.advance(SPARE)
    assert await stopping == 1
    gate.callback(None)
    await shop.quiet()
    (attempt,) = await shop.attempts(shop.gateway.sales[0].attempt.order_id)
    assert attempt.state is AttemptState.APPROVED


OUTAGES_CHECKS = checks_of(globals())
