"""The three ways in which other programs publish through Redis."""

from __future__ import annotations

from collections.abc import Iterator

import hiredis
import pytest

from rtserver.services import redis_raw
from tests.contracts import EVERYTHING, META_TTL, kept, pub
from tests.deadline import deadline
from tests.live.redis_broker import RULES, RedisHarness, eventually, sleep
from tests.live.redis_server import RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


def raw_lease(h: RedisHarness) -> bool:
    return h.broker._doors[0].lease.is_held


async def ready(h: RedisHarness, server: RedisServer) -> None:
    """Until this node takes raw publications: it has the lease and Redis knows its pattern."""
    await eventually(lambda: raw_lease(h) and bool(h.broker._shards[0].subscriber._routes.patterns))
    before = len(h.events.raw)
    await h.broker.subscribe("ready")
    server.run("PUBLISH", h.raw("ready"), b"?")
    await eventually(lambda: len(h.events.raw) > before)
    h.events.raw.clear()


# Door 1: PUBLISH


@deadline(20)
async def test_a_plain_publish_reaches_a_channel_without_history(server: RedisServer) -> None:
    async with RedisHarness(server) as h:
        await h.broker.subscribe("news")
        assert server.run("PUBLISH", h.raw("news"), b"\x00any bytes") == 1
        await eventually(lambda: h.events.raw == [("news", b"\x00any bytes")])
        assert h.broker.stats.raw_received == 1
        await h.broker.unsubscribe("news")
        await h.broker.subscribe("other")
        assert server.run("PUBLISH", h.raw("news"), b"x") == 0


@deadline(20)
async def test_a_plain_publish_is_stored_in_order_where_there_is_history(server: RedisServer) -> None:
    async with RedisHarness(server) as h:
        await h.broker.subscribe("kept:a")
        await h.broker.subscribe("$kept:b")
        await ready(h, server)
        for number in range(200):
            server.run("PUBLISH", h.raw("kept:a"), str(number))
        server.run("PUBLISH", h.raw("$kept:b"), "private")
        await eventually(lambda: len(h.events.offsets("kept:a")) == 200)
        await eventually(lambda: h.events.offsets("$kept:b") == [1])
        assert h.events.data("kept:a") == [str(number).encode() for number in range(200)]
        assert h.events.offsets("kept:a") == list(range(1, 201))
        assert h.events.raw == []
        found = await h.broker.history("kept:a", EVERYTHING, META_TTL)
        assert len(found.publications) == 200


@deadline(20)
async def test_of_two_nodes_one_stores_and_both_hear_each_message_once(server: RedisServer) -> None:
    async with RedisHarness(server) as first, RedisHarness(server, node="n2", prefix=first.options.prefix) as second:
        for h in (first, second):
            await h.broker.subscribe("kept:a")
            await h.broker.subscribe("passing:a")
        await ready(first, server)
        for number in range(50):
            server.run("PUBLISH", first.raw("kept:a"), str(number))
            server.run("PUBLISH", first.raw("passing:a"), str(number))
        for h in (first, second):
            await eventually(lambda h=h: len(h.events.data("kept:a")) >= 50 and len(h.events.raw) >= 50)  # type: ignore[misc]
        await sleep(0.1)
        for h in (first, second):
            assert h.events.offsets("kept:a") == list(range(1, 51))
            assert [data for channel, data in h.events.raw if channel == "passing:a"] == [b"%d" % n for n in range(50)]
        assert not raw_lease(second)


@deadline(20)
async def test_when_the_holder_stops_the_other_node_takes_over_at_once(server: RedisServer) -> None:
    first = RedisHarness(server)
    await first.broker.start(first.events)
    await ready(first, server)
    async with RedisHarness(server, node="n2", prefix=first.options.prefix) as second:
        await second.broker.subscribe("kept:a")
        await sleep(0.2)
        await first.broker.stop()
        await ready(second, server)
        server.run("PUBLISH", second.raw("kept:a"), "x")
        await eventually(lambda: second.events.data("kept:a") == [b"x"])


