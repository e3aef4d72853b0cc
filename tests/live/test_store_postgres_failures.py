"""PostgreSQL dies, hangs, ends connections or is not there at the start: what callers get, and what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults

from rtserver.core.errors import StoreUnavailable
from rtserver.core.ports import Database, Transaction
from rtserver.services.migrations import migrations
from rtserver.services.store_options import POSTGRESQL
from tests.deadline import deadline
from tests.live.postgres_server import PostgresServer
from tests.live.postgres_store import PostgresHarness, harness_of
from tests.store_contract import begin, eventually, failure_of

PAIRS = "create table halves (id bigint, half bigint, primary key (id, half))"


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as started:
        yield started


class Load:
    """Writers that store pairs of rows without end, each pair in a transaction."""

    def __init__(self, harness: PostgresHarness, store: Database, writers: int) -> None:
        self._harness = harness
        self._store = store
        self._next = 0
        self._going = True
        self.stored: set[int] = set()
        self.outcomes: Counter[str] = Counter()
        self.last_problem = ""
        self._writers: list[Deferred[None]] = [begin(self._write()) for _ in range(writers)]

    async def stop(self) -> None:
        self._going = False
        await gatherResults(self._writers)

    async def _write(self) -> None:
        while self._going:
            self._next += 1
            number = self._next

            async def work(transaction: Transaction, number: int = number) -> None:
                for half in (1, 2):
                    await transaction.run("insert into halves values (?, ?)", (number, half))

            try:
                await self._store.transact(work)
            except StoreUnavailable as error:
                self.outcomes["unavailable"] += 1
                self.last_problem = str(error)
                await self._harness.sleep(0.01)
            else:
                self.outcomes["stored"] += 1
                self.stored.add(number)

    async def more(self, outcome: str, count: int) -> None:
        """Wait for so many more of an outcome."""
        until = self.outcomes[outcome] + count
        await eventually(self._harness, lambda: self.outcomes[outcome] >= until)


def halves(server: PostgresServer, schema: str) -> dict[int, int]:
    return dict(server.run(f"select id, count(*) from {schema}.halves group by id"))


async def loaded(harness: PostgresHarness, writers: int, **options: Any) -> Load:
    store = await harness.start(**options)
    await store.run(PAIRS)
    load = Load(harness, store, writers)
    await load.more("stored", 100)
    return load


@deadline(60)
async def test_a_server_that_is_killed_under_load_leaves_no_halves_and_is_found_again(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        load = await loaded(harness, 20)
        for _ in range(3):
            server.kill()
            await load.more("unavailable", 100)
            assert "is not to be had" in load.last_problem
            server.start()
            await load.more("stored", 200)
        await load.stop()
        found = halves(server, harness.schema)
        assert load.stored <= found.keys()
        assert set(found.values()) == {2}
        assert harness.started[0].unready == ""


@deadline(60)
async def test_a_server_that_hangs_is_given_up_in_time_and_found_again(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        limits = {"statement_timeout": 0.5, "connect_timeout": 0.5, "wait_timeout": 0.5, "transaction_timeout": 2.0}
        load = await loaded(harness, 10, **limits)
        server.freeze()
        await load.more("unavailable", 50)
        store = harness.started[0]
        assert "no answer" in store.unready or "no connection" in store.unready
        server.thaw()
        await load.more("stored", 100)
        await load.stop()
        assert store.unready == ""
        found = halves(server, harness.schema)
        assert load.stored <= found.keys()
        assert set(found.values()) == {2}


@deadline(30)
async def test_a_hang_is_noticed_while_nobody_asks(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        store = await harness.start(connect_timeout=0.5)
        server.freeze()
        await eventually(harness, lambda: bool(store.unready))
        server.thaw()
        await eventually(harness, lambda: not store.unready)
        assert await store.run("select 1") == [(1,)]


@deadline(30)
async def test_ended_connections_are_made_anew_without_a_failed_call(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        store = await harness.start()
        for _ in range(3):
            server.run("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
            await harness.sleep(0.1)
            assert await gatherResults([begin(store.run("select 1")) for _ in range(8)]) == [[(1,)]] * 8
            assert store.unready == ""


@deadline(30)
async def test_a_connection_that_ends_in_a_transaction_undoes_it(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        store = await harness.start(pool_size=1)
        await store.run(PAIRS)

        async def work(transaction: Transaction) -> None:
            await transaction.run("insert into halves values (1, 1)")
            server.run("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
            await transaction.run("insert into halves values (1, 2)")

        assert isinstance(await failure_of(store.transact(work)), StoreUnavailable)
        assert await store.run("select * from halves") == []


@deadline(30)
async def test_a_server_that_is_not_there_at_the_start_is_tried_until_it_is(server: PostgresServer) -> None:
    server.kill()
    async with harness_while_down(server) as harness:
        store = await harness.start()
        assert "cannot be reached" in store.unready
        assert isinstance(await failure_of(store.run("select 1")), StoreUnavailable)
        server.start()
        await eventually(harness, lambda: not store.unready)
        assert await store.run("select count(*) from rt_schema_version") == [(len(migrations(POSTGRESQL)),)]


@deadline(30)
async def test_stopping_while_the_server_is_away_ends(server: PostgresServer) -> None:
    server.kill()
    async with harness_while_down(server) as harness:
        store = await harness.start()
        await store.stop()
        assert store.unready


@deadline(30)
async def test_a_server_with_no_room_for_connections_serves_with_those_there_are(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        store = await harness.start(pool_size=80)
        assert await gatherResults([begin(store.run("select 1")) for _ in range(100)]) == [[(1,)]] * 100


@deadline(30)
async def test_the_lease_goes_to_another_node_when_a_connection_ends(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        store = await harness.start()
        told: list[str] = []
        leases = [
            store.lease("rt_outbox", teller(told, f"{n} gained"), teller(told, f"{n} lost"), teller(told, f"{n} woken"))
            for n in (1, 2)
        ]
        leases[0].start()
        await eventually(harness, lambda: told == ["1 gained"])
        leases[1].start()
        await leases[0].stop()
        await eventually(harness, lambda: told == ["1 gained", "1 lost", "2 gained"])
        server.run("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
        await eventually(harness, lambda: told[-1] == "2 gained" and told.count("2 lost") == 1)
        await store.run("insert into rt_outbox (channel, data) values ('news', '1')")
        await eventually(harness, lambda: told[-1] == "2 woken")
        await leases[1].stop()


def teller(told: list[str], sentence: str) -> Callable[[], None]:
    return lambda: told.append(sentence)


def harness_while_down(server: PostgresServer) -> Any:
    return harness_of(server, schema="public")
