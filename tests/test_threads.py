"""Threads for plain functions: bounded, counted to their end, and never stopped in the middle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred

from rtserver.app.calling import TooBusy
from rtserver.app.waiting import wait
from rtserver.threads import Threads
from tests.deadline import deadline


class Gate:
    """Functions that run until the test lets them end."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.begun: Deferred[None] = Deferred()
        self.notes: list[Any] = []

    def hold(self, name: str = "held") -> str:
        self.notes.append(f"begin {name}")
        reactor.callFromThread(lambda: self.begun.called or self.begun.callback(None))
        assert self._open.wait(10)
        self.notes.append(f"end {name}")
        return name

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


@pytest_twisted.async_yield_fixture
async def threads():
    """One thread, and one call that may wait for it."""
    made = Threads(reactor, "tests", size=1, waiting=1)
    await made.start()
    yield made
    await made.stop()


def begin(threads: Threads, function: Callable[..., Any], must: bool = False, **values: Any) -> Deferred[Any]:
    return Deferred.fromCoroutine(threads.run(function, values, must=must))


@deadline(10)
async def test_a_function_runs_in_another_thread_and_gives_its_result(threads):
    def plain(a, b):
        return (a + b, threading.current_thread() is threading.main_thread())

    assert await begin(threads, plain, a=1, b=2) == (3, False)
    assert threads.busy == 0


@deadline(10)
async def test_its_exception_is_that_of_the_call(threads):
    def fails():
        raise LookupError("no")

    with pytest.raises(LookupError):
        await begin(threads, fails)
    assert threads.busy == 0


@deadline(10)
async def test_more_calls_than_may_wait_are_refused_at_once(threads, gate):
    calls = [begin(threads, gate.hold, name=str(number)) for number in range(2)]
    with pytest.raises(TooBusy, match="too many plain functions wait"):
        await begin(threads, gate.hold)
    gate.open()
    assert [await call for call in calls] == ["0", "1"] and threads.busy == 0


@deadline(10)
async def test_what_must_be_done_is_done_however_many_wait(threads, gate):
    calls = [begin(threads, gate.hold, name=str(number)) for number in range(2)]
    must = begin(threads, gate.hold, must=True, name="must")
    gate.open()
    assert await must == "must"
    assert [await call for call in calls] == ["0", "1"]


@deadline(10)
async def test_who_is_cancelled_goes_on_when_the_thread_has_ended(threads, gate):
    call = begin(threads, gate.hold)
    await gate.begun
    outcome: list[Any] = []
    call.addErrback(outcome.append)
    call.cancel()
    assert outcome == [] and threads.busy == 1
    gate.open()
    await call
    assert outcome[0].check(CancelledError)
    assert gate.notes == ["begin held", "end held"] and threads.busy == 0


@deadline(10)
async def test_a_call_that_waits_is_given_up_at_once_and_never_begins(threads, gate):
    first = begin(threads, gate.hold, name="first")
    await gate.begun
    second = begin(threads, gate.hold, name="second")
    second.cancel()
    with pytest.raises(CancelledError):
        await second
    assert threads.busy == 2, "its place in the queue is taken until its turn comes"
    gate.open()
    await first
    assert await begin(threads, lambda: 5) == 5
    assert gate.notes == ["begin first", "end first"] and threads.busy == 0


@deadline(10)
async def test_what_must_be_done_is_done_although_nobody_waits(threads, gate):
    first = begin(threads, gate.hold, name="first")
    await gate.begun
    must = begin(threads, gate.hold, must=True, name="must")
    must.cancel()
    gate.open()
    with pytest.raises(CancelledError):
        await must
    await first
    assert gate.notes[-1] == "end must"


@deadline(10)
async def test_a_function_may_wait_for_the_reactor(threads):
    async def later():
        waited: Deferred[int] = Deferred()
        reactor.callLater(0, waited.callback, 5)
        return await waited, threading.current_thread() is threading.main_thread()

    async def fails():
        raise LookupError("no")

    def plain():
        with pytest.raises(LookupError):
            wait(fails())
        return wait(later())

    assert await begin(threads, plain) == (5, True)


def test_nobody_waits_in_the_thread_of_the_reactor():
    async def work():
        """Never begun."""

    coroutine = work()
    with pytest.raises(RuntimeError, match="for plain functions"):
        wait(coroutine)
    coroutine.close()


@deadline(10)
async def test_the_end_waits_for_what_runs(gate):
    threads = Threads(reactor, "tests", size=1)
    await threads.start()
    call = begin(threads, gate.hold)
    await gate.begun
    stopped = Deferred.fromCoroutine(threads.stop())
    gate.open()
    assert await stopped == 0 and await call == "held"


@deadline(10)
async def test_nothing_begins_after_the_end(gate):
    threads = Threads(reactor, "tests")
    await threads.start()
    await threads.stop()
    with pytest.raises(TooBusy, match="shutting down"):
        await begin(threads, gate.hold)


@deadline(10)
async def test_what_must_be_done_is_done_before_the_end(gate):
    threads = Threads(reactor, "tests", size=1)
    await threads.start()
    notes = []

    async def session():
        await threads.run(gate.hold, {})
        notes.append(await threads.run(lambda: "closed", {}, must=True))

    work = Deferred.fromCoroutine(session())
    await gate.begun
    stopped = Deferred.fromCoroutine(threads.stop())
    gate.open()
    assert await stopped == 0 and notes == ["closed"]
    await work


@deadline(10)
async def test_the_end_does_not_wait_for_ever(gate, monkeypatch):
    monkeypatch.setattr("rtserver.threads.STOP_TIME", 0.01)
    threads = Threads(reactor, "tests", size=1)
    await threads.start()
    call = begin(threads, gate.hold)
    await gate.begun
    assert await threads.stop() == 1
    gate.open()
    assert await call == "held"


@deadline(10)
async def test_a_pool_that_was_never_started_ends_too():
    assert await Threads(reactor, "tests").stop() == 0
