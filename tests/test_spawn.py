"""Work that nobody waits for: it runs to its end, and what goes wrong in it is told."""

from contextvars import ContextVar

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from rtserver.config import load
from rtserver.core.hooks import NoHooks
from rtserver.tap import environment
from tests.fakes import FakeLog

VISITOR = ContextVar("VISITOR", default="nobody")


@pytest.fixture
def log():
    return FakeLog()


@pytest.fixture
def spawn(log):
    return environment(MemoryReactorClock(), load("", {}), "node", log, NoHooks()).spawn


def test_work_begins_at_once_and_goes_on_with_what_it_waited_for(spawn, log):
    seen, first, second = [], Deferred(), Deferred()

    async def work():
        seen.append("begun")
        for each in (first, second):
            seen.append(await each)

    spawn(work())
    assert seen == ["begun"]
    first.callback(1)
    second.callback(2)
    assert seen == ["begun", 1, 2]
    log.check()


def test_a_failure_is_told_whenever_it_comes(spawn, log):
    waited = Deferred()

    async def fail(before):
        if before is not None:
            await before
        raise OSError("broken")

    spawn(fail(None))
    spawn(fail(waited))
    assert log.texts("error") == ["unexpected failure"]
    waited.callback(None)
    assert [type(failure) for _, _, failure, _ in log.lines] == [OSError, OSError]


def test_what_is_waited_for_may_fail_and_be_caught(spawn, log):
    waited, seen = Deferred(), []

    async def work():
        try:
            await waited
        except OSError as error:
            seen.append(str(error))

    spawn(work())
    waited.errback(OSError("away"))
    assert seen == ["away"]
    log.check()


def test_work_has_a_context_of_its_own(spawn):
    waited, seen = Deferred(), []

    async def work():
        VISITOR.set("somebody")
        await waited
        seen.append(VISITOR.get())

    spawn(work())
    assert VISITOR.get() == "nobody"
    waited.callback(None)
    assert (seen, VISITOR.get()) == (["somebody"], "nobody")
