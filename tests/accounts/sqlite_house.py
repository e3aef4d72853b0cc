"""The house of accounts in a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from twisted.internet import reactor

from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_sqlite import SqliteStore
from tests.accounts.house import House


@asynccontextmanager
async def house_in(folder: Path) -> AsyncIterator[House]:
    store = SqliteStore(DatabaseOptions(url=f"sqlite:{folder}/accounts.db"), reactor)
    await store.start()
    try:
        yield House(store)
    finally:
        await store.stop()
