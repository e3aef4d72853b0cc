"""What becomes of payments whose outcome nobody knows, on every database."""

from __future__ import annotations

from dataclasses import replace

from rtserver.payments import attempts
from rtserver.payments.calls import SPARE
from rtserver.payments.reconciler import EMPTY
from rtserver.payments.records import AttemptState, GatewayTransaction, Op, OrderState, Outcome
from tests.payments.fake_gateway import (
    FakeGateway,
    Work,
    approves,
    is_lost_on_the_way,
    refuses,
    waits,
    works_then_loses_the_answer,
)
from tests.payments.shop import ADA, KEEPER, Shop, checks_of, refusal

LOST = (is_lost_on_the_way,) * 4
"""The call and every repeat of it."""


async def check_an_unknown_outcome_is_said_and_the_page_learns_it_later(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, works_then_loses_the_answer)
    answer = await shop.pay()
    assert (answer.status, answer.result, answer.retry) == (202, "unknown", False)
    assert answer.order["state"] == "checking" and "Do not pay again" in answer.message
    await shop.later(5)
    assert (await shop.order(answer)).state is OrderState.PAID
    assert await shop.news() == ["payment.checking", "payment.paid"]
    assert len(shop.gateway.transactions) == 1


async def check_the_same_call_is_made_again_with_the_same_key(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, is_lost_on_the_way, is_lost_on_the_way)
    answer = await shop.pay(nonce="n1", device_data="d1")
    await shop.later(40)
    assert (await shop.order(answer)).state is OrderState.PAID
    first, *repeats = shop.gateway.sales
    assert {each.attempt.api_request_key for each in repeats} == {first.attempt.api_request_key}
    assert [replace(each, attempt=first.attempt) for each in repeats] == [first, first] and first.nonce == "n1"
    # The gateway is told that it is asked again.
    assert {each.attempt.state for each in repeats} == {AttemptState.UNKNOWN}
    assert shop.calls.kept(first.attempt.id) is None


async def check_a_clock_that_is_set_back_keeps_nobody_waiting(shop: Shop) -> None:
    """The time of the next look lies an hour ahead then."""
    shop.gateway.will(Op.SALE, works_then_loses_the_answer)
    answer = await shop.pay()
    shop.clock_is_behind = 3600.0
    await shop.later(5)
    assert (await shop.order(answer)).state is OrderState.PAID


async def check_a_repeat_that_is_declined_ends_the_attempt(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, is_lost_on_the_way, refuses(AttemptState.DECLINED, "2000"))
    answer = await shop.pay(nonce="n1", key="k1")
    await shop.later(5)
    again = await shop.pay(nonce="n1", key="k1")
    assert (again.result, again.code, again.order["state"]) == ("declined", "2000", "open")
    assert await shop.news() == ["payment.checking", "payment.open"]
    assert (await shop.pay(order=answer.order["order"])).result == "done"


async def check_a_refusal_to_repeat_says_nothing_about_the_first_call(shop: Shop) -> None:
    """91564: the nonce was used; 915231: the merchant has no keys; duplicate: there is another one."""
    for way in (
        refuses(AttemptState.INVALID, "91564"),
        refuses(AttemptState.INVALID, "915231"),
        refuses(AttemptState.ERROR, "not_connected"),
        refuses(AttemptState.REJECTED, "duplicate"),
    ):
        shop.gateway.will(Op.SALE, works_then_loses_the_answer, way)
        answer = await shop.pay()
        shop.gateway.blind = 1
        await shop.later(5)
        assert (await shop.order(answer)).state is OrderState.CHECKING
        shop.gateway.blind = 0
        shop.gateway.ways.clear()
        await shop.later(40)
        assert (await shop.order(answer)).state is OrderState.PAID


async def check_nobody_pays_an_order_anew_while_it_is_checked(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, is_lost_on_the_way)
    order = await shop.checkout.start_order(ADA, "book")
    assert (await shop.pay(order=order.id, nonce="n1")).result == "unknown"
    second = await shop.pay(order=order.id, nonce="n2")
    assert (second.status, second.result) == (202, "unknown")
    refused = await refusal(shop.changes.reverse(KEEPER, order.id))
    assert refused.code == "in_progress"
    assert shop.gateway.count(Op.SALE) == 1


