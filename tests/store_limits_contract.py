"""What every database must do with too much, too long and too many, at its end, and with its leases."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, gatherResults

from rtserver.core.errors import Conflict, StoreUnavailable
from rtserver.core.ports import Database, Transaction
from rtserver.services.migrations import migrations
from rtserver.services.store_options import SQLITE
from tests.store_contract import Check, Held, StoreHarness, begin, eventually, failure_of, names, with_people

FOREVER = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000000000) select count(*) from n"


# Limits


async def check_a_statement_that_takes_too_long_is_ended(harness: StoreHarness) -> None:
    store = await with_people(harness, statement_timeout=0.3)
    error = await failure_of(store.run(FOREVER))
    assert isinstance(error, StoreUnavailable)
    assert "database.statement_timeout" in str(error)
    changing = f"update people set age = ({FOREVER})"
    await store.run("insert into people values ('1', 'Ada', 36)")
    assert isinstance(await failure_of(store.run(changing)), StoreUnavailable)
    assert await store.run("select age from people") == [(36,)]


async def check_a_transaction_that_takes_too_long_is_undone(harness: StoreHarness) -> None:
    store = await with_people(harness, transaction_timeout=0.3, pool_size=1)
    held = Held(store, "Ada")
    error = await failure_of(held.done)
    assert isinstance(error, StoreUnavailable)
    assert "database.transaction_timeout" in str(error)
    await store.run("insert into people values ('2', 'Bob', 1)")
    assert await names(store) == ["Bob"]


async def check_a_transaction_whose_caller_leaves_is_undone(harness: StoreHarness) -> None:
    store = await with_people(harness, pool_size=1)
    held = Held(store, "Ada")
    await held.inserted
    await harness.sleep(0)
    held.done.cancel()
    try:
        await held.done
    except CancelledError:
        await store.run("insert into people values ('2', 'Bob', 1)")
    assert await names(store) == ["Bob"]


async def check_a_caller_may_leave_in_the_middle_of_a_statement(harness: StoreHarness) -> None:
    store = await harness.start(statement_timeout=0.5, pool_size=1)

    async def work(transaction: Transaction) -> None:
        await transaction.run(FOREVER)

    for start in (lambda: store.run(FOREVER), lambda: store.transact(work)):
        outcome = begin(start())
        await harness.sleep(0.1)
        outcome.cancel()
        try:
            await outcome
        except CancelledError:
            assert await store.run("select 1") == [(1,)]


async def check_too_many_that_wait_are_refused_at_once(harness: StoreHarness) -> None:
    store = await with_people(harness, pool_size=1, queue_limit=5)
    held = Held(store, "held")
    await held.inserted
    waiting = [begin(store.run("insert into people values (?, ?, 1)", (f"{n}", f"{n}"))) for n in range(5)]
    error = await failure_of(store.run("insert into people values ('9', '9', 1)"))
    assert isinstance(error, StoreUnavailable)
    assert "database.queue_limit" in str(error)
    held.end.callback(None)
    await gatherResults([held.done, *waiting])
    assert await names(store) == ["0", "1", "2", "3", "4", "held"]


async def check_nobody_waits_too_long(harness: StoreHarness) -> None:
    store = await with_people(harness, pool_size=1, wait_timeout=0.3)
    held = Held(store, "held")
    await held.inserted
    error = await failure_of(store.run("insert into people values ('1', 'Ada', 1)"))
    assert isinstance(error, StoreUnavailable)
    assert "0.3 s" in str(error)
    held.end.callback(None)
    await held.done
    assert await names(store) == ["held"]


async def check_stopping_lets_what_waits_be_done(harness: StoreHarness) -> None:
    store = await with_people(harness, pool_size=1)
    held = Held(store, "held")
    await held.inserted
    waiting = begin(store.run("insert into people values ('1', 'Ada', 1)"))
    stopping = begin(store.stop())
    assert isinstance(await failure_of(store.run("select 1")), StoreUnavailable)
    assert store.unready
    held.end.callback(None)
    await gatherResults([held.done, waiting, stopping])
    assert isinstance(await failure_of(store.run("select 1")), StoreUnavailable)
    assert await names(await harness.start()) == ["Ada", "held"]


async def check_a_started_database_is_ready(harness: StoreHarness) -> None:
    store = await harness.start()
    assert store.unready == ""
    applied = await store.run("select number, name, applied_at from rt_schema_version order by number")
    assert [(number, name) for number, name, _ in applied] == [(each.number, each.name) for each in migrations(SQLITE)]
    assert min(applied_at for _, _, applied_at in applied) > 1_700_000_000_000


# Leases


class Bell:
    """A started lease of the outbox, and what it told."""

    def __init__(self, store: Database) -> None:
        self.told: list[str] = []
        self.lease = store.lease(
            "rt_outbox",
            lambda: self.told.append("gained"),
            lambda: self.told.append("lost"),
            lambda: self.told.append("wake"),
        )
        self.lease.start()


async def check_a_lease_tells_of_rows_when_they_are_committed(harness: StoreHarness) -> None:
    store = await with_people(harness)
    bell = Bell(store)
    await eventually(harness, lambda: bell.told == ["gained"])

    async def work(transaction: Transaction) -> None:
        await transaction.run("insert into rt_outbox (channel, data) values ('news', '1')")
        await transaction.run("insert into people values ('1', 'Ada', 1)")
        assert bell.told == ["gained"]

    await store.transact(work)
    await eventually(harness, lambda: bell.told == ["gained", "wake"])
    assert isinstance(await failure_of(store.transact(work)), Conflict)
    await store.run("insert into rt_outbox (channel, data) values ('news', '2')")
    await eventually(harness, lambda: bell.told == ["gained", "wake", "wake"])
    await bell.lease.stop()
    assert bell.told[-1] == "lost"


LIMIT_CHECKS: list[Check] = [check for name, check in sorted(globals().items()) if name.startswith("check_")]
