"""The life of the server: it listens, reaches the broker, does its rounds, and ends in order."""

from __future__ import annotations

import signal

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.testing import MemoryReactor
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from rtserver.cluster import Cluster
from rtserver.core import errors
from rtserver.core.errors import BrokerUnavailable
from rtserver.protocols.outbound import Drain
from rtserver.server import CLOSE_BATCH, CLOSE_INTERVAL, CLOSE_SHARE, START_RETRY, Server
from tests.fakes import World
from tests.line import HERE


@implementer(IListeningPort)
class ListeningPort:
    def __init__(self):
        self.open = True

    def getHost(self):
        return HERE

    def startListening(self):
        """It listens from the beginning."""

    def stopListening(self):
        self.open = False


class Reactor(MemoryReactor):
    """Time is the world's. ``taken`` ports cannot be listened on."""

    def __init__(self, clock):
        super().__init__()
        self.callLater, self.seconds = clock.callLater, clock.seconds
        self.ports = {}
        self.taken = set()

    def listenTCP(self, port, factory, backlog=50, interface=""):
        if port in self.taken:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        self.ports[port] = ListeningPort()
        return self.ports[port]

    def begin(self):
        """The reactor runs now."""
        self.hasRun = True
        for function, args, named in self.whenRunningHooks:
            function(*args, **named)

    def callFromThread(self, function, *args):
        function(*args)


class House:
    def __init__(self, addresses=("tcp:8000",)):
        self.world = World()
        self.world.run(self.world.node.stop())
        self.world.node.started = False
        self.clock = self.world.clock
        self.reactor = Reactor(self.clock)
        self.drain = Drain(1, self.clock.seconds)
        self.cluster = Cluster(self.world.node, "here")
        sites = [(address, Site(Resource())) for address in addresses]
        self.server = Server(self.reactor, self.world.node, self.cluster, self.drain, sites)
        self.ended = []
        self.server.end_process = self.ended.append
        self.signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore(self):
        for number, handler in self.signals.items():
            signal.signal(number, handler)

    def stop(self):
        self.stopped = []
        self.server.stopService().addCallback(self.stopped.append)

    def pass_time(self, seconds):
        """From one delayed call to the next, without rounding."""
        until = self.clock.seconds() + seconds
        while True:
            due = min((call.getTime() for call in self.clock.getDelayedCalls()), default=until)
            self.clock.rightNow = max(self.clock.rightNow, min(due, until))
            self.clock.advance(0)
            if due > until or not self.clock.getDelayedCalls():
                return

    def away(self, times):
        """The broker is not to be had for the next ``times`` attempts."""
        start = self.world.broker.start

        async def begin(events):
            nonlocal times
            if times:
                times -= 1
                raise BrokerUnavailable("Redis is away")
            await start(events)

        self.world.broker.start = begin


@pytest.fixture
def house():
    house = House()
    yield house
    house.restore()


# Start


def test_a_server_listens_everywhere_and_is_ready():
    house = House(("tcp:8000", "tcp:8001:interface=127.0.0.1"))
    house.server.startService()
    assert sorted(house.reactor.ports) == [8000, 8001] and house.world.node.unready == ""
    assert house.world.log.texts("info")[-1] == "ready, node n1"


def test_it_listens_before_the_broker_is_there_so_that_health_is_answered(house):
    house.away(2)
    house.server.startService()
    assert house.reactor.ports[8000].open and house.world.node.unready == "the server is starting"
    house.clock.advance(START_RETRY)
    assert house.world.node.unready == "the server is starting"
    house.clock.advance(START_RETRY)
    assert house.world.node.unready == ""
    assert house.world.log.texts("error") == ["the broker cannot be reached, trying again in 2 s: Redis is away"] * 2


def test_no_round_begins_before_the_broker_is_there(house):
    rounds = []
    house.server.rounds.append((1.0, lambda: rounds.append(1)))
    house.away(1)
    house.server.startService()
    assert rounds == []
    house.clock.advance(START_RETRY)
    assert rounds == [1]
    house.pass_time(3)
    assert len(rounds) == 4


def test_a_round_that_fails_is_logged_and_goes_on(house):
    rounds = []

    async def fail():
        rounds.append(1)
        raise ValueError("unforeseen")

    house.server.rounds.append((1.0, fail))
    house.server.startService()
    house.pass_time(3)
    assert len(rounds) == 4
    assert house.world.log.texts("error") == ["a regular round failed"] * 4


def test_a_round_that_takes_long_is_not_begun_twice(house):
    waiting = []

    async def slow():
        waiting.append(Deferred())
        await waiting[-1]

    house.server.rounds.append((1.0, slow))
    house.server.startService()
    house.pass_time(5)
    assert len(waiting) == 1
    waiting[0].callback(None)
    house.pass_time(1)
    assert len(waiting) == 2


def test_the_rounds_look_after_deadlines_probes_and_other_nodes(house):
    house.server.startService()
    client = house.world.client()
    house.pass_time(11)
    assert client.closed == errors.STALE
    house.world.turn()
    assert house.world.node.probe.heard_at > 1000


