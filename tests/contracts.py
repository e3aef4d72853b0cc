"""What every implementation of a port must do. Each check is a function of a harness; a test module runs all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from msgspec import Raw

from rtserver.core.errors import BrokerUnavailable
from rtserver.core.messages import ClientInfo, Publication, StreamPosition
from rtserver.core.ports import PROBE_CHANNEL, Broker, HistoryFilter, PublishOptions


class Recorder:
    """``ports.BrokerEvents`` that writes down what it is told."""

    def __init__(self) -> None:
        self.publications: list[tuple[str, Publication, str]] = []
        self.joins: list[tuple[str, ClientInfo]] = []
        self.leaves: list[tuple[str, ClientInfo]] = []
        self.control: list[bytes] = []
        self.raw: list[tuple[str, bytes]] = []
        self.gaps: list[list[str]] = []

    def on_publication(self, channel: str, publication: Publication, epoch: str, at: int = 0) -> None:
        self.publications.append((channel, publication, epoch))

    def on_join(self, channel: str, info: ClientInfo) -> None:
        self.joins.append((channel, info))

    def on_leave(self, channel: str, info: ClientInfo) -> None:
        self.leaves.append((channel, info))

    def on_control(self, message: bytes) -> None:
        self.control.append(message)

    def on_raw(self, channel: str, data: bytes) -> None:
        self.raw.append((channel, data))

    def on_gap(self, channels: list[str]) -> None:
        self.gaps.append(channels)

    def data(self, channel: str) -> list[bytes]:
        return [bytes(publication.data) for name, publication, _ in self.publications if name == channel]

    def offsets(self, channel: str) -> list[int]:
        return [publication.offset for name, publication, _ in self.publications if name == channel]


class BrokerHarness(Protocol):
    """A started broker of a node "n1" with a recorder, and time as the broker sees it."""

    broker: Broker
    events: Recorder
    presence_ttl: float
    tick: float
    """Seconds that are surely enough for the broker to notice that a shorter time is over."""

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it is true."""

    async def pass_time(self, seconds: float) -> None: ...


Check = Callable[[BrokerHarness], Awaitable[None]]
BROKER_CHECKS: list[Check] = []


def check(function: Check) -> Check:
    BROKER_CHECKS.append(function)
    return function


def pub(data: bytes | str) -> Publication:
    return Publication(data=Raw(data.encode() if isinstance(data, str) else data))


def kept(size: int = 10, ttl: float = 300, **more: Any) -> PublishOptions:
    return PublishOptions(history_size=size, history_ttl=ttl, **more)


META_TTL = 3600.0
EVERYTHING = HistoryFilter()


async def publish_many(broker: Broker, channel: str, count: int, options: PublishOptions | None = None) -> str:
    """Publishes "1", "2"...; returns the epoch."""
    outcomes = [await broker.publish(channel, pub(str(n)), options or kept()) for n in range(1, count + 1)]
    return outcomes[-1].position.epoch


async def read(broker: Broker, channel: str, wanted: HistoryFilter = EVERYTHING) -> list[int]:
    return [publication.offset for publication in (await broker.history(channel, wanted, META_TTL)).publications]


async def raises_unavailable(awaitable: Awaitable[object]) -> None:
    try:
        await awaitable
    except BrokerUnavailable as error:
        assert ":" in str(error), "the sentence says what to do"
    else:
        raise AssertionError("BrokerUnavailable was not raised")


@check
async def offsets_count_from_one_in_one_epoch_of_eight_letters(h: BrokerHarness) -> None:
    first = await h.broker.publish("c", pub("1"), kept())
    second = await h.broker.publish("c", pub("2"), kept())
    assert (first.position.offset, second.position.offset) == (1, 2)
    assert first.position.epoch == second.position.epoch
    assert len(first.position.epoch) == 8 and first.position.epoch.isalpha()
    assert not first.suppressed


@check
async def channels_have_streams_of_their_own(h: BrokerHarness) -> None:
    one = await publish_many(h.broker, "one", 3)
    two = await h.broker.publish("two", pub("x"), kept())
    assert two.position.offset == 1 and two.position.epoch != one


@check
async def reading_makes_the_epoch_that_publishing_then_keeps(h: BrokerHarness) -> None:
    found = await h.broker.history("c", EVERYTHING, META_TTL)
    assert found.publications == [] and found.top.offset == 0 and len(found.top.epoch) == 8
    assert (await h.broker.publish("c", pub("1"), kept())).position == StreamPosition(1, found.top.epoch)


@check
async def a_subscriber_hears_publications_in_the_order_of_offsets(h: BrokerHarness) -> None:
    await h.broker.subscribe("c")
    epoch = await publish_many(h.broker, "c", 20)
    await h.until(lambda: len(h.events.publications) == 20)
    assert h.events.offsets("c") == list(range(1, 21))
    assert {heard for _, _, heard in h.events.publications} == {epoch}


