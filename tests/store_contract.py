"""What every database must do. Each check is a function of a harness; a test module runs all of them on each dialect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, gatherResults

from rtserver.core.errors import Conflict, StoreError
from rtserver.core.ports import Database, Transaction


class StoreHarness(Protocol):
    """Databases on one fresh place to store things; what was made is stopped at the end."""

    async def start(self, **options: Any) -> Database:
        """A started database; ``options`` as those of ``DatabaseOptions``. The next one stores in the same place."""

    async def sleep(self, seconds: float) -> None: ...


Check = Callable[[Any], Awaitable[None]]

SECRET = "mellon-9f2c"


async def failure_of(outcome: Awaitable[Any]) -> StoreError:
    """The error that an attempt ends with."""
    try:
        await outcome
    except StoreError as error:
        return error
    raise AssertionError("no StoreError was raised")


def begin(outcome: Awaitable[Any]) -> Deferred[Any]:
    async def run() -> Any:
        return await outcome

    return Deferred.fromCoroutine(run())


async def with_people(harness: StoreHarness, **options: Any) -> Database:
    store = await harness.start(**options)
    await store.run(
        "create table people (id text primary key, name text not null unique, age bigint check (age < 200))"
    )
    await store.run("create table pets (owner text not null references people (id), name text, unique (owner, name))")
    return store


async def names(store: Database) -> list[str]:
    return [name for (name,) in await store.run("select name from people order by name")]


async def eventually(harness: StoreHarness, condition: Callable[[], bool]) -> None:
    while not condition():
        await harness.sleep(0.01)


class Held:
    """A transaction that has inserted ``name`` and waits for ``end``."""

    def __init__(self, store: Database, name: str) -> None:
        self._name = name
        self.inserted: Deferred[None] = Deferred()
        self.end: Deferred[None] = Deferred()
        self.done = begin(store.transact(self._work))

    async def _work(self, transaction: Transaction) -> None:
        await transaction.run("insert into people values (?, ?, 1)", (self._name, self._name))
        self.inserted.callback(None)
        await self.end


# Single statements


async def check_what_was_inserted_is_selected(harness: StoreHarness) -> None:
    store = await with_people(harness)
    assert await store.run("insert into people values (?, ?, ?)", ("1", "Ada", 36)) == []
    assert await store.run("select id, name, age from people where name = ?", ("Ada",)) == [("1", "Ada", 36)]


async def check_returning_tells_what_was_changed(harness: StoreHarness) -> None:
    store = await with_people(harness)
    await store.run("insert into people values ('1', 'Ada', 36), ('2', 'Bob', 20)")
    rows = await store.run("update people set age = age + 1 where age > ? returning id, age", (30,))
    assert rows == [("1", 37)]
    assert await store.run("delete from people where id = ? returning name", ("9",)) == []


async def check_values_come_back_as_they_were_given(harness: StoreHarness) -> None:
    store = await harness.start()
    await store.run("create table kinds (id bigint, n bigint, f double precision, t text, b bytea)")
    given = [
        (1, 2**63 - 1, 0.1, "ключ ' \" \\ % %s ? $1 :name 🙂\n", bytes(range(256))),
        (2, -(2**63), -1e300, "", b""),
        (3, None, None, None, None),
    ]
    for row in given:
        await store.run("insert into kinds values (?, ?, ?, ?, ?)", row)
    assert await store.run("select * from kinds order by id") == given


async def check_yes_and_no_and_sums_are_numbers(harness: StoreHarness) -> None:
    store = await with_people(harness)
    await store.run("insert into people values ('1', 'Ada', ?), ('2', 'Bob', ?)", (True, False))
    ((total, count, mean, equal),) = await store.run("select sum(age), count(*), avg(age), max(age) = 1 from people")
    assert (total, count, mean, equal) == (1, 2, 0.5, 1)
    assert [type(each) for each in (total, count, mean, equal)] == [int, int, float, int]


async def check_what_looks_like_a_place_for_a_value_may_stand_in_texts_and_comments(harness: StoreHarness) -> None:
    store = await harness.start()
    sql = 'select \'100% ? %s\', "a?", ? /* ? % */ from (select 1 as "a?") as t -- really? %d'
    assert await store.run(sql, ("x",)) == [("100% ? %s", 1, "x")]
    assert await store.run("select '50% ?' -- why?") == [("50% ?",)]


async def check_on_conflict_changes_the_row_that_is_there(harness: StoreHarness) -> None:
    store = await with_people(harness)
    sql = "insert into people values (?, ?, 1) on conflict (name) do update set age = people.age + excluded.age"
    for _ in range(3):
        await store.run(sql, ("1", "Ada"))
    assert await store.run("select age from people") == [(3,)]


async def check_a_unique_value_that_exists_is_a_conflict_with_its_columns(harness: StoreHarness) -> None:
    store = await with_people(harness)
    await store.run("insert into people values ('1', 'Ada', 36)")
    await store.run("insert into pets values ('1', ?)", (SECRET,))
    cases = {
        "people.id": ("insert into people values (?, 'Bob', 1)", ("1",)),
        "people.name": ("insert into people values ('2', ?, 1)", ("Ada",)),
        "pets.owner,name": ("insert into pets values ('1', ?)", (SECRET,)),
    }
    for constraint, (sql, params) in cases.items():
        error = await failure_of(store.run(sql, params))
        assert isinstance(error, Conflict)
        assert error.constraint == constraint
        assert SECRET not in str(error)


async def check_other_broken_rules_of_the_schema_are_plain_errors(harness: StoreHarness) -> None:
    store = await with_people(harness)
    for sql in (
        "insert into people values ('1', null, 1)",
        "insert into people values ('1', 'Ada', 500)",
        "insert into pets values ('nobody', 'Rex')",
        "select * from nowhere",
        "select nothing from people",
        "selekt 1",
    ):
        error = await failure_of(store.run(sql))
        assert type(error) is StoreError, sql
    assert "nowhere" in str(await failure_of(store.run("select * from nowhere")))


async def check_no_error_holds_a_value(harness: StoreHarness) -> None:
    store = await with_people(harness)
    await store.run("insert into people values ('1', ?, 1)", (SECRET,))
    for sql in (
        "insert into people values ('2', ?, 1)",
        "insert into pets values (?, 'x')",
        "insert into people values ('3', ?, 999)",
        "select * from people where ? = nothing",
    ):
        error = await failure_of(store.run(sql, (SECRET,)))
        chain = f"{error!r} {error.__cause__!r} {'' if error.__suppress_context__ else repr(error.__context__)}"
        assert SECRET not in chain


async def check_values_that_one_database_would_not_take_are_refused_by_both(harness: StoreHarness) -> None:
    store = await harness.start()
    for value in ("a\0b", "\ud800", 2**63, float("nan"), ["list"], {"key": 1}, object()):
        assert type(await failure_of(store.run("select ?", (value,)))) is StoreError  # type: ignore[arg-type]


async def check_the_number_of_values_must_fit(harness: StoreHarness) -> None:
    store = await harness.start()
    assert "2 places for values and got 1" in str(await failure_of(store.run("select ?, ?", (1,))))
    assert "0 places for values and got 1" in str(await failure_of(store.run("select 1", (1,))))


async def check_statements_that_change_the_connection_are_refused(harness: StoreHarness) -> None:
    store = await harness.start()
    for sql in ("begin", " COMMIT", "-- hello\nrollback", "savepoint s", "pragma foreign_keys = off"):
        assert "no statement of the store" in str(await failure_of(store.run(sql)))


async def check_a_flood_of_rows_is_an_error(harness: StoreHarness) -> None:
    store = await harness.start()
    sql = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 100001) select i from n"
    assert "more than 100,000 rows" in str(await failure_of(store.run(sql)))
    assert len(await store.run(sql + " limit 100000")) == 100_000


async def check_many_statements_at_once_are_all_done(harness: StoreHarness) -> None:
    store = await with_people(harness)
    inserts = [begin(store.run("insert into people values (?, ?, 1)", (f"{n}", f"{n % 190}"))) for n in range(200)]
    outcomes = [await failure_or_rows(each) for each in inserts]
    assert [type(each) for each in outcomes].count(Conflict) == 10
    assert await store.run("select count(*) from people") == [(190,)]


async def failure_or_rows(outcome: Awaitable[Any]) -> Any:
    try:
        return await outcome
    except StoreError as error:
        return error


# Transactions


async def check_a_transaction_does_all(harness: StoreHarness) -> None:
    store = await with_people(harness)

    async def work(transaction: Transaction) -> str:
        await transaction.run("insert into people values ('1', 'Ada', 36)")
        ((age,),) = await transaction.run("select age from people where name = 'Ada'")
        await transaction.run("insert into people values ('2', 'Bob', ?)", (age,))
        return "done"

    assert await store.transact(work) == "done"
    assert await names(store) == ["Ada", "Bob"]


async def check_or_nothing(harness: StoreHarness) -> None:
    store = await with_people(harness)

    async def work(transaction: Transaction) -> None:
        await transaction.run("insert into people values ('1', 'Ada', 36)")
        raise LookupError("changed my mind")

    try:
        await store.transact(work)
    except LookupError as error:
        assert str(error) == "changed my mind"
    assert await names(store) == []


async def check_a_failed_statement_undoes_the_transaction_even_when_it_is_caught(harness: StoreHarness) -> None:
    store = await with_people(harness)
    await store.run("insert into people values ('1', 'Ada', 36)")

    async def work(transaction: Transaction) -> None:
        await transaction.run("insert into people values ('2', 'Bob', 36)")
        assert isinstance(await failure_of(transaction.run("insert into people values ('1', 'Eve', 1)")), Conflict)
        assert "can only end" in str(await failure_of(transaction.run("select 1")))

    assert isinstance(await failure_of(store.transact(work)), Conflict)
    assert await names(store) == ["Ada"]


async def check_a_transaction_is_of_no_use_after_its_end(harness: StoreHarness) -> None:
    store = await harness.start()
    kept: list[Transaction] = []

    async def work(transaction: Transaction) -> None:
        kept.append(transaction)

    await store.transact(work)
    assert "is over" in str(await failure_of(kept[0].run("select 1")))


async def check_a_transaction_does_one_statement_at_a_time(harness: StoreHarness) -> None:
    store = await harness.start()

    async def work(transaction: Transaction) -> None:
        first = begin(transaction.run("select 1"))
        assert "one statement at a time" in str(await failure_of(transaction.run("select 2")))
        assert await first == [(1,)]

    await store.transact(work)


async def check_others_see_a_transaction_when_it_is_over(harness: StoreHarness) -> None:
    store = await with_people(harness)
    held = Held(store, "Ada")
    await held.inserted
    assert await names(store) == []
    held.end.callback(None)
    await held.done
    assert await names(store) == ["Ada"]


async def check_reading_and_changing_is_one_step(harness: StoreHarness) -> None:
    store = await with_people(harness, wait_timeout=20.0)
    await store.run("insert into people values ('1', 'Ada', 0)")

    async def work(transaction: Transaction) -> None:
        ((age,),) = await transaction.run("select age from people where id = '1'")
        await transaction.run("update people set age = ? where id = '1'", (age + 1,))

    await gatherResults([begin(store.transact(work)) for _ in range(40)])
    assert await store.run("select age from people") == [(40,)]


async def check_transactions_do_not_decide_by_what_another_one_changes(harness: StoreHarness) -> None:
    """Two that each look whether somebody is there before they come in (write skew)."""
    store = await with_people(harness)

    def enter(name: str) -> Callable[[Transaction], Awaitable[bool]]:
        async def work(transaction: Transaction) -> bool:
            ((count,),) = await transaction.run("select count(*) from people")
            await harness.sleep(0.01)
            if count == 0:
                await transaction.run("insert into people values (?, ?, 1)", (name, name))
            return bool(count == 0)

        return work

    entered = await gatherResults([begin(store.transact(enter(str(n)))) for n in range(6)])
    assert entered.count(True) == 1
    assert len(await names(store)) == 1


STORE_CHECKS: list[Check] = [check for name, check in sorted(globals().items()) if name.startswith("check_")]
