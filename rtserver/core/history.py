"""Streams: the publications that a channel keeps, and the position that each of them has.

A stream gives offsets (1, 2, 3...) and carries an epoch, the name of its life. Publications leave the window by number
(``history_size``) and by age (all together, ``history_ttl`` after the last one). Offset and epoch live on for
``meta_ttl`` after the last publish or read; after that the next use begins a new life with a new epoch.

Everything here is pure: ``now`` is in seconds of any clock that does not go back.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from rtserver.core.deadlines import Deadlines
from rtserver.core.messages import Publication, StreamPosition
from rtserver.core.ports import HistoryFilter, HistorySlice, PublishOptions, PublishOutcome

IDEMPOTENCY_TTL = 300.0
"""Seconds for which the result of a publish with an idempotency key is remembered."""

EPOCH_LENGTH = 8
EPOCH_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

_PUBLICATION_COST = 300
"""Bytes that a kept publication costs beside its payload (objects and containers, measured roughly)."""


def make_epoch(choose: Callable[[str], str]) -> str:
    """A new epoch of 8 letters; ``choose`` picks one letter (``random.choice``)."""
    return "".join(choose(EPOCH_LETTERS) for _ in range(EPOCH_LENGTH))


def publication_cost(publication: Publication) -> int:
    """Bytes of memory that a kept publication is counted with."""
    tags = publication.tags or {}
    return _PUBLICATION_COST + len(publication.data) + sum(len(key) + len(value) for key, value in tags.items())


def with_offset(publication: Publication, offset: int) -> Publication:
    """The same publication at another place; the payload is shared."""
    return Publication(
        data=publication.data, info=publication.info, offset=offset, tags=publication.tags, delta=publication.delta
    )


class Stream:
    """The stream of one channel. ``cost`` is the memory of its publications in bytes."""

    __slots__ = ("epoch", "top", "version", "version_epoch", "publications", "cost", "data_until", "meta_until")

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.top = 0
        self.version = 0
        self.version_epoch = ""
        self.publications: deque[Publication] = deque()
        self.cost = 0
        self.data_until = 0.0
        self.meta_until = 0.0

    @property
    def position(self) -> StreamPosition:
        return StreamPosition(self.top, self.epoch)

    def is_old(self, options: PublishOptions) -> bool:
        """Whether the stream already holds this version or a later one."""
        same_epoch = options.version_epoch in ("", self.version_epoch)
        return 0 < options.version <= self.version and same_epoch

    def add(self, publication: Publication, options: PublishOptions, now: float) -> Publication:
        """Append; returns the publication with its offset."""
        self.top += 1
        if options.version > 0:
            self.version = options.version
            self.version_epoch = options.version_epoch
        kept = with_offset(publication, self.top)
        self.publications.append(kept)
        self.cost += publication_cost(kept)
        while len(self.publications) > options.history_size:
            self.drop_oldest()
        self.data_until = now + options.history_ttl
        self.touch(options.meta_ttl, now)
        return kept

    def touch(self, meta_ttl: float, now: float) -> None:
        self.meta_until = now + meta_ttl

    def drop_oldest(self) -> None:
        self.cost -= publication_cost(self.publications.popleft())

    def clear(self) -> None:
        """Drop the publications; offset and epoch stay."""
        self.publications.clear()
        self.cost = 0

    def expire(self, now: float) -> None:
        if self.publications and now >= self.data_until:
            self.clear()

    def select(self, wanted: HistoryFilter) -> list[Publication]:
        """The part of the window that ``wanted`` describes."""
        if wanted.limit == 0 or not self.publications:
            return []
        stop = wanted.limit if wanted.limit > 0 else None
        first = self.publications[0].offset
        if wanted.reverse:
            above = 0 if wanted.since is None else max(0, self.top - wanted.since.offset + 1)
            end = None if stop is None else above + stop
            return list(islice(reversed(self.publications), above, end))
        below = 0 if wanted.since is None else max(0, wanted.since.offset + 1 - first)
        end = None if stop is None else below + stop
        return list(islice(self.publications, below, end))


class IdempotencyCache:
    """First results of publishes with a key, for five minutes; over ``limit`` entries the oldest go first."""

    __slots__ = ("_results", "_limit")

    def __init__(self, limit: int = 100_000) -> None:
        self._results: OrderedDict[tuple[str, str], tuple[float, StreamPosition]] = OrderedDict()
        self._limit = limit

    def __len__(self) -> int:
        return len(self._results)

    def get(self, channel: str, key: str, now: float) -> StreamPosition | None:
        found = self._results.get((channel, key))
        return found[1] if found and now < found[0] else None

    def put(self, channel: str, key: str, position: StreamPosition, now: float) -> None:
        # Every entry lives equally long, so the order of insertion is the order of expiry.
        self._results.pop((channel, key), None)
        self._results[channel, key] = (now + IDEMPOTENCY_TTL, position)
        if len(self._results) > self._limit:
            self._results.popitem(last=False)

    def sweep(self, now: float, limit: int) -> None:
        """Drop expired entries, at most ``limit``."""
        for _ in range(limit):
            oldest = next(iter(self._results), None)
            if oldest is None or now < self._results[oldest][0]:
                return
            del self._results[oldest]


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Bounds of all streams together. Over ``max_bytes`` the publications of the channel that was published to longest
    ago go; over ``max_streams`` the channel that was used longest ago loses its offset and epoch too."""

    max_bytes: int = 256 * 1024 * 1024
    max_streams: int = 1_000_000


