"""Payments on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.deadline import deadline
from tests.live.postgres_server import PostgresServer
from tests.live.postgres_store import harness_of
from tests.payments.checks import CHECKS, take_expected
from tests.payments.shop import Check, Shop


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as started:
        yield started


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@deadline(60)
async def test_payments_on_postgresql(server: PostgresServer, check: Check, logged_failures: list[Any]) -> None:
    async with harness_of(server) as harness:
        await check(await Shop(await harness.start()).open())
    take_expected(check, logged_failures)
