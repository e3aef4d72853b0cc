from __future__ import annotations

import itertools
import string

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from rtserver.core.history import (
    IDEMPOTENCY_TTL,
    IdempotencyCache,
    StreamLimits,
    Streams,
    make_epoch,
    publication_cost,
)
from rtserver.core.messages import Publication, StreamPosition
from rtserver.core.ports import HistoryFilter, PublishOptions

EVERYTHING = HistoryFilter()
META_TTL = 1000.0


def streams(limits: StreamLimits | None = None) -> Streams:
    """Epochs are "e1", "e2"... in the order of their making."""
    names = (f"e{number}" for number in itertools.count(1))
    return Streams(lambda: next(names), limits)


def kept(size: int = 10, ttl: float = 100, meta_ttl: float = META_TTL, **more: object) -> PublishOptions:
    return PublishOptions(history_size=size, history_ttl=ttl, meta_ttl=meta_ttl, **more)  # type: ignore[arg-type]


def pub(data: bytes = b"x") -> Publication:
    return Publication(data=Raw(data))


def offsets(all_streams: Streams, channel: str, now: float, wanted: HistoryFilter = EVERYTHING) -> list[int]:
    return [publication.offset for publication in all_streams.read(channel, wanted, META_TTL, now).publications]


def test_an_epoch_is_eight_letters() -> None:
    letters = iter("abcdefghXYZ")
    assert make_epoch(lambda choices: next(letters)) == "abcdefgh"
    assert make_epoch(lambda choices: choices[-1]) == "Z" * 8


def test_the_delivered_publication_has_the_offset_and_shares_the_payload() -> None:
    sent = Publication(Raw(b"x"), None, 7, {"a": "b"}, True)
    stored = streams().publish("c", sent, kept(), 0)
    assert stored.publication is not None and stored.publication is not sent
    assert (stored.publication.offset, stored.publication.tags, stored.publication.delta) == (1, {"a": "b"}, True)
    assert stored.publication.data is sent.data
    assert sent.offset == 7, "what the publisher holds is left alone"


def test_the_list_lives_from_the_last_publish_to_the_very_second() -> None:
    s = streams()
    s.publish("c", pub(), kept(ttl=10), 0)
    s.publish("c", pub(), kept(ttl=10), 9)
    assert offsets(s, "c", 18.9) == [1, 2]
    assert offsets(s, "c", 19) == []


def test_a_shorter_ttl_of_a_later_publish_counts() -> None:
    s = streams()
    s.publish("c", pub(), kept(ttl=100), 0)
    s.publish("c", pub(), kept(ttl=10), 1)
    assert offsets(s, "c", 11) == []


def test_a_publish_after_the_expiry_does_not_revive_the_old_ones() -> None:
    s = streams()
    s.publish("c", pub(), kept(ttl=10), 0)
    s.publish("c", pub(), kept(ttl=10), 10)
    assert offsets(s, "c", 10) == [2]


def test_the_epoch_ends_when_meta_was_not_used_for_its_time() -> None:
    s = streams()
    s.publish("c", pub(), kept(meta_ttl=50, ttl=100), 0)
    assert s.read("c", EVERYTHING, 50, 49).top == StreamPosition(1, "e1")
    assert s.read("c", EVERYTHING, 50, 98).top == StreamPosition(1, "e1")
    assert s.read("c", EVERYTHING, 50, 148) == ([], StreamPosition(0, "e2"))


def test_publications_end_with_the_epoch_even_if_their_own_time_is_longer() -> None:
    s = streams()
    s.publish("c", pub(), kept(meta_ttl=10, ttl=1000), 0)
    s.sweep(10)
    assert len(s) == 0 and s.cost == 0


def test_a_suppressed_version_lengthens_the_life_but_not_that_of_the_list() -> None:
    s = streams()
    s.publish("c", pub(), kept(version=2, ttl=10, meta_ttl=20), 0)
    stored = s.publish("c", pub(), kept(version=1, ttl=10, meta_ttl=20), 9)
    assert stored.publication is None and stored.outcome == (StreamPosition(1, "e1"), True)
    assert offsets(s, "c", 10) == []
    assert s.read("c", EVERYTHING, 20, 28).top.epoch == "e1"


def test_a_suppressed_version_is_no_result_of_an_idempotency_key() -> None:
    s = streams()
    s.publish("c", pub(), kept(version=2), 0)
    assert s.publish("c", pub(), kept(version=1, idempotency_key="k"), 0).publication is None
    assert s.publish("c", pub(), kept(version=3, idempotency_key="k"), 0).publication is not None


def test_an_idempotency_key_is_remembered_for_five_minutes() -> None:
    s = streams()
    once = kept(idempotency_key="k")
    s.publish("c", pub(), once, 0)
    assert s.publish("c", pub(), once, IDEMPOTENCY_TTL - 0.1).publication is None
    assert s.publish("c", pub(), once, IDEMPOTENCY_TTL).outcome.position.offset == 2


