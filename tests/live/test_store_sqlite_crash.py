"""SQLite and a process that is killed while it writes: what was answered is there, and nothing is half there."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from rtserver.services.store_sqlite_file import connect

WRITER = """
import sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_sqlite import SqliteStore

store = SqliteStore(DatabaseOptions(url="sqlite:" + sys.argv[1]), reactor)

async def write(first):
    number = first
    while True:
        async def pair(transaction):
            for half in (1, 2):
                await transaction.run("insert into halves values (?, ?)", (number, half))
        await store.transact(pair)
        await store.run("insert into single values (?)", (number,))
        print(number, flush=True)
        number += 100

async def main():
    await store.start()
    await store.run("create table if not exists halves (id bigint, half bigint)")
    await store.run("create table if not exists single (id bigint)")
    for first in range(int(sys.argv[2]), int(sys.argv[2]) + 20):
        Deferred.fromCoroutine(write(first))

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
"""
ANSWERS = 300


def written_until_killed(path: Path, first: int) -> set[int]:
    """What a process said it had stored before it was killed."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(first)], stdout=subprocess.PIPE, text=True, process_group=0
    )
    assert writer.stdout is not None
    answered = {int(writer.stdout.readline()) for _ in range(ANSWERS)}
    writer.kill()
    # A last line may be cut.
    rest = writer.stdout.read().rpartition("\n")[0]
    writer.wait(10)
    return answered | {int(line) for line in rest.split()}


def test_what_was_answered_is_there_whole_after_the_process_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    answered: set[int] = set()
    deadline = time.monotonic() + 60
    for attempt in range(3):
        assert time.monotonic() < deadline
        answered |= written_until_killed(path, attempt * 1_000_000)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        halves = dict(connection.execute("select id, count(*) from halves group by id").fetchall())
        single = {number for (number,) in connection.execute("select id from single")}
    assert set(halves.values()) == {2}
    assert answered <= halves.keys()
    assert answered <= single


def test_what_is_written_after_another_program_looked_into_the_file_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute('select id from single').fetchall())"
    )

    def seen_elsewhere() -> str:
        look = [sys.executable, "-c", f"{program}; c.close()", str(path)]
        return subprocess.run(look, capture_output=True, text=True, timeout=30).stdout.strip()

    # Two connections, as the server has them: one that writes and one that reads.
    with closing(connect(str(path), 1.0)) as writer:
        writer.execute("create table single (id integer)")
        with closing(connect(str(path), 1.0)):
            writer.execute("insert into single values (1)")
            assert seen_elsewhere() == "[(1,)]"
            writer.execute("insert into single values (2)")
            assert seen_elsewhere() == "[(1,), (2,)]"
