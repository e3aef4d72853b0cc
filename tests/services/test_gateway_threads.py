"""Calls in threads: who waits, for how long, and that a call that has begun comes to its end whatever happens."""

from dataclasses import replace
from threading import Event

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread

from rtserver.core.payments import Money
from rtserver.payments.errors import GatewayAway, GatewayBusy, GatewayRefused
from rtserver.payments.records import AttemptState, Op
from rtserver.services import GATEWAYS
from rtserver.services.gateway_braintree import BUSY, BraintreeGateway
from tests.deadline import deadline
from tests.services.gateway_house import OPTIONS, Wire, attempt, sale, sold

LIMIT = OPTIONS.connect_timeout + OPTIONS.timeout + 2


class ClockedReactor(Clock):
    """Real threads, and time that passes when a test says so."""

    def callFromThread(self, function, *values, **named):
        reactor.callFromThread(function, *values, **named)


class Street:
    """A gateway whose calls wait until the test opens the way."""

    def __init__(self, *answers, options=OPTIONS):
        self.clock = ClockedReactor()
        self.begun = Event()
        self.open = Event()
        self.late = []
        street = self

        class Slow(Wire):
            def http_do(self, *values):
                street.begun.set()
                assert street.open.wait(15)
                return super().http_do(*values)

        def strategy(config, environment):
            self.wire = Slow(config, environment, answers or (sold(),))
            return self.wire

        self.gateway = BraintreeGateway(options, self.clock, strategy=strategy)
        self.gateway.late = lambda attempt, outcome: self.late.append((attempt.id, outcome))

    def begin(self, work):
        return Deferred.fromCoroutine(work)

    async def wait_until_begun(self):
        assert await deferToThread(self.begun.wait, 15)

    async def wait_for(self, question):
        while not question():
            await deferLater(reactor, 0.005)

    async def stop(self):
        """The clock is moved on for the turns that stopping takes."""
        self.open.set()
        stopping = Deferred.fromCoroutine(self.gateway.stop())
        while not stopping.called:
            self.clock.advance(0)
            await deferLater(reactor, 0.005)
        await stopping


@pytest_twisted.async_yield_fixture
async def make():
    made = []

    async def build(*answers, **more):
        made.append(Street(*answers, **more))
        await made[-1].gateway.start()
        return made[-1]

    yield build
    for street in made:
        await street.stop()


def test_the_gateway_is_registered():
    module, _, name = GATEWAYS["braintree"].partition(":")
    assert (module, name) == (BraintreeGateway.__module__, BraintreeGateway.__name__)


@deadline(20)
async def test_an_answer_comes_to_who_waits(make):
    street = await make()
    street.open.set()
    outcome = await street.gateway.sale(sale())
    assert outcome.state is AttemptState.APPROVED
    assert street.late == []
    assert (await street.gateway.transaction("tx1")).id == "tx1"


@deadline(20)
async def test_a_call_that_takes_too_long_is_unknown_and_its_outcome_comes_late(make):
    street = await make()
    paying = street.begin(street.gateway.sale(sale()))
    await street.wait_until_begun()
    street.clock.advance(LIMIT - 0.1)
    assert not paying.called
    street.clock.advance(0.2)
    outcome = await paying
    assert (outcome.state, outcome.code) == (AttemptState.UNKNOWN, "timeout")
    street.open.set()
    await street.wait_for(lambda: street.late)
    [(id, late)] = street.late
    assert (id, late.state, late.transaction.id) == ("a1", AttemptState.APPROVED, "tx1")


@deadline(20)
async def test_who_is_cancelled_cancels_no_call(make):
    street = await make()
    paying = street.begin(street.gateway.refund(attempt(Op.REFUND)))
    await street.wait_until_begun()
    paying.cancel()
    with pytest.raises(CancelledError):
        await paying
    street.open.set()
    await street.wait_for(lambda: street.late)
    assert street.late[0][1].state is AttemptState.APPROVED
    assert len(street.wire.sent) == 1


@deadline(20)
async def test_a_late_outcome_without_a_listener_is_no_error(make):
    street = await make()
    street.gateway.late = None
    paying = street.begin(street.gateway.void(attempt(Op.VOID)))
    await street.wait_until_begun()
    street.clock.advance(LIMIT + 1)
    assert (await paying).state is AttemptState.UNKNOWN
    street.open.set()
    await street.wait_for(lambda: street.wire.sent)