@check
async def without_history_a_publication_has_no_position(h: BrokerHarness) -> None:
    await h.broker.subscribe("c")
    outcome = await h.broker.publish("c", pub("x"), PublishOptions())
    assert outcome.position == StreamPosition(0, "") and not outcome.suppressed
    await h.until(lambda: len(h.events.publications) == 1)
    channel, publication, epoch = h.events.publications[0]
    assert (channel, publication.offset, epoch) == ("c", 0, "")


@check
async def a_publication_that_skips_history_leaves_the_stream_alone(h: BrokerHarness) -> None:
    epoch = await publish_many(h.broker, "c", 2)
    await h.broker.publish("c", pub("passing"), PublishOptions())
    found = await h.broker.history("c", EVERYTHING, META_TTL)
    assert found.top == StreamPosition(2, epoch) and len(found.publications) == 2


@check
async def every_field_of_a_publication_survives(h: BrokerHarness) -> None:
    info = ClientInfo("user", "client", Raw(b'{"a":1}'), Raw(b"\x00\xff"))
    sent = Publication(Raw(b'{"b": 1.10,\n"x":"\xc3\xa9:"}'), info, 99, {"k:1": "v", "é": ""}, True)
    await h.broker.subscribe("c")
    await h.broker.publish("c", sent, kept())
    await h.until(lambda: len(h.events.publications) == 1)
    stored = (await h.broker.history("c", EVERYTHING, META_TTL)).publications[0]
    for got in (h.events.publications[0][1], stored):
        assert bytes(got.data) == bytes(sent.data)
        assert got.info is not None
        assert (got.info.user, got.info.client) == ("user", "client")
        assert (bytes(got.info.conn_info), bytes(got.info.chan_info)) == (b'{"a":1}', b"\x00\xff")
        assert (got.offset, got.tags, got.delta) == (1, sent.tags, True)


@check
async def data_may_be_any_bytes(h: BrokerHarness) -> None:
    payloads = [bytes(range(256)), b"\r\n", b":::", b"0", b"x" * 100_000, b""]
    await h.broker.subscribe("c")
    for payload in payloads:
        await h.broker.publish("c", pub(payload), kept())
    await h.until(lambda: len(h.events.publications) == len(payloads))
    assert h.events.data("c") == payloads
    stored = (await h.broker.history("c", EVERYTHING, META_TTL)).publications
    assert [bytes(publication.data) for publication in stored] == payloads


@check
async def channel_names_may_hold_any_printable_character(h: BrokerHarness) -> None:
    for number, channel in enumerate(["a b", "$ns:x", "é/*?[]", "a.b:c#1,2", "{}%"], 1):
        await h.broker.subscribe(channel)
        await h.broker.publish(channel, pub("x"), kept())
        await h.until(lambda n=number: len(h.events.publications) == n)  # type: ignore[misc]
        assert h.events.publications[-1][0] == channel


@check
async def an_unsubscribed_channel_is_silent(h: BrokerHarness) -> None:
    await h.broker.subscribe("c")
    await h.broker.unsubscribe("c")
    await h.broker.subscribe("other")
    await h.broker.publish("c", pub("x"), kept())
    await h.broker.publish("other", pub("y"), kept())
    await h.until(lambda: h.events.data("other") == [b"y"])
    assert h.events.data("c") == []


@check
async def a_channel_can_be_subscribed_to_again(h: BrokerHarness) -> None:
    for _ in range(3):
        await h.broker.subscribe("c")
        await h.broker.unsubscribe("c")
    await h.broker.subscribe("c")
    await h.broker.publish("c", pub("x"), PublishOptions())
    await h.until(lambda: h.events.data("c") == [b"x"])


@check
async def the_window_keeps_the_newest(h: BrokerHarness) -> None:
    await publish_many(h.broker, "c", 5, kept(size=3))
    assert await read(h.broker, "c") == [3, 4, 5]


