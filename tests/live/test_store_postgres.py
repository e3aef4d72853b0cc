"""The contract of databases on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rtserver.core.errors import StoreError
from tests.deadline import deadline
from tests.live.postgres_server import PostgresServer
from tests.live.postgres_store import harness_of
from tests.outbox_contract import OUTBOX_CHECKS, Reading, empty, fill
from tests.store_contract import STORE_CHECKS, Check, failure_of, names, with_people
from tests.store_limits_contract import LIMIT_CHECKS


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as started:
        yield started


@pytest.mark.parametrize("check", STORE_CHECKS + LIMIT_CHECKS + OUTBOX_CHECKS, ids=lambda check: check.__name__)
@deadline(30)
async def test_postgresql_keeps_the_contract(server: PostgresServer, check: Check) -> None:
    async with harness_of(server) as harness:
        await check(harness)


@deadline(20)
async def test_hosts_may_be_names_several_or_a_unix_socket(server: PostgresServer) -> None:
    places = [
        f"postgresql://rt:secret@localhost:{server.port}/rt",
        f"postgresql://rt:secret@127.0.0.1:1,localhost:{server.port}/rt",
        server.socket_url,
    ]
    async with harness_of(server) as harness:
        for place in places:
            options = f"options=-csearch_path%3D{harness.schema}"
            store = await harness.start(url=f"{place}{'&' if '?' in place else '?'}{options}", pool_size=1)
            assert store.unready == ""
            assert await store.run("select current_schema()") == [(harness.schema,)]


@deadline(20)
async def test_a_host_that_is_not_found_is_told_by_its_name(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        store = await harness.start(url="postgresql://rt:secret@no-such-host.invalid/rt")
        assert "no-such-host.invalid" in store.unready


@deadline(20)
async def test_a_wrong_password_is_told_without_it(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        store = await harness.start(url=harness.url.replace(":secret@", ":hunter2@"))
        assert "password authentication failed" in store.unready
        assert "hunter2" not in store.unready
        error = await failure_of(store.run("select 1"))
        assert "hunter2" not in str(error)


@deadline(20)
async def test_what_the_server_logs_of_a_statement_is_not_our_doing_but_we_say_where_to_look(
    server: PostgresServer,
) -> None:
    async with harness_of(server) as harness:
        store = await with_people(harness)
        error = await failure_of(store.run("select cast(? as bigint)", ("twelve",)))
        assert type(error) is StoreError
        assert "22P02" in str(error)
        assert "twelve" not in str(error)
        assert await names(store) == []


@deadline(20)
async def test_one_node_reads_the_outbox_at_a_time(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        stores = [await harness.start() for _ in range(2)]
        async with Reading(stores[0]) as one, Reading(stores[1]) as two:
            for n in range(20):
                await fill(stores[n % 2], ("news", str(n)))
            await empty(harness, stores[0])
            assert one.wall.data("news") + two.wall.data("news") == [str(n) for n in range(20)]
            assert [] in (one.wall.taken, two.wall.taken)