def test_without_history_versions_are_not_looked_at() -> None:
    s = streams()
    for _ in range(2):
        assert s.publish("c", pub(), PublishOptions(version=1), 0).publication is not None


def test_removing_keeps_the_position_and_frees_the_memory() -> None:
    s = streams()
    s.publish("c", pub(), kept(), 0)
    s.remove("c")
    s.remove("never used")
    assert s.cost == 0 and s.read("c", EVERYTHING, META_TTL, 0) == ([], StreamPosition(1, "e1"))


def test_the_sweep_frees_expired_lists_and_later_their_streams() -> None:
    s = streams()
    for number in range(10):
        s.publish(f"c{number}", pub(), kept(ttl=10, meta_ttl=50), 0)
    s.sweep(9)
    assert s.cost > 0
    s.sweep(10)
    assert s.cost == 0 and len(s) == 10
    s.sweep(49)
    assert len(s) == 10
    s.sweep(50)
    assert len(s) == 0


def test_one_sweep_looks_at_a_bounded_number() -> None:
    s = streams()
    for number in range(10):
        s.publish(f"c{number}", pub(), kept(meta_ttl=10, idempotency_key="k"), 0)
    s.sweep(1000, limit=3)
    assert len(s) == 7


def test_over_the_byte_bound_the_channel_published_to_longest_ago_loses_its_list() -> None:
    limit = 3 * publication_cost(pub())
    s = streams(StreamLimits(max_bytes=limit))
    for channel in ("a", "b", "a", "c"):
        s.publish(channel, pub(), kept(), 0)
    assert offsets(s, "b", 0) == [] and offsets(s, "a", 0) == [1, 2] and offsets(s, "c", 0) == [1]
    assert s.cost <= limit


def test_a_single_channel_over_the_byte_bound_keeps_its_newest() -> None:
    s = streams(StreamLimits(max_bytes=2 * publication_cost(pub())))
    for _ in range(5):
        s.publish("c", pub(), kept(), 0)
    assert offsets(s, "c", 0) == [4, 5]


def test_a_publication_larger_than_all_memory_is_delivered_but_not_kept() -> None:
    s = streams(StreamLimits(max_bytes=1000))
    assert s.publish("c", pub(b"x" * 2000), kept(), 0).publication is not None
    assert s.cost == 0 and s.read("c", EVERYTHING, META_TTL, 0).top.offset == 1


def test_over_the_stream_bound_the_channel_used_longest_ago_is_forgotten() -> None:
    s = streams(StreamLimits(max_streams=2))
    s.publish("a", pub(), kept(), 0)
    s.publish("b", pub(), kept(), 0)
    s.read("a", EVERYTHING, META_TTL, 0)
    s.publish("c", pub(), kept(), 0)
    assert len(s) == 2
    assert s.read("a", EVERYTHING, META_TTL, 0).top == StreamPosition(1, "e1")
    assert s.read("b", EVERYTHING, META_TTL, 0).top == StreamPosition(0, "e4")


def test_the_idempotency_cache_forgets_the_oldest_over_its_bound() -> None:
    cache = IdempotencyCache(limit=2)
    for key in "abc":
        cache.put("c", key, StreamPosition(1, key), 0)
    assert len(cache) == 2 and cache.get("c", "a", 0) is None
    assert cache.get("c", "c", 0) == StreamPosition(1, "c") and cache.get("other", "c", 0) is None


@given(
    size=st.integers(1, 5),
    published=st.integers(0, 12),
    since=st.none() | st.integers(0, 15),
    limit=st.integers(-1, 7),
    reverse=st.booleans(),
)
def test_a_read_is_the_slice_that_its_description_says(
    size: int, published: int, since: int | None, limit: int, reverse: bool
) -> None:
    s = streams()
    for _ in range(published):
        s.publish("c", pub(), kept(size=size), 0)
    window = list(range(max(1, published - size + 1), published + 1))
    expected = window
    if since is not None:
        expected = [offset for offset in window if (offset < since if reverse else offset > since)]
    expected = expected[::-1] if reverse else expected
    expected = expected if limit < 0 else expected[:limit]
    wanted = HistoryFilter(limit, None if since is None else StreamPosition(since, ""), reverse)
    assert offsets(s, "c", 0, wanted) == expected


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 400), st.integers(1, 4), st.sampled_from([1.0, 5.0, 50.0])),
        max_size=40,
    )
)
def test_the_counted_memory_is_that_of_what_is_kept(steps: list[tuple[str, int, int, float]]) -> None:
    s = streams(StreamLimits(max_bytes=3000, max_streams=3))
    for now, (channel, length, size, ttl) in enumerate(steps):
        s.publish(channel, pub(b"x" * length), kept(size=size, ttl=ttl, meta_ttl=20), now)
        s.sweep(now)
        held = [publication for stream in s._streams.values() for publication in stream.publications]
        assert s.cost == sum(publication_cost(publication) for publication in held) <= 3000
        assert len(s) <= 3


def test_epochs_use_letters_only() -> None:
    assert set(make_epoch(lambda choices: choices[0])) <= set(string.ascii_letters)
