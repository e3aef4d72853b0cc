"""The contract of brokers on a real Redis, alone and sharded over two."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts import BROKER_CHECKS, Check
from tests.deadline import deadline
from tests.live.redis_broker import RedisHarness
from tests.live.redis_server import RedisServer


@pytest.fixture(scope="module")
def servers() -> Iterator[list[RedisServer]]:
    with RedisServer() as first, RedisServer() as second:
        yield [first, second]


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("check", BROKER_CHECKS, ids=lambda check: check.__name__)
@deadline(20)
async def test_the_redis_broker_keeps_the_contract(servers: list[RedisServer], check: Check, shards: int) -> None:
    async with RedisHarness(*servers[:shards]) as harness:
        await check(harness)
