"""What happens when Redis dies, hangs, forgets or refuses."""

from __future__ import annotations

import pytest
from twisted.internet import reactor

from rtserver.core.errors import BrokerError, BrokerUnavailable
from rtserver.core.ports import PROBE_CHANNEL, PublishOptions
from rtserver.services.broker_redis import RedisBroker
from rtserver.services.redis_options import RedisOptions
from tests.contracts import EVERYTHING, META_TTL, Recorder, kept, pub, raises_unavailable
from tests.deadline import deadline
from tests.live.redis_broker import RedisHarness, Rules, eventually, sleep
from tests.live.redis_server import RedisServer, free_port


async def hears(harness: RedisHarness, channel: str, text: str) -> None:
    """Publish until it is heard; right after a reconnect the first try may fail."""
    while text.encode() not in harness.events.data(channel):
        try:
            await harness.broker.publish(channel, pub(text), kept())
        except BrokerUnavailable:
            await sleep(0.05)
        await sleep(0.02)


@deadline(30)
async def test_a_killed_redis_that_comes_back_is_subscribed_to_again_and_the_gap_is_told() -> None:
    with RedisServer() as server:
        async with RedisHarness(server) as h:
            await h.broker.subscribe("a")
            await h.broker.subscribe("b")
            epoch = (await h.broker.publish("a", pub("1"), kept())).position.epoch
            server.restart()
            await eventually(lambda: h.events.gaps == [["a", "b"]])
            await hears(h, "a", "2")
            assert h.events.publications[-1][2] != epoch, "memory was lost, so the epoch must be new"
            assert h.broker.stats.reconnects >= 2 and h.broker.stats.resubscribes == 1


@deadline(30)
async def test_three_thousand_channels_are_subscribed_to_again() -> None:
    with RedisServer() as server:
        async with RedisHarness(server) as h:
            names = [f"c{number}" for number in range(3000)]
            for name in names:
                await h.broker.subscribe(name)
            server.restart()
            await eventually(lambda: h.events.gaps == [sorted(names)])
            for name in ("c0", "c1500", "c2999"):
                await hears(h, name, "x")


@deadline(30)
async def test_while_redis_is_down_commands_fail_within_the_time_limit() -> None:
    with RedisServer() as server:
        async with RedisHarness(server, io_timeout=0.5) as h:
            server.kill()
            before = reactor.seconds()
            await raises_unavailable(h.broker.publish("c", pub("x"), kept()))
            await raises_unavailable(h.broker.subscribe("c"))
            assert reactor.seconds() - before < 5, "both limits and the pauses between their checks"


@deadline(30)
async def test_commands_that_were_given_during_a_short_outage_are_executed_in_order() -> None:
    with RedisServer() as server:
        async with RedisHarness(server) as h:
            server.kill()
            await sleep(0.1)
            waiting = [h.broker._send_publication("c", pub(str(n)), kept()) for n in range(5)]
            server.start()
            offsets = [(await publishing).position.offset for publishing in waiting]
            assert offsets == [1, 2, 3, 4, 5]


@deadline(30)
async def test_a_frozen_redis_is_noticed_and_used_again_after_it_thaws() -> None:
    with RedisServer() as server:
        async with RedisHarness(server, io_timeout=0.5) as h:
            await h.broker.subscribe("c")
            server.freeze()
            try:
                await raises_unavailable(h.broker.publish("c", pub("x"), kept()))
                await eventually(lambda: not h.broker._shards[0].subscriber.link.is_up)
            finally:
                server.thaw()
            await eventually(lambda: h.events.gaps != [])
            await hears(h, "c", "y")


@deadline(30)
async def test_a_subscriber_that_redis_cut_comes_back_alone() -> None:
    with RedisServer() as server:
        async with RedisHarness(server) as h:
            await h.broker.subscribe("c")
            server.run("CLIENT", "KILL", "TYPE", "pubsub")
            await eventually(lambda: h.events.gaps == [["c"]])
            await hears(h, "c", "x")
            assert h.broker.stats.reconnects == 1


@deadline(30)
async def test_a_refresh_makes_new_connections_and_tells_the_gap() -> None:
    with RedisServer() as server:
        async with RedisHarness(server) as h:
            await h.broker.subscribe("c")
            await h.broker.refresh()
            await eventually(lambda: h.events.gaps == [["c"]])
            await hears(h, "c", "x")


@deadline(30)
async def test_functions_are_loaded_again_when_somebody_flushed_them() -> None:
    with RedisServer() as server:
        async with RedisHarness(server) as h:
            await h.broker.publish("c", pub("1"), kept())
            server.run("FUNCTION", "FLUSH")
            waiting = [h.broker._send_publication("c", pub(str(n)), kept()) for n in range(2, 6)]
            assert [(await publishing).position.offset for publishing in waiting] == [2, 3, 4, 5]