@deadline(30)
async def test_when_the_holder_dies_its_lease_runs_out_and_the_other_node_takes_over(server: RedisServer) -> None:
    async with RedisHarness(server) as survivor:
        lease = f"{survivor.options.prefix}.lease.raw"
        await ready(survivor, server)
        server.run("SET", lease, "dead node", "PX", 2000)
        await eventually(lambda: not raw_lease(survivor))
        await ready(survivor, server)
        assert server.run("GET", lease) == b"n1"


@deadline(20)
async def test_a_refused_plain_publish_is_counted_and_not_delivered(server: RedisServer) -> None:
    async with RedisHarness(server) as h:
        await h.broker.subscribe("json:a")
        await ready(h, server)
        for data in (b"", b"{", b"\xff", b"[1]"):
            server.run("PUBLISH", h.raw("json:a"), data)
        await eventually(lambda: h.events.data("json:a") == [b"[1]"])
        assert h.broker.stats.raw_refused == 3


@deadline(20)
async def test_without_namespace_history_only_such_channels_are_taken(server: RedisServer) -> None:
    rules = RULES.__class__(without_namespace=RULES.namespaces["kept"], namespaces=RULES.namespaces)
    async with RedisHarness(server, rules=rules) as h:
        for channel in ("plain", "kept:a", "passing:a"):
            await h.broker.subscribe(channel)
        await eventually(lambda: raw_lease(h) and server.run("PUBLISH", h.raw("kept:a"), "x") == 1)
        for channel in ("plain", "passing:a", "unknown:a"):
            server.run("PUBLISH", h.raw(channel), "x")
        await eventually(lambda: h.events.data("plain") == [b"x"] and h.broker.stats.raw_refused == 1)
        assert h.events.data("kept:a") == [b"x"]
        assert h.events.raw == [("passing:a", b"x")]


@deadline(20)
async def test_plain_publishes_reach_their_channel_by_any_of_several_servers(server: RedisServer) -> None:
    with RedisServer() as second:
        async with RedisHarness(server, second) as h:
            await h.broker.subscribe("passing:a")
            await h.broker.subscribe("kept:a")
            await eventually(lambda: all(door.lease.is_held for door in h.broker._doors))
            await sleep(0.1)
            for number, redis in enumerate((server, second)):
                redis.run("PUBLISH", h.raw("passing:a"), str(number))
                redis.run("PUBLISH", h.raw("kept:a"), str(number))
            await eventually(lambda: len(h.events.raw) == 2 and len(h.events.data("kept:a")) == 2)


@deadline(60)
async def test_a_flood_of_plain_publishes_is_taken_in_order_and_within_bounds(server: RedisServer) -> None:
    count = 20_000
    async with RedisHarness(server) as h:
        await h.broker.subscribe("kept:a")
        await ready(h, server)
        server.run("EVAL", f"for i=1,{count} do redis.call('PUBLISH', KEYS[1], i) end", 1, h.raw("kept:a"))
        in_flight = []
        await eventually(lambda: in_flight.append(h.broker._doors[0]._in_flight) or len(h.events.publications) == count)
        assert h.events.offsets("kept:a") == list(range(1, count + 1))
        assert [int(data) for data in h.events.data("kept:a")] == list(range(1, count + 1))
        assert max(in_flight) <= redis_raw.MAX_IN_FLIGHT


# Door 2: FCALL rt_publish


def public(h: RedisHarness) -> str:
    return h.broker._shards[0].library.public


async def told(h: RedisHarness, server: RedisServer) -> None:
    await eventually(lambda: server.run("EXISTS", f"{h.options.prefix}.options") == 1)


