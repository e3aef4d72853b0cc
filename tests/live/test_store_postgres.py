"""The contract of databases on a real PostgreSQL, and what happens when it dies or hangs."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.task import deferLater

from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_postgres import PostgresStore
from tests.deadline import deadline
from tests.live.postgres_server import PostgresServer
from tests.store_contract import STORE_CHECKS, Check

_schemas = (f"test{number}" for number in itertools.count())


class PostgresHarness:
    """Each has a schema of its own in the server."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.schema = next(_schemas)
        self.url = f"{server.url}?options=-csearch_path%3D{self.schema}"
        self.started: list[PostgresStore] = []
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


Making = Callable[[], Any]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as started:
        yield started


@asynccontextmanager
async def harness_of(server: PostgresServer) -> AsyncIterator[PostgresHarness]:
    harness = PostgresHarness(server)
    try:
        yield harness
    finally:
        for store in harness.started:
            await store.stop()


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
@deadline(30)
async def test_postgresql_keeps_the_contract(server: PostgresServer, check: Check) -> None:
    async with harness_of(server) as harness:
        await check(harness)