async def check_a_gateway_that_is_silent_makes_the_outcome_unknown_at_the_deadline(shop: Shop) -> None:
    way, gate = waits(done_first=True)
    shop.gateway.will(Op.SALE, way)
    paying = shop.paying()
    await shop.until(lambda: bool(shop.gateway.asked))
    shop.clock.advance(shop.parts.deadline + SPARE)
    answer = await paying
    assert (answer.status, answer.result, answer.order["state"]) == (202, "unknown", "checking")
    for _ in range(3):
        # It is neither repeated nor searched for while it is under way.
        shop.clock.advance(6)
        await shop.reconciler.round()
    assert shop.gateway.count(Op.SALE) == 1 and shop.gateway.searches == 0
    gate.callback(None)
    await shop.quiet()
    assert (await shop.order(answer)).state is OrderState.PAID
    assert await shop.news() == ["payment.checking", "payment.paid"]


async def check_a_server_that_dies_after_the_gateway_worked_charges_once(shop: Shop) -> None:
    way, gate = waits(done_first=True)
    shop.gateway.will(Op.SALE, way)
    paying = shop.paying(nonce="n1")
    await shop.until(lambda: bool(shop.gateway.asked))
    dead = shop.calls
    shop.restart()
    await shop.later(shop.parts.deadline + 1)
    assert await shop.news() == ["payment.checking"]
    await shop.later(5)
    again = await shop.pay(nonce="n1")
    assert (again.result, again.order["state"]) == ("done", "paid")
    assert shop.gateway.count(Op.SALE) == 1 and len(shop.gateway.transactions) == 1
    assert await shop.news() == ["payment.checking", "payment.paid"]
    gate.callback(None)
    assert (await paying).result == "unknown"
    await shop.until(lambda: not dead.under_way)
    assert await shop.news() == ["payment.checking", "payment.paid"]


async def check_a_server_that_dies_before_the_call_charges_nobody(shop: Shop) -> None:
    way, gate = waits()
    shop.gateway.will(Op.SALE, way)
    paying = shop.paying(nonce="n1")
    await shop.until(lambda: bool(shop.gateway.asked))
    order_id = shop.gateway.sales[0].attempt.order_id
    dead = shop.calls
    shop.restart()
    await shop.later(shop.parts.deadline + 1)
    await shop.later(700)
    assert (await shop.order(order_id)).state is OrderState.CHECKING
    await shop.later(100)
    assert (await shop.order(order_id)).state is OrderState.OPEN
    (attempt,) = await shop.attempts(order_id)
    assert (attempt.state, attempt.code) == (AttemptState.ERROR, "never_arrived")
    assert shop.gateway.count(Op.SALE) == 1 and shop.gateway.searches >= 3
    gate.errback(ConnectionError("the server is dead"))
    assert (await paying).result == "unknown"
    await shop.until(lambda: not dead.under_way)
    assert (await shop.order(order_id)).state is OrderState.OPEN


async def check_one_empty_search_proves_nothing(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, works_then_loses_the_answer)
    answer = await shop.pay()
    shop.restart()
    shop.gateway.blind = EMPTY - 1
    await shop.later(600)
    assert (await shop.order(answer)).state is OrderState.CHECKING
    await shop.later(300)
    assert (await shop.order(answer)).state is OrderState.PAID


async def check_it_takes_ten_minutes_of_empty_searches_to_give_a_payment_up(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, is_lost_on_the_way)
    answer = await shop.pay()
    shop.restart()
    before = shop.clock.seconds()
    while (await shop.order(answer)).state is OrderState.CHECKING:
        await shop.later(5)
    assert shop.gateway.searches >= 3 and shop.clock.seconds() - before >= 600
    assert (await shop.pay(order=answer.order["order"])).result == "done"


async def check_a_search_that_fails_does_not_count(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, works_then_loses_the_answer)
    answer = await shop.pay()
    shop.restart()
    shop.gateway.is_away = True
    await shop.later(7200)
    (attempt,) = await shop.attempts(answer)
    assert (attempt.state, attempt.empties) == (AttemptState.UNKNOWN, 0) and attempt.checks > 3
    shop.gateway.is_away = False
    await shop.later(600)
    assert (await shop.order(answer)).state is OrderState.PAID