@deadline(20)
async def test_the_function_publishes_by_the_rules_of_the_namespace(server: RedisServer) -> None:
    async with RedisHarness(server) as h:
        await told(h, server)
        for channel in ("kept:a", "$kept:b", "plain", "delta:a"):
            await h.broker.subscribe(channel)
        first = server.run("FCALL", public(h), 1, "kept:a", b"\x00one")
        assert isinstance(first, list)
        assert first[0] == 1 and len(first[1]) == 8
        assert server.run("FCALL", public(h), 1, "$kept:b", "x")[0] == 1  # type: ignore[index]
        assert server.run("FCALL", public(h), 1, "plain", "x") == [0, b""]
        server.run("FCALL", public(h), 1, "delta:a", "x")
        await eventually(lambda: len(h.events.publications) == 4)
        assert [(channel, p.offset, p.delta) for channel, p, _ in h.events.publications] == [
            ("kept:a", 1, False),
            ("$kept:b", 1, False),
            ("plain", 0, False),
            ("delta:a", 1, True),
        ]
        assert h.events.data("kept:a") == [b"\x00one"] and h.events.publications[0][2] == first[1].decode()
        second = await h.broker.publish("kept:a", pub("two"), kept())
        assert second.position.offset == 2


@deadline(20)
async def test_the_function_publishes_once_for_one_idempotency_key(server: RedisServer) -> None:
    async with RedisHarness(server) as h:
        await told(h, server)
        await h.broker.subscribe("kept:a")
        results = [server.run("FCALL", public(h), 1, "kept:a", "x", "key") for _ in range(2)]
        assert results[0] == results[1]
        server.run("FCALL", public(h), 1, "kept:a", "y")
        await eventually(lambda: h.events.data("kept:a") == [b"x", b"y"])


BAD_JSON = [
    b"", b"{", b"[1,]", b"NaN", b"[NaN]", b"[Infinity]", b"-inf", b"0x10", b"01", b"[+1]", b"1.", b"[.5]", b"1e", b"--1",
    b'"a\tb"', b'"\\x"', b'"\\ud800"', b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf5\x80\x80\x80"', b'"\xe2\x82"',
    b"1 2", b"\x0c1", b"nul", b"True", b'{"a":1,}', b"{1:2}", b"'a'", b'"a" "b"', b"[" * 600 + b"]" * 600,
    b'"', b"\xef\xbb\xbf1",
]  # fmt: skip
GOOD_JSON = [
    b"0", b"-0", b"1.5e-3", b"[]", b"{}", b'""', b"null", b"true", b' {"a": [1, 2.50, -3E+7, "\\"\\\\\\u00e9", null]} ',
    '"é€😀"'.encode(), b'"\x7f"', b'"\\\\"', b'"\\\\\\""', b'{"a":"b:c,[]{}"}', b"[" * 500 + b"]" * 500, b'["NaN","01"]',
    b"12345678901234567890", b'"\\ud83d\\ude00"',
]  # fmt: skip


@deadline(20)
async def test_the_function_takes_exactly_what_is_json_where_json_is_asked_for(server: RedisServer) -> None:
    async with RedisHarness(server) as h:
        await told(h, server)
        for data in GOOD_JSON:
            assert isinstance(server.run("FCALL", public(h), 1, "json:a", data), list), data
        for data in BAD_JSON:
            with pytest.raises(hiredis.ReplyError, match="not valid JSON"):
                raise AssertionError((data, server.run("FCALL", public(h), 1, "json:a", data)))
        server.run("FCALL", public(h), 1, "object:a", b' {"a":1}')
        for data in (b"[1]", b"1", b"{", b""):
            with pytest.raises(hiredis.ReplyError, match="not a JSON object"):
                server.run("FCALL", public(h), 1, "object:a", data)


@deadline(20)
async def test_the_function_refuses_with_a_sentence(server: RedisServer) -> None:
    async with RedisHarness(server) as h:
        await told(h, server)
        cases = [
            ((1, "unknown:a", "x"), "unknown namespace unknown: add it"),
            ((1, "kept:a", ""), "the data is empty"),
            ((1, "kept:a"), "call it as: FCALL"),
            ((0, "x"), "call it as: FCALL"),
            ((1, "", "x"), "call it as: FCALL"),
        ]
        for args, sentence in cases:
            with pytest.raises(hiredis.ReplyError, match=sentence):
                server.run("FCALL", public(h), *args)


