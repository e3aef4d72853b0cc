"""Payments on SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_sqlite import SqliteStore
from tests.deadline import deadline
from tests.payments.checks import CHECKS, take_expected
from tests.payments.shop import Check, Shop


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@deadline(20)
async def test_payments_on_sqlite(tmp_path: Path, check: Check, logged_failures: list[Any]) -> None:
    store = SqliteStore(DatabaseOptions(url=f"sqlite:{tmp_path}/payments.db"), reactor)
    await store.start()
    try:
        await check(await Shop(store).open())
    finally:
        await store.stop()
    take_expected(check, logged_failures)