async def check_an_empty_search_beside_a_repeat_does_not_count(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, *LOST)
    answer = await shop.pay()
    await shop.later(5 + 30 + 120 + 5)
    (attempt,) = await shop.attempts(answer)
    assert shop.gateway.count(Op.SALE) == 4 and attempt.empties == 0
    await shop.later(1500)
    assert (await shop.order(answer)).state is OrderState.OPEN
    assert shop.gateway.count(Op.SALE) == 4


async def check_a_payment_that_turns_up_after_it_was_given_up_is_undone(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, *LOST)
    answer = await shop.pay()
    await shop.later(2000)
    order = await shop.order(answer)
    assert order.state is OrderState.OPEN
    late = shop.gateway.add("sale", "submitted_for_settlement", (await shop.attempts(order))[0])
    await shop.calls.observe(late)
    await shop.quiet()
    assert shop.gateway.charged() == [] and shop.gateway.count(Op.VOID) == 1
    assert (await shop.order(order.id)).state is OrderState.OPEN
    assert (await shop.pay(order=order.id)).result == "done"


async def check_a_late_payment_that_is_settled_already_is_given_back(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, *LOST)
    answer = await shop.pay()
    await shop.later(2000)
    paid = await shop.pay(order=answer.order["order"])
    assert paid.result == "done"
    late = shop.gateway.add("sale", "settled", (await shop.attempts(answer))[0])
    await shop.calls.observe(late)
    await shop.quiet()
    assert (shop.gateway.count(Op.VOID), shop.gateway.count(Op.REFUND)) == (0, 1)
    order = await shop.order(answer)
    assert (order.state, order.captured, order.refunded.minor) == (OrderState.PAID, order.price, 0)
    await shop.calls.observe(late)
    await shop.quiet()
    assert shop.gateway.count(Op.REFUND) == 1


async def check_a_void_that_is_too_late_becomes_a_refund(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, approves(600))
    shop.gateway.will(Op.VOID, _settles_first)
    answer = await shop.pay()
    assert answer.result == "amount_mismatch"
    await shop.quiet()
    assert (shop.gateway.count(Op.VOID), shop.gateway.count(Op.REFUND)) == (1, 1)
    assert (await shop.order(answer)).state is OrderState.OPEN


async def check_what_could_not_be_undone_is_tried_again_at_the_next_word_of_the_gateway(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, approves(600))
    shop.gateway.will(Op.VOID, refuses(AttemptState.INVALID, "91504"))
    answer = await shop.pay()
    await shop.quiet()
    (charged,) = shop.gateway.charged()
    assert (await shop.order(answer)).state is OrderState.CHECKING
    await shop.calls.observe(charged)
    await shop.quiet()
    assert shop.gateway.charged() == [] and (await shop.order(answer)).state is OrderState.OPEN
    assert [op for op, _ in shop.gateway.asked] == [Op.SALE, Op.VOID, Op.REFUND, Op.VOID]


async def check_undoing_goes_on_until_the_gateway_can_be_reached(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, approves(600))
    shop.gateway.will(Op.VOID, *[refuses(AttemptState.ERROR, "not_connected")] * 3)
    answer = await shop.pay()
    await shop.quiet()
    assert (await shop.order(answer)).state is OrderState.CHECKING
    await shop.later(1000)
    assert (await shop.order(answer)).state is OrderState.OPEN
    assert shop.gateway.count(Op.VOID) == 4 and shop.gateway.charged() == []


async def check_a_server_that_dies_before_it_undoes_a_wrong_amount_does_it_later(shop: Shop) -> None:
    way, gate = waits()
    shop.gateway.will(Op.SALE, approves(600))
    shop.gateway.will(Op.VOID, way)
    answer = await shop.pay()
    dead = shop.calls
    shop.restart()
    await shop.later(60)
    assert (await shop.order(answer)).state is OrderState.OPEN and shop.gateway.charged() == []
    gate.errback(ConnectionError("the server is dead"))
    await shop.until(lambda: not dead.under_way)


async def check_a_charge_that_was_made_twice_is_kept_once(shop: Shop) -> None:
    """A gateway that takes the key for nothing."""
    shop.gateway.knows_keys = False
    shop.gateway.will(Op.SALE, works_then_loses_the_answer, works_then_loses_the_answer)
    answer = await shop.pay()
    await shop.later(40)
    await shop.quiet()
    order = await shop.order(answer)
    assert order.state is OrderState.PAID and order.captured == order.price
    assert len(shop.gateway.charged()) == 1


