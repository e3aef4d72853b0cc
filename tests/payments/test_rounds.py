"""Work that one node does again and again, without a database."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from rtserver.core.errors import StoreUnavailable
from rtserver.payments.rounds import Rounds


class FakeLease:
    """``gained`` and ``lost`` are called by the test."""

    def __init__(self, gained: Callable[[], None], lost: Callable[[], None], wake: Callable[[], None]) -> None:
        self.gained, self.lost, self.wake = gained, lost, wake
        self.is_started = False

    def start(self) -> None:
        self.is_started = True

    async def stop(self) -> None:
        self.is_started = False
        self.lost()


class Bench:
    """``turns``: what each round does; a number is returned, an exception raised, a Deferred awaited. Then it is 60."""

    def __init__(self, *turns: Any) -> None:
        self.clock = Clock()
        self.turns = list(turns)
        self.rounds = 0
        parts: Any = SimpleNamespace(reactor=self.clock, database=SimpleNamespace(lease=self._lease))
        self.work = Rounds(parts, "a_table", self._round, "the work")
        succeed(None).addCallback(lambda _: Deferred.fromCoroutine(self.work.start()))

    def _lease(self, name: str, gained: Any, lost: Any, wake: Any) -> FakeLease:
        assert name == "a_table"
        self.lease = FakeLease(gained, lost, wake)
        return self.lease

    async def _round(self) -> float:
        self.rounds += 1
        turn = self.turns.pop(0) if self.turns else 60.0
        if isinstance(turn, Exception):
            raise turn
        if isinstance(turn, Deferred):
            return float(await turn)
        return float(turn)

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.work.stop())


@pytest.fixture
def lines() -> Any:
    events: list[Any] = []

    def observe(event: Any) -> None:
        if event.get("log_namespace") == "rtserver.payments.rounds":
            events.append(event["log_level"].name)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


def test_nothing_is_done_without_the_lease() -> None:
    bench = Bench()
    bench.clock.advance(1000)
    assert bench.lease.is_started and bench.rounds == 0


def test_rounds_follow_each_other_as_each_says() -> None:
    bench = Bench(0, 0, 10)
    bench.lease.gained()
    assert bench.rounds == 3
    bench.clock.advance(9)
    assert bench.rounds == 3
    bench.clock.advance(1)
    assert bench.rounds == 4


def test_a_call_ends_the_rest() -> None:
    bench = Bench()
    bench.lease.gained()
    bench.lease.wake()
    assert bench.rounds == 2 and len(bench.clock.getDelayedCalls()) == 1


def test_a_call_during_a_round_is_not_forgotten() -> None:
    gate: Deferred[float] = Deferred()
    bench = Bench(gate)
    bench.lease.gained()
    bench.work.wake()
    gate.callback(60)
    assert bench.rounds == 2


def test_a_lost_lease_ends_the_work_and_it_goes_on_with_a_new_one() -> None:
    bench = Bench()
    bench.lease.gained()
    bench.lease.lost()
    bench.clock.advance(1000)
    assert bench.rounds == 1 and bench.clock.getDelayedCalls() == []
    bench.lease.gained()
    assert bench.rounds == 2


def test_a_lease_that_comes_back_during_a_round_begins_no_second_one() -> None:
    gate: Deferred[float] = Deferred()
    bench = Bench(gate)
    bench.lease.gained()
    bench.lease.lost()
    bench.lease.gained()
    assert bench.rounds == 1
    gate.callback(60)
    assert len(bench.clock.getDelayedCalls()) == 1


def test_the_end_waits_for_the_round_that_is_under_way() -> None:
    gate: Deferred[float] = Deferred()
    bench = Bench(gate)
    bench.lease.gained()
    stopped = bench.stop()
    assert not stopped.called
    gate.callback(60)
    assert stopped.called and bench.clock.getDelayedCalls() == []


def test_a_trouble_is_said_once_until_a_round_gets_through(lines: list[str]) -> None:
    away = StoreUnavailable("the database is away")
    bench = Bench(away, away, StoreUnavailable("something else"), 5, away)
    bench.lease.gained()
    bench.clock.pump([5] * 4)
    assert lines == ["warn"] * 3 and bench.rounds == 5


def test_what_was_not_foreseen_is_logged_and_tried_again(logged_failures: list[Any], lines: list[str]) -> None:
    bench = Bench(RuntimeError("a bug"))
    bench.lease.gained()
    bench.work.wake()
    assert bench.rounds == 2 and lines == ["critical"]
    logged_failures.clear()
