"""Which keys are due, without looking at those that are not."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_SPARE = 1024
"""Outdated heap entries that are tolerated beside one for every key."""


class Deadlines(Generic[K]):
    """One deadline per key. To move one later costs a dictionary write; the heap learns of it when the old time comes.

    Times are seconds of the caller's clock. The memory is bounded by twice the number of keys.
    """

    __slots__ = ("_at", "_planned", "_heap", "_serial")

    def __init__(self) -> None:
        self._at: dict[K, float] = {}
        self._planned: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._at)

    def set(self, key: K, at: float) -> None:
        """Give ``key`` the deadline ``at``, in place of any other."""
        self._at[key] = at
        planned = self._planned.get(key)
        if planned is None or at < planned[0]:
            self._plan(key, at)

    def drop(self, key: K) -> None:
        self._at.pop(key, None)
        self._planned.pop(key, None)

    def due(self, now: float, limit: int) -> list[K]:
        """Take out the keys whose deadline is not later than ``now``, looking at no more than ``limit`` entries."""
        found: list[K] = []
        for _ in range(limit):
            if not self._heap or self._heap[0][0] > now:
                break
            at, serial, key = heapq.heappop(self._heap)
            if self._planned.get(key) != (at, serial):
                continue
            if self._at[key] > now:
                self._plan(key, self._at[key])
                continue
            self.drop(key)
            found.append(key)
        return found

    def _plan(self, key: K, at: float) -> None:
        self._serial += 1
        self._planned[key] = (at, self._serial)
        heapq.heappush(self._heap, (at, self._serial, key))
        if len(self._heap) > 2 * len(self._planned) + _SPARE:
            self._heap = [(when, serial, known) for known, (when, serial) in self._planned.items()]
            heapq.heapify(self._heap)
