"""What the post office does on every database. Each check is a function of a harness, as in ``tests/store_contract.py``."""

from __future__ import annotations

import itertools
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher

from rtserver.accounts.letters import LetterError, LetterWriter
from rtserver.accounts.mailer import Mail, MailDelayed, MailRefused
from rtserver.accounts.options import MailOptions
from rtserver.accounts.post import GRACE, INTERVAL, MARGIN, SPACING, PostOffice, PostParts
from rtserver.core.errors import RtError, StoreUnavailable
from rtserver.core.ports import Database, Transaction
from rtserver.services.mail_message import Composer, MessageError
from tests.store_contract import Check, StoreHarness, eventually

LINK = "https://example.org/auth/c/live-link"
VALUES = {"link": LINK, "digits": "482913", "minutes": 1440, "username": "noe"}
START = 1_700_000_000.0
MINUTE = 60.0


class FakeMailer:
    """Keeps what it sends. ``trouble`` is what happens next to a recipient: an error, or a Deferred to wait for."""

    deadline = 60.0

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self.trouble: dict[str, Exception | Deferred[None]] = {}
        self.attempts = 0
        self.under_way = 0
        self.most = 0

    async def send(self, mail: Mail) -> int:
        self.attempts += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            trouble = self.trouble.get(mail.rcpt)
            if isinstance(trouble, Exception):
                raise trouble
            if trouble is not None:
                await trouble
        finally:
            self.under_way -= 1
        self.sent.append(mail)
        return 250


class Bureau:
    """``async with``: a post office at work, with a clock that only the check moves. ``lines`` is what it logs."""

    def __init__(self, store: Any, clock: Clock | None = None, connections: int = 4) -> None:
        self.store = store
        self.clock = clock or Clock()
        self.mailer = FakeMailer()
        self.events: list[dict[str, Any]] = []
        numbers = itertools.count(1)
        writer = LetterWriter("Lamp")
        self.office = PostOffice(
            PostParts(
                database=store,
                mailer=self.mailer,
                write=writer.write,
                compose=Composer(MailOptions(sender="post@example.org")).compose,
                connections=connections,
                reactor=self.clock,
                unix=lambda: START + self.clock.seconds(),
                new_id=lambda: f"letter-{next(numbers)}",
            )
        )

    async def __aenter__(self) -> Bureau:
        publisher: Any = globalLogPublisher
        publisher.addObserver(self._observe)
        await self.office.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for trouble in self.mailer.trouble.values():
            if isinstance(trouble, Deferred) and not trouble.called:
                trouble.callback(None)
        await self.office.stop()
        publisher: Any = globalLogPublisher
        publisher.removeObserver(self._observe)
        assert [each for each in self.clock.getDelayedCalls() if each.active()] == []

    def _observe(self, event: dict[str, Any]) -> None:
        if event["log_namespace"] in ("rtserver.accounts.post", "rtserver.rounds"):
            self.events.append(event)

    def lines(self, level: Any = LogLevel.warn) -> list[str]:
        return [str(each["log_format"]).format(**each) for each in self.events if each["log_level"] is level]

    async def put(self, *to: str, kind: str = "confirm_sign_up", **values: object) -> None:
        for each in to:
            await self.office.enqueue(self.store, kind, each, {**VALUES, **values})

    async def rows(self, columns: str = "id, state, tries, code") -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = await self.store.run(f"select {columns} from rt_letters order by created_at, id")
        return found

    async def until(self, harness: StoreHarness, *rows: tuple[Any, ...], columns: str = "state, tries") -> None:
        while await self.rows(columns) != list(rows):
            await harness.sleep(0.005)

    async def later(self, harness: StoreHarness, seconds: float) -> None:
        """Let time pass, with a look at the table afterwards."""
        await self.settle(harness)
        self.clock.advance(seconds)
        await self.settle(harness)

    async def settle(self, harness: StoreHarness) -> None:
        """Until the office rests (or waits for letters that are under way)."""
        await eventually(harness, lambda: self.office._rounds.is_resting or not self.office._rounds.is_held)


# From the writer to the mailer


