"""Log lines that a stranger could cause without end are written seldom."""

from __future__ import annotations

from collections.abc import Callable


class Throttle:
    """Says when a line may be written: once in ``interval`` seconds."""

    def __init__(self, now: Callable[[], float], interval: float = 10.0) -> None:
        self._now = now
        self._interval = interval
        self._next = float("-inf")
        self.skipped = 0
        """Lines left out since the last one that was written."""

    def ready(self) -> bool:
        """Whether to write now. Read ``skipped`` for the number of those before; it starts anew with the next refusal."""
        now = self._now()
        if now < self._next:
            self.skipped += 1
            return False
        self._next = now + self._interval
        return True

    def take_skipped(self) -> int:
        skipped, self.skipped = self.skipped, 0
        return skipped
