"""The contract of databases on SQLite, and what is SQLite's own."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater

from rtserver.core.errors import StoreError, StoreUnavailable
from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_sql import statement
from rtserver.services.store_sqlite import SqliteStore
from rtserver.services.store_sqlite_file import Call, SqliteFile
from tests.deadline import deadline
from tests.outbox_contract import OUTBOX_CHECKS
from tests.store_contract import STORE_CHECKS, Check, Held, begin, failure_of, names, with_people
from tests.store_limits_contract import LIMIT_CHECKS


class SqliteHarness:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "state" / "test.db"
        self._started: list[SqliteStore] = []

    async def start(self, **options: Any) -> SqliteStore:
        store = SqliteStore(DatabaseOptions(url=f"sqlite:{self.path}", **options), reactor)
        self._started.append(store)
        await store.start()
        return store

    async def sleep(self, seconds: float) -> None:
        await deferLater(reactor, seconds)  # type: ignore[arg-type]  # the reactor is chosen at run time


Making = Callable[[], Any]


@pytest.fixture
def make(tmp_path: Path) -> Making:
    @asynccontextmanager
    async def made() -> AsyncIterator[SqliteHarness]:
        harness = SqliteHarness(tmp_path)
        try:
            yield harness
        finally:
            for store in harness._started:
                await store.stop()

    return made


@pytest.mark.parametrize("check", STORE_CHECKS + LIMIT_CHECKS + OUTBOX_CHECKS, ids=lambda check: check.__name__)
@deadline(20)
async def test_sqlite_keeps_the_contract(make: Making, check: Check) -> None:
    async with make() as harness:
        await check(harness)


@deadline(10)
async def test_the_file_and_its_folder_are_for_their_owner_only(make: Making) -> None:
    async with make() as harness:
        store = await with_people(harness)
        await store.run("insert into people values ('1', 'Ada', 1)")
        files = [harness.path, harness.path.with_name("test.db-wal"), harness.path.with_name("test.db-shm")]
        assert [stat.S_IMODE(each.stat().st_mode) for each in files] == [0o600] * 3
        assert stat.S_IMODE(harness.path.parent.stat().st_mode) == 0o700


@deadline(10)
async def test_a_folder_that_cannot_be_written_is_told_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SqliteStore(DatabaseOptions(url=f"sqlite:{tmp_path}/file/x.db"), reactor)
    error = await failure_of(store.start())
    assert "database.url" in str(error)
    assert store.unready


@deadline(10)
async def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("this is no database" * 100)
    store = SqliteStore(DatabaseOptions(url=f"sqlite:{tmp_path}/x.db"), reactor)
    assert "none of SQLite" in str(await failure_of(store.start()))


@deadline(10)
async def test_reading_goes_on_while_another_process_writes_and_writing_says_who_locks(make: Making) -> None:
    async with make() as harness:
        store = await with_people(harness, statement_timeout=0.2)
        with closing(sqlite3.connect(harness.path, isolation_level=None)) as other:
            other.execute("begin immediate")
            assert await names(store) == []
            for outcome in (store.run("insert into people values ('1', 'Ada', 1)"), store.transact(nothing)):
                error = await failure_of(outcome)
                assert isinstance(error, StoreUnavailable)
                assert "another process" in str(error)
            other.execute("rollback")
        await store.run("insert into people values ('1', 'Ada', 1)")
        assert await names(store) == ["Ada"]


async def nothing(_: object) -> None:
    return None


@deadline(10)
async def test_who_reads_without_end_does_not_keep_transactions_waiting(make: Making) -> None:
    async with make() as harness:
        store = await with_people(harness)
        done: list[int] = []

        async def read() -> None:
            while not done:
                await store.run("select name from people")

        reading = [begin(read()) for _ in range(2)]
        for name in "abcdefghij":
            held = Held(store, name)
            held.end.callback(None)
            await held.done
        done.append(1)
        await gatherResults(reading)


@deadline(10)
async def test_writes_wait_for_a_transaction_and_keep_their_order(make: Making) -> None:
    async with make() as harness:
        store = await with_people(harness)
        held = Held(store, "a")
        await held.inserted
        waiting = [begin(store.run("update people set name = name || ?", (each,))) for each in "bcd"]
        second = Held(store, "x")
        waiting.append(begin(store.run("update people set name = name || ?", ("e",))))
        held.end.callback(None)
        await second.inserted
        second.end.callback(None)
        await gatherResults([held.done, second.done, *waiting])
        assert await names(store) == ["abcde", "xe"]


# The file, without a thread


class Now:
    """A clock that goes on by ``step`` seconds at each look."""

    def __init__(self) -> None:
        self.now = self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def clock() -> Now:
    return Now()


@pytest.fixture
def file(tmp_path: Path, clock: Now) -> Any:
    opened = SqliteFile(str(tmp_path / "x.db"), 5.0, clock)
    opened.open()
    opened.write_all([call("create table t (k integer primary key, v text unique)")])
    yield opened
    opened.close()


def call(sql: str, *params: Any) -> Call:
    return Call(statement(sql), params)


def keys(file: SqliteFile) -> list[int]:
    (rows,) = file.read_all([call("select k from t order by k")])
    assert isinstance(rows, list)
    return [key for (key,) in rows]


def test_of_many_writes_with_one_commit_only_the_faulty_ones_fail(file: SqliteFile) -> None:
    outcomes = file.write_all([call("insert into t values (?, ?)", n // 2, str(n)) for n in range(6)])
    assert [isinstance(each, StoreError) for each in outcomes] == [False, True] * 3
    assert keys(file) == [0, 1, 2]


def test_when_one_of_many_is_ended_for_its_time_the_others_are_done(file: SqliteFile, clock: Now) -> None:
    slow = "insert into t with recursive n(i) as (select 1 union all select i + 1 from n) select i, i from n"
    clock.step = 1.0
    outcomes = file.write_all(
        [call("insert into t values (-1, 'a')"), call(slow), call("insert into t values (-2, 'b')")]
    )
    assert [isinstance(each, StoreUnavailable) for each in outcomes] == [False, True, False]
    assert keys(file) == [-2, -1]


def test_a_transaction_that_is_rolled_back_leaves_nothing(file: SqliteFile) -> None:
    file.begin()
    file.step(call("insert into t values (1, 'a')"))
    file.roll_back()
    file.roll_back()
    assert keys(file) == []


def test_reads_see_what_was_committed(file: SqliteFile) -> None:
    file.begin()
    file.step(call("insert into t values (1, 'a')"))
    assert keys(file) == []
    file.commit()
    assert keys(file) == [1]


def test_a_statement_that_only_looks_like_reading_cannot_write(file: SqliteFile) -> None:
    (outcome,) = file.read_all([call("insert into t values (1, 'a')")])
    assert isinstance(outcome, StoreUnavailable)
    assert keys(file) == []


def test_two_statements_in_one_text_are_refused(file: SqliteFile) -> None:
    (outcome,) = file.write_all([call("delete from t; delete from t")])
    assert type(outcome) is StoreError


def test_a_full_disk_is_told_and_undoes_what_shared_the_commit(tmp_path: Path, file: SqliteFile) -> None:
    file.write_all([call("create table b (v)")])
    for connection in (file._writer,):
        connection.execute("pragma max_page_count = 8")
    outcomes = file.write_all([call("insert into t values (1, 'a')"), call("insert into b values (zeroblob(100000))")])
    assert isinstance(outcomes[1], StoreUnavailable)
    assert "free space" in str(outcomes[1])
    assert not isinstance(outcomes[0], StoreError)
    assert keys(file) == [1]
    assert os.path.exists(tmp_path / "x.db")