async def check_a_letter_is_sent_when_its_transaction_commits_and_only_then(harness: StoreHarness) -> None:
    async with Bureau(await harness.start()) as bureau:

        async def commits(tx: Transaction) -> None:
            await bureau.office.enqueue(tx, "confirm_sign_up", "noe@example.org", VALUES)
            assert bureau.mailer.attempts == 0

        async def fails(tx: Transaction) -> None:
            await bureau.office.enqueue(tx, "confirm_sign_up", "never@example.org", VALUES)
            raise RtError("no")

        try:
            await bureau.store.transact(fails)
        except RtError:
            await bureau.store.transact(commits)
        await bureau.until(harness, ("sent", 1, 250), columns="state, tries, code")
        (mail,) = bureau.mailer.sent
        assert (mail.rcpt, mail.id) == ("noe@example.org", "letter-2")
        assert b"To: noe@example.org\n" in mail.raw and b"482913" in mail.raw and b"\r" not in mail.raw
        assert (bureau.office.sent, bureau.office.failed, bureau.office.retried) == (1, 0, 0)


async def check_no_link_stays_in_the_table_after_a_letter_ended(harness: StoreHarness) -> None:
    async with Bureau(await harness.start()) as bureau:
        bureau.mailer.trouble["gone@example.org"] = MailRefused("refused", 550)
        await bureau.put("noe@example.org", "gone@example.org")
        await bureau.until(harness, ("sent", 1), ("failed", 1))
        assert await bureau.rows("raw, code") == [("", 250), ("", 550)]
        now = int(START * 1000)
        assert await bureau.rows("created_at, ended_at, expires_at") == [(now, now, now + 86_400_000)] * 2


async def check_letters_that_wait_are_sent_at_the_next_start(harness: StoreHarness) -> None:
    store = await harness.start()
    idle = Bureau(store)
    await idle.put("noe@example.org")
    async with Bureau(store) as bureau:
        await bureau.until(harness, ("sent", 1))


async def check_a_letter_that_nobody_gets_is_written_and_not_stored(harness: StoreHarness) -> None:
    async with Bureau(await harness.start()) as bureau:
        bureau.office.rehearse("reset", "nobody@example.org", VALUES)
        try:
            bureau.office.rehearse("reset", "no address", VALUES)
        except MessageError:
            assert await bureau.rows() == []
        else:
            raise AssertionError("it was not written")


async def check_what_cannot_be_a_letter_is_refused_before_it_is_stored(harness: StoreHarness) -> None:
    bureau = Bureau(await harness.start())
    for to, kind in (("a@b.c, d@e.f", "reset"), ("a@b.c\r\nBcc: d@e.f", "reset"), ("a@b.c", "spam")):
        try:
            await bureau.put(to, kind=kind)
        except (MessageError, LetterError):
            continue
        raise AssertionError(f"{to!r} {kind} was taken")
    assert await bureau.rows() == []


# Attempts


async def check_a_letter_that_has_to_wait_is_tried_at_the_spacing_and_then_given_up(harness: StoreHarness) -> None:
    async with Bureau(await harness.start()) as bureau:
        bureau.mailer.trouble["noe@example.org"] = MailDelayed("later", 451)
        await bureau.put("noe@example.org", minutes=0)
        for attempt, pause in enumerate(SPACING, 1):
            await bureau.until(harness, ("new", attempt, 451), columns="state, tries, code")
            await bureau.later(harness, pause - INTERVAL)
            assert bureau.mailer.attempts == attempt
            await bureau.later(harness, INTERVAL)
        await bureau.until(harness, ("failed", 6, 451, ""), columns="state, tries, code, raw")
        await bureau.later(harness, 86_400)
        assert bureau.mailer.attempts == 6
        assert (bureau.office.retried, bureau.office.failed) == (5, 1)
        assert bureau.lines() == [
            "letters have to wait: later (SMTP 451), letter letter-1",
            "letter letter-1 is given up: later (SMTP 451)",
        ]


