"""What the outbox does on every database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from rtserver.core.errors import BrokerError, BrokerUnavailable, Conflict, RtError
from rtserver.core.ports import Database, Transaction
from rtserver.services.outbox import MAX_ATTEMPTS, MAX_DATA, Outbox, put
from tests.store_contract import Check, StoreHarness, eventually, failure_of, with_people


class Refused(RtError):
    pass


class Wall:
    """Takes publications, or does what it is told for a channel: raise an error, or wait for a Deferred."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, str]] = []
        self.trouble: dict[str, Exception | Deferred[None]] = {}
        self.attempts = 0

    async def publish(self, channel: str, data: bytes, key: str) -> None:
        self.attempts += 1
        trouble = self.trouble.get(channel)
        if isinstance(trouble, Exception):
            raise trouble
        if trouble is not None:
            await trouble
        self.taken.append((channel, data.decode(), key))

    def data(self, channel: str) -> list[str]:
        return [data for name, data, _ in self.taken if name == channel]


class Reading:
    """``async with``: an outbox that is read onto a wall."""

    def __init__(self, store: Database) -> None:
        self.wall = Wall()
        self.outbox = Outbox(store, self.wall.publish, reactor)

    async def __aenter__(self) -> Reading:
        await self.outbox.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.outbox.stop()


async def fill(store: Database, *rows: tuple[str, str]) -> None:
    async def work(transaction: Transaction) -> None:
        for channel, data in rows:
            await put(transaction, channel, data)

    await store.transact(work)


async def left(store: Database) -> int:
    ((count,),) = await store.run("select count(*) from rt_outbox")
    return int(count)


async def empty(harness: StoreHarness, store: Database) -> None:
    while await left(store):
        await harness.sleep(0.01)


async def dead(store: Database) -> list[tuple[Any, ...]]:
    return await store.run("select channel, data, reason from rt_outbox_dead order by id")


async def check_what_is_put_is_published_in_order_when_it_is_committed(harness: StoreHarness) -> None:
    store = await harness.start()
    async with Reading(store) as reading:
        await fill(store, *(("news", str(n)) for n in range(250)))
        await empty(harness, store)
    assert reading.wall.data("news") == [str(n) for n in range(250)]
    assert len({key for _, _, key in reading.wall.taken}) == 250
    assert reading.outbox.stats.published == 250


async def check_what_is_rolled_back_is_not_published(harness: StoreHarness) -> None:
    store = await with_people(harness)
    await store.run("insert into people values ('1', 'Ada', 1)")

    async def work(transaction: Transaction) -> None:
        await put(transaction, "news", "never")
        await transaction.run("insert into people values ('1', 'Ada', 1)")

    async with Reading(store) as reading:
        assert isinstance(await failure_of(store.transact(work)), Conflict)
        await fill(store, ("news", "ever"))
        await empty(harness, store)
    assert reading.wall.data("news") == ["ever"]


async def check_what_was_there_before_the_start_is_published(harness: StoreHarness) -> None:
    store = await harness.start()
    await store.run("insert into rt_outbox (channel, data, key) values ('news', ?, 'my-key')", ("{}",))
    async with Reading(store) as reading:
        await empty(harness, store)
    assert reading.wall.taken == [("news", "{}", "my-key")]


async def check_rows_wait_in_order_while_the_broker_is_away(harness: StoreHarness) -> None:
    store = await harness.start()
    async with Reading(store) as reading:
        wall = reading.wall
        wall.trouble["news"] = BrokerUnavailable("no connection to Redis")
        await fill(store, ("news", "1"), ("news", "2"), ("sport", "3"))
        await eventually(harness, lambda: wall.data("sport") == ["3"] and wall.attempts >= 4)
        assert await left(store) == 2
        del wall.trouble["news"]
        await empty(harness, store)
    assert wall.data("news") == ["1", "2"]
    assert wall.data("sport") == ["3"]


async def check_a_row_that_can_never_be_published_is_kept_with_the_reason(harness: StoreHarness) -> None:
    store = await harness.start()
    async with Reading(store) as reading:
        reading.wall.trouble["nowhere:x"] = Refused("its namespace is not configured")
        reading.wall.trouble["broken"] = BrokerError("the data is too large for Redis")
        await fill(store, ("nowhere:x", "1"), ("news", "2"), ("broken", "3"), ("news", "x" * (MAX_DATA + 1)))
        await empty(harness, store)
    assert reading.wall.data("news") == ["2"]
    assert reading.wall.attempts == 1 + 1 + MAX_ATTEMPTS
    buried = await dead(store)
    assert [(channel, len(data)) for channel, data, _ in buried] == [
        ("nowhere:x", 1),
        ("broken", 1),
        ("news", MAX_DATA + 1),
    ]
    assert [reason.split(":")[0] for _, _, reason in buried] == [
        "its namespace is not configured",
        "the data is too large for Redis",
        "the data has more than 1,048,576 characters",
    ]
    assert reading.outbox.stats.dead == 3


async def check_stopping_waits_for_what_is_being_published(harness: StoreHarness) -> None:
    store = await harness.start()
    async with Reading(store) as reading:
        gate = reading.wall.trouble["news"] = Deferred()
        await fill(store, ("news", "1"), ("news", "2"))
        await eventually(harness, lambda: reading.wall.attempts == 1)
        stopping = Deferred.fromCoroutine(reading.outbox.stop())
        gate.callback(None)
        await stopping
    assert reading.wall.data("news") == ["1"]
    assert await left(store) == 1


async def check_a_row_that_was_published_but_not_deleted_comes_again_with_the_same_key(harness: StoreHarness) -> None:
    store = await harness.start()
    keys: list[str] = []
    for _ in range(2):
        deaf = Deaf(store)
        outbox = Outbox(deaf, deaf.wall.publish, reactor)
        await outbox.start()
        if not keys:
            await fill(store, ("news", "1"))
        await eventually(harness, taken(deaf.wall))
        await outbox.stop()
        keys += [key for _, _, key in deaf.wall.taken[:1]]
    assert len(keys) == 2
    assert keys[0] == keys[1]


def taken(wall: Wall) -> Callable[[], bool]:
    return lambda: len(wall.taken) > 0


class Deaf:
    """A database that deletes nothing, as if the node died before it could."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self.wall = Wall()
        self.lease = store.lease

    async def run(self, sql: str, params: Any = ()) -> Any:
        return [] if sql.startswith("delete") else await self._store.run(sql, params)


OUTBOX_CHECKS: list[Check] = [check for name, check in sorted(globals().items()) if name.startswith("check_")]
