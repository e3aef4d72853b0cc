"""Everything around the sale, on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet import reactor

from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_sqlite import SqliteStore
from tests.deadline import deadline
from tests.payments.market import Market, MarketCheck
from tests.payments.market_checks import MARKET_CHECKS


@pytest.mark.parametrize("check", MARKET_CHECKS, ids=lambda check: check.__name__)
@deadline(20)
async def test_the_market_on_sqlite(tmp_path: Path, check: MarketCheck) -> None:
    store = SqliteStore(DatabaseOptions(url=f"sqlite:{tmp_path}/payments.db"), reactor)
    await store.start()
    try:
        await check(await Market(store).open())
    finally:
        await store.stop()
