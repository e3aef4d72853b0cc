"""What transactions have in common whatever the database: one statement at a time, all or nothing, again when they collide."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import Enum, auto
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.task import deferLater

from rtserver.core.errors import StoreError, StoreUnavailable
from rtserver.core.ports import Row, Transaction, Value

T = TypeVar("T")

Work = Callable[[Transaction], Awaitable[T]]

RETRIES = 10
"""How often a transaction that collided with others is begun anew; by then 2 s or more have passed."""
FIRST_PAUSE = 0.005
LONGEST_PAUSE = 0.5
"""Seconds; the pauses double, and each is cut at random so that those that collided do not meet again."""


class Contended(StoreUnavailable):
    """A transaction or statement was undone because it collided with another one."""

    def __init__(self) -> None:
        super().__init__("too many transactions change the same rows at once: try again")


class Progress(Enum):
    OPEN = auto()
    BUSY = auto()
    """A statement is under way."""
    FAILED = auto()
    OVER = auto()


SENTENCES = {
    Progress.BUSY: "a transaction does one statement at a time: await the one before",
    Progress.FAILED: "a statement of this transaction has failed, and it can only end: let the error pass",
    Progress.OVER: "this transaction is over: use it inside of the function that got it only",
}


class OpenTransaction:
    """Implements ``ports.Transaction`` by a function that runs one statement of it."""

    def __init__(self, execute: Callable[[str, Sequence[Value]], Awaitable[list[Row]]]) -> None:
        self._execute = execute
        self._progress = Progress.OPEN
        self.error: BaseException | None = None
        """The first error of a statement, even when ``work`` caught it."""

    async def run(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        if self._progress is not Progress.OPEN:
            raise StoreError(SENTENCES[self._progress])
        self._progress = Progress.BUSY
        try:
            rows = await self._execute(sql, params)
        except BaseException as error:
            self.error = error
            self._leave(Progress.FAILED)
            raise
        self._leave(Progress.OPEN)
        return rows

    def end(self) -> None:
        self._progress = Progress.OVER

    def _leave(self, progress: Progress) -> None:
        if self._progress is Progress.BUSY:
            self._progress = progress


async def worked(work: Work[T], transaction: OpenTransaction, limit: float, reactor: Any) -> T:
    """What ``work`` returns. Raises what it raises, the error of a statement that it caught, or ``StoreUnavailable`` when it
    takes longer than ``limit`` seconds."""
    working = Deferred.fromCoroutine(_coroutine(work, transaction))
    working.addTimeout(limit, reactor)
    try:
        result = await working
    except TimeoutError:
        raise StoreUnavailable(
            f"a transaction took longer than {limit:g} s and was undone: do less in it, or raise database.transaction_timeout"
        ) from None
    finally:
        transaction.end()
    if transaction.error is not None:
        raise transaction.error
    return result


async def _coroutine(work: Work[T], transaction: OpenTransaction) -> T:
    return await work(transaction)


async def again_when_contended(attempt: Callable[[], Coroutine[Any, Any, T]], reactor: Any) -> T:
    """The first outcome that is no collision, of up to ``RETRIES`` + 1 attempts."""
    pause = FIRST_PAUSE
    for _ in range(RETRIES):
        try:
            return await attempt()
        except Contended:
            await deferLater(reactor, pause * random.uniform(0.2, 1.0))
            pause = min(LONGEST_PAUSE, pause * 2)
    return await attempt()


def shielded(inner: Deferred[T]) -> Deferred[T]:
    """The outcome of ``inner`` for one who may be cancelled: ``inner`` goes on all the same. Nobody else may look at it."""
    outer: Deferred[T] = Deferred()
    inner.addBoth(outer.callback)
    return outer
