"""Stores in a real PostgreSQL, each test in a schema of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_postgres import PostgresStore
from rtserver.services.store_postgres_wire import WatchedConnection, WatchedCursor
from tests.live.postgres_server import PostgresServer

_schemas = (f"test{number}" for number in itertools.count())


class PostgresHarness:
    """What it starts is stopped by ``harness_of``."""

    def __init__(self, server: PostgresServer, schema: str = "") -> None:
        self.server = server
        self.schema = schema or next(_schemas)
        self.url = f"{server.url}?options=-csearch_path%3D{self.schema}"
        self.started: list[PostgresStore] = []
        if not schema:
            server.run(f"create schema {self.schema}")

    def make(self, **options: Any) -> PostgresStore:
        store = PostgresStore(DatabaseOptions(**{"url": self.url, "pool_size": 4, **options}), reactor)
        self.started.append(store)
        return store

    async def start(self, **options: Any) -> PostgresStore:
        store = self.make(**options)
        await store.start()
        return store

    async def sleep(self, seconds: float) -> None:
        await deferLater(reactor, seconds)  # type: ignore[arg-type]  # the reactor is chosen at run time


@asynccontextmanager
async def harness_of(server: PostgresServer, schema: str = "") -> AsyncIterator[PostgresHarness]:
    """``schema``: one that is there already."""
    harness = PostgresHarness(server, schema)
    try:
        yield harness
    finally:
        for store in harness.started:
            await store.stop()
        watched = (*reactor.getReaders(), *reactor.getWriters())  # type: ignore[attr-defined]
        assert [each for each in watched if isinstance(each, WatchedConnection | WatchedCursor)] == []
