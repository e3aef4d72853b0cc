"""Signing in with providers leaves nothing behind in memory. Nothing here opens a socket."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_twisted
from social_core.backends.base import BaseAuth
from social_core.storage import BaseStorage

from rtserver.services.identity_social import THREADS, Task
from rtserver.services.identity_strategy import IdentityStrategy, StoredItems
from tests.deadline import deadline
from tests.services.identity_house import House, Opened, house_in

STARTS = 1_000
PER_BROWSER, TIME = 50, 600
"""Fewer than one place may begin in so many seconds."""

OF_A_REQUEST = (IdentityStrategy, BaseAuth, BaseStorage, StoredItems, Task)
"""What the server and the library make for each request. A thread of the pool may hold that of its last one."""


@pytest_twisted.async_yield_fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    async with house_in(tmp_path) as made:
        yield made


def left() -> tuple[int, list[str]]:
    """How many objects there are, and those of requests."""
    gc.collect()
    objects = gc.get_objects()
    return len(objects), [type(each).__name__ for each in objects if isinstance(each, OF_A_REQUEST)]


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
    before, _ = left()
    await begin(house, STARTS)
    after, of_requests = left()
    assert len(of_requests) <= THREADS * len(OF_A_REQUEST), of_requests[:20]
    assert after - before < STARTS / 2