async def check_what_is_found_declined_leaves_the_order_open(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, is_lost_on_the_way)
    answer = await shop.pay()
    shop.restart()
    shop.gateway.add("sale", "processor_declined", (await shop.attempts(answer))[0])
    await shop.later(10)
    assert (await shop.order(answer)).state is OrderState.OPEN


async def check_word_of_the_gateway_ends_the_waiting(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, works_then_loses_the_answer)
    answer = await shop.pay()
    (seen,) = shop.gateway.transactions.values()
    await shop.calls.observe(seen)
    assert (await shop.order(answer)).state is OrderState.PAID
    await shop.later(60)
    assert shop.gateway.count(Op.SALE) == 1


async def check_a_transaction_of_another_shop_is_none_of_ours(shop: Shop) -> None:
    order = await shop.paid()
    foreign = GatewayTransaction("bt99", "sale", "settled", order.price, "somebody-elses", 0)
    assert (await shop.calls.observe(foreign)).order is None
    assert len(await shop.rows("rt_pay_transactions")) == 1


async def check_old_word_of_the_gateway_moves_nothing_back(shop: Shop) -> None:
    order = await shop.settled()
    assert order.state is OrderState.SETTLED
    (seen,) = shop.gateway.transactions.values()
    for status in ("settling", "submitted_for_settlement", "authorized", "a_new_word"):
        await shop.calls.observe(shop.gateway.set_status(seen.id, status))
        assert (await shop.order(order.id)).state is OrderState.SETTLED
    assert await shop.news() == ["payment.paid", "payment.settled"]


async def check_a_settlement_that_is_declined_fails_the_order(shop: Shop) -> None:
    order = await shop.paid()
    (seen,) = shop.gateway.transactions.values()
    await shop.calls.observe(shop.gateway.set_status(seen.id, "settlement_declined"))
    failed = await shop.order(order.id)
    assert (failed.state, failed.captured.minor) == (OrderState.FAILED, 0)


async def check_an_authorization_that_expires_voids_the_order(shop: Shop) -> None:
    order = await shop.paid(item="room")
    (seen,) = shop.gateway.transactions.values()
    await shop.calls.observe(shop.gateway.set_status(seen.id, "authorization_expired"))
    assert (await shop.order(order.id)).state is OrderState.VOIDED


async def check_an_outcome_that_comes_when_nobody_waits_any_more_is_written_down(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, is_lost_on_the_way)
    answer = await shop.pay()
    (attempt,) = await shop.attempts(answer)
    seen = shop.gateway.add("sale", "submitted_for_settlement", attempt)
    shop.calls.late(attempt, Outcome(AttemptState.APPROVED, "approved", "", transaction=seen))
    while (await shop.order(answer)).state is not OrderState.PAID:
        await shop.turn()
    await shop.later(60)
    assert shop.gateway.count(Op.SALE) == 1


async def check_a_sale_that_is_being_authorized_is_waited_for(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, is_lost_on_the_way)
    answer = await shop.pay()
    shop.restart()
    seen = shop.gateway.add("sale", "authorizing", (await shop.attempts(answer))[0])
    await shop.later(3600)
    assert (await shop.order(answer)).state is OrderState.CHECKING
    shop.gateway.set_status(seen.id, "submitted_for_settlement")
    await shop.later(600)
    assert (await shop.order(answer)).state is OrderState.PAID


async def check_a_restart_looks_for_everything_that_was_under_way(shop: Shop) -> None:
    gates = []
    for _ in range(8):
        way, gate = waits(done_first=True)
        shop.gateway.will(Op.SALE, way)
        gates.append(gate)
    payings = [shop.paying() for _ in gates]
    await shop.until(lambda: shop.gateway.count(Op.SALE) == len(gates))
    shop.restart()
    await shop.later(120)
    states = [row[5] for row in await shop.rows("rt_pay_orders")]
    assert states == ["paid"] * 8 and len(shop.gateway.charged()) == 8
    assert await attempts.due(shop.database, shop.parts.now + 10**9, 100) == []
    for gate, paying in zip(gates, payings, strict=True):
        gate.callback(None)
        await paying


async def _settles_first(gateway: FakeGateway, work: Work) -> Outcome:
    gateway.set_status(gateway.asked[-1][1].target, "settled")
    return work()


UNKNOWN_CHECKS = checks_of(globals())
