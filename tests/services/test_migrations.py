"""Numbered migrations: what is applied, what is refused, and two processes at once (SQLite; PostgreSQL is in tests/live)."""

from __future__ import annotations

import hashlib
import io
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rtserver.cli import World, main
from rtserver.core.errors import StoreError
from rtserver.services.migrations import Migration, MigrationRefused, migrate, migrations, pending
from rtserver.services.store_options import POSTGRESQL, SQLITE, DatabaseOptions

PARALLEL = 6


def migration(number: int, name: str, sql: str) -> Migration:
    return Migration(number, name, sql, hashlib.sha256(sql.encode()).hexdigest())


def base(kind: str = SQLITE) -> list[Migration]:
    return migrations(kind)


def later(sql: str = "create table later (n integer); -- ; '\ninsert into later values (1), (2);") -> Migration:
    return migration(len(base()) + 1, "later", sql)


@pytest.fixture
def options(tmp_path: Path) -> DatabaseOptions:
    return DatabaseOptions(url=f"sqlite:{tmp_path}/state/x.db")


def ask(options: DatabaseOptions, sql: str) -> list[Any]:
    with closing(sqlite3.connect(options.address().path)) as connection:
        return connection.execute(sql).fetchall()


def applied(*titles: Migration) -> list[tuple[int, str, str]]:
    return [(each.number, each.name, each.sha256) for each in titles]


@pytest.mark.parametrize("kind", [SQLITE, POSTGRESQL])
def test_the_files_are_numbered_without_gaps(kind: str) -> None:
    assert [each.number for each in base(kind)] == list(range(1, len(base(kind)) + 1))


def test_both_databases_have_the_same_migrations() -> None:
    assert [each.title for each in base(SQLITE)] == [each.title for each in base(POSTGRESQL)]


def test_an_empty_database_gets_them_all_and_keeps_their_names(options: DatabaseOptions) -> None:
    assert migrate(options) == [each.title for each in base()]
    lines = ask(options, "select number, name, sha256 from rt_schema_version")
    assert lines == applied(*base())


def test_a_second_time_there_is_nothing_to_do(options: DatabaseOptions) -> None:
    migrate(options)
    assert migrate(options) == []


def test_a_new_file_is_applied_after_the_others(options: DatabaseOptions) -> None:
    migrate(options)
    assert migrate(options, [*base(), later()]) == [later().title]
    assert ask(options, "select sum(n) from later") == [(3,)]


def test_a_file_that_fails_leaves_nothing_of_it(options: DatabaseOptions) -> None:
    migrate(options)
    broken = later("create table later (n integer); insert into nowhere values (1);")
    with pytest.raises(StoreError, match="nowhere"):
        migrate(options, [*base(), broken])
    assert ask(options, "select name from sqlite_master where name = 'later'") == []
    assert migrate(options, [*base(), later()]) == [later().title]


def test_a_file_that_was_changed_after_it_was_applied_is_refused(options: DatabaseOptions) -> None:
    migrate(options, [*base(), later()])
    changed = later("create table later (n integer, m integer);")
    with pytest.raises(MigrationRefused, match="is not what was applied to the database: restore its file"):
        migrate(options, [*base(), changed])


def test_a_database_of_a_newer_release_is_refused(options: DatabaseOptions) -> None:
    migrate(options, [*base(), later()])
    with pytest.raises(MigrationRefused, match="which this release does not know: run the newer release"):
        migrate(options)


def test_a_file_that_comes_before_one_that_was_applied_is_refused() -> None:
    one, two, three = (migration(n, "x", f"select {n}") for n in (1, 2, 3))
    with pytest.raises(MigrationRefused, match="0002_x would come after 0003"):
        pending([one, two, three], applied(one, three))


def test_processes_that_start_at_once_agree(options: DatabaseOptions) -> None:
    text = (
        "from rtserver.services.migrations import migrate\n"
        "from rtserver.services.store_options import DatabaseOptions\n"
        f"print(*migrate(DatabaseOptions(url={options.url!r})))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(PARALLEL)
    ]
    outcomes = [each.communicate(timeout=60) for each in started]
    assert [err for _, err in outcomes] == [""] * PARALLEL
    assert sorted(out.split() for out, _ in outcomes)[-1] == [each.title for each in base()]
    assert sum(len(out.split()) for out, _ in outcomes) == len(base())


# rtserver migrate


Tool = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    def run(**environ: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        world = World({"RTSERVER_STATE_DIR": str(tmp_path / "state"), **environ}, out=out, err=err)
        return main(["migrate"], world), out.getvalue(), err.getvalue()

    return run


def test_the_tool_says_what_it_applied(tool: Tool, tmp_path: Path) -> None:
    assert tool() == (0, "".join(f"{each.title} applied\n" for each in base()), "")
    assert (tmp_path / "state" / "rtserver.db").exists()
    assert tool() == (0, "nothing to do: the schema is up to date\n", "")


def test_the_tool_says_one_sentence_when_it_cannot(tool: Tool) -> None:
    status, out, err = tool(RTSERVER_DATABASE_URL="postgresql://rt:hunter2@127.0.0.1:1/rt")
    assert (status, out) == (1, "")
    assert err.startswith("rtserver: PostgreSQL cannot be reached")
    assert err.count("\n") == 1
    assert "hunter2" not in err