@check
async def history_is_read_forward_and_backward_from_a_position(h: BrokerHarness) -> None:
    await publish_many(h.broker, "c", 7, kept(size=5))  # 3 to 7 are kept
    cases: list[tuple[HistoryFilter, list[int]]] = [
        (HistoryFilter(0), []),
        (HistoryFilter(2), [3, 4]),
        (HistoryFilter(-1, StreamPosition(5)), [6, 7]),
        (HistoryFilter(1, StreamPosition(5)), [6]),
        (HistoryFilter(-1, StreamPosition(0)), [3, 4, 5, 6, 7]),
        (HistoryFilter(-1, StreamPosition(7)), []),
        (HistoryFilter(-1, StreamPosition(99)), []),
        (HistoryFilter(-1, None, True), [7, 6, 5, 4, 3]),
        (HistoryFilter(2, None, True), [7, 6]),
        (HistoryFilter(-1, StreamPosition(5), True), [4, 3]),
        (HistoryFilter(1, StreamPosition(5), True), [4]),
        (HistoryFilter(-1, StreamPosition(99), True), [7, 6, 5, 4, 3]),
        (HistoryFilter(-1, StreamPosition(3), True), []),
        (HistoryFilter(-1, StreamPosition(1), True), []),
        (HistoryFilter(-1, StreamPosition(0), True), []),
    ]
    for wanted, offsets in cases:
        assert await read(h.broker, "c", wanted) == offsets, wanted


@check
async def the_whole_window_expires_after_the_last_publish(h: BrokerHarness) -> None:
    ttl = 2 * h.tick
    epoch = await publish_many(h.broker, "c", 1, kept(ttl=ttl))
    await h.pass_time(1.5 * h.tick)
    await h.broker.publish("c", pub("2"), kept(ttl=ttl))
    await h.pass_time(1.5 * h.tick)
    assert await read(h.broker, "c") == [1, 2]
    await h.pass_time(2 * h.tick)
    found = await h.broker.history("c", EVERYTHING, META_TTL)
    assert found == ([], StreamPosition(2, epoch))
    assert (await h.broker.publish("c", pub("3"), kept())).position == StreamPosition(3, epoch)
    assert await read(h.broker, "c") == [3]


@check
async def offset_and_epoch_end_with_the_meta_ttl(h: BrokerHarness) -> None:
    epoch = await publish_many(h.broker, "c", 3, kept(meta_ttl=2 * h.tick))
    await h.pass_time(h.tick)
    assert (await h.broker.history("c", EVERYTHING, 2 * h.tick)).top == StreamPosition(3, epoch)
    await h.pass_time(1.5 * h.tick)  # the read has lengthened its life
    assert (await h.broker.history("c", EVERYTHING, 2 * h.tick)).top == StreamPosition(3, epoch)
    await h.pass_time(3 * h.tick)
    found = await h.broker.history("c", EVERYTHING, META_TTL)
    assert found.publications == [] and found.top.offset == 0 and found.top.epoch != epoch
    assert (await h.broker.publish("c", pub("x"), kept())).position == StreamPosition(1, found.top.epoch)


@check
async def removed_history_keeps_offset_and_epoch(h: BrokerHarness) -> None:
    epoch = await publish_many(h.broker, "c", 3)
    await h.broker.remove_history("c")
    assert await h.broker.history("c", EVERYTHING, META_TTL) == ([], StreamPosition(3, epoch))
    assert (await h.broker.publish("c", pub("x"), kept())).position == StreamPosition(4, epoch)
    await h.broker.remove_history("never used")


@check
async def an_old_version_is_suppressed(h: BrokerHarness) -> None:
    await h.broker.subscribe("c")
    cases = [(5, "", 1, False), (5, "", 1, True), (4, "", 1, True), (10, "", 2, False), (0, "", 3, False)]
    for version, version_epoch, offset, suppressed in cases:
        options = kept(version=version, version_epoch=version_epoch)
        outcome = await h.broker.publish("c", pub("x"), options)
        assert (outcome.position.offset, outcome.suppressed) == (offset, suppressed), version
    await h.until(lambda: h.events.offsets("c") == [1, 2, 3])


@check
async def a_new_version_epoch_counts_versions_anew(h: BrokerHarness) -> None:
    cases = [(5, "a", False), (4, "a", True), (4, "b", False), (4, "", True), (5, "", False), (2**63 - 1, "", False)]
    for version, version_epoch, suppressed in [*cases, (2**63 - 2, "", True)]:
        outcome = await h.broker.publish("c", pub("x"), kept(version=version, version_epoch=version_epoch))
        assert outcome.suppressed is suppressed, (version, version_epoch)


@check
async def a_repeated_idempotency_key_delivers_once_and_gets_the_first_result(h: BrokerHarness) -> None:
    await h.broker.subscribe("c")
    first = await h.broker.publish("c", pub("1"), kept(idempotency_key="k"))
    await h.broker.publish("c", pub("2"), kept())
    again = await h.broker.publish("c", pub("1"), kept(idempotency_key="k"))
    assert again.suppressed and again.position == first.position
    await h.broker.publish("c", pub("3"), kept(idempotency_key="other"))
    await h.until(lambda: h.events.data("c") == [b"1", b"2", b"3"])


