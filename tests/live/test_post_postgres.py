"""The post office on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from tests.accounts.post_contract import POST_CHECKS, Bureau
from tests.deadline import deadline
from tests.live.postgres_server import PostgresServer
from tests.live.postgres_store import harness_of
from tests.store_contract import Check, eventually


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as started:
        yield started


@pytest.mark.parametrize("check", POST_CHECKS, ids=lambda check: check.__name__)
@deadline(30)
async def test_the_post_office_keeps_its_contract_on_postgresql(server: PostgresServer, check: Check) -> None:
    async with harness_of(server) as harness:
        await check(harness)


@deadline(30)
async def test_of_two_servers_one_sends_and_the_other_takes_over(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        stores = [await harness.start() for _ in range(2)]
        first, second = (Bureau(store, Clock()) for store in stores)
        async with second:
            async with first:
                await eventually(harness, lambda: first.office._rounds.is_held or second.office._rounds.is_held)
                holder, other = (first, second) if first.office._rounds.is_held else (second, first)
                for number in range(20):
                    await (first, second)[number % 2].store.run(
                        "insert into rt_letters (id, kind, rcpt, raw, next_at, created_at) values (?, 'r', 'a@b.c', 'x', 0, 0)",
                        (f"l{number:02}",),
                    )
                await first.until(harness, *[("sent", 1)] * 20)
                assert (len(holder.mailer.sent), len(other.mailer.sent)) == (20, 0)
                await holder.office.stop()
                await eventually(harness, lambda: other.office._rounds.is_held)
                await other.put("noe@example.org")
                await eventually(harness, lambda: len(other.mailer.sent) == 1)
