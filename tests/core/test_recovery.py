"""What a returning client gets: the table of section 6.4, what raced in, cache mode, bounds."""

from __future__ import annotations

import pytest
from msgspec import Raw

from rtserver.core import errors, fossil
from rtserver.core.errors import CommandError, Disconnected
from rtserver.core.flow import GATE_LIMIT
from rtserver.core.messages import Publication, StreamPosition, SubscribeRequest
from rtserver.core.options import ChannelOptions
from rtserver.core.ports import HistoryFilter, HistorySlice
from rtserver.core.recovery import (
    RecoveryLimits,
    as_deltas,
    as_plain,
    decide,
    fitting,
    is_attempted,
    wanted,
)
from rtserver.protocols import load

STREAM = ChannelOptions(history_size=100, history_ttl=60, allow_recovery=True)
CACHE = ChannelOptions(history_size=1, history_ttl=60, force_recovery=True, force_recovery_mode="cache")
AUTO = ChannelOptions(
    history_size=1, history_ttl=60, force_recovery=True, force_recovery_mode="cache", auto_cache_recover=True
)
LIMITS = RecoveryLimits(publications=5, size=1000)
E = "epoch"


def pub(offset, data=b"1", delta=False):
    return Publication(Raw(data), offset=offset, delta=delta)


def asked(offset=0, epoch=E, flag=0):
    return SubscribeRequest(channel="a", recover=True, offset=offset, epoch=epoch, flag=flag)


def slice_of(offsets, top, epoch=E):
    return HistorySlice([pub(offset) for offset in offsets], StreamPosition(top, epoch))


def decided(request, read, gate=(), options=STREAM, limits=LIMITS):
    return decide(request, options, read, list(gate), limits)


@pytest.mark.parametrize(
    ("situation", "request_", "read", "recovered", "offsets", "offset"),
    [
        ("another epoch", asked(2, "other"), slice_of([3, 4], 4), False, [], 4),
        ("another epoch at the same offset", asked(4, "other"), slice_of([], 4), False, [], 4),
        ("nothing missed", asked(4), slice_of([], 4), True, [], 4),
        ("all is there", asked(2), slice_of([3, 4], 4), True, [3, 4], 2),
        ("from the beginning", asked(0), slice_of([1, 2], 2), True, [1, 2], 0),
        ("trimmed", asked(1), slice_of([3, 4], 4), False, [], 4),
        ("expired", asked(2), slice_of([], 4), False, [], 4),
        ("more than is read", asked(0), slice_of([1, 2, 3, 4, 5, 6], 9), False, [], 9),
        ("one more than the limit", asked(0), slice_of([1, 2, 3, 4, 5, 6], 6), False, [], 6),
        ("exactly the limit", asked(0), slice_of([1, 2, 3, 4, 5], 5), True, [1, 2, 3, 4, 5], 0),
        ("ahead of the top", asked(9), slice_of([], 4), False, [], 4),
        ("no epoch, all kept", asked(0, ""), slice_of([1, 2], 2), True, [1, 2], 0),
        ("no epoch, trimmed", asked(0, ""), slice_of([2], 2), False, [], 2),
        ("no epoch, empty stream", asked(0, ""), slice_of([], 0), True, [], 0),
        ("empty stream, own epoch", asked(0), slice_of([], 0), True, [], 0),
        ("after state invalidation", asked(0, "_"), slice_of([1], 1), False, [], 1),
    ],
)
def test_the_table_of_recovery(situation, request_, read, recovered, offsets, offset):
    outcome = decided(request_, read)
    assert outcome.attempted and outcome.recovered is recovered, situation
    assert [item.offset for item in outcome.publications] == offsets
    assert outcome.offset == offset and outcome.position == read.top


@pytest.mark.parametrize(
    ("request_", "read"),
    [
        (asked(2, "other", flag=2), slice_of([3, 4], 4)),
        (asked(1, flag=3), slice_of([3, 4], 4)),
        (asked(9, flag=2), slice_of([], 4)),
        (asked(0, flag=3), slice_of([1, 2, 3, 4, 5, 6], 6)),
    ],
)
def test_who_wants_no_unrecovered_subscription_gets_112(request_, read):
    with pytest.raises(CommandError) as refused:
        decided(request_, read)
    assert refused.value.error == errors.UNRECOVERABLE_POSITION


def test_the_flag_does_not_matter_when_it_is_recovered():
    assert decided(asked(2, flag=3), slice_of([3], 3)).recovered


def test_without_an_attempt_there_is_the_top_and_nothing_else():
    outcome = decided(SubscribeRequest(channel="a"), slice_of([], 7), limits=None)
    assert (outcome.offset, outcome.attempted, outcome.recovered, outcome.publications) == (7, False, False, [])


# What raced in while subscribing


def gate(*offsets, epoch=E):
    return [(pub(offset), epoch) for offset in offsets]


def test_what_raced_in_continues_what_was_read():
    outcome = decided(asked(2), slice_of([3], 3), gate(4, 5))
    assert [item.offset for item in outcome.publications] == [3, 4, 5]
    assert outcome.position == StreamPosition(5, E) and outcome.offset == 2


def test_what_was_read_already_is_not_doubled():
    outcome = decided(asked(2), slice_of([3, 4], 4), gate(3, 4, 5))
    assert [item.offset for item in outcome.publications] == [3, 4, 5]


def test_when_nothing_is_recovered_the_position_covers_what_raced_in():
    outcome = decided(asked(0, "other"), slice_of([], 3), gate(4, 5))
    assert (outcome.recovered, outcome.publications, outcome.offset) == (False, [], 5)
    outcome = decided(SubscribeRequest(channel="a"), slice_of([], 3), gate(4), limits=None)
    assert outcome.offset == 4 and outcome.position == StreamPosition(4, E)


