"""The fourth door: an application publishes inside of its own transaction in PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import psycopg2
import psycopg2.errors
import pytest

from rtserver.core.errors import StoreError
from rtserver.services.migrations import migrate, migrations
from rtserver.services.store_options import POSTGRESQL, DatabaseOptions
from tests.deadline import deadline
from tests.live.postgres_server import PostgresServer
from tests.live.postgres_store import PostgresHarness, harness_of
from tests.outbox_contract import Reading, dead, empty, left
from tests.services.test_migrations import PARALLEL, later
from tests.store_contract import eventually


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as started:
        yield started


def published(harness: PostgresHarness, call: str) -> int:
    """What another program gets for a call of ``rt_publish``."""
    ((number,),) = harness.server.run(f"select {harness.schema}.{call}")
    assert isinstance(number, int)
    return number


@deadline(30)
async def test_what_an_application_commits_is_published_and_what_it_rolls_back_is_not(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        store = await harness.start()
        application = server.connect()
        async with Reading(store) as reading:
            with application.cursor() as cursor:
                cursor.execute(f"set search_path = {harness.schema}")
                cursor.execute("create table orders (id bigint)")
                application.commit()
                for number in range(10):
                    cursor.execute(f"set search_path = {harness.schema}")
                    cursor.execute("insert into orders values (%s)", (number,))
                    cursor.execute("select rt_publish('orders', %s)", (json.dumps({"n": number}),))
                    if number % 2:
                        application.rollback()
                    else:
                        application.commit()
            await eventually(harness, lambda: len(reading.wall.taken) == 5)
            await empty(harness, store)
        application.close()
        assert [json.loads(data)["n"] for data in reading.wall.data("orders")] == [0, 2, 4, 6, 8]
        assert [row for (row,) in await store.run("select id from orders order by id")] == [0, 2, 4, 6, 8]


@deadline(30)
async def test_data_may_be_text_json_or_jsonb_with_or_without_a_key(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        store = await harness.start()
        calls = [
            """rt_publish('c', '{"n":1}')""",
            """rt_publish('c', '{"n":2}', 'key-2')""",
            """rt_publish('c', json_build_object('n', 3))""",
            """rt_publish('c', jsonb_build_object('n', 4), 'key-4')""",
            """rt_publish('c', data => '{"n":5}'::text, key => null)""",
        ]
        numbers = [published(harness, call) for call in calls]
        assert numbers == sorted(set(numbers))
        async with Reading(store) as reading:
            await empty(harness, store)
        assert [json.loads(data)["n"] for _, data, _ in reading.wall.taken] == [1, 2, 3, 4, 5]
        keys = [key for _, _, key in reading.wall.taken]
        assert (keys[1], keys[3]) == ("key-2", "key-4")
        assert len(set(keys)) == 5


@deadline(30)
async def test_a_call_without_channel_or_data_fails_in_the_application(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        await harness.start()
        for call in (
            "rt_publish('', '1')",
            "rt_publish('c', '')",
            "rt_publish(null, '1')",
            "rt_publish('c', null::jsonb)",
        ):
            with pytest.raises(psycopg2.errors.NullValueNotAllowed, match="is empty"):
                published(harness, call)


@deadline(30)
async def test_another_user_needs_the_right_to_call_and_no_other(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        store = await harness.start()
        server.run("create role app login password 'secret'")
        server.run(f"grant usage on schema {harness.schema} to app")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            as_app(harness, "rt_publish('c', '1')")
        server.run(f"grant execute on all functions in schema {harness.schema} to app")
        as_app(harness, "rt_publish('c', '1')")
        as_app(harness, "rt_publish('c', '2'::jsonb)")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            as_app(harness, "count(*) from {schema}.rt_outbox")
        async with Reading(store) as reading:
            await empty(harness, store)
        assert reading.wall.data("c") == ["1", "2"]


def as_app(harness: PostgresHarness, call: str) -> None:
    place = {"host": "127.0.0.1", "port": harness.server.port, "dbname": "rt"}
    connection = psycopg2.connect(user="app", password="secret", **place)
    try:
        with connection, connection.cursor() as cursor:
            sql = call.format(schema=harness.schema)
            cursor.execute(f"select {sql}" if " from " in sql else f"select {harness.schema}.{sql}")
    finally:
        connection.close()


@deadline(60)
async def test_nothing_is_lost_or_turned_round_while_the_server_is_killed(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        store = await harness.start()
        count = 0
        async with Reading(store) as reading:
            for _ in range(3):
                for _ in range(100):
                    published(harness, f"rt_publish('c', '{count}')")
                    count += 1
                server.restart()
                await eventually(harness, lambda: not store.unready)
            published(harness, f"rt_publish('c', '{count}')")
            await eventually(harness, lambda: reading.wall.data("c")[-1:] == [str(count)])
            await empty(harness, store)
        by_key = dict.fromkeys((key, data) for _, data, key in reading.wall.taken)
        assert [data for _, data in by_key] == [str(n) for n in range(count + 1)]


@deadline(30)
async def test_dead_rows_can_be_looked_at_and_put_back(server: PostgresServer) -> None:
    async with harness_of(server) as harness:
        store = await harness.start()
        async with Reading(store) as reading:
            reading.wall.trouble["c"] = StoreError("no such channel")
            published(harness, "rt_publish('c', '1')")
            await empty(harness, store)
            assert await dead(store) == [("c", "1", "no such channel")]
            del reading.wall.trouble["c"]
            back = "with gone as (delete from {0}.rt_outbox_dead returning channel, data, key)"
            back += " insert into {0}.rt_outbox (channel, data, key) select * from gone"
            server.run(back.format(harness.schema))
            await eventually(harness, lambda: reading.wall.data("c") == ["1"])
            await empty(harness, store)
        assert await left(store) == 0
        assert await dead(store) == []


# Migrations of PostgreSQL


@deadline(60)
async def test_processes_that_start_at_once_agree(server: PostgresServer) -> None:
    text = (
        "from rtserver.services.migrations import migrate\n"
        "from rtserver.services.store_options import DatabaseOptions\n"
        f"print(*migrate(DatabaseOptions(url={server.url!r})))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(PARALLEL)
    ]
    outcomes = [each.communicate(timeout=60) for each in started]
    assert [err for _, err in outcomes] == [""] * PARALLEL
    assert sum(len(out.split()) for out, _ in outcomes) == len(migrations(POSTGRESQL))


def test_a_file_that_fails_leaves_nothing_of_it(server: PostgresServer) -> None:
    options = DatabaseOptions(url=server.url)
    known = migrations(POSTGRESQL)
    migrate(options, known)
    with pytest.raises(StoreError, match="nowhere"):
        migrate(options, [*known, later("create table later (n bigint); insert into nowhere values (1);")])
    assert server.run("select to_regclass('later')") == [(None,)]
    assert migrate(options, [*known, later()]) == [later().title]
    assert server.run("select sum(n) from later") == [(3,)]