@deadline(20)
async def test_a_question_that_takes_too_long_is_away_and_its_late_failure_is_no_error(make):
    street = await make((500, ""))
    asking = street.begin(street.gateway.methods("c1"))
    await street.wait_until_begun()
    street.clock.advance(LIMIT + 1)
    with pytest.raises(GatewayAway, match="timeout"):
        await asking
    street.open.set()
    await street.wait_for(lambda: street.wire.sent)


@deadline(20)
async def test_calls_beyond_the_queue_are_refused_and_never_sent(make):
    street = await make(options=replace(OPTIONS, threads=1, queue=1))
    waiting = [street.begin(street.gateway.sale(sale(made=attempt(id=f"a{n}")))) for n in range(2)]
    for more in (street.gateway.sale(sale(made=attempt(id="a3"))), street.gateway.methods("c1")):
        with pytest.raises(GatewayBusy, match="too many calls"):
            await more
    assert BUSY
    street.open.set()
    for each in waiting:
        assert (await each).state is AttemptState.APPROVED
    assert len(street.wire.sent) == 2


@deadline(20)
async def test_a_call_that_waited_too_long_for_a_thread_is_never_sent(make):
    street = await make(options=replace(OPTIONS, threads=1, queue=10))
    first = street.begin(street.gateway.sale(sale()))
    await street.wait_until_begun()
    second = street.begin(street.gateway.sale(sale(made=attempt(id="a2"))))
    again = street.begin(street.gateway.void(attempt(Op.VOID, id="a3", checks=1)))
    asking = street.begin(street.gateway.transactions_between(0, 1))
    street.clock.advance(LIMIT + 1)
    assert [(await each).state for each in (first, second, again)] == [AttemptState.UNKNOWN] * 3
    street.open.set()
    with pytest.raises(GatewayBusy):
        await asking
    await street.wait_for(lambda: len(street.late) == 3)
    outcomes = dict(street.late)
    assert outcomes["a1"].state is AttemptState.APPROVED
    assert (outcomes["a2"].state, outcomes["a2"].code) == (AttemptState.ERROR, "not_begun")
    assert outcomes["a3"].state is AttemptState.UNKNOWN
    assert len(street.wire.sent) == 1


@deadline(20)
async def test_stopping_waits_for_what_has_begun_and_begins_nothing_more(make):
    street = await make()
    paying = street.begin(street.gateway.sale(sale()))
    await street.wait_until_begun()
    stopping = Deferred.fromCoroutine(street.gateway.stop())
    with pytest.raises(GatewayBusy):
        await street.gateway.sale(sale(made=attempt(id="a2")))
    assert not stopping.called
    street.open.set()
    assert (await paying).state is AttemptState.APPROVED
    while not stopping.called:
        street.clock.advance(0)
        await deferLater(reactor, 0.005)
    await stopping
    assert len(street.wire.sent) == 1


@deadline(20)
async def test_stopping_ends_although_a_call_does_not(make):
    street = await make()
    paying = street.begin(street.gateway.sale(sale()))
    await street.wait_until_begun()
    stopping = Deferred.fromCoroutine(street.gateway.stop())
    for _ in range(10):
        street.clock.advance(5)
    await stopping
    assert (await paying).state is AttemptState.UNKNOWN


@deadline(20)
async def test_keys_that_are_refused_are_an_alarm_without_the_keys(make, logged_failures):
    street = await make((401, ""))
    street.open.set()
    outcome = await street.gateway.sale(sale())
    assert (outcome.state, outcome.code) == (AttemptState.ERROR, "unauthorized")
    [event] = logged_failures
    assert "set payments.merchant_id" in event["why"]
    assert "simulator_private" not in repr(event)
    logged_failures.clear()


@deadline(20)
async def test_refusals_and_records_come_through(make):
    street = await make((404, ""))
    street.open.set()
    assert await street.gateway.subscription("s1") is None
    assert await street.gateway.dispute("d1") is None
    with pytest.raises(GatewayRefused, match="not_found"):
        await street.gateway.cancel_subscription("s1")
    outcome = await street.gateway.subscribe("s1", "monthly", "tok", Money(999, "USD"), "")
    assert (outcome.state, outcome.code) == (AttemptState.ERROR, "not_found")
    assert street.gateway.answer_challenge("0" * 20).startswith("simulator_public|")
    with pytest.raises(GatewayRefused):
        street.gateway.read_webhook("", "")