async def check_a_letter_that_got_through_later_is_sent_once(harness: StoreHarness) -> None:
    async with Bureau(await harness.start()) as bureau:
        bureau.mailer.trouble["noe@example.org"] = MailDelayed("no connection")
        await bureau.put("noe@example.org")
        await bureau.until(harness, ("new", 1, 0), columns="state, tries, code")
        bureau.mailer.trouble.clear()
        await bureau.later(harness, MINUTE)
        await bureau.until(harness, ("sent", 2, 250), columns="state, tries, code")
        await bureau.later(harness, 86_400)
        assert len(bureau.mailer.sent) == 1


async def check_a_mistake_in_a_mailer_delays_the_letter_and_is_told_without_its_text(harness: StoreHarness) -> None:
    async with Bureau(await harness.start()) as bureau:
        bureau.mailer.trouble["noe@example.org"] = ValueError(f"noe@example.org {LINK}")
        await bureau.put("noe@example.org")
        await bureau.until(harness, ("new", 1))
        assert bureau.lines() == ["letters have to wait: a mistake in the mailer (ValueError), letter letter-1"]


async def check_a_trouble_is_told_once_until_a_letter_gets_through(harness: StoreHarness) -> None:
    async with Bureau(await harness.start(), connections=1) as bureau:
        names = [f"{number}@example.org" for number in range(5)]
        bureau.mailer.trouble = {name: MailDelayed("no connection") for name in names}
        await bureau.put(*names)
        await bureau.until(harness, *[("new", 1)] * 5)
        assert bureau.lines() == ["letters have to wait: no connection, letter letter-1"]
        await bureau.put("noe@example.org")
        await bureau.until(harness, *[("new", 1)] * 5, ("sent", 1))
        await bureau.later(harness, MINUTE)
        await bureau.until(harness, *[("new", 2)] * 5, ("sent", 1))
        assert len(bureau.lines()) == 2


async def check_only_so_many_letters_are_on_their_way_at_a_time(harness: StoreHarness) -> None:
    async with Bureau(await harness.start(), connections=3) as bureau:
        names = [f"{number}@example.org" for number in range(10)]
        gates: dict[str, Deferred[None]] = {name: Deferred() for name in names}
        bureau.mailer.trouble.update(gates)
        await bureau.put(*names)
        await eventually(harness, lambda: bureau.mailer.under_way == 3)
        await bureau.later(harness, INTERVAL)
        assert (bureau.mailer.attempts, bureau.office.waiting) == (3, 10)
        for gate in gates.values():
            gate.callback(None)
        await bureau.until(harness, *[("sent", 1)] * 10)
        assert bureau.mailer.most == 3
        await bureau.later(harness, INTERVAL)
        assert bureau.office.waiting == 0


async def check_a_slow_letter_holds_up_no_other(harness: StoreHarness) -> None:
    async with Bureau(await harness.start(), connections=2) as bureau:
        bureau.mailer.trouble["slow@example.org"] = Deferred()
        await bureau.put("slow@example.org", *(f"{number}@example.org" for number in range(5)))
        await bureau.until(harness, ("new", 1), *[("sent", 1)] * 5)


# Ends


async def check_a_letter_whose_link_has_ended_is_not_sent(harness: StoreHarness) -> None:
    async with Bureau(await harness.start()) as bureau:
        bureau.mailer.trouble["noe@example.org"] = MailDelayed("no connection")
        await bureau.put("noe@example.org", minutes=15)
        await bureau.put("noe@example.org", kind="password_changed", minutes=0)
        for attempt, pause in enumerate(SPACING[:2], 2):
            await bureau.until(harness, *[("new", attempt - 1)] * 2)
            await bureau.later(harness, pause)
        bureau.mailer.trouble.clear()
        await bureau.until(harness, *[("new", 3)] * 2)
        await bureau.later(harness, SPACING[2])
        await bureau.until(harness, ("expired", 3, ""), ("sent", 4, ""), columns="state, tries, raw")
        assert bureau.office.expired == 1
        assert "letter letter-1 was not sent in time: its link has ended" in bureau.lines()