def test_an_address_that_is_taken_ends_the_process_with_a_code():
    house = House(("tcp:8000", "tcp:8001"))
    house.reactor.taken.add(8001)
    house.server.startService()
    (text,) = house.world.log.texts("critical")
    assert "the server cannot start" in text and "8001" in text
    house.reactor.begin()
    assert house.reactor.hasStopped
    ((end, args, _),) = house.reactor.triggers["after"]["shutdown"]
    end(*args)
    assert house.ended == [1] and not house.world.node.started


def test_what_else_is_to_start_is_started_before_clients_come(house):
    seen = []

    async def also():
        seen.append(house.world.node.unready)

    house.server.also_start.append(also)
    house.server.startService()
    assert seen == ["the server is starting"] and house.world.node.unready == ""


# Signals


def test_the_second_signal_ends_the_process_at_once(house):
    house.server.startService()
    house.reactor.begin()
    handler = signal.getsignal(signal.SIGTERM)
    assert handler is signal.getsignal(signal.SIGINT) and handler is not house.signals[signal.SIGTERM]
    handler(signal.SIGTERM, None)
    assert house.reactor.hasStopped and house.ended == []
    signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)
    assert house.ended == [128 + signal.SIGTERM]


# End


def test_at_the_end_ports_close_clients_are_told_and_the_others_hear_of_it(house):
    house.server.startService()
    client = house.world.connected()
    sent = []
    publish = house.world.broker.publish_control

    async def control(message, node=""):
        sent.append(message)
        await publish(message, node)

    house.world.broker.publish_control = control
    house.stop()
    assert not house.reactor.ports[8000].open and house.world.node.unready == "the server is shutting down"
    assert client.closed == errors.SHUTDOWN and house.stopped == []
    house.pass_time(1)
    assert house.stopped == [None] and b"farewell" in sent[-1]
    assert house.world.log.texts("info")[-1] == "stopped"
    assert [call for call in house.clock.getDelayedCalls() if call.getTime() < house.clock.seconds() + 60] == []


def test_what_else_was_started_is_stopped_after_the_clients(house):
    seen = []

    async def also():
        seen.append(len(house.world.node.open_sessions))

    house.server.also_stop.append(also)
    house.server.startService()
    house.world.connected()
    house.stop()
    house.pass_time(1)
    assert seen == [0]


class Goer:
    """Keeps when it was told to go."""

    def __init__(self, clock, times):
        self.clock, self.times = clock, times

    def close(self, reason):
        assert reason == errors.SHUTDOWN
        self.times.append(self.clock.seconds())


@pytest.mark.parametrize(("count", "timeout"), [(10, 30), (500, 30), (10_000, 10), (10_000, 1), (3, 0)])
def test_clients_are_told_in_batches_over_most_of_the_time(house, count, timeout):
    house.server.startService()
    house.server.shutdown_timeout = timeout
    begun, times = house.clock.seconds(), []
    house.world.node.open_sessions = {Goer(house.clock, times): None for _ in range(count)}
    house.stop()
    house.pass_time(timeout + 1)
    assert len(times) == count and house.stopped == [None]
    batches = [times.count(at) for at in sorted(set(times))]
    least = max(CLOSE_BATCH, count / max(1, timeout * CLOSE_SHARE / CLOSE_INTERVAL))
    assert max(batches) <= least + 1
    assert times[-1] - begun <= max(timeout * CLOSE_SHARE, count / CLOSE_BATCH * CLOSE_INTERVAL)


def test_the_server_waits_for_connections_to_end_but_not_for_ever(house):
    open_ = [3]
    house.server.connections = lambda: open_[0]
    house.server.shutdown_timeout = 5
    house.server.startService()
    house.stop()
    house.pass_time(2)
    assert house.stopped == []
    open_[0] = 0
    house.pass_time(0.2)
    assert house.stopped == [None]


def test_connections_that_do_not_end_are_left_when_the_time_is_over(house):
    house.server.connections = lambda: 1
    house.server.shutdown_timeout = 5
    house.server.startService()
    house.stop()
    house.pass_time(4.8)
    assert house.stopped == []
    house.pass_time(0.5)
    assert house.stopped == [None]


def test_a_stop_before_the_broker_was_reached_ends_the_attempts(house):
    house.away(100)
    house.server.startService()
    house.stop()
    house.pass_time(1)
    assert house.stopped == [None] and house.world.log.texts("critical") == []
    house.pass_time(10)
    assert len(house.world.log.texts("error")) == 1


@pytest.mark.parametrize(
    ("address", "used"),
    [
        ("tcp:8000", "tcp:8000:backlog=4096"),
        ("tcp:8000:interface=127.0.0.1", "tcp:8000:interface=127.0.0.1:backlog=4096"),
        ("unix:/run/x.sock:mode=660", "unix:/run/x.sock:mode=660:backlog=4096"),
        ("tcp:8000:backlog=10", "tcp:8000:backlog=10"),
        ("systemd:domain=INET:name=web", "systemd:domain=INET:name=web"),
    ],
)
def test_a_port_has_a_long_queue_unless_the_address_says_otherwise(address, used):
    from rtserver.server import with_backlog

    assert with_backlog(address) == used