@deadline(20)
async def test_the_function_refuses_when_channels_are_spread_over_several_servers(server: RedisServer) -> None:
    with RedisServer() as second:
        async with RedisHarness(server, second) as h:
            await told(h, server)
            with pytest.raises(hiredis.ReplyError, match="several Redis servers"):
                server.run("FCALL", public(h), 1, "kept:a", "x")


# Door 3: the inbox


def inbox(h: RedisHarness) -> str:
    return h.raw("in")


@deadline(20)
async def test_entries_added_before_any_server_ran_are_published_in_order_and_deleted(server: RedisServer) -> None:
    h = RedisHarness(server)
    for number in range(250):
        server.run("XADD", inbox(h), "*", "channel", "kept:a", "data", str(number))
    await h.broker.start(h.events)
    await h.broker.subscribe("kept:a")
    try:
        await eventually(lambda: h.broker.stats.inbox_accepted == 250)
        found = await h.broker.history("kept:a", EVERYTHING, META_TTL)
        assert [int(bytes(publication.data)) for publication in found.publications] == list(range(250))
        assert server.run("XLEN", inbox(h)) == 0
        server.run("XADD", inbox(h), "*", "channel", "passing:a", "data", b"\x00\xff")
        await h.broker.subscribe("passing:a")
        server.run("XADD", inbox(h), "*", "channel", "passing:a", "data", b"\x00\xfe")
        await eventually(lambda: h.events.data("passing:a")[-1:] == [b"\x00\xfe"])
    finally:
        await h.broker.stop()


@deadline(20)
async def test_entries_with_one_key_are_published_once(server: RedisServer) -> None:
    async with RedisHarness(server) as h:
        await h.broker.subscribe("kept:a")
        for data in ("x", "x", "y"):
            server.run("XADD", inbox(h), "*", "channel", "kept:a", "data", data, "key", data)
        await eventually(lambda: h.broker.stats.inbox_accepted == 3)
        await eventually(lambda: h.events.data("kept:a") == [b"x", b"y"])


@deadline(20)
async def test_entries_that_can_never_be_published_are_kept_as_dead_with_the_reason(server: RedisServer) -> None:
    async with RedisHarness(server) as h:
        entries = [
            (("data", "x"), b"needs the fields"),
            (("channel", "", "data", "x"), b"channel is empty"),
            (("channel", "unknown:a", "data", "x"), b"namespace"),
            (("channel", "json:a", "data", "{"), b"not JSON"),
            (("channel", b"\xff", "data", "x"), b"UTF-8"),
        ]
        for fields, _ in entries:
            server.run("XADD", inbox(h), "*", *fields)
        server.run("XADD", inbox(h), "*", "channel", "kept:a", "data", "good")
        await eventually(lambda: (h.broker.stats.inbox_dead, h.broker.stats.inbox_accepted) == (5, 1))
        dead = server.run("XRANGE", f"{inbox(h)}:dead", "-", "+")
        assert isinstance(dead, list)
        for (_, kept_fields), (fields, reason) in zip(dead, entries, strict=True):
            assert kept_fields[0] == b"reason" and reason in kept_fields[1]
            assert kept_fields[2] == b"entry"
            assert kept_fields[4:] == [field if isinstance(field, bytes) else field.encode() for field in fields]
        assert server.run("XLEN", inbox(h)) == 0


