"""The tables of accounts on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.accounts.proofs_contract import PROOFS_CHECKS
from tests.accounts.sessions_contract import SESSIONS_CHECKS
from tests.accounts.sign_ins_contract import SIGN_INS_CHECKS
from tests.accounts.tables import Check, Tables
from tests.accounts.users_contract import USERS_CHECKS
from tests.deadline import deadline
from tests.live.postgres_server import PostgresServer
from tests.live.postgres_store import harness_of

CHECKS = USERS_CHECKS + SESSIONS_CHECKS + PROOFS_CHECKS + SIGN_INS_CHECKS


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as started:
        yield started


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@deadline(30)
async def test_the_tables_on_postgresql(server: PostgresServer, check: Check) -> None:
    async with harness_of(server) as harness:
        await check(Tables(await harness.start()))