@check
async def idempotency_keys_work_without_history_and_belong_to_a_channel(h: BrokerHarness) -> None:
    await h.broker.subscribe("c")
    await h.broker.subscribe("d")
    once = PublishOptions(idempotency_key="k")
    outcomes = [await h.broker.publish(channel, pub("x"), once) for channel in ("c", "c", "d")]
    assert [outcome.suppressed for outcome in outcomes] == [False, True, False]
    assert all(outcome.position == StreamPosition(0, "") for outcome in outcomes)
    await h.until(lambda: h.events.data("d") == [b"x"])
    assert h.events.data("c") == [b"x"]


@check
async def joins_and_leaves_reach_subscribers(h: BrokerHarness) -> None:
    info = ClientInfo("u", "c1", Raw(b"1"), Raw(b""))
    await h.broker.subscribe("c")
    await h.broker.publish_join("c", info)
    await h.broker.publish_leave("c", info)
    await h.broker.publish_join("not subscribed", info)
    await h.until(lambda: len(h.events.joins) == 1 and len(h.events.leaves) == 1)
    for channel, got in (*h.events.joins, *h.events.leaves):
        assert (channel, got.user, got.client, bytes(got.conn_info)) == ("c", "u", "c1", b"1")


@check
async def presence_lists_clients_until_they_are_removed(h: BrokerHarness) -> None:
    for client, user in (("c1", "u"), ("c2", "u"), ("c3", ""), ("c4", "")):
        await h.broker.add_presence("c", client, ClientInfo(user, client, Raw(b"\xfe")))
    found = await h.broker.presence("c")
    assert sorted(found) == ["c1", "c2", "c3", "c4"] and bytes(found["c1"].conn_info) == b"\xfe"
    assert await h.broker.presence_stats("c") == (4, 2)
    await h.broker.remove_presence("c", "c1")
    await h.broker.remove_presence("c", "never there")
    assert await h.broker.presence_stats("c") == (3, 2)
    assert await h.broker.presence("other") == {} and await h.broker.presence_stats("other") == (0, 0)


@check
async def presence_ends_when_nobody_refreshes_it(h: BrokerHarness) -> None:
    await h.broker.add_presence("c", "stays", ClientInfo("u", "stays"))
    await h.broker.add_presence("c", "goes", ClientInfo("u", "goes"))
    await h.pass_time(0.6 * h.presence_ttl)
    await h.broker.add_presence("c", "stays", ClientInfo("u", "stays", Raw(b"new")))
    await h.pass_time(0.6 * h.presence_ttl)
    found = await h.broker.presence("c")
    assert list(found) == ["stays"] and bytes(found["stays"].conn_info) == b"new"
    assert await h.broker.presence_stats("c") == (1, 1)
    await h.pass_time(1.2 * h.presence_ttl)
    assert await h.broker.presence("c") == {}


@check
async def control_messages_reach_all_nodes_or_one(h: BrokerHarness) -> None:
    await h.broker.publish_control(b"all\x00")
    await h.broker.publish_control(b"other", "n2")
    await h.broker.publish_control(b"this", "n1")
    await h.until(lambda: h.events.control == [b"all\x00", b"this"])


@check
async def a_probe_comes_back_from_every_shard(h: BrokerHarness) -> None:
    await h.broker.probe("token/1")
    await h.until(lambda: len(h.events.publications) == h.broker.shards)
    expected = {f"token/1:{shard}".encode() for shard in range(h.broker.shards)}
    assert set(h.events.data(PROBE_CHANNEL)) == expected


@check
async def a_refreshed_broker_still_hears(h: BrokerHarness) -> None:
    await h.broker.subscribe("c")
    await h.broker.refresh()
    await h.broker.subscribe("d")
    await h.broker.probe("t")
    await h.until(lambda: len(h.events.data(PROBE_CHANNEL)) <= h.broker.shards)
    await h.broker.publish("d", pub("x"), kept())
    await h.until(lambda: h.events.data("d") == [b"x"])


@check
async def nothing_is_lost_by_a_pause(h: BrokerHarness) -> None:
    await h.broker.subscribe("c")
    h.broker.pause()
    await publish_many(h.broker, "c", 50, kept(size=100))
    h.broker.resume()
    await h.until(lambda: h.events.offsets("c") == list(range(1, 51)))


@check
async def a_stopped_broker_is_unavailable(h: BrokerHarness) -> None:
    await h.broker.stop()
    await raises_unavailable(h.broker.publish("c", pub("x"), kept()))
    await raises_unavailable(h.broker.publish("c", pub("x"), PublishOptions()))
    await raises_unavailable(h.broker.subscribe("c"))
    await raises_unavailable(h.broker.history("c", EVERYTHING, META_TTL))
    await raises_unavailable(h.broker.presence("c"))
    await raises_unavailable(h.broker.publish_control(b"x"))
    await raises_unavailable(h.broker.probe("x"))
