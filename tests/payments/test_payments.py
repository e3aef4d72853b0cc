"""Payments on SQLite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_sqlite import SqliteStore
from rtserver.web.payments.news import PaymentNews, StaffNews
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
        await check_news(store)
    finally:
        await store.stop()
    take_expected(check, logged_failures)


async def check_news(store: SqliteStore) -> None:
    """Whatever was published is what the documentation says, no more and no less."""
    for channel, text in await store.run("select channel, data from rt_outbox"):
        model = StaffNews if channel.startswith("staff:") else PaymentNews
        assert model.model_validate_json(text, strict=True).model_dump(mode="json") == json.loads(text)
