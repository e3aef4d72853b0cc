"""Everything around the sale, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deadline import deadline
from tests.live.postgres_server import PostgresServer
from tests.live.postgres_store import harness_of
from tests.payments.market import Market, MarketCheck
from tests.payments.market_checks import MARKET_CHECKS


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as started:
        yield started


@pytest.mark.parametrize("check", MARKET_CHECKS, ids=lambda check: check.__name__)
@deadline(30)
async def test_the_market_on_postgresql(server: PostgresServer, check: MarketCheck) -> None:
    async with harness_of(server) as harness:
        await check(await Market(await harness.start()).open())