@deadline(30)
async def test_a_flushed_redis_begins_new_streams_and_knows_the_namespaces_again() -> None:
    with RedisServer() as server:
        async with RedisHarness(server) as h:
            epoch = (await h.broker.publish("kept:a", pub("1"), kept())).position.epoch
            server.run("FLUSHALL")
            position = (await h.broker.publish("kept:a", pub("2"), kept())).position
            assert position.offset == 1 and position.epoch != epoch
            await eventually(lambda: bool(server.run("EXISTS", f"{h.options.prefix}.options")))


@deadline(30)
async def test_a_redis_that_is_full_says_so_and_can_still_be_read() -> None:
    with RedisServer() as server:
        async with RedisHarness(server) as h:
            await h.broker.publish("c", pub("1"), kept())
            server.run("CONFIG", "SET", "maxmemory", "1mb")
            with pytest.raises(BrokerUnavailable, match="maxmemory"):
                await h.broker.publish("c", pub("2"), kept())
            assert len((await h.broker.history("c", EVERYTHING, META_TTL)).publications) == 1
            assert await h.broker.presence_stats("c") == (0, 0)
            await h.broker.subscribe("c")
            await h.broker.publish("c", pub("passing"), PublishOptions())
            await eventually(lambda: h.events.data("c") == [b"passing"])
            server.run("CONFIG", "SET", "maxmemory", "0")
            assert (await h.broker.publish("c", pub("2"), kept())).position.offset == 2


@deadline(30)
async def test_a_replica_refuses_with_advice() -> None:
    with RedisServer() as master, RedisServer() as other:
        async with RedisHarness(other) as h:
            other.run("REPLICAOF", "127.0.0.1", master.port)
            with pytest.raises(BrokerError, match="replica"):
                await h.broker.publish("c", pub("1"), kept())


@deadline(30)
async def test_too_many_waiting_commands_are_refused() -> None:
    with RedisServer() as server:
        async with RedisHarness(server, max_waiting=20, io_timeout=0.5) as h:
            await sleep(0.1)
            server.freeze()
            try:
                waiting = [h.broker._send_publication("c", pub("x"), kept()) for _ in range(20)]
                with pytest.raises(BrokerUnavailable, match="wait for Redis already"):
                    await h.broker.publish("c", pub("x"), kept())
                for publishing in waiting:
                    await raises_unavailable(publishing)
            finally:
                server.thaw()


@deadline(30)
async def test_start_fails_when_there_is_no_redis_and_leaves_nothing_behind() -> None:
    options = RedisOptions(address=(f"redis://127.0.0.1:{free_port()}",), io_timeout=0.3, connect_timeout=0.2)
    before = len(reactor.getDelayedCalls())
    broker = RedisBroker(options, Rules(), reactor, "n1")
    with pytest.raises(BrokerUnavailable, match="check that the server runs"):
        await broker.start(Recorder())
    assert len(reactor.getDelayedCalls()) <= before + 1, "only the deadline of this test"


@deadline(30)
async def test_one_dead_shard_leaves_the_channels_of_the_other_alone() -> None:
    with RedisServer() as first, RedisServer() as second:
        async with RedisHarness(first, second, io_timeout=0.5) as h:
            homes = {h.broker._home(f"c{number}").index: f"c{number}" for number in range(50)}
            second.kill()
            await eventually(lambda: not h.broker._shards[1].is_up)
            await h.broker.subscribe(homes[0])
            await hears(h, homes[0], "x")
            await raises_unavailable(h.broker.publish(homes[1], pub("x"), kept()))
            await h.broker.publish_control(b"still")
            await eventually(lambda: h.events.control == [b"still"])
            await raises_unavailable(h.broker.probe("t"))
            assert h.events.data(PROBE_CHANNEL) == [b"t:0"]


@deadline(30)
async def test_stopping_leaves_no_delayed_call_and_no_socket() -> None:
    with RedisServer() as server:
        calls, readers = len(reactor.getDelayedCalls()), set(reactor.getReaders())
        async with RedisHarness(server) as h:
            await h.broker.subscribe("c")
            await h.broker.publish("c", pub("x"), kept())
        await sleep(0)
        assert len(reactor.getDelayedCalls()) <= calls + 1, "only the deadline of this test"
        assert set(reactor.getReaders()) <= readers


@deadline(30)
async def test_stopping_while_redis_hangs_ends_within_its_limits() -> None:
    with RedisServer() as server:
        h = RedisHarness(server, io_timeout=0.5)
        await h.broker.start(h.events)
        server.freeze()
        try:
            waiting = h.broker._send_publication("c", pub("x"), kept())
            await h.broker.stop()
            await raises_unavailable(waiting)
        finally:
            server.thaw()
