"""The post office: letters that wait in ``rt_letters``, and the pump that hands them to a mailer.

A letter is a row that its writer inserts in the transaction of what it speaks of. One node at a time (a lease) sends. A letter
is taken before it is sent and marked after that: when the process dies in between it is sent again once its time as taken is
over, so at least once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from rtserver.accounts.letters import Letter
from rtserver.accounts.mailer import Mail, MailDelayed, Mailer, MailRefused, Undelivered
from rtserver.core.ports import Database, Value
from rtserver.core.rows import Runs, ms
from rtserver.rounds import Rounds, Work

_log = Logger()

TABLE = "rt_letters"

SPACING = (60, 300, 1800, 7200, 43_200)
"""Seconds from a failed attempt to the next; after the last of them the letter is given up."""
ATTEMPTS = len(SPACING) + 1
MARGIN = 30
"""Seconds more than a mailer may take, until a letter that was taken counts as left behind."""
INTERVAL = 5.0
"""Seconds between two looks at the table when nothing calls for one."""
GRACE = 5.0
"""Seconds that ``stop`` lets letters that are on their way end."""

_PUT = """
    insert into rt_letters (id, kind, rcpt, raw, next_at, created_at, expires_at) values (?, ?, ?, ?, ?, ?, ?)
"""
_EXPIRE = """
    update rt_letters set state = 'expired', raw = '', ended_at = ?
    where state = 'new' and expires_at > 0 and expires_at <= ? and next_at <= ? returning id
"""
_COUNT = "select count(*) from rt_letters where state = 'new'"
_DUE = """
    select id, rcpt, tries from rt_letters where state = 'new' and next_at <= ? order by next_at, created_at, id limit ?
"""
# The number of tries is what two nodes that both believe to hold the lease cannot both count up.
_TAKE = """
    update rt_letters set tries = tries + 1, next_at = ? where id = ? and state = 'new' and tries = ? returning raw