def test_what_raced_in_counts_against_the_limit():
    outcome = decided(asked(0), slice_of([1, 2, 3, 4, 5], 5), gate(6))
    assert not outcome.recovered and outcome.offset == 6


@pytest.mark.parametrize("entries", [gate(5), gate(4, 6), gate(4, epoch="other"), gate(4) + gate(1, epoch="other")])
def test_a_hole_between_what_was_read_and_what_raced_in_ends_the_connection(entries):
    for limits in (LIMITS, None):
        with pytest.raises(Disconnected) as end:
            decided(asked(2), slice_of([3], 3), entries, limits=limits)
        assert end.value.reason == errors.INSUFFICIENT_STATE


def test_what_has_no_offset_is_no_part_of_the_stream():
    outcome = decided(asked(2), slice_of([3], 3), [(pub(0), ""), *gate(4)])
    assert [item.offset for item in outcome.publications] == [3, 4]


def test_too_much_behind_the_gate_ends_the_connection():
    with pytest.raises(Disconnected):
        decided(asked(0), slice_of([], 0), gate(*range(1, GATE_LIMIT + 2)))


def test_the_bytes_of_what_is_recovered_are_bounded():
    big = b'"' + b"x" * 498 + b'"'
    read = HistorySlice([pub(1, big), pub(2, big)], StreamPosition(2, E))
    assert decided(asked(0), read).recovered
    read = HistorySlice([pub(1, big), pub(2, big + b" ")], StreamPosition(2, E))
    assert not decided(asked(0), read).recovered


# Cache mode


@pytest.mark.parametrize(
    ("situation", "request_", "read", "recovered", "offsets"),
    [
        ("the client has it", asked(3), slice_of([3], 3), True, []),
        ("a later one", asked(1), slice_of([3], 3), True, [3]),
        ("the client knows nothing", asked(0, ""), slice_of([3], 3), True, [3]),
        ("another epoch", asked(3, "other"), slice_of([3], 3), True, [3]),
        ("nothing was ever published", asked(0, ""), slice_of([], 0), False, []),
        ("it has expired", asked(1), slice_of([], 3), False, []),
        ("it has expired, but the client has it", asked(3), slice_of([], 3), True, []),
        ("what is kept is not the top", asked(1), slice_of([2], 3), False, []),
    ],
)
def test_cache_mode_gives_the_latest_at_most(situation, request_, read, recovered, offsets):
    outcome = decided(request_, read, options=CACHE)
    assert outcome.recovered is recovered, situation
    assert [item.offset for item in outcome.publications] == offsets


def test_in_cache_mode_only_the_last_of_what_raced_in_counts():
    outcome = decided(asked(1), slice_of([3], 3), gate(4, 5), options=CACHE)
    assert [item.offset for item in outcome.publications] == [5] and outcome.position.offset == 5


def test_cache_recovery_may_come_without_being_asked_for():
    outcome = decided(SubscribeRequest(channel="a"), slice_of([3], 3), options=AUTO)
    assert outcome.recovered and [item.offset for item in outcome.publications] == [3]


# What is attempted and read


@pytest.mark.parametrize(
    ("recover", "options", "recoverable", "attempted"),
    [
        (True, STREAM, True, True),
        (True, STREAM, False, False),
        (False, STREAM, True, False),
        (False, CACHE, True, False),
        (True, CACHE, True, True),
        (False, AUTO, True, True),
        (False, AUTO, False, False),
    ],
)
def test_when_recovery_is_attempted(recover, options, recoverable, attempted):
    assert is_attempted(SubscribeRequest(recover=recover), options, recoverable) is attempted


def test_no_more_is_read_than_the_decision_needs():
    request = asked(7)
    assert wanted(request, STREAM, False, LIMITS) == HistoryFilter(limit=0)
    assert wanted(request, STREAM, True, LIMITS) == HistoryFilter(limit=6, since=StreamPosition(7, E))
    assert wanted(request, CACHE, True, LIMITS) == HistoryFilter(limit=1, reverse=True)


# How it is written


def test_plain_publications_say_nothing_of_deltas():
    assert as_plain([pub(1, delta=True)]) == [pub(1)]


def test_recovered_deltas_begin_with_a_full_one_and_rebuild_each():
    texts = [b'{"pad":"%b","n":%d}' % (b"x" * 200, number) for number in range(3)]
    items = [pub(number + 1, text, delta=True) for number, text in enumerate(texts)]
    carried = as_deltas(load("centrifuge-protobuf"), items)
    assert [item.delta for item in carried] == [False, True, True]
    base = bytes(carried[0].data)
    for item, text in zip(carried[1:], texts[1:], strict=True):
        base = fossil.apply(base, bytes(item.data))
        assert base == text


def test_a_publication_without_the_wish_and_one_too_different_are_full_and_still_the_base():
    texts = [b"a" * 300, b"a" * 300 + b"1", b"completely different", b"completely different!"]
    wishes = [True, False, True, False]
    items = [pub(n + 1, text, wish) for n, (text, wish) in enumerate(zip(texts, wishes, strict=True))]
    carried = as_deltas(load("centrifuge-protobuf"), items)
    assert [item.delta for item in carried] == [False] * 4
    assert [bytes(item.data) for item in carried] == texts


def test_pages_of_history_fit_the_queue_and_hold_at_least_one():
    items = [pub(number, b"x" * 40) for number in range(1, 6)]
    assert len(fitting(items, 100)) == 2 and len(fitting(items, 200)) == 5
    assert len(fitting(items, 1)) == 1 and fitting([], 1) == []