@deadline(30)
async def test_what_a_crashed_node_had_read_is_published_by_the_next_exactly_once(server: RedisServer) -> None:
    h = RedisHarness(server)
    server.run("XGROUP", "CREATE", inbox(h), h.options.prefix, "0", "MKSTREAM")
    for number in range(5):
        server.run("XADD", inbox(h), "*", "channel", "kept:a", "data", str(number))
    # Another node has read all five, published the first without deleting it, and died.
    group = ("GROUP", h.options.prefix, "dead node")
    read = server.run("XREADGROUP", *group, "COUNT", 5, "STREAMS", inbox(h), ">")
    first = read[0][1][0][0].decode()  # type: ignore[index]
    await h.broker.start(h.events)
    try:
        await h.broker.subscribe("kept:a")
        await h.broker.publish("kept:a", pub("0"), kept(1000, idempotency_key=f"inbox-0-{first}"))
        await eventually(lambda: h.broker.stats.inbox_accepted == 5)
        found = await h.broker.history("kept:a", EVERYTHING, META_TTL)
        assert [bytes(publication.data) for publication in found.publications] == [b"0", b"1", b"2", b"3", b"4"]
        assert server.run("XPENDING", inbox(h), h.options.prefix)[0] == 0  # type: ignore[index]
    finally:
        await h.broker.stop()


@deadline(40)
async def test_nothing_of_the_inbox_is_lost_when_redis_restarts() -> None:
    with RedisServer("appendonly yes", "appendfsync always") as server:
        async with RedisHarness(server) as h:
            await h.broker.subscribe("kept:a")
            for number in range(300):
                server.run("XADD", inbox(h), "*", "channel", "kept:a", "data", str(number))
                if number in (100, 200):
                    server.restart()
            await eventually(lambda: server.run("XLEN", inbox(h)) == 0)
            found = await h.broker.history("kept:a", EVERYTHING, META_TTL)
            assert [int(bytes(publication.data)) for publication in found.publications] == list(range(300))


@deadline(30)
async def test_entries_wait_while_redis_is_full_and_are_published_afterwards() -> None:
    with RedisServer() as own:
        async with RedisHarness(own) as earlier:
            await eventually(lambda: own.run("EXISTS", inbox(earlier)) == 1)
        for number in range(3):
            own.run("XADD", inbox(earlier), "*", "channel", "kept:a", "data", str(number))
        own.run("CONFIG", "SET", "maxmemory", "1mb")
        async with RedisHarness(own, prefix=earlier.options.prefix) as h:
            await h.broker.subscribe("kept:a")
            await eventually(lambda: h.broker.stats.commands_failed >= 3)
            assert h.events.data("kept:a") == [] and h.broker.stats.inbox_dead == 0
            own.run("CONFIG", "SET", "maxmemory", "0")
            await eventually(lambda: h.events.data("kept:a") == [b"0", b"1", b"2"])


@deadline(30)
async def test_one_of_two_nodes_reads_the_inbox_and_the_other_takes_over(server: RedisServer) -> None:
    first = RedisHarness(server)
    await first.broker.start(first.events)
    await eventually(lambda: first.broker._doors[1].lease.is_held)
    async with RedisHarness(server, node="n2", prefix=first.options.prefix) as second:
        await second.broker.subscribe("kept:a")
        server.run("XADD", inbox(first), "*", "channel", "kept:a", "data", "1")
        await eventually(lambda: second.events.data("kept:a") == [b"1"])
        await first.broker.stop()
        server.run("XADD", inbox(first), "*", "channel", "kept:a", "data", "2")
        await eventually(lambda: second.events.data("kept:a") == [b"1", b"2"])
        assert (first.broker.stats.inbox_accepted, second.broker.stats.inbox_accepted) == (1, 1)


@deadline(20)
async def test_the_inbox_survives_that_its_stream_is_deleted(server: RedisServer) -> None:
    async with RedisHarness(server) as h:
        await h.broker.subscribe("kept:a")
        await eventually(lambda: server.run("EXISTS", inbox(h)) == 1)
        server.run("DEL", inbox(h))
        server.run("XADD", inbox(h), "*", "channel", "kept:a", "data", "x")
        await eventually(lambda: h.events.data("kept:a") == [b"x"])


@deadline(20)
async def test_without_publish_prefix_the_doors_of_raw_and_inbox_are_closed(server: RedisServer) -> None:
    async with RedisHarness(server, publish_prefix="") as h:
        await h.broker.subscribe("passing:a")
        assert server.run("PUBLISH", "passing:a", "x") == 0
        assert h.broker._doors == []