"""
_END = "update rt_letters set state = ?, code = ?, raw = '', ended_at = ? where id = ?"
_DELAY = "update rt_letters set code = ?, next_at = ? where id = ? and state = 'new'"
_GIVE_BACK = "update rt_letters set tries = tries - 1, next_at = ? where id = ? and state = 'new'"


class LetterState(StrEnum):
    """``rt_letters.state``. Only a new one has its text."""

    NEW = "new"
    SENT = "sent"
    FAILED = "failed"
    EXPIRED = "expired"
    """Its link ended before it could be sent."""


@dataclass(frozen=True, slots=True)
class PostParts:
    """``write`` is that of ``LetterWriter``, ``compose`` that of ``Composer``: letter, id and seconds since 1970 to the whole
    message. ``connections`` is how many letters are on their way at a time. ``reactor`` gives timers, ``unix`` seconds since
    1970, ``new_id`` what can be the name of a file."""

    database: Database
    mailer: Mailer
    write: Callable[[str, str, Mapping[str, object]], Letter]
    compose: Callable[[Letter, str, float], str]
    connections: int
    reactor: Any
    unix: Callable[[], float]
    new_id: Callable[[], str]


@dataclass(frozen=True, slots=True)
class _Taken:
    id: str
    rcpt: str
    attempt: int
    """From 1."""


_Change = tuple[str, tuple[Value, ...]]
"""A statement with its values."""


class PostOffice:
    """Implements ``ports.Post``. Letters can be put in at any time; they are sent from ``start`` to ``stop``.

    ``sent``, ``failed`` (given up), ``expired`` and ``retried`` count since the start of the process, ``waiting`` is how many
    waited at the last look."""

    def __init__(self, parts: PostParts) -> None:
        self._parts = parts
        work = Work(TABLE, "the post office", self._round, self._is_unfinished)
        self._rounds = Rounds(parts.database, parts.reactor, work)
        self._is_stopping = False
        self._under_way: dict[str, Deferred[None]] = {}
        self._changes: dict[str, _Change] = {}
        """What became of letters that is not written down yet. While there is any, no further letter is taken."""
        self._trouble = ""
        """Why letters have to wait; told once, until one gets through."""
        self.sent = 0
        self.failed = 0
        self.expired = 0
        self.retried = 0
        self.waiting = 0

    # Putting in

    async def enqueue(self, runs: Runs, letter_kind: str, to: str, values: Mapping[str, object]) -> None:
        """As ``ports.Post``. Raises ``LetterError`` or ``MessageError`` when no letter can be made of it."""
        await runs.run(_PUT, self._row(letter_kind, to, values))

    def rehearse(self, letter_kind: str, to: str, values: Mapping[str, object]) -> None:
        self._row(letter_kind, to, values)

    def _row(self, letter_kind: str, to: str, values: Mapping[str, object]) -> tuple[Value, ...]:
        parts = self._parts
        letter_id = parts.new_id()
        unix = parts.unix()
        raw = parts.compose(parts.write(letter_kind, to, values), letter_id, unix)
        now = ms(unix)
        minutes = int(str(values.get("minutes") or 0))
        ends = now + minutes * 60_000 if minutes else 0
        return letter_id, letter_kind, to, raw, now, now, ends

    # Life

    async def start(self) -> None:
        self._is_stopping = False
        await self._rounds.start()

    async def stop(self) -> None:
        """Letters that are on their way may end within ``GRACE``; the others wait for the next start."""
        self._is_stopping = True
        grace = self._parts.reactor.callLater(GRACE, self._recall)
        await self._rounds.stop()
        if grace.active():
            grace.cancel()

    def wake(self) -> None:
        """There may be letters."""
        self._rounds.wake()

    def _recall(self) -> None:
        for sending in list(self._under_way.values()):
            sending.cancel()

    # Sending

    def _is_unfinished(self) -> bool:
        return bool(self._under_way or self._changes)

    async def _round(self) -> float:
        try:
            await self._write_down()
        except Exception:
            if self._is_stopping and not self._under_way:
                # The database is away at the end: what is not marked as sent is sent again.
                self._changes.clear()
            raise
        if self._rounds.is_held:
            await self._look()
            await self._take_due()
        return INTERVAL

    async def _write_down(self) -> None:
        for letter_id, change in list(self._changes.items()):
            await self._parts.database.run(*change)
            del self._changes[letter_id]

    async def _look(self) -> None:
        database, now = self._parts.database, self._now()
        for (letter_id,) in await database.run(_EXPIRE, (now, now, now)):
            self.expired += 1
            _log.warn("letter {id} was not sent in time: its link has ended", id=letter_id)
        ((self.waiting,),) = await database.run(_COUNT)

    async def _take_due(self) -> None:
        free = self._parts.connections - len(self._under_way)
        if free <= 0:
            return
        for letter_id, rcpt, tries in await self._parts.database.run(_DUE, (self._now(), free)):
            if self._rounds.is_held and letter_id not in self._under_way:
                await self._take(_Taken(letter_id, rcpt, tries + 1))

    async def _take(self, taken: _Taken) -> None:
        if taken.attempt > ATTEMPTS:
            self._give_up(taken, Undelivered("the server ended during the last attempt"))
            self.wake()
            return
        until = self._now() + int((self._parts.mailer.deadline + MARGIN) * 1000)
        rows = await self._parts.database.run(_TAKE, (until, taken.id, taken.attempt - 1))
        if rows:
            sending = Deferred.fromCoroutine(self._send(taken, rows[0][0]))
            self._under_way[taken.id] = sending
            sending.addBoth(self._came_back, taken.id)

    def _came_back(self, _: None, letter_id: str) -> None:
        del self._under_way[letter_id]
        self.wake()

    async def _send(self, taken: _Taken, raw: str) -> None:
        try:
            code = await self._parts.mailer.send(Mail(taken.id, taken.rcpt, raw.encode("ascii")))
        except CancelledError:
            self._changes[taken.id] = (_GIVE_BACK, (self._now(), taken.id))
        except MailRefused as error:
            self._give_up(taken, error)
        except MailDelayed as error:
            self._delay(taken, error)
        except Exception as error:
            # Neither its text nor its traceback: they may hold the letter.
            self._delay(taken, MailDelayed(f"a mistake in the mailer ({type(error).__name__})"))
        else:
            self._is_sent(taken, code)

    def _is_sent(self, taken: _Taken, code: int) -> None:
        self.sent += 1
        self._trouble = ""
        self._changes[taken.id] = (_END, (LetterState.SENT.value, code, self._now(), taken.id))
        _log.info("letter {id} was sent", id=taken.id)

    def _delay(self, taken: _Taken, why: Undelivered) -> None:
        if taken.attempt >= ATTEMPTS:
            self._give_up(taken, why)
            return
        self.retried += 1
        then = self._now() + SPACING[taken.attempt - 1] * 1000
        self._changes[taken.id] = (_DELAY, (why.code, then, taken.id))
        if self._trouble != why.reason:
            self._trouble = why.reason
            _log.warn("letters have to wait: {why}, letter {id}", why=str(why), id=taken.id)

    def _give_up(self, taken: _Taken, why: Undelivered) -> None:
        self.failed += 1
        self._changes[taken.id] = (_END, (LetterState.FAILED.value, why.code, self._now(), taken.id))
        _log.warn("letter {id} is given up: {why}", id=taken.id, why=str(why))

    def _now(self) -> int:
        return ms(self._parts.unix())