class Stored(NamedTuple):
    """``publication`` is what to deliver, None when the publish was suppressed."""

    outcome: PublishOutcome
    publication: Publication | None


class Streams:
    """The streams of every channel in memory, and the results that make publishing idempotent."""

    def __init__(self, new_epoch: Callable[[], str], limits: StreamLimits | None = None) -> None:
        self._new_epoch = new_epoch
        self._limits = limits or StreamLimits()
        self._streams: OrderedDict[str, Stream] = OrderedDict()  # by last use
        self._filled: OrderedDict[str, Stream] = OrderedDict()  # those with publications, by last publish
        self._deadlines: Deadlines[str] = Deadlines()
        self._results = IdempotencyCache()
        self.cost = 0

    def __len__(self) -> int:
        return len(self._streams)

    def publish(self, channel: str, publication: Publication, options: PublishOptions, now: float) -> Stored:
        """Give the publication its place, unless it is a repeat or an old version."""
        key = options.idempotency_key
        first = self._results.get(channel, key, now) if key else None
        if first is not None:
            return Stored(PublishOutcome(first, suppressed=True), None)
        stored = self._store(channel, publication, options, now) if options.has_history else _passing(publication)
        if key and stored.publication is not None:
            self._results.put(channel, key, stored.outcome.position, now)
        return stored

    def read(self, channel: str, wanted: HistoryFilter, meta_ttl: float, now: float) -> HistorySlice:
        """Read a part of the stream, making the stream when there is none."""
        stream = self._use(channel, now)
        stream.touch(meta_ttl, now)
        self._plan(channel, stream)
        self._bound_streams()
        return HistorySlice(stream.select(wanted), stream.position)

    def remove(self, channel: str) -> None:
        """Drop the publications of a channel."""
        stream = self._streams.get(channel)
        if stream is not None:
            self._empty(channel, stream)

    def sweep(self, now: float, limit: int = 1000) -> None:
        """Free what has expired, looking at no more than ``limit`` entries of each kind."""
        self._results.sweep(now, limit)
        for channel in self._deadlines.due(now, limit):
            stream = self._streams[channel]
            self._expire(channel, stream, now)
            if now >= stream.meta_until:
                self._forget(channel, stream)
            else:
                self._plan(channel, stream)

    def _store(self, channel: str, publication: Publication, options: PublishOptions, now: float) -> Stored:
        stream = self._use(channel, now)
        if stream.is_old(options):
            stream.touch(options.meta_ttl, now)
            self._plan(channel, stream)
            return Stored(PublishOutcome(stream.position, suppressed=True), None)
        before = stream.cost
        kept = stream.add(publication, options, now)
        self.cost += stream.cost - before
        self._filled[channel] = stream
        self._filled.move_to_end(channel)
        self._plan(channel, stream)
        self._bound_streams()
        self._bound_bytes()
        return Stored(PublishOutcome(stream.position), kept)

    def _use(self, channel: str, now: float) -> Stream:
        stream = self._streams.get(channel)
        if stream is not None and now >= stream.meta_until:
            self._forget(channel, stream)
            stream = None
        if stream is None:
            stream = self._streams[channel] = Stream(self._new_epoch())
        else:
            self._expire(channel, stream, now)
            self._streams.move_to_end(channel)
        return stream

    def _plan(self, channel: str, stream: Stream) -> None:
        until = min(stream.data_until, stream.meta_until) if stream.publications else stream.meta_until
        self._deadlines.set(channel, until)

    def _expire(self, channel: str, stream: Stream, now: float) -> None:
        if stream.publications and now >= stream.data_until:
            self._empty(channel, stream)

    def _empty(self, channel: str, stream: Stream) -> None:
        self.cost -= stream.cost
        stream.clear()
        self._filled.pop(channel, None)

    def _forget(self, channel: str, stream: Stream) -> None:
        self._empty(channel, stream)
        del self._streams[channel]
        self._deadlines.drop(channel)

    def _bound_streams(self) -> None:
        while len(self._streams) > self._limits.max_streams:
            channel, stream = next(iter(self._streams.items()))
            self._forget(channel, stream)

    def _bound_bytes(self) -> None:
        while self.cost > self._limits.max_bytes and self._filled:
            channel, stream = next(iter(self._filled.items()))
            if len(self._filled) > 1 or len(stream.publications) == 1:
                self._empty(channel, stream)
                continue
            before = stream.cost
            stream.drop_oldest()
            self.cost += stream.cost - before


def _passing(publication: Publication) -> Stored:
    return Stored(PublishOutcome(StreamPosition()), with_offset(publication, 0))
