"""What a returning client gets: the rules of positions, recovery and the publications that raced in (sections 6.3-6.5).

Pure decisions on what was read from the stream and what stood behind the gate meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rtserver.core import errors, fossil
from rtserver.core.errors import CommandError, Disconnected
from rtserver.core.flow import GATE_LIMIT
from rtserver.core.messages import Publication, StreamPosition, SubscribeRequest
from rtserver.core.options import ChannelOptions
from rtserver.core.ports import Codec, HistoryFilter, HistorySlice

REJECT_UNRECOVERED = 2
"""The bit of ``SubscribeRequest.flag`` that asks for error 112 instead of recovered=false."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """``position`` is where the subscription stands from now on; ``offset`` is what the reply says (the request's own
    offset when recovered, so that clients advance by the publications)."""

    position: StreamPosition
    offset: int
    attempted: bool = False
    recovered: bool = False
    publications: list[Publication] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RecoveryLimits:
    """How much may be recovered: publications, and bytes of their data together."""

    publications: int
    size: int


def is_attempted(request: SubscribeRequest, options: ChannelOptions, recoverable: bool) -> bool:
    if not recoverable:
        return False
    return request.recover or (options.cache_mode and options.auto_cache_recover)


def wanted(
    request: SubscribeRequest, options: ChannelOptions, attempted: bool, limits: RecoveryLimits
) -> HistoryFilter:
    """What to read of the stream before the decision."""
    if not attempted:
        return HistoryFilter(limit=0)
    if options.cache_mode:
        return HistoryFilter(limit=1, reverse=True)
    return HistoryFilter(limit=limits.publications + 1, since=StreamPosition(request.offset, request.epoch))


def decide(
    request: SubscribeRequest,
    options: ChannelOptions,
    read: HistorySlice,
    gate: list[tuple[Publication, str]],
    limits: RecoveryLimits | None,
) -> Recovery:
    """The outcome for a positioned subscription; ``limits`` None means that no recovery is attempted.

    Raises ``Disconnected`` 3010 when what stood behind the gate does not continue what was read, and ``CommandError`` 112
    when the client wants no unrecovered subscription.
    """
    raced = _raced(read.top, gate)
    position = StreamPosition(raced[-1].offset if raced else read.top.offset, read.top.epoch)
    if limits is None:
        return Recovery(position, position.offset)
    found = _cached(request, read) if options.cache_mode else _missed(request, read)
    if found is not None:
        found = [*found, *raced][-1:] if options.cache_mode else found + raced
    if found is None or not _fits(found, limits):
        if request.flag & REJECT_UNRECOVERED:
            raise CommandError(errors.UNRECOVERABLE_POSITION)
        return Recovery(position, position.offset, attempted=True)
    return Recovery(position, request.offset, attempted=True, recovered=True, publications=found)


def _raced(top: StreamPosition, gate: list[tuple[Publication, str]]) -> list[Publication]:
    """The publications behind the gate that are later than what was read; they must continue it without a hole."""
    if len(gate) > GATE_LIMIT:
        raise Disconnected(errors.INSUFFICIENT_STATE, "too many publications arrived during a subscribe")
    raced: list[Publication] = []
    offset = top.offset
    for publication, epoch in gate:
        if not publication.offset or (epoch == top.epoch and publication.offset <= offset):
            continue
        if epoch != top.epoch or publication.offset != offset + 1:
            raise Disconnected(errors.INSUFFICIENT_STATE, "publications that arrived during a subscribe leave a hole")
        raced.append(publication)
        offset = publication.offset
    return raced


def _missed(request: SubscribeRequest, read: HistorySlice) -> list[Publication] | None:
    """Everything after the client's position, or None when the stream does not hold all of it any more."""
    if request.epoch and request.epoch != read.top.epoch:
        return None
    found = read.publications
    if not found:
        return [] if request.offset == read.top.offset else None
    if found[0].offset != request.offset + 1 or found[-1].offset != read.top.offset:
        return None
    return list(found)


def _cached(request: SubscribeRequest, read: HistorySlice) -> list[Publication] | None:
    """The latest publication if it is the top of the stream; nothing if the client has it already."""
    if request.recover and request.epoch == read.top.epoch and request.offset == read.top.offset:
        return []
    latest = read.publications[0] if read.publications else None
    if latest is None or latest.offset != read.top.offset:
        return None
    return [latest]


def _fits(found: list[Publication], limits: RecoveryLimits) -> bool:
    return len(found) <= limits.publications and sum(len(item.data) for item in found) <= limits.size


def as_plain(publications: list[Publication]) -> list[Publication]:
    """As a client sees them: the publisher's wish for deltas is not a field of the wire."""
    return [Publication(item.data, item.info, item.offset, item.tags) for item in publications]


def as_deltas(codec: Codec, publications: list[Publication]) -> list[Publication]:
    """For a delta subscription: the first in full, the others as deltas to their predecessor (section 7).

    Raises ``NotJSON`` when the codec cannot carry a payload."""
    base: bytes | None = None
    carried = []
    for item in publications:
        payload = codec.payload(item.data)
        delta = fossil.create(base, payload) if base is not None and item.delta else None
        data, is_delta = codec.delta_data(delta if delta is not None and len(delta) < len(payload) else None, payload)
        carried.append(Publication(data, item.info, item.offset, item.tags, is_delta))
        base = payload
    return carried


def fitting(publications: list[Publication], size: int) -> list[Publication]:
    """As many of the first publications as have ``size`` bytes of data together, at least one."""
    total = 0
    for count, item in enumerate(publications):
        total += len(item.data)
        if total > size and count:
            return publications[:count]
    return publications
