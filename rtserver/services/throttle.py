"""Log lines that a stranger could cause without end are written seldom."""

from __future__ import annotations

from collections.abc import Callable


class Throttle:
    """Says when a line may be written: once in ``interval`` seconds."""

    def __init__(self, now: Callable[[], float], interval: float = 10.0) -> None:
        self._now = now
        self._interval = interval
        self._next = float("-inf")
        self._skipped = 0

    def ready(self) -> bool:
        """Whether to write now."""
        now = self._now()
        if now < self._next:
            self._skipped += 1
            return False
        self._next = now + self._interval
        return True

    def take_skipped(self) -> int:
        """How many lines were left out since the last one; counted anew from here."""
        skipped, self._skipped = self._skipped, 0
        return skipped
