"""The flows of accounts on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.accounts.attacks_contract import ATTACKS_CHECKS
from tests.accounts.digits_contract import DIGITS_CHECKS
from tests.accounts.house import Check, House
from tests.accounts.links_contract import LINKS_CHECKS
from tests.accounts.passwords_contract import PASSWORDS_CHECKS
from tests.accounts.purposes_contract import PURPOSES_CHECKS
from tests.deadline import deadline
from tests.live.postgres_server import PostgresServer
from tests.live.postgres_store import harness_of

CHECKS = PASSWORDS_CHECKS + LINKS_CHECKS + DIGITS_CHECKS + PURPOSES_CHECKS + ATTACKS_CHECKS


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as started:
        yield started


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@deadline(30)
async def test_the_flows_on_postgresql(server: PostgresServer, check: Check) -> None:
    async with harness_of(server) as harness:
        await check(House(await harness.start()))
