"""A bounded place for objects by their id, and the world that names and dates them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from rtserver.simulator.refusals import Full, NotFound

T = TypeVar("T")


class Shelf(Generic[T]):
    """Objects in the order of their coming. A full shelf takes nothing more; nothing is dropped silently."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._items: dict[str, T] = {}

    def check(self) -> None:
        """Raises ``Full`` when there is no room for one more."""
        if len(self._items) >= self._limit:
            raise Full(f"{self._limit} {self._name} are kept at most: POST /_sim/reset empties the simulator")

    def put(self, key: str, item: T) -> T:
        if key not in self._items:
            self.check()
        self._items[key] = item
        return item

    def get(self, key: str) -> T:
        """Raises ``NotFound``."""
        try:
            return self._items[key]
        except KeyError:
            raise NotFound(key) from None

    def find(self, key: object) -> T | None:
        return self._items.get(key) if isinstance(key, str) else None

    def remove(self, key: str) -> T:
        """Raises ``NotFound``."""
        self.get(key)
        return self._items.pop(key)

    def newest_first(self) -> Iterator[T]:
        return reversed(self._items.values())

    def clear(self) -> None:
        self._items.clear()

    def __iter__(self) -> Iterator[T]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: str) -> bool:
        return key in self._items


class World:
    """Time and chance. ``ahead`` moves the clock on, for tests of windows of time that do not want to wait."""

    def __init__(self, seconds: Callable[[], float], new_id: Callable[[], str]) -> None:
        self._seconds = seconds
        self.new_id = new_id
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._seconds(), UTC) + self.ahead
