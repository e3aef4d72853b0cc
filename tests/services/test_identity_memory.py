"""Signing in with providers leaves nothing behind in memory. Nothing here opens a socket."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_twisted

from tests.deadline import deadline
from tests.services.identity_house import House, Opened, house_in

STARTS = 1_000
PER_BROWSER, TIME = 50, 600
"""Fewer than one place may begin in so many seconds."""

ROOMS = (
    "social_core.",
    "rtserver.services.identity",
    "rtserver.accounts.",
    "tests.services.identity_house",
    "_contextvars.",
)
"""Where the classes are of what the server and the library make for each request."""


@pytest_twisted.async_yield_fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    async with house_in(tmp_path) as made:
        yield made


def left() -> Counter[str]:
    """How many objects there are of each of these classes."""
    gc.collect()
    names = (f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())
    return Counter(name for name in names if name.startswith(ROOMS))


async def begin(house: House, times: int) -> None:
    for n in range(times):
        if n % PER_BROWSER == 0:
            house.ahead += TIME
            browser = house.browser()
        await browser.begin()


@deadline(60)
async def test_a_thousand_sign_ins_that_were_begun_leave_no_object_of_the_library(opened: Opened) -> None:
    house = opened()
    await begin(house, PER_BROWSER)
    before = left()
    await begin(house, STARTS)
    # A thread of the pool may still hold what it did last, and so may the house of its browsers.
    assert {name: n for name, n in (left() - before).items() if n > STARTS / 20} == {}
