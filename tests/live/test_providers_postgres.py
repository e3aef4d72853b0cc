"""Signing in with providers on a real PostgreSQL: what the unit tests say, on the other database."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from tests.accounts import test_providers
from tests.deadline import deadline
from tests.live.postgres_server import PostgresServer
from tests.live.postgres_store import harness_of
from tests.services import test_identity_attacks, test_identity_discourse, test_identity_social
from tests.services.identity_house import houses_over

CHECKS = [
    check
    for module in (test_identity_social, test_identity_attacks, test_identity_discourse, test_providers)
    for name, check in sorted(vars(module).items())
    if name.startswith("test_") and list(inspect.signature(check).parameters) == ["opened"]
]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as started:
        yield started


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@deadline(30)
async def test_it_is_the_same_on_postgresql(server: PostgresServer, check) -> None:
    async with harness_of(server) as harness, houses_over(await harness.start()) as opened:
        await check(opened)
