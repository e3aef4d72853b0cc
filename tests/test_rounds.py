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
from rtserver.rounds import FIRST_PAUSE, LONGEST_PAUSE, Rounds, Work


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
        self.is_unfinished = False
        database: Any = SimpleNamespace(lease=self._lease)
        work = Work("a_table", "the work", self._round, lambda: self.is_unfinished)
        self.work = Rounds(database, self.clock, work)
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
        if event.get("log_namespace") == "rtserver.rounds":
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
    bench.clock.advance(FIRST_PAUSE)
    assert bench.rounds == 2 and lines == ["critical"]
    logged_failures.clear()


def test_the_pause_grows_with_each_failure_and_calls_do_not_shorten_it() -> None:
    away = StoreUnavailable("the database is away")
    bench = Bench(*[away] * 8, 60, away)
    bench.lease.gained()
    for rounds, pause in enumerate([0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE], 1):
        bench.lease.wake()
        bench.clock.advance(pause - 0.01)
        assert bench.rounds == rounds
        bench.clock.advance(0.01)
        assert bench.rounds == rounds + 1
    bench.lease.wake()
    bench.clock.advance(FIRST_PAUSE)
    assert bench.rounds == 11


def test_a_lost_lease_ends_a_pause() -> None:
    bench = Bench(StoreUnavailable("the database is away"))
    bench.lease.gained()
    bench.lease.lost()
    assert bench.rounds == 1 and bench.clock.getDelayedCalls() == []


def test_what_is_unfinished_is_brought_to_its_end_without_the_lease() -> None:
    bench = Bench(5, 5, 5)
    bench.lease.gained()
    bench.is_unfinished = True
    bench.lease.lost()
    assert bench.rounds == 2
    bench.clock.advance(5)
    assert bench.rounds == 3
    stopped = bench.stop()
    assert not stopped.called
    bench.is_unfinished = False
    bench.work.wake()
    assert stopped.called and bench.clock.getDelayedCalls() == []
