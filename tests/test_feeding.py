"""Streams of an application: they run while somebody listens, on one node at a time, and come back after a failure."""

import enum
import math
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel
from twisted.internet.defer import CancelledError, Deferred

from rtserver.app import App, Clock, Connection, Depends, Publisher, User
from rtserver.core.ports import Lease
from rtserver.feeding import BREATH, LINGER, ReactorClock
from tests.app_house import AppHouse, now
from tests.fakes import EVERYTHING


class Tick(BaseModel):
    n: int


class Symbol(enum.Enum):
    A = "a"
    B = "b"


class Record:
    """What the streams of a test lived through, as "begin a", "end a"."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.failure: Exception | None = None


@pytest.fixture
def record():
    return Record()


def ticking(record: Record) -> App:
    app = App("ticking")

    @app.stream("ticks")
    async def ticks(clock: Clock) -> AsyncIterator[Tick]:
        record.notes.append("begin")
        try:
            n = 0
            while True:
                n += 1
                yield Tick(n=n)
                if record.failure is not None:
                    raise record.failure
                await clock.sleep(1)
        finally:
            record.notes.append("end")

    return app


@pytest.fixture
def house_of():
    """Makes houses, and ends what still runs in them."""
    houses: list[AppHouse] = []

    def make(app: App, **options: Any) -> AppHouse:
        houses.append(AppHouse(app, **options))
        return houses[-1]

    yield make
    for house in houses:
        house.world.spawn(house.applications.stop())


def silent(house: AppHouse) -> Any:
    """A client that no ping is sent to: it may listen for a long time without a word."""
    client = house.world.client(app_ping=False)
    client.send(id=1, connect={})
    client.take()
    return client


def values(house: AppHouse, client: Any) -> list[Any]:
    """What has come until now; one turn begins a stream, the next one brings its first value to clients."""
    house.world.turn()
    house.world.turn()
    return [each["data"] for each in client.pushes()]


def numbers(house: AppHouse, client: Any) -> list[Any]:
    return [each["n"] for each in values(house, client)]


# Its life


def test_a_stream_runs_while_somebody_listens(house_of, record):
    house = house_of(ticking(record))
    house.world.pass_time(5)
    assert record.notes == []
    client = house.client()
    client.subscribe("ticks")
    assert numbers(house, client) == [1]
    house.world.pass_time(2)
    assert numbers(house, client) == [2, 3]
    client.send(id=8, unsubscribe={"channel": "ticks"})
    house.world.pass_time(LINGER + 0.25)
    assert record.notes == ["begin", "end"]
    house.world.pass_time(60)
    assert record.notes == ["begin", "end"] and house.log.texts("error") == []


def test_the_first_subscriber_gets_the_first_value(house_of, record):
    house = house_of(ticking(record))
    client = house.client()
    client.send(id=7, subscribe={"channel": "ticks"})
    assert numbers(house, client) == [1]


def test_a_second_subscriber_joins_the_stream_that_runs(house_of, record):
    house = house_of(ticking(record))
    one, two = house.client(), house.client()
    one.subscribe("ticks")
    house.world.pass_time(1)
    two.subscribe("ticks")
    house.world.pass_time(1)
    ones, twos = numbers(house, one), numbers(house, two)
    assert ones[0] == 1 and twos and ones[-len(twos) :] == twos and record.notes == ["begin"]
    one.session.lost()
    house.world.pass_time(5)
    assert record.notes == ["begin"]


def test_it_goes_on_for_a_while_so_that_a_reload_of_a_page_does_not_end_it(house_of, record):
    house = house_of(ticking(record))
    client = house.client()
    client.subscribe("ticks")
    house.world.turn()
    client.session.lost()
    house.world.pass_time(LINGER - 0.5)
    again = house.client()
    again.subscribe("ticks")
    house.world.pass_time(10)
    assert record.notes == ["begin"]


def test_only_the_last_leaving_counts(house_of, record):
    house = house_of(ticking(record))
    for seconds in (0.5, 0.5):
        client = house.client()
        client.subscribe("ticks")
        house.world.turn()
        client.session.lost()
        house.world.pass_time(seconds)
    house.world.pass_time(0.25)
    assert record.notes == ["begin"]
    house.world.pass_time(1)
    assert record.notes == ["begin", "end"]


def test_it_begins_anew_for_a_new_audience(house_of, record):
    house = house_of(ticking(record))
    for _ in range(2):
        client = house.client()
        client.subscribe("ticks")
        assert numbers(house, client) == [1]
        client.session.lost()
        house.world.pass_time(LINGER + 0.5)
    assert record.notes == ["begin", "end"] * 2
    assert house.applications._feeders._feeders == {}


def test_the_end_of_the_server_ends_it(house_of, record):
    house = house_of(ticking(record))
    house.client().subscribe("ticks")
    house.world.turn()
    house.world.run(house.applications.stop())
    assert record.notes == ["begin", "end"]


def test_values_come_in_their_order_and_by_their_type(house_of):
    app = App()

    @app.stream("full")
    async def full() -> AsyncIterator[Tick]:
        for n in range(3):
            yield {"n": n, "secret": 1}  # type: ignore[misc]

    house = house_of(app)
    client = house.client()
    client.subscribe("full")
    assert values(house, client) == [{"n": n} for n in range(3)]


def test_one_that_has_said_everything_stays_silent_until_there_is_a_new_audience(house_of):
    app = App()
    begun = []

    @app.stream("short")
    async def short() -> AsyncIterator[Tick]:
        begun.append(1)
        yield Tick(n=1)

    house = house_of(app)
    client = house.client()
    client.subscribe("short")
    house.world.pass_time(60)
    assert begun == [1]
    client.session.lost()
    house.world.pass_time(LINGER + 0.5)
    house.client().subscribe("short")
    house.world.turn()
    assert begun == [1, 1] and house.log.texts("error") == []


def test_one_that_never_waits_lets_others_run(house_of):
    app = App()
    count = []

    @app.stream("endless")
    async def endless() -> AsyncIterator[int]:
        while True:
            count.append(1)
            yield len(count)

    house = house_of(app)
    later = house.clock.callLater
    house.clock.callLater = lambda delay, *work: later(
        delay or 0.01, *work
    )  # this clock's turns never end by themselves
    client = house.client()
    client.subscribe("endless")
    house.clock.advance(0.01)
    assert len(count) == BREATH
    house.clock.advance(0.01)
    assert len(count) == 2 * BREATH
    client.session.lost()
    house.world.pass_time(LINGER + 0.5)
    before = len(count)
    house.world.pass_time(5)
    assert len(count) == before


# Failures


def test_a_stream_that_fails_begins_again_after_a_pause(house_of, record):
    record.failure = LookupError("no price")
    house = house_of(ticking(record))
    client = house.client()
    client.subscribe("ticks")
    house.world.turn()
    assert record.notes == ["begin", "end"]
    house.world.pass_time(1.25)
    assert record.notes == ["begin", "end"] * 2
    text, failure = house.log.lines[0][1:3]
    assert text.endswith("ticks failed and starts again in 1 s") and failure is record.failure
    record.failure = None
    house.world.pass_time(2)
    assert numbers(house, client)[-2:] == [1, 2]


def test_the_pause_grows_while_nothing_comes(house_of):
    app = App()
    begun: list[float] = []

    @app.stream("flaky")
    async def flaky(clock: Clock) -> AsyncIterator[int]:
        begun.append(clock.now())
        await clock.sleep(0)
        raise LookupError("before the first value")
        yield 1

    house = house_of(app)
    silent(house).subscribe("flaky")
    house.world.turn()
    times = []
    for _ in range(400):
        before = len(begun)
        house.world.pass_time(0.25)
        if len(begun) > before:
            times.append(house.clock.seconds())
    pauses = [round(b - a, 1) for a, b in zip(times, times[1:], strict=False)]
    assert pauses == pytest.approx([2, 4, 8, 16, 30, 30], abs=0.6)


def test_a_stream_that_works_again_has_a_short_pause_again(house_of, record):
    record.failure = LookupError("no price")
    house = house_of(ticking(record))
    house.client().subscribe("ticks")
    house.world.pass_time(10)
    assert all("in 1 s" in text for text in house.log.texts("error"))


def test_a_failed_stream_does_not_come_back_when_nobody_listens(house_of, record):
    record.failure = LookupError("no price")
    house = house_of(ticking(record))
    client = house.client()
    client.subscribe("ticks")
    house.world.turn()
    client.session.lost()
    house.world.pass_time(60)
    assert len(record.notes) <= 4 and record.notes[-1] == "end"
    count = len(record.notes)
    house.world.pass_time(60)
    assert len(record.notes) == count


def test_a_value_of_another_type_is_a_failure_of_the_stream(house_of):
    app = App()

    @app.stream("wrong")
    async def wrong() -> AsyncIterator[Tick]:
        yield "nothing"  # type: ignore[misc]

    house = house_of(app)
    client = house.client()
    client.subscribe("wrong")
    assert values(house, client) == [] and "wrong failed" in house.log.texts("error")[0]


def test_one_that_takes_its_end_for_a_mishap_says_nothing_more(house_of):
    app = App()
    said = []

    @app.stream("stubborn")
    async def stubborn(clock: Clock) -> AsyncIterator[int]:
        while True:
            try:
                await clock.sleep(1)
            except Exception:
                said.append("went on")
            said.append("value")
            yield 1

    house = house_of(app)
    client = house.client()
    client.subscribe("stubborn")
    house.world.turn()
    client.session.lost()
    house.world.pass_time(LINGER + 0.25)
    count = len(said)
    house.world.pass_time(10)
    assert "went on" in said and len(said) == count and house.log.texts("error") == []


def test_a_failure_while_it_ends_is_logged(house_of):
    app = App()

    @app.stream("untidy")
    async def untidy() -> AsyncIterator[int]:
        try:
            yield 1
            await Deferred()
        finally:
            raise LookupError("while ending")

    house = house_of(app)
    client = house.client()
    client.subscribe("untidy")
    house.world.turn()
    client.session.lost()
    house.world.pass_time(LINGER + 0.5)
    (text,) = house.log.texts("error")
    assert text.endswith("untidy failed when it was ended")


# Arguments


def by_symbol(record: Record) -> App:
    app = App("prices")

    @app.stream("price:{symbol}")
    async def prices(symbol: Symbol, channel: str, clock: Clock) -> AsyncIterator[str]:
        record.notes.append(f"begin {symbol.value}")
        try:
            while True:
                yield f"{channel} {symbol.value}"
                await clock.sleep(1)
        finally:
            record.notes.append(f"end {symbol.value}")

    return app


def test_a_pattern_is_one_stream_for_each_channel_that_somebody_listens_to(house_of, record):
    house = house_of(by_symbol(record), namespaces={"price": EVERYTHING})
    one, two = house.client(), house.client()
    one.subscribe("price:a")
    two.subscribe("price:b")
    assert values(house, one) == ["price:a a"] and values(house, two) == ["price:b b"]
    one.session.lost()
    house.world.pass_time(LINGER + 0.5)
    assert record.notes == ["begin a", "begin b", "end a"]


def test_a_channel_whose_parts_do_not_fit_cannot_be_subscribed_to(house_of, record):
    house = house_of(by_symbol(record), namespaces={"price": EVERYTHING})
    assert house.client().subscribe("price:z")["error"] == {
        "code": 107,
        "message": "bad request: channel.symbol: Input should be 'a' or 'b'",
    }
    assert record.notes == [] and house.log.lines == []


def test_providers_of_a_stream_live_as_long_as_it(house_of):
    app = App()
    notes = []

    async def session(channel: str) -> AsyncIterator[str]:
        notes.append("open")
        try:
            yield f"session of {channel}"
        except CancelledError:
            notes.append("undone")
            raise
        finally:
            notes.append("close")

    @app.stream("rows")
    async def rows(session: Annotated[str, Depends(session)], publisher: Publisher) -> AsyncIterator[str]:
        yield session
        await Deferred()

    house = house_of(app)
    client = house.client()
    client.subscribe("rows")
    assert values(house, client) == ["session of rows"] and notes == ["open"]
    client.session.lost()
    house.world.pass_time(LINGER + 0.5)
    assert notes == ["open", "undone", "close"]


@pytest.mark.parametrize("kind", [Connection, User])
def test_what_streams_are_not_given_is_refused_when_the_server_is_made(house_of, kind):
    app = App()

    async def values(what) -> AsyncIterator[int]:
        yield 1

    values.__annotations__["what"] = kind
    app.stream("a")(values)
    with pytest.raises(
        TypeError, match=f"values: what: streams are given Clock, Database, Publisher, but no {kind.__name__}"
    ):
        house_of(app)


def test_two_streams_of_one_channel_are_refused(house_of):
    app = App()
    for _ in range(2):

        @app.stream("a")
        async def values() -> AsyncIterator[int]:
            yield 1

    with pytest.raises(ValueError, match="declared twice"):
        house_of(app)


# One node among several


class SharedLease:
    """A lease that the test gives and takes. ``stopping`` holds its end back."""

    def __init__(self, gained: Callable[[], None], lost: Callable[[], None]) -> None:
        self.gained = gained
        self.lost = lost
        self.is_held = False
        self.calls: list[str] = []
        self.stopping: Deferred[None] | None = None

    def start(self) -> None:
        self.calls.append("start")

    def give(self) -> None:
        self.is_held = True
        self.gained()

    def take(self) -> None:
        self.is_held = False
        self.lost()

    async def stop(self) -> None:
        self.calls.append("stop")
        if self.is_held:
            self.take()
        if self.stopping is not None:
            await self.stopping


def shared(house: AppHouse) -> dict[str, SharedLease]:
    leases: dict[str, SharedLease] = {}

    def lease(name: str, gained: Callable[[], None], lost: Callable[[], None]) -> Lease:
        leases[name] = SharedLease(gained, lost)
        return leases[name]

    house.world.broker.lease = lease
    return leases


def test_only_the_node_with_the_lease_runs_a_stream(house_of, record):
    house = house_of(ticking(record))
    leases = shared(house)
    client = house.client()
    client.subscribe("ticks")
    house.world.pass_time(5)
    lease = leases["stream.ticks"]
    assert record.notes == [] and lease.calls == ["start"]
    lease.give()
    house.world.turn()
    assert record.notes == ["begin"]
    lease.take()
    house.world.pass_time(5)
    assert record.notes == ["begin", "end"]
    lease.give()
    house.world.turn()
    assert record.notes == ["begin", "end", "begin"]


def test_a_stream_that_failed_does_not_come_back_on_a_node_that_lost_the_lease(house_of, record):
    record.failure = LookupError("no price")
    house = house_of(ticking(record))
    leases = shared(house)
    house.client().subscribe("ticks")
    leases["stream.ticks"].give()
    house.world.turn()
    leases["stream.ticks"].take()
    house.world.pass_time(60)
    assert record.notes == ["begin", "end"]


def test_a_lease_that_is_lost_before_the_stream_began_begins_nothing(house_of, record):
    house = house_of(ticking(record))
    leases = shared(house)
    house.client().subscribe("ticks")
    leases["stream.ticks"].give()
    leases["stream.ticks"].take()
    house.world.pass_time(5)
    assert record.notes == []


def test_who_comes_while_the_lease_is_given_up_asks_for_it_afterwards(house_of, record):
    house = house_of(ticking(record))
    leases = shared(house)
    client = house.client()
    client.subscribe("ticks")
    lease = leases["stream.ticks"]
    lease.give()
    house.world.turn()
    lease.stopping = Deferred()
    client.session.lost()
    house.world.pass_time(LINGER + 0.5)
    again = house.client()
    again.subscribe("ticks")
    house.world.pass_time(5)
    assert lease.calls == ["start", "stop"] and record.notes == ["begin", "end"]
    lease.stopping.callback(None)
    assert lease.calls == ["start", "stop", "start"]
    lease.give()
    house.world.turn()
    assert record.notes == ["begin", "end", "begin"]


@pytest.mark.parametrize("seconds", [-1.0, math.nan])
def test_nobody_sleeps_less_than_nothing(seconds):
    """Not a number would stop every timer that comes after it."""
    with pytest.raises(ValueError, match="seconds are 0 or more"):
        now(ReactorClock(None, lambda: 0.0).sleep(seconds))
