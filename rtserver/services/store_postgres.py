"""The store in PostgreSQL, by txpostgres, without threads but for the migrations at the start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtserver.core.errors import StoreError, StoreUnavailable
from rtserver.core.ports import Lease, Row, Transaction, Value
from rtserver.services.migrations import migrate
from rtserver.services.outbox_postgres import PostgresLease
from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_postgres_pool import PostgresPool
from rtserver.services.store_postgres_session import PostgresSession
from rtserver.services.store_sql import Statement, bind, statement
from rtserver.services.store_transaction import OpenTransaction, again_when_contended, worked

_log = Logger()

T = TypeVar("T")

START_RETRY = 2.0
"""Seconds between two attempts to reach PostgreSQL for the first time."""

BEGIN = "begin isolation level serializable"


class StoreState(Enum):
    STOPPED = auto()
    STARTING = auto()
    RUNNING = auto()


class PostgresStore:
    """Implements ``ports.Database``."""

    def __init__(self, options: DatabaseOptions, reactor: Any) -> None:
        self._options = options
        self._reactor = reactor
        self._pool = PostgresPool(options, reactor)
        self._state = StoreState.STOPPED
        self._trying: Deferred[None] | None = None
        self._problem = "the database is not in use: the server was not started"

    @property
    def unready(self) -> str:
        return self._pool.problem if self._state is StoreState.RUNNING else self._problem

    async def start(self) -> None:
        self._state = StoreState.STARTING
        try:
            await self._begin()
        except StoreUnavailable as error:
            self._later(error)
        except BaseException:
            self._state = StoreState.STOPPED
            raise

    async def stop(self) -> None:
        self._state = StoreState.STOPPED
        self._problem = "the server is stopping"
        if self._trying is not None:
            self._trying.cancel()
        await self._pool.stop()

    async def run(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        known = statement(sql)
        values = bind(known, params)
        return await again_when_contended(lambda: self._single(known, values), self._reactor)

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await again_when_contended(lambda: self._attempt(work), self._reactor)

    def lease(self, name: str, gained: Callable[[], None], lost: Callable[[], None], wake: Callable[[], None]) -> Lease:
        return PostgresLease(self._options, self._reactor, name, (gained, lost, wake))

    # Start

    async def _begin(self) -> None:
        for each in await deferToThread(migrate, self._options):
            _log.info("database: {migration} applied", migration=each)
        if self._state is StoreState.STARTING:
            self._state = StoreState.RUNNING
            await self._pool.start()

    def _later(self, error: StoreError) -> None:
        self._problem = str(error)
        _log.warn("the database cannot be used yet, trying again: {why}", why=self._problem)
        self._trying = Deferred.fromCoroutine(self._keep_trying())
        self._trying.addErrback(_left_alone)

    async def _keep_trying(self) -> None:
        while True:
            await deferLater(self._reactor, START_RETRY)
            try:
                await self._begin()
            except StoreError as error:
                if str(error) != self._problem:
                    self._problem = str(error)
                    _log.warn("the database cannot be used yet, trying again: {why}", why=self._problem)
            else:
                return

    # Work

    async def _single(self, known: Statement, values: tuple[Value, ...]) -> list[Row]:
        session = await self._borrow()
        try:
            return await session.execute(known.postgres, values)
        finally:
            self._pool.give_back(session)

    async def _attempt(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        session = await self._borrow()

        def step(sql: str, params: Sequence[Value]) -> Deferred[list[Row]]:
            known = statement(sql)
            return session.execute(known.postgres, bind(known, params))

        try:
            await session.execute(BEGIN)
            result = await worked(work, OpenTransaction(step), self._options.transaction_timeout, self._reactor)
        except BaseException:
            self._undo(session)
            raise
        try:
            # A commit that fails has undone everything.
            await session.execute("commit")
        finally:
            self._pool.give_back(session)
        return result

    async def _borrow(self) -> PostgresSession:
        if self._state is not StoreState.RUNNING:
            raise StoreUnavailable(self.unready)
        return await self._pool.borrow()

    def _undo(self, session: PostgresSession) -> None:
        """Beside the caller, who need not wait for it. A session that cannot even do this is closed."""
        undoing = session.execute("rollback")
        undoing.addErrback(lambda failure: session.close(failure.getErrorMessage()))
        undoing.addCallback(lambda _: self._pool.give_back(session))


def _left_alone(failure: Failure) -> None:
    """The server stops while it still tries."""
    if failure.check(CancelledError) is None:
        _log.failure("starting the database failed", failure)