async def check_a_letter_that_was_being_sent_when_the_server_died_is_sent_again(harness: StoreHarness) -> None:
    store, clock = await harness.start(), Clock()
    dying = Bureau(Forgetful(store), clock)
    await dying.office.start()
    await dying.put("noe@example.org")
    await eventually(harness, lambda: len(dying.mailer.sent) == 1)
    await dying.office.stop()
    async with Bureau(store, clock) as bureau:
        await bureau.later(harness, bureau.mailer.deadline)
        assert bureau.mailer.sent == []
        await bureau.later(harness, MARGIN)
        await bureau.until(harness, ("sent", 2))
        assert bureau.mailer.sent[0].raw == dying.mailer.sent[0].raw


async def check_a_server_that_dies_of_a_letter_is_not_killed_for_ever(harness: StoreHarness) -> None:
    async with Bureau(await harness.start()) as bureau:
        bureau.mailer.trouble["noe@example.org"] = Deferred()
        store = bureau.store
        await store.run(
            "insert into rt_letters (id, kind, rcpt, raw, tries, next_at, created_at) values ('x', 'r', 'a@b.c', 'r', 6, 0, 0)"
        )
        await bureau.until(harness, ("failed", 6, ""), columns="state, tries, raw")
        assert bureau.mailer.attempts == 0


async def check_stopping_lets_letters_end_and_takes_back_what_hangs(harness: StoreHarness) -> None:
    store = await harness.start()
    bureau = Bureau(store)
    await bureau.office.start()
    ends: Deferred[None] = Deferred()
    bureau.mailer.trouble = {"ends@example.org": ends, "hangs@example.org": Deferred()}
    await bureau.put("ends@example.org", "hangs@example.org")
    await eventually(harness, lambda: bureau.mailer.under_way == 2)
    stopping = Deferred.fromCoroutine(bureau.office.stop())
    ends.callback(None)
    await bureau.until(harness, ("sent", 1), ("new", 1))
    # The lease is given back first, which takes its time.
    await eventually(
        harness, lambda: any(each.func == bureau.office._recall for each in bureau.clock.getDelayedCalls())
    )
    assert not stopping.called
    bureau.clock.advance(GRACE)
    await stopping
    assert await bureau.rows("state, tries") == [("sent", 1), ("new", 0)]
    async with Bureau(store, bureau.clock) as later:
        await later.until(harness, ("sent", 1), ("sent", 1))


async def check_what_was_sent_is_marked_when_the_database_is_back(harness: StoreHarness) -> None:
    forgetful = Forgetful(await harness.start())
    forgetful.is_awake = False
    async with Bureau(forgetful) as bureau:
        await bureau.put("noe@example.org")
        await eventually(harness, lambda: len(bureau.mailer.sent) == 1)
        await bureau.later(harness, INTERVAL)
        await bureau.put("other@example.org")
        await bureau.later(harness, INTERVAL)
        assert await bureau.rows("state, tries") == [("new", 1), ("new", 0)]
        forgetful.is_awake = True
        await bureau.later(harness, INTERVAL)
        await bureau.until(harness, ("sent", 1), ("sent", 1))
        assert len(bureau.mailer.sent) == 2
        assert bureau.lines() == ["the post office has to wait: away"]


async def check_nothing_of_a_letter_is_ever_logged(harness: StoreHarness) -> None:
    async with Bureau(await harness.start()) as bureau:
        bureau.mailer.trouble = {
            "later@example.org": MailDelayed("no connection"),
            "gone@example.org": MailRefused("refused", 550),
            "odd@example.org": ValueError(LINK),
        }
        await bureau.put("noe@example.org", *bureau.mailer.trouble)
        await bureau.until(harness, ("sent", 1), ("new", 1), ("failed", 1), ("new", 1))
        said = "\n".join(str(event) for event in bureau.events)
        for secret in ("example.org", "live-link", "482913"):
            assert secret not in said


class Forgetful:
    """A database that marks no letter while it is not ``is_awake``; from the start: as if the server died before it could."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self.is_awake = False
        self.lease = store.lease

    async def run(self, sql: str, params: Any = ()) -> Any:
        if "ended_at = ? where id" in sql and not self.is_awake:
            raise StoreUnavailable("away")
        return await self._store.run(sql, params)


POST_CHECKS: list[Check] = [check for name, check in sorted(globals().items()) if name.startswith("check_")]
