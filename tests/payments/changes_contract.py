"""What a shopkeeper does to orders, on every database."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from rtserver.core.payments import Money
from rtserver.payments import answers
from rtserver.payments.errors import GatewayAway, PaymentRefused
from rtserver.payments.records import AttemptState, Op, Order, OrderState, Outcome
from tests.payments.fake_gateway import (
    FakeGateway,
    Work,
    is_lost_on_the_way,
    refuses,
    waits,
    works_then_loses_the_answer,
)
from tests.payments.shop import ADA, KEEPER, Shop, checks_of, refusal

ROOM_PRICE = 9000


async def check_only_staff_changes_orders(shop: Shop) -> None:
    order = await shop.paid()
    changes = shop.changes
    for work in (
        changes.settle(ADA, order.id),
        changes.void(ADA, order.id),
        changes.refund(ADA, order.id),
        changes.reverse(ADA, order.id),
    ):
        refused = await refusal(work)
        assert (refused.code, refused.status) == ("not_staff", 403)
    assert (await refusal(changes.void(KEEPER, "no"))).code == "no_such_order"


async def record_of(shop: Shop, order: Order) -> dict[str, Any]:
    found = await shop.order(order.id)
    return (await answers.records_of(shop.database, [found]))[0]


async def told_of(shop: Shop, order: Order) -> tuple[str, str, str]:
    record = await record_of(shop, order)
    return record["state"], record["code"], record["message"]


async def check_an_order_that_is_further_than_its_sale_says_so(shop: Shop) -> None:
    paid, held = await shop.paid(), await shop.paid(item="room")
    assert await told_of(shop, paid) == ("paid", "approved", "The payment went through.")
    assert await told_of(shop, held) == ("authorized", "approved", "The amount is held, and not charged yet.")
    await shop.changes.void(KEEPER, held.id)
    assert await told_of(shop, held) == ("voided", "voided", "It was released: nothing is charged.")
    settled = await shop.settled()
    assert await told_of(shop, settled) == ("settled", "approved", "The payment went through.")
    await shop.changes.refund(KEEPER, settled.id, "4.00")
    assert await told_of(shop, settled) == ("partly_refunded", "partly_refunded", "A part of the money is given back.")
    await shop.changes.refund(KEEPER, settled.id)
    assert await told_of(shop, settled) == ("refunded", "refunded", "The money is given back.")


async def check_a_payment_that_is_not_settled_says_so_also_in_the_news(shop: Shop) -> None:
    order = await shop.paid()
    (seen,) = shop.gateway.transactions.values()
    await shop.calls.observe(shop.gateway.set_status(seen.id, "settlement_declined"))
    told = ("failed", "failed", "The bank did not settle this payment: nothing is charged.")
    assert await told_of(shop, order) == told
    (news,) = await shop.database.run("select data from rt_outbox order by id desc limit 1")
    record = json.loads(news[0])["record"]
    assert (record["state"], record["code"], record["message"]) == told


# Settling


async def check_what_is_held_is_settled_later(shop: Shop) -> None:
    order = await shop.paid(item="room")
    answer = await shop.changes.settle(KEEPER, order.id)
    assert (answer.status, answer.result) == (200, "done")
    assert (answer.order["state"], answer.order["captured"]) == ("paid", "90.00")
    assert await shop.news() == ["payment.authorized", "payment.paid"]
    assert (await refusal(shop.changes.settle(KEEPER, order.id))).code == "not_held"


async def check_less_than_is_held_may_be_settled_and_the_rest_is_released(shop: Shop) -> None:
    order = await shop.paid(item="room")
    answer = await shop.changes.settle(KEEPER, order.id, "60.00")
    assert (answer.order["state"], answer.order["captured"], answer.order["amount"]) == ("paid", "60.00", "90.00")
    assert (await refusal(shop.changes.settle(KEEPER, order.id, "30.00"))).code == "not_held"


async def check_what_is_held_may_be_settled_in_parts(shop: Shop) -> None:
    order = await shop.paid(item="room")
    first = await shop.changes.settle(KEEPER, order.id, "60.00", more=True)
    assert (first.order["state"], first.order["captured"]) == ("paid", "60.00")
    refused = await refusal(shop.changes.settle(KEEPER, order.id, "30.01"))
    assert refused.code == "too_much" and "30.00 EUR" in refused.sentence
    second = await shop.changes.settle(KEEPER, order.id)
    assert second.order["captured"] == "90.00"
    assert [each.is_part for op, each in shop.gateway.asked if op is Op.SETTLE] == [True, True]
    assert (await refusal(shop.changes.settle(KEEPER, order.id))).code == "not_held"


async def check_an_order_of_parts_is_settled_when_all_of_them_are(shop: Shop) -> None:
    order = await shop.paid(item="room")
    await shop.changes.settle(KEEPER, order.id, "60.00", more=True)
    for seen in list(shop.gateway.transactions.values())[1:]:
        await shop.calls.observe(shop.gateway.set_status(seen.id, "settled"))
    assert (await shop.order(order.id)).state is OrderState.PAID
    await shop.changes.settle(KEEPER, order.id)
    for seen in list(shop.gateway.transactions.values())[1:]:
        await shop.calls.observe(shop.gateway.set_status(seen.id, "settled"))
    assert (await shop.order(order.id)).state is OrderState.SETTLED


async def check_more_than_is_held_is_not_settled(shop: Shop) -> None:
    order = await shop.paid(item="room")
    for amount, code in (("90.01", "too_much"), ("x", "bad_amount"), ("0", "bad_amount"), ("1.001", "bad_amount")):
        assert (await refusal(shop.changes.settle(KEEPER, order.id, amount))).code == code
    assert shop.gateway.count(Op.SETTLE) == 0


async def check_a_settlement_of_unknown_outcome_is_found_at_the_gateway(shop: Shop) -> None:
    order = await shop.paid(item="room")
    shop.gateway.will(Op.SETTLE, works_then_loses_the_answer)
    assert (await shop.changes.settle(KEEPER, order.id)).status == 202
    assert (await refusal(shop.changes.void(KEEPER, order.id))).code == "in_progress"
    await shop.later(10)
    assert (await shop.order(order.id)).state is OrderState.PAID and shop.gateway.count(Op.SETTLE) == 1


async def check_a_part_of_unknown_outcome_is_settled_once(shop: Shop) -> None:
    order = await shop.paid(item="room")
    shop.gateway.will(Op.SETTLE, works_then_loses_the_answer)
    assert (await shop.changes.settle(KEEPER, order.id, "60.00", more=True)).status == 202
    shop.restart()
    shop.gateway.blind = 1
    await shop.later(10)
    assert (await shop.order(order.id)).captured == Money(6000, "EUR")
    assert len(shop.gateway.transactions) == 2


# Voiding


async def check_what_is_held_is_released(shop: Shop) -> None:
    order = await shop.paid(item="room")
    answer = await shop.changes.void(KEEPER, order.id)
    assert (answer.result, answer.order["state"]) == ("done", "voided")
    assert (await refusal(shop.changes.void(KEEPER, order.id))).code == "nothing_left"


async def check_what_is_not_settled_yet_is_voided_and_not_refunded(shop: Shop) -> None:
    order = await shop.paid()
    refused = await refusal(shop.changes.refund(KEEPER, order.id))
    assert refused.code == "not_settled" and "void" in refused.sentence
    answer = await shop.changes.void(KEEPER, order.id)
    assert (answer.order["state"], answer.order["captured"]) == ("voided", "0.00")


async def check_what_is_settled_is_refunded_and_not_voided(shop: Shop) -> None:
    order = await shop.settled()
    refused = await refusal(shop.changes.void(KEEPER, order.id))
    assert refused.code == "not_voidable" and "refund" in refused.sentence


async def check_a_void_that_the_gateway_refuses_leaves_the_order_as_it_is(shop: Shop) -> None:
    order = await shop.paid()
    shop.gateway.will(Op.VOID, refuses(AttemptState.INVALID, "91504", "Cannot be voided."))
    answer = await shop.changes.void(KEEPER, order.id)
    assert (answer.status, answer.code, answer.order["state"]) == (422, "91504", "paid")


async def check_a_void_of_unknown_outcome_is_found_out(shop: Shop) -> None:
    for way in (works_then_loses_the_answer, is_lost_on_the_way):
        order = await shop.paid()
        shop.gateway.will(Op.VOID, way)
        assert (await shop.changes.void(KEEPER, order.id)).result == "unknown"
        assert (await shop.order(order.id)).state is OrderState.PAID
        await shop.later(10)
        assert (await shop.order(order.id)).state is OrderState.VOIDED


# Refunding


async def check_money_is_given_back_in_parts_until_nothing_is_left(shop: Shop) -> None:
    order = await shop.settled()
    first = await shop.changes.refund(KEEPER, order.id, "4.00")
    assert (first.order["state"], first.order["refunded"]) == ("partly_refunded", "4.00")
    refused = await refusal(shop.changes.refund(KEEPER, order.id, "6.01"))
    assert refused.code == "too_much" and "6.00 USD" in refused.sentence and refused.status == 422
    second = await shop.changes.refund(KEEPER, order.id)
    assert (second.order["state"], second.order["refunded"]) == ("refunded", "10.00")
    assert (await refusal(shop.changes.refund(KEEPER, order.id))).code == "nothing_left"
    assert (await refusal(shop.changes.refund(KEEPER, order.id, "0.01"))).code == "too_much"
    assert await shop.news() == ["payment.paid", "payment.settled", "payment.partly_refunded", "payment.refunded"]


async def check_refunds_at_the_same_time_never_give_back_more_than_was_paid(shop: Shop) -> None:
    order = await shop.settled()
    works = [Deferred.fromCoroutine(shop.changes.refund(KEEPER, order.id, "6.00")) for _ in range(4)]
    outcomes = await DeferredList(works, consumeErrors=True)
    refused = [each for is_done, each in outcomes if not is_done]
    assert len(refused) == 3 and all(each.check(PaymentRefused) for each in refused)
    assert (await shop.order(order.id)).refunded == Money(600, "USD")
    assert (await refusal(shop.changes.refund(KEEPER, order.id, "6.00"))).code == "too_much"


async def check_a_refund_that_was_made_is_never_called_under_way(shop: Shop) -> None:
    """Whoever is told to ask again asks again, and gives the money back twice."""
    for turns in range(8):
        order = await shop.settled()
        others: list[Deferred[Any]] = []

        async def another_comes(gateway: FakeGateway, work: Work) -> Outcome:
            outcome = work()
            others.append(Deferred.fromCoroutine(shop.changes.refund(KEEPER, order.id, "3.00")))  # noqa: B023
            for _ in range(turns):  # noqa: B023
                await shop.turn()
            return outcome

        shop.gateway.will(Op.REFUND, another_comes)
        first = Deferred.fromCoroutine(shop.changes.refund(KEEPER, order.id, "3.00"))
        made = [is_done for is_done, _ in await DeferredList([first], consumeErrors=True)]
        made += [is_done for is_done, _ in await DeferredList(others, consumeErrors=True)]
        assert (await shop.order(order.id)).refunded == Money(300 * sum(made), "USD")


async def check_a_refund_of_unknown_outcome_counts_as_given_back(shop: Shop) -> None:
    order = await shop.settled()
    shop.gateway.will(Op.REFUND, works_then_loses_the_answer)
    assert (await shop.changes.refund(KEEPER, order.id, "6.00")).result == "unknown"
    assert (await refusal(shop.changes.refund(KEEPER, order.id, "6.00"))).code == "in_progress"
    await shop.later(10)
    assert (await shop.order(order.id)).refunded == Money(600, "USD")
    assert len(shop.gateway.transactions) == 2


async def check_a_refund_is_found_even_when_keys_are_refused_and_searches_lag(shop: Shop) -> None:
    order = await shop.settled()
    shop.gateway.will(Op.REFUND, works_then_loses_the_answer, refuses(AttemptState.INVALID, "915231"))
    assert (await shop.changes.refund(KEEPER, order.id)).result == "unknown"
    shop.gateway.blind = 100
    await shop.later(10)
    assert (await shop.order(order.id)).state is OrderState.REFUNDED and len(shop.gateway.transactions) == 2


async def check_a_refund_that_never_arrived_is_given_up_after_a_while(shop: Shop) -> None:
    order = await shop.settled()
    shop.gateway.will(Op.REFUND, is_lost_on_the_way, *[refuses(AttemptState.INVALID, "915231")] * 4)
    assert (await shop.changes.refund(KEEPER, order.id)).result == "unknown"
    await shop.later(1000)
    assert (await shop.attempts(order))[-1].state is AttemptState.ERROR
    assert (await shop.changes.refund(KEEPER, order.id)).order["state"] == "refunded"


async def check_a_refund_that_is_asked_for_twice_with_one_key_is_made_once(shop: Shop) -> None:
    order = await shop.settled()
    first = await shop.changes.refund(KEEPER, order.id, "2.00", key="k1")
    again = await shop.changes.refund(KEEPER, order.id, "2.00", key="k1")
    assert again.body() == first.body() and shop.gateway.count(Op.REFUND) == 1
    assert (await refusal(shop.changes.refund(KEEPER, order.id, "3.00", key="k1"))).code == "key_reused"
    assert (await refusal(shop.changes.void(KEEPER, order.id, key="k1"))).code in ("key_reused", "not_voidable")


async def check_a_refund_knows_what_was_settled_a_moment_ago(shop: Shop) -> None:
    order = await shop.paid()
    (seen,) = shop.gateway.transactions.values()
    shop.gateway.set_status(seen.id, "settled")
    answer = await shop.changes.refund(KEEPER, order.id)
    assert answer.order["state"] == "refunded"


async def check_an_order_of_parts_is_given_back_part_by_part(shop: Shop) -> None:
    order = await shop.paid(item="room")
    await shop.changes.settle(KEEPER, order.id, "60.00", more=True)
    await shop.changes.settle(KEEPER, order.id)
    for seen in list(shop.gateway.transactions.values())[1:]:
        await shop.calls.observe(shop.gateway.set_status(seen.id, "settled"))
    answer = await shop.changes.refund(KEEPER, order.id, "70.00", key="k1")
    assert (answer.order["state"], answer.order["refunded"]) == ("partly_refunded", "70.00")
    assert sorted(each.amount.minor for op, each in shop.gateway.asked if op is Op.REFUND) == [1000, 6000]
    assert (await shop.changes.refund(KEEPER, order.id, "70.00", key="k1")).order["refunded"] == "70.00"
    assert (await shop.changes.refund(KEEPER, order.id)).order["state"] == "refunded"


async def check_an_order_that_was_settled_in_parts_is_undone_part_by_part(shop: Shop) -> None:
    """What held the money may be on its way to be settled too: it is the sum of its parts then."""
    for status, undo, state in (
        ("submitted_for_settlement", shop.changes.void, "voided"),
        ("submitted_for_settlement", shop.changes.reverse, "voided"),
        ("settled", shop.changes.reverse, "refunded"),
        ("settled", shop.changes.refund, "refunded"),
    ):
        shop.gateway.transactions.clear()
        order = await shop.paid(item="room")
        await shop.changes.settle(KEEPER, order.id, "60.00", more=True)
        await shop.changes.settle(KEEPER, order.id)
        held, *parts = list(shop.gateway.transactions.values())
        whole = "settled" if status == "settled" else "settlement_pending"
        await shop.calls.observe(shop.gateway.set_status(held.id, whole))
        for each in parts:
            await shop.calls.observe(shop.gateway.set_status(each.id, status))
        answer = await undo(KEEPER, order.id)
        assert (answer.result, answer.order["state"]) == ("done", state)


async def check_a_refund_that_was_made_elsewhere_counts(shop: Shop) -> None:
    order = await shop.settled()
    (sale,) = shop.gateway.charged()
    attempt = (await shop.attempts(order))[0]
    made = shop.gateway.add("credit", "submitted_for_settlement", attempt, parent=sale.id, amount=Money(700, "USD"))
    await shop.calls.observe(made)
    assert (await shop.order(order.id)).refunded == Money(700, "USD")
    assert (await refusal(shop.changes.refund(KEEPER, order.id, "3.01"))).code == "too_much"


async def check_a_refund_that_the_bank_declines_later_was_none(shop: Shop) -> None:
    order = await shop.settled()
    await shop.changes.refund(KEEPER, order.id)
    credit = next(each for each in shop.gateway.transactions.values() if each.kind == "credit")
    await shop.calls.observe(shop.gateway.set_status(credit.id, "settlement_declined"))
    now = await shop.order(order.id)
    assert (now.state, now.refunded.minor) == (OrderState.SETTLED, 0)


# Reversing


async def check_a_payment_is_undone_however_far_it_is(shop: Shop) -> None:
    held, paid, settled = await shop.paid(item="room"), await shop.paid(), await shop.paid()
    (attempt,) = await shop.attempts(settled)
    shop.gateway.set_status(attempt.gateway_id, "settled")
    states = [(await shop.changes.reverse(KEEPER, each.id)).order["state"] for each in (held, paid, settled)]
    assert states == ["voided", "voided", "refunded"]
    assert (await refusal(shop.changes.reverse(KEEPER, paid.id))).code == "nothing_left"


async def check_nothing_is_undone_while_it_is_not_known_how_far_it_is(shop: Shop) -> None:
    order = await shop.paid()
    shop.gateway.is_away = True
    try:
        await shop.changes.reverse(KEEPER, order.id)
    except GatewayAway:
        assert shop.gateway.count(Op.VOID) == 0
    else:
        raise AssertionError("it went on")


async def check_an_order_that_was_never_paid_has_nothing_to_undo(shop: Shop) -> None:
    order = await shop.checkout.start_order(ADA, "book")
    for work in (
        shop.changes.settle(KEEPER, order.id),
        shop.changes.void(KEEPER, order.id),
        shop.changes.refund(KEEPER, order.id),
        shop.changes.reverse(KEEPER, order.id),
    ):
        assert (await refusal(work)).code in ("not_held", "nothing_left")


async def check_a_shopkeeper_who_leaves_cancels_nothing(shop: Shop) -> None:
    order = await shop.settled()
    way, gate = waits()
    shop.gateway.will(Op.REFUND, way)
    refunding = Deferred.fromCoroutine(shop.changes.refund(KEEPER, order.id))
    await shop.until(lambda: shop.gateway.count(Op.REFUND) == 1)
    refunding.addErrback(lambda _: None).cancel()
    gate.callback(None)
    await shop.quiet()
    assert (await shop.order(order.id)).state is OrderState.REFUNDED


# Disputes


async def check_a_dispute_shows_and_its_good_end_gives_the_state_back(shop: Shop) -> None:
    order = await shop.settled()
    ledger = shop.calls.ledger
    await shop.database.transact(lambda transaction: ledger.restate(transaction, order.id, True))
    assert (await shop.order(order.id)).state is OrderState.DISPUTED
    await shop.calls.observe(shop.gateway.charged()[0])
    assert (await shop.order(order.id)).state is OrderState.DISPUTED
    await shop.database.transact(lambda transaction: ledger.restate(transaction, order.id, False))
    assert (await shop.order(order.id)).state is OrderState.SETTLED
    assert (await shop.news())[-2:] == ["payment.disputed", "payment.settled"]


CHANGES_CHECKS = checks_of(globals())
