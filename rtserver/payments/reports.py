"""Reconciliation: our transactions against the gateway's, both ways, every night and on demand.

What is only behind here is brought up to date by the way: not every settlement is told by a webhook.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.logger import Logger

from rtserver.core.errors import RtError
from rtserver.core.ports import Transaction
from rtserver.core.rows import as_json
from rtserver.payments import attempts, sightings, subscription_rows, transactions
from rtserver.payments.calls import Calls
from rtserver.payments.errors import PaymentRefused
from rtserver.payments.moves import CAPTURED, Stored, is_open
from rtserver.payments.parts import Parts
from rtserver.payments.records import GatewayTransaction
from rtserver.payments.report import Difference, Finding, Report
from rtserver.rounds import Rounds, Work

_log = Logger()

LEASE = "rt_pay_report"

DAY = 86_400_000
"""Milliseconds; as much is read at a time."""
LONGEST = 93 * DAY
"""The most of one report."""
NIGHTS = 3
"""Days before today that the nightly report is about: so long a settlement takes."""
MOST_SEEKS = 500
"""Transactions of one report that are asked for one by one because a search did not find them."""
MOST_PUBLISHED = 50
"""Findings that are published; the report has more."""
AGAIN = 900.0
"""Seconds after a nightly report that could not be made."""
LATEST = 6 * 3_600_000
"""Milliseconds after its hour in which it is tried. Later it waits for the next night."""
LONGEST_REST = 3600.0
"""Seconds; the clock may be set while we rest."""


class Reports:
    """``reconcile`` works always, one at a time. The nightly one is made by the node that holds the lease, from ``start`` to
    ``stop``. Raises ``ValueError`` when the hour of the options is none."""

    def __init__(self, parts: Parts, calls: Calls) -> None:
        self._parts = parts
        self._calls = calls
        self._minute = minute_of(parts.options.reconcile_at)
        self._next = 0
        self._is_busy = False
        self._rounds = Rounds(parts.database, parts.reactor, Work(LEASE, "the nightly report of payments", self.round))

    async def start(self) -> None:
        if self._minute is not None:
            await self._rounds.start()

    async def stop(self) -> None:
        """A report that is being made comes to its end."""
        await self._rounds.stop()

    async def reconcile(self, start: int, end: int) -> Report:
        """Compare what was made in this span of time, milliseconds since 1970. Raises ``PaymentRefused``, ``GatewayAway``,
        ``GatewayRefused`` and ``StoreError``."""
        if not 0 <= start < end or end - start > LONGEST:
            sentence = f"Give a beginning and an end after it, at most {LONGEST // DAY} days apart."
            raise PaymentRefused("bad_span", sentence, "end", 422)
        if self._is_busy:
            raise PaymentRefused("report_in_progress", "A report is being made: ask again in a minute.", status=409)
        self._is_busy = True
        try:
            return await _Reconciliation(self._parts, self._calls, start, end).run()
        finally:
            self._is_busy = False

    # The nightly one

    async def round(self) -> float:
        """Make it when it is time. Returns the seconds until then."""
        now = self._parts.now
        if not self._next or now - self._next > LATEST:
            self._next = self._after(now)
        if now < self._next:
            return min(LONGEST_REST, (self._next - now) / 1000)
        today = now // DAY * DAY
        try:
            report = await self.reconcile(today - NIGHTS * DAY, today)
            await self._tell(report)
        except RtError as error:
            _log.warn("the nightly report of payments is tried again in a while: {why}", why=str(error))
            return AGAIN
        self._next = self._after(self._parts.now)
        return min(LONGEST_REST, (self._next - self._parts.now) / 1000)

    def _after(self, now: int) -> int:
        at = now // DAY * DAY + (self._minute or 0) * 60_000
        return at if at > now else at + DAY

    async def _tell(self, report: Report) -> None:
        summary = report.summary()
        log = _log.info if report.is_clean else _log.warn
        log("payments were compared with the gateway: {summary}", summary=summary)
        channel = self._parts.options.staff_channel
        if not channel:
            return
        findings = [each.as_json() for each in report.findings[:MOST_PUBLISHED]]
        news = as_json({"kind": "report", "at": self._parts.now, "record": {**summary, "findings": findings}})

        async def work(transaction: Transaction) -> None:
            await self._parts.publish(transaction, channel, news)

        await self._parts.database.transact(work)


class _Reconciliation:
    """One run."""

    def __init__(self, parts: Parts, calls: Calls, start: int, end: int) -> None:
        self._parts = parts
        self._calls = calls
        self._report = Report(start, end)
        self._seeks = 0

    async def run(self) -> Report:
        report = self._report
        for start in range(report.start, report.end, DAY):
            end = min(start + DAY, report.end)
            seen = await self._parts.gateway.transactions_between(start, end)
            sent = await attempts.sent_between(self._parts.database, start, end)
            report.unknown += sum(map(is_open, sent))
            await self._compare(await transactions.made_between(self._parts.database, start, end), seen)
        return report

    async def _compare(self, ours: Sequence[Stored], seen: Sequence[GatewayTransaction]) -> None:
        here = {each.id: each for each in ours}
        there = {each.id: each for each in seen}
        self._report.here += len(here)
        self._report.there += len(there)
        for each in there.values():
            # It may be of the day before for us.
            await self._meet(here.get(each.id) or await transactions.find(self._parts.database, each.id), each)
        for stored in here.values():
            if stored.id not in there:
                await self._seek(stored)

    async def _seek(self, stored: Stored) -> None:
        """The search of the gateway lags, and its days may begin at another second."""
        self._seeks += 1
        seen = await self._parts.gateway.transaction(stored.id) if self._seeks <= MOST_SEEKS else None
        if seen is not None:
            await self._meet(stored, seen)
        else:
            here = f"{stored.amount} {stored.status}"
            self._report.add(Finding(Difference.MISSING_THERE, stored.id, stored.order_id, here, ""))

    async def _meet(self, stored: Stored | None, seen: GatewayTransaction) -> None:
        if seen.kind == "sale" and seen.status in CAPTURED:
            self._report.sums[seen.amount.currency] += seen.amount.minor
        is_same = stored is not None and (stored.amount, stored.status) == (seen.amount, seen.status)
        now = stored if is_same else await self._put(seen)
        if stored is None or not await self._is_ours(stored.order_id, seen):
            order_id = now.order_id if now else ""
            is_mended = await self._is_ours(order_id, seen)
            there = f"{seen.amount} {seen.status}"
            self._report.add(Finding(Difference.MISSING_HERE, seen.id, order_id, "", there, is_mended))
        elif not is_same:
            self._differ(stored, seen, now)

    async def _put(self, seen: GatewayTransaction) -> Stored | None:
        await sightings.put(self._parts, self._calls, seen)
        return await transactions.find(self._parts.database, seen.id)

    async def _is_ours(self, order_id: str, seen: GatewayTransaction) -> bool:
        if order_id:
            return True
        return await subscription_rows.find(self._parts.database, seen.subscription_id) is not None

    def _differ(self, before: Stored, seen: GatewayTransaction, now: Stored | None) -> None:
        is_mended = now is not None and (now.amount, now.status) == (seen.amount, seen.status)
        self._report.caught_up += is_mended
        ids = (seen.id, before.order_id)
        if before.amount != seen.amount:
            amounts = (str(before.amount), str(seen.amount))
            self._report.add(Finding(Difference.OTHER_AMOUNT, *ids, *amounts, is_mended))
        if before.status != seen.status and seen.created_at < self._parts.now - DAY:
            self._report.add(Finding(Difference.OTHER_STATE, *ids, before.status, seen.status, is_mended))


def minute_of(text: str) -> int | None:
    """The minute of the day of an hour as in "03:00"; None for "". Raises ``ValueError``."""
    if not text:
        return None
    hour, colon, minute = text.partition(":")
    is_hour = colon and len(hour) == len(minute) == 2 and (hour + minute).isascii() and (hour + minute).isdigit()
    if not is_hour or int(hour) > 23 or int(minute) > 59:
        raise ValueError('write the hour of the report in UTC as in "03:00", or "" for never')
    return int(hour) * 60 + int(minute)
