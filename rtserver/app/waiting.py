"""How a plain function, which runs in a thread, waits for something that only the server's own thread can do."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Bridge(threading.local):
    """What the server has put into its threads: a function that waits there."""

    wait: Callable[[Awaitable[Any]], Any] | None = None


bridge = Bridge()


def wait(work: Awaitable[T]) -> T:
    """The result of ``work``, or its exception: ``position = wait(publisher.publish("news", item))``. For plain functions
    alone; raises RuntimeError anywhere else."""
    if bridge.wait is None:
        raise RuntimeError("wait() is for plain functions that the server runs in a thread; in async def write await")
    found: T = bridge.wait(work)
    return found
