"""The post office on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.task import deferLater

from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_sqlite import SqliteStore
from tests.accounts.post_contract import POST_CHECKS
from tests.deadline import deadline
from tests.store_contract import Check


class SqliteHarness:
    """One database in a folder."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore(DatabaseOptions(url=f"sqlite:{folder}/post.db"), reactor)

    async def start(self, **_: object) -> SqliteStore:
        await self.store.start()
        return self.store

    async def sleep(self, seconds: float) -> None:
        await deferLater(reactor, seconds)  # type: ignore[arg-type]  # the reactor is chosen at run time


@pytest.mark.parametrize("check", POST_CHECKS, ids=lambda check: check.__name__)
@deadline(20)
async def test_the_post_office_keeps_its_contract_on_sqlite(tmp_path: Path, check: Check) -> None:
    harness = SqliteHarness(tmp_path)
    try:
        await check(harness)
    finally:
        await harness.store.stop()
