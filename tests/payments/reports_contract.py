"""What shopkeepers see when their payments are compared with the gateway's, on every database."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred

from rtserver.core.payments import Money
from rtserver.payments.errors import GatewayAway
from rtserver.payments.options import PaymentsOptions
from rtserver.payments.records import GatewayTransaction, Op, OrderState
from rtserver.payments.report import Difference, Report
from rtserver.payments.reports import DAY, LONGEST, Reports, minute_of
from tests.payments.fake_gateway import is_lost_on_the_way
from tests.payments.market import Market
from tests.payments.shop import START, checks_of, refusal

BEGIN = int(START * 1000) // DAY * DAY


async def compared(market: Market) -> Report:
    return await market.reports.reconcile(BEGIN, market.parts.now + 1000)


def found(report: Report) -> list[tuple[str, str, str, bool]]:
    return [(each.difference.value, each.here, each.there, each.is_mended) for each in report.findings]


async def sale(market: Market) -> GatewayTransaction:
    await market.paid()
    return market.gateway.charged()[-1]


def by_hand(market: Market, **changes: object) -> GatewayTransaction:
    return market.gateway.add("sale", "settled", market.gateway.asked[0][1], order_id="by-hand", **changes)


async def check_equal_books_have_no_difference(market: Market) -> None:
    await sale(market)
    await market.subscribed()
    report = await compared(market)
    assert (report.here, report.there, report.findings, report.is_clean) == (2, 2, [], True)
    assert report.summary()["settled"] == {"USD": "17.00"}
    assert "No difference." in report.text()


async def check_a_payment_of_the_control_panel_is_missing_here(market: Market) -> None:
    await sale(market)
    foreign = by_hand(market)
    for _ in range(2):
        report = await compared(market)
        assert found(report) == [("missing_here", "", "10.00 USD settled", False)]
        assert report.findings[0].transaction == foreign.id and not report.is_clean
        # A webhook tells of it as well; it is none of ours all the same.
        await market.told("transaction_settled", foreign.id)


async def check_what_the_gateway_does_not_know_is_missing_there(market: Market) -> None:
    lost = await sale(market)
    del market.gateway.transactions[lost.id]
    report = await compared(market)
    assert found(report) == [("missing_there", "10.00 USD submitted_for_settlement", "", False)]


async def check_what_a_search_does_not_find_yet_is_not_missing(market: Market) -> None:
    seen = await sale(market)
    market.gateway.transactions[seen.id] = replace(seen, created_at=seen.created_at - 10 * DAY)
    assert found(await compared(market)) == []


async def check_what_is_of_another_day_here_is_not_missing(market: Market) -> None:
    seen = await sale(market)
    await market.database.run("update rt_pay_transactions set created_at = ?", (seen.created_at - DAY,))
    assert found(await compared(market)) == []


async def check_another_amount_is_said(market: Market) -> None:
    seen = await sale(market)
    market.gateway.transactions[seen.id] = replace(seen, amount=Money(900, "USD"))
    assert found(await compared(market)) == [("other_amount", "10.00 USD", "9.00 USD", True)]
    assert found(await compared(market)) == []


async def check_a_settlement_that_no_webhook_told_of_is_caught_up(market: Market) -> None:
    order = await market.paid()
    market.gateway.set_status(market.gateway.charged()[0].id, "settled")
    report = await compared(market)
    assert (report.caught_up, found(report)) == (1, [])
    assert (await market.order(order.id)).state is OrderState.SETTLED
    assert (await market.news())[-1] == "payment.settled"


async def check_another_state_is_said_when_it_is_older_than_a_day(market: Market) -> None:
    seen = await sale(market)
    market.gateway.set_status(seen.id, "settled")
    market.clock.advance(86400 + 1)
    report = await compared(market)
    assert found(report) == [("other_state", "submitted_for_settlement", "settled", True)] and report.is_clean
    market.gateway.set_status(seen.id, "authorized")
    report = await compared(market)
    assert found(report) == [("other_state", "settled", "authorized", False)] and not report.is_clean


async def check_a_charge_of_a_subscription_that_no_webhook_told_of_is_recorded(market: Market) -> None:
    row = await market.subscribed()
    market.gateway.charge(row.id, "settled")
    assert found(await compared(market)) == [("missing_here", "", "7.00 USD settled", True)]
    assert found(await compared(market)) == []


async def check_a_payment_whose_answer_was_lost_is_found(market: Market) -> None:
    market.gateway.will(Op.SALE, is_lost_on_the_way)
    answer = await market.pay()
    report = await compared(market)
    assert (report.unknown, report.is_clean) == (1, False)
    attempt = market.gateway.asked[0][1]
    market.gateway.add("sale", "settled", attempt)
    report = await compared(market)
    assert found(report) == [("missing_here", "", "10.00 USD settled", True)]
    assert (await market.order(answer)).state is OrderState.SETTLED


async def check_a_report_is_json_and_a_table(market: Market) -> None:
    seen = await sale(market)
    foreign = by_hand(market)
    del market.gateway.transactions[seen.id]
    report = await compared(market)
    told = json.loads(json.dumps(report.as_json()))
    assert (told["missing_here"], told["missing_there"], told["start"]) == (1, 1, "2027-01-15T00:00:00Z")
    assert [each["difference"] for each in told["findings"]] == ["missing_here", "missing_there"]
    lines = report.text().splitlines()
    assert any(foreign.id in line and "missing here" in line for line in lines)
    assert lines[-1] == "Differences: 1 missing here, 1 missing there; 0 of them are right now."
    assert "ada" not in report.text().lower() + json.dumps(told).lower()


async def check_a_long_time_is_read_day_by_day_and_has_a_bound(market: Market) -> None:
    await sale(market)
    await market.reports.reconcile(BEGIN - 9 * DAY, BEGIN + DAY)
    assert market.gateway.called.count("transactions_between") == 10
    for span in ((5, 5), (5, 4), (-1, 5), (0, LONGEST + 1)):
        assert (await refusal(market.reports.reconcile(*span))).code == "bad_span"


async def check_one_report_is_made_at_a_time(market: Market) -> None:
    gate: Deferred[None] = Deferred()
    market.gateway.will_do("transactions_between", gate)
    first = Deferred.fromCoroutine(compared(market))
    assert (await refusal(compared(market))).code == "report_in_progress"
    gate.callback(None)
    await first
    await compared(market)


async def check_a_report_that_cannot_be_made_says_so(market: Market) -> None:
    market.gateway.is_away = True
    with pytest.raises(GatewayAway):
        await compared(market)
    market.gateway.is_away = False
    await compared(market)


# Every night


async def reported(market: Market) -> list[dict[str, object]]:
    return [each["record"] for each in await market.staff_news() if each["kind"] == "report"]


async def check_the_staff_hears_of_the_nightly_report(market: Market) -> None:
    await sale(market)
    by_hand(market)
    # START is 08:00 UTC.
    assert await market.reports.round() == 3600
    market.clock.advance(18.5 * 3600)
    assert await market.reports.round() == 1800
    market.clock.advance(1800)
    assert await market.reports.round() == 3600
    (report,) = await reported(market)
    assert (report["missing_here"], report["end"]) == (1, "2027-01-16T00:00:00Z")
    assert await market.reports.round() == 3600
    assert len(await reported(market)) == 1
    market.clock.advance(86400)
    await market.reports.round()
    assert len(await reported(market)) == 2


async def check_a_nightly_report_waits_for_the_gateway(market: Market) -> None:
    await market.reports.round()
    market.clock.advance(19 * 3600)
    market.gateway.is_away = True
    assert await market.reports.round() == 900
    market.gateway.is_away = False
    await market.reports.round()
    assert len(await reported(market)) == 1


async def check_a_server_that_slept_does_not_report_at_noon(market: Market) -> None:
    await market.reports.round()
    market.clock.advance(30 * 3600)
    await market.reports.round()
    assert await reported(market) == []


async def check_no_hour_is_no_nightly_report(market: Market) -> None:
    parts = replace(market.parts, options=PaymentsOptions(reconcile_at=""))
    reports = Reports(parts, market.calls)
    await reports.start()
    await reports.stop()
    assert market.gateway.called == []


async def check_an_hour_is_an_hour(market: Market) -> None:
    assert [minute_of(text) for text in ("", "00:00", "03:00", "23:59")] == [None, 0, 180, 1439]
    for text in ("3:00", "24:00", "12:60", "noon", "03.00", "+3:00", "٠٣:٠٠"):
        with pytest.raises(ValueError):
            minute_of(text)


async def check_only_so_many_findings_are_kept(market: Market) -> None:
    await sale(market)
    for _ in range(1002):
        by_hand(market)
    report = Report(0, 1)
    finding = (await compared_one(market)).findings[0]
    for _ in range(1002):
        report.add(finding)
    assert len(report.findings) == 1000 and report.counts[Difference.MISSING_HERE.value] == 1002
    assert "... and 2 more" in report.text()


async def compared_one(market: Market) -> Report:
    first = by_hand(market)
    market.gateway.transactions = {first.id: first}
    return await compared(market)


REPORTS_CHECKS = checks_of(globals())
