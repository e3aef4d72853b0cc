"""What transactions have in common, with a clock of our own and no database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock

from rtserver.core.errors import StoreError, StoreUnavailable
from rtserver.core.ports import Row, Transaction, Value
from rtserver.services.store_transaction import (
    LONGEST_PAUSE,
    RETRIES,
    Contended,
    OpenTransaction,
    again_when_contended,
    shielded,
    worked,
)
from tests.store_contract import begin


def executed(sql: str, params: Sequence[Value] = ()) -> Deferred[list[Row]]:
    if sql == "fail":
        raise StoreError("it failed")
    return succeed([(sql, *params)])


def outcome_of(deferred: Deferred[Any]) -> Any:
    """The result or the exception of what has come to its end."""
    found: list[Any] = []
    deferred.addBoth(found.append)
    assert found, "it still waits"
    return getattr(found[0], "value", found[0])


def test_a_collision_is_tried_again_after_pauses_and_told_in_the_end() -> None:
    clock, attempts = Clock(), []

    async def collide() -> None:
        attempts.append(clock.seconds())
        raise Contended()

    trying = begin(again_when_contended(collide, clock))
    clock.pump([LONGEST_PAUSE] * RETRIES)
    assert isinstance(outcome_of(trying), StoreUnavailable)
    assert len(attempts) == RETRIES + 1
    assert attempts == sorted(set(attempts))


def test_what_succeeds_after_collisions_is_the_outcome() -> None:
    clock, left = Clock(), [Contended(), Contended()]

    async def collide() -> str:
        if left:
            raise left.pop()
        return "done"

    trying = begin(again_when_contended(collide, clock))
    clock.pump([LONGEST_PAUSE] * 2)
    assert outcome_of(trying) == "done"


def test_another_error_is_not_tried_again() -> None:
    attempts = []

    async def fail() -> None:
        attempts.append(1)
        raise StoreError("no")

    assert str(outcome_of(begin(again_when_contended(fail, Clock())))) == "no"
    assert attempts == [1]


def test_work_that_takes_too_long_is_cancelled_and_told() -> None:
    clock, asked = Clock(), Deferred[None]()

    async def work(transaction: Transaction) -> None:
        await asked

    working = begin(worked(work, OpenTransaction(executed), 3.0, clock))
    clock.advance(3.1)
    error = outcome_of(working)
    assert isinstance(error, StoreUnavailable)
    assert "took longer than 3 s" in str(error)
    assert asked.called


def test_an_error_that_the_work_hides_is_told_all_the_same() -> None:
    async def work(transaction: Transaction) -> str:
        with pytest.raises(StoreError, match="it failed"):
            await transaction.run("fail")
        with pytest.raises(StoreError, match="can only end"):
            await transaction.run("select")
        return "all is well"

    assert str(outcome_of(begin(worked(work, OpenTransaction(executed), 1.0, Clock())))) == "it failed"


def test_a_transaction_that_ended_during_a_statement_stays_ended() -> None:
    rows: Deferred[list[Row]] = Deferred()
    transaction = OpenTransaction(lambda sql, params: rows)
    running = begin(transaction.run("select"))
    transaction.end()
    rows.callback([(1,)])
    assert outcome_of(running) == [(1,)]
    assert "is over" in str(outcome_of(begin(transaction.run("select"))))


def test_who_leaves_does_not_take_the_work_along() -> None:
    inner: Deferred[str] = Deferred()
    outer = shielded(inner)
    outer.cancel()
    assert isinstance(outcome_of(outer), CancelledError)
    assert not inner.called
    inner.callback("done")
