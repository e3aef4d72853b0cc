"""News of payments: rows of ``rt_pay_events``, put in the transaction of the change that they tell of.

Pages get them on the channels of the payer and of the staff, applications by the functions that they registered: at least once,
in their order for each order, again after a failure until they succeed or ``TRIES`` is over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from rtserver.core.errors import StoreError
from rtserver.core.ports import Row, Transaction
from rtserver.core.rows import as_json, of_json
from rtserver.payments.parts import Parts
from rtserver.rounds import Rounds, Work

_log = Logger()

TABLE = "rt_pay_events"

TRIES = 20
FIRST_PAUSE = 5_000
LONGEST_PAUSE = 12 * 3_600_000
"""Milliseconds; the pauses double. Twenty tries take four days."""
BATCH = 50
"""Events that are handed on at a time. One whose function hangs keeps only its own order waiting."""
INTERVAL = 1.0
"""Seconds between two looks at the table."""
TIME_LIMIT = 60.0
"""Seconds that an application's function may take; then it is cancelled, if it can be."""
PATIENCE = 5.0
"""Seconds after that until it is said that it goes on."""
STOP_TIME = 10.0
"""Seconds that the end waits for functions of applications."""
STAY = 90 * 86_400_000
"""Milliseconds that an event stays after it was made."""
SWEEP_INTERVAL = 3600.0

_PUT = (
    "insert into rt_pay_events (id, kind, user_id, order_id, record, next_at, created_at) values (?, ?, ?, ?, ?, ?, ?)"
)
# An event waits for the ones before it of the same order.
_DUE = """
    select number, id, kind, user_id, order_id, record, created_at, tries from rt_pay_events as event
    where state = 'new' and next_at <= ? and (order_id = '' or not exists (
        select 1 from rt_pay_events as earlier
        where earlier.order_id = event.order_id and earlier.state = 'new' and earlier.number < event.number
    )) order by number limit ?
"""
_DONE = "update rt_pay_events set state = 'done', tries = tries + 1 where number = ?"
_AGAIN = "update rt_pay_events set state = ?, tries = tries + 1, next_at = ? where number = ?"
_SWEEP = """
    delete from rt_pay_events where number in (
        select number from rt_pay_events where state <> 'new' and created_at < ? order by number limit 1000
    )
"""


@dataclass(frozen=True, slots=True)
class PaymentEvent:
    """``kind`` is "payment.<state of the order>", "subscription.<status>" or "dispute.<status>". ``record`` is what pages and
    applications see: order, item, amount, currency, state, code, message, captured, refunded, transaction. ``order_id`` of a
    subscription's event is the id of the subscription: what happens to one of them comes in order too. ``created_at`` in
    milliseconds since 1970. The same event may come twice, with the same ``id``."""

    id: str
    kind: str
    user_id: str
    order_id: str
    record: dict[str, Any]
    created_at: int


OnPayment = Callable[[PaymentEvent], Awaitable[None]]
"""A function of an application. An exception means: again later."""


async def put(parts: Parts, transaction: Transaction, about: tuple[str, str, str], record: dict[str, Any]) -> None:
    """``about`` is kind, id of the payer, and id of the order ("" for none)."""
    kind, user_id, order_id = about
    now = parts.now
    event_id = parts.new_id()
    await transaction.run(_PUT, (event_id, kind, user_id, order_id, as_json(record), now, now))
    news = {"kind": kind, "id": event_id, "at": now, "record": record}
    if user_id and parts.options.channel:
        await parts.publish(transaction, parts.options.channel.replace("{user}", user_id), as_json(news))
    if parts.options.staff_channel:
        await parts.publish(transaction, parts.options.staff_channel, as_json({**news, "user": user_id}))


class EventDelivery:
    """Hands events to ``functions`` while this node holds the lease, from ``start`` to ``stop``."""

    def __init__(self, parts: Parts, functions: Sequence[OnPayment]) -> None:
        self._parts = parts
        self._functions = tuple(functions)
        self._rounds = Rounds(parts.database, parts.reactor, Work(TABLE, "handing on news of payments", self._round))
        self._swept_at = float("-inf")
        self._under_way: dict[int, Deferred[None]] = {}
        """By the number of the event: fires when it is dealt with."""

    async def start(self) -> None:
        await self._rounds.start()

    async def stop(self) -> None:
        """What is being handed on comes to its end within ``STOP_TIME``; the rest waits for the next start."""
        await self._rounds.stop()
        everything = DeferredList(list(self._under_way.values()), consumeErrors=True)
        await everything.addTimeout(STOP_TIME, self._parts.reactor)
        if self._under_way:
            _log.warn("{n} functions for payments go on: they are called again after the start", n=len(self._under_way))

    async def _round(self) -> float:
        parts = self._parts
        await self._sweep()
        rows = await parts.database.run(_DUE, (parts.now, BATCH + len(self._under_way)))
        fresh = [row for row in rows if row[0] not in self._under_way]
        for row in fresh[: BATCH - len(self._under_way)]:
            Deferred.fromCoroutine(self._deal_with(row)).addErrback(_tell)
        return INTERVAL

    async def _deal_with(self, row: Row) -> None:
        number = row[0]
        ended = self._under_way[number] = Deferred()
        try:
            await self._hand_on(row)
            self._rounds.wake()
        except StoreError as error:
            _log.warn("what became of event {id} cannot be written down now: {why}", id=row[1], why=str(error))
        finally:
            del self._under_way[number]
            ended.callback(None)

    async def _hand_on(self, row: Row) -> None:
        number, event_id, kind, user_id, order_id, record, created_at, tries = row
        event = PaymentEvent(event_id, kind, user_id, order_id, of_json(record), created_at)
        try:
            for function in self._functions:
                await self._call(function, event)
        except Exception:
            await self._put_off(event, number, tries + 1)
        else:
            await self._parts.database.run(_DONE, (number,))

    async def _call(self, function: OnPayment, event: PaymentEvent) -> None:
        reactor = self._parts.reactor
        late = reactor.callLater(TIME_LIMIT + PATIENCE, _say_late, event)
        try:
            await Deferred.fromCoroutine(_called(function, event)).addTimeout(TIME_LIMIT, reactor)
        finally:
            if late.active():
                late.cancel()

    async def _put_off(self, event: PaymentEvent, number: int, tries: int) -> None:
        _log.failure("an application's function for {kind} failed (try {n})", kind=event.kind, n=tries)
        is_over = tries >= TRIES
        if is_over:
            _log.error("event {id} of order {order} is given up", id=event.id, order=event.order_id)
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tries - 1))
        values = ("failed" if is_over else "new", self._parts.now + pause, number)
        await self._parts.database.run(_AGAIN, values)

    async def _sweep(self) -> None:
        seconds = self._parts.reactor.seconds()
        if seconds - self._swept_at >= SWEEP_INTERVAL:
            self._swept_at = seconds
            await self._parts.database.run(_SWEEP, (self._parts.now - STAY,))


def _tell(failure: Any) -> None:
    _log.failure("news of payments could not be handed on", failure)


def _say_late(event: PaymentEvent) -> None:
    """A plain function in a thread cannot be cancelled. It is not called a second time beside itself."""
    _log.error(
        "an application's function for {kind} does not end: order {order} waits for it until the next start",
        kind=event.kind,
        order=event.order_id,
    )


async def _called(function: OnPayment, event: PaymentEvent) -> None:
    await function(event)
