"""What subscribers and shopkeepers see of subscriptions, on every database."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from rtserver.core.payments import Money
from rtserver.payments import transactions
from rtserver.payments.errors import GatewayAway, GatewayRefused
from rtserver.payments.records import AttemptState, Op, Outcome
from rtserver.payments.sightings import subscription_of
from rtserver.payments.subscriptions import SubscriptionChange
from tests.payments.fake_gateway import is_lost_on_the_way, refuses, works_then_loses_the_answer
from tests.payments.fake_vault import Said
from tests.payments.market import Market
from tests.payments.shop import ADA, BOB, KEEPER, checks_of, refusal


async def check_a_subscriber_pays_with_a_nonce_and_hears_of_it(market: Market) -> None:
    answer = await market.subscribe(nonce="nonce-1881")
    assert (answer.status, answer.result) == (200, "done")
    body = answer.body()
    record = body["subscription"]
    assert "order" not in body and (record["state"], record["amount"], record["plan"]) == ("active", "7.00", "monthly")
    assert record["paid_through"] == "2027-02-14"
    assert await market.news() == ["subscription.checking", "subscription.active"]
    assert [each.token for each in await market.vault.methods(ADA)] == [record["method"]]
    assert "nonce-1881" not in await market.everything()


async def check_a_subscriber_pays_with_a_saved_card(market: Market) -> None:
    token = (await market.vault.save(ADA, "nonce-1881")).token
    row = await market.subscribed(method=token)
    assert row.method == token and market.gateway.subscriptions[row.id].method == token


async def check_the_first_charge_is_known_and_is_of_the_subscription(market: Market) -> None:
    row = await market.subscribed()
    (charge,) = market.gateway.subscriptions[row.id].transactions
    stored = await transactions.find(market.database, charge.id)
    assert stored is not None and (stored.order_id, stored.amount) == ("", Money(700, "USD"))
    assert await subscription_of(market.database, charge.id) == row.id


async def check_the_price_is_that_of_the_item(market: Market) -> None:
    row = await market.subscribed(item="gold")
    assert market.gateway.subscriptions[row.id].price == row.price == Money(1900, "USD")


async def check_a_double_click_subscribes_once(market: Market) -> None:
    gate: Deferred[None] = Deferred()
    market.gateway.will_do("subscribe", gate)
    one = market.subscribing_now(nonce="n1")
    await market.until(lambda: "subscribe" in market.gateway.called)
    other = market.subscribing_now(nonce="n1")
    gate.callback(None)
    first, second = await one, await other
    assert first.order == second.order and first.result == second.result == "done"
    assert len(market.gateway.subscriptions) == 1


async def check_the_same_request_later_gets_the_same_answer(market: Market) -> None:
    first = await market.subscribe(nonce="n1", key="k1")
    market.restart()
    assert await market.subscribe(nonce="n1", key="k1") == first
    refused = await refusal(market.subscribe(nonce="n2", key="k1"))
    assert (refused.code, refused.field) == ("key_reused", "key")
    assert market.gateway.called.count("subscribe") == 1


async def check_a_nonce_that_began_a_subscription_begins_no_other(market: Market) -> None:
    await market.subscribe(nonce="n1")
    refused = await refusal(market.subscribe(nonce="n1", item="other"))
    assert (refused.code, refused.field) == ("key_reused", "nonce")


async def check_nobody_has_two_subscriptions_to_one_item(market: Market) -> None:
    row = await market.subscribed()
    assert (await refusal(market.subscribe())).code == "already_subscribed"
    await market.subscribed(BOB)
    await market.subscriptions.cancel(ADA, row.id)
    assert (await market.subscribed()).id != row.id


async def check_what_cannot_be_subscribed_to_is_refused_before_anything_is_saved(market: Market) -> None:
    assert (await refusal(market.subscribe(item="book"))).code == "not_a_subscription"
    assert (await refusal(market.subscribe(item="old"))).status == 404
    assert (await refusal(market.subscribe(item="nothing"))).status == 404
    assert (await refusal(market.subscribe(nonce="n", method="m"))).code == "nonce_or_method"
    assert market.gateway.called == []


async def check_a_lost_answer_is_found_by_our_own_id_and_charges_once(market: Market) -> None:
    market.gateway.will_do("subscribe", "lost")
    answer = await market.subscribe()
    assert (answer.status, answer.result, answer.order["state"]) == (202, "unknown", "checking")
    await market.later(5)
    assert (await market.subscription(answer)).status == "active"
    assert len(market.gateway.charged()) == 1
    assert await market.news() == ["subscription.checking", "subscription.active"]


async def check_a_server_that_is_killed_while_it_subscribes_finds_out_afterwards(market: Market) -> None:
    gate: Deferred[None] = Deferred()
    market.gateway.will_do("subscribe", gate)
    market.subscribing_now(nonce="n1").addErrback(lambda _: None)
    await market.until(lambda: "subscribe" in market.gateway.called)
    (id,) = [row[0] for row in await market.rows("rt_pay_subscriptions")]
    method = (await market.subscription(id)).method
    market.gateway._subscribe(id, "monthly", method, Money(700, "USD"))
    market.restart()
    await market.later(40)
    assert (await market.subscription(id)).status == "active"
    assert (await market.subscribe(nonce="n1")).result == "done"
    assert len(market.gateway.charged()) == 1


async def check_a_request_that_never_arrived_is_made_again(market: Market) -> None:
    market.gateway.will_do("subscribe", "dropped", "dropped")
    answer = await market.subscribe()
    assert answer.result == "unknown"
    await market.later(60)
    assert (await market.subscription(answer)).status == "active"
    assert len(market.gateway.charged()) == 1


async def check_a_request_that_never_arrives_is_given_up(market: Market) -> None:
    market.gateway.will_do("subscribe", *["dropped"] * 20)
    answer = await market.subscribe()
    await market.later(4800)
    assert (await market.subscription(answer)).status == "error"
    market.gateway._turns.clear()
    assert (await market.subscribe()).result == "done"


async def check_while_it_is_checked_nobody_subscribes_again_or_changes_it(market: Market) -> None:
    market.gateway.will_do("subscribe", "dropped")
    id = (await market.subscribe()).order["subscription"]
    assert (await refusal(market.subscribe())).code == "in_progress"
    assert (await refusal(market.subscriptions.cancel(ADA, id))).code == "in_progress"
    assert (await refusal(market.subscriptions.change(ADA, id, SubscriptionChange("golden")))).code == "in_progress"


async def check_a_declined_card_begins_nothing_and_another_one_may(market: Market) -> None:
    market.gateway.will_do("subscribe", Said(AttemptState.DECLINED, "2000"))
    answer = await market.subscribe()
    assert (answer.status, answer.result, answer.code) == (402, "declined", "2000")
    assert (await market.subscription(answer)).status == "declined"
    assert await market.news() == ["subscription.checking", "subscription.declined"]
    assert (await market.subscribe()).result == "done"


async def check_a_busy_gateway_begins_nothing(market: Market) -> None:
    market.gateway.will_do("subscribe", "busy")
    answer = await market.subscribe()
    assert (answer.code, answer.retry, answer.order["state"]) == ("busy", True, "error")


async def check_an_id_that_is_taken_means_that_it_is_there_already(market: Market) -> None:
    gate: Deferred[None] = Deferred()
    market.gateway.will_do("subscribe", gate)
    asking = market.subscribing_now()
    await market.until(lambda: "subscribe" in market.gateway.called)
    (id,) = [row[0] for row in await market.rows("rt_pay_subscriptions")]
    market.gateway._subscribe(id, "monthly", (await market.subscription(id)).method, Money(700, "USD"))
    gate.callback(None)
    assert (await asking).result == "done"


async def check_somebody_elses_subscription_is_none(market: Market) -> None:
    row = await market.subscribed()
    for work in (
        market.subscriptions.find(BOB, row.id),
        market.subscriptions.cancel(BOB, row.id),
        market.subscriptions.change(BOB, row.id, SubscriptionChange("golden")),
        market.subscribing.retry(BOB, row.id),
    ):
        assert (await refusal(work)).status == 404
    assert await market.subscriptions.listed(BOB) == []
    assert [each.id for each in await market.subscriptions.listed(ADA)] == [row.id]
    assert (await market.subscriptions.find(KEEPER, row.id)).id == row.id


async def check_a_subscriber_takes_another_plan_at_the_price_of_its_item(market: Market) -> None:
    row = await market.subscribed()
    changed = await market.subscriptions.change(ADA, row.id, SubscriptionChange("golden"))
    assert (changed.plan, changed.item_id, changed.price) == ("golden", "gold", Money(1900, "USD"))
    assert market.gateway.subscriptions[row.id].price == Money(1900, "USD")
    refused = await refusal(market.subscriptions.change(ADA, row.id, SubscriptionChange("free")))
    assert refused.code == "no_such_plan"


async def check_a_subscriber_takes_another_card_but_no_other_persons(market: Market) -> None:
    row = await market.subscribed()
    mine = (await market.vault.save(ADA, "nonce-0005")).token
    theirs = (await market.vault.save(BOB, "nonce-1117")).token
    assert (await market.subscriptions.change(ADA, row.id, SubscriptionChange(method=mine))).method == mine
    for who in (ADA, KEEPER):
        refused = await refusal(market.subscriptions.change(who, row.id, SubscriptionChange(method=theirs)))
        assert refused.status == 404
    assert market.gateway.subscriptions[row.id].method == mine


async def check_only_staff_changes_a_price(market: Market) -> None:
    row = await market.subscribed()
    cheaper = SubscriptionChange(price="5.00")
    assert (await refusal(market.subscriptions.change(ADA, row.id, cheaper))).status == 403
    assert (await market.subscriptions.change(KEEPER, row.id, cheaper)).price == Money(500, "USD")
    assert (await refusal(market.subscriptions.change(KEEPER, row.id, SubscriptionChange(price="5.001")))).status == 422


async def check_a_change_whose_answer_was_lost_is_found_out(market: Market) -> None:
    row = await market.subscribed()
    market.gateway.will_do("change_subscription", "lost", "dropped")
    assert (await market.subscriptions.change(ADA, row.id, SubscriptionChange("golden"))).item_id == "gold"
    with pytest.raises(GatewayAway):
        await market.subscriptions.change(ADA, row.id, SubscriptionChange("monthly"))
    assert (await market.subscription(row.id)).plan == "golden"


async def check_cancelling_twice_is_fine(market: Market) -> None:
    row = await market.subscribed()
    for _ in range(2):
        assert (await market.subscriptions.cancel(ADA, row.id)).status == "canceled"
    assert market.gateway.called.count("cancel_subscription") == 1
    assert (await market.news())[-1] == "subscription.canceled"
    refused = await refusal(market.subscriptions.change(ADA, row.id, SubscriptionChange("golden")))
    assert refused.code == "subscription_ended"


async def check_cancelling_in_two_tabs_at_once_is_fine(market: Market) -> None:
    row = await market.subscribed()
    gate: Deferred[None] = Deferred()
    market.gateway.will_do("cancel_subscription", gate)
    one = Deferred.fromCoroutine(market.subscriptions.cancel(ADA, row.id))
    await market.until(lambda: "cancel_subscription" in market.gateway.called)
    market.gateway.becomes(row.id, "Canceled")
    gate.callback(None)
    assert (await one).status == "canceled"


async def check_a_cancellation_whose_answer_was_lost_is_found_out(market: Market) -> None:
    row = await market.subscribed()
    market.gateway.will_do("cancel_subscription", "dropped", "lost")
    with pytest.raises(GatewayAway):
        await market.subscriptions.cancel(ADA, row.id)
    assert (await market.subscription(row.id)).status == "active"
    assert (await market.subscriptions.cancel(ADA, row.id)).status == "canceled"


async def check_a_refused_cancellation_changes_nothing(market: Market) -> None:
    row = await market.subscribed()
    market.gateway.will_do("cancel_subscription", GatewayRefused("81900", "No."))
    with pytest.raises(GatewayRefused):
        await market.subscriptions.cancel(ADA, row.id)
    assert (await market.subscription(row.id)).status == "active"


# Past due


async def past_due(market: Market) -> str:
    row = await market.subscribed()
    market.clock.advance(3600)
    market.gateway.becomes(row.id, "Past Due")
    await market.told("subscription_went_past_due", row.id)
    assert (await market.subscription(row.id)).status == "past_due"
    return row.id


async def check_a_subscriber_pays_what_is_past_due(market: Market) -> None:
    id = await past_due(market)
    answer = await market.subscribing.retry(ADA, id)
    assert (answer.status, answer.order["state"]) == (200, "active")
    assert await market.subscribing.retry(ADA, id) == answer
    market.clock.advance(61)
    assert (await refusal(market.subscribing.retry(ADA, id))).code == "not_past_due"
    assert len(market.gateway.charged()) == 2
    assert (await market.news())[-2:] == ["subscription.past_due", "subscription.active"]


async def check_a_double_click_pays_what_is_past_due_once(market: Market) -> None:
    id = await past_due(market)
    one = Deferred.fromCoroutine(market.subscribing.retry(ADA, id))
    other = Deferred.fromCoroutine(market.subscribing.retry(ADA, id))
    results = [(await each).result for each in (one, other)]
    assert results == ["done", "done"] and market.gateway.count(Op.RETRY) == 1


async def check_a_declined_retry_may_be_tried_again(market: Market) -> None:
    id = await past_due(market)
    market.gateway.will(Op.RETRY, refuses(AttemptState.DECLINED, "2001"))
    answer = await market.subscribing.retry(ADA, id)
    assert (answer.status, answer.code, answer.order["state"]) == (402, "2001", "past_due")
    assert (await market.subscribing.retry(ADA, id)).result == "done"


async def check_a_retry_whose_answer_was_lost_charges_once(market: Market) -> None:
    id = await past_due(market)
    market.gateway.will(Op.RETRY, works_then_loses_the_answer)
    assert (await market.subscribing.retry(ADA, id)).status == 202
    assert (await market.subscribing.retry(ADA, id)).status == 202
    await market.later(5)
    assert (await market.subscription(id)).status == "active"
    assert await market.open_attempts() == 0
    assert (await market.subscribing.retry(ADA, id)).result == "done"
    market.clock.advance(61)
    assert (await refusal(market.subscribing.retry(ADA, id))).code == "not_past_due"
    assert market.gateway.count(Op.RETRY) == 1


async def check_a_retry_whose_answer_came_late_makes_the_subscription_active(market: Market) -> None:
    id = await past_due(market)
    market.gateway.will(Op.RETRY, works_then_loses_the_answer)
    assert (await market.subscribing.retry(ADA, id)).status == 202
    charge = market.gateway.subscriptions[id].transactions[0]
    attempt = market.gateway.asked[-1][1]
    market.calls.late(attempt, Outcome(AttemptState.APPROVED, "approved", "", transaction=charge))
    while await market.open_attempts():
        await market.turn()
    assert (await market.subscription(id)).status == "active"
    assert (await market.news())[-1] == "subscription.active"
    assert await subscription_of(market.database, charge.id) == id


async def check_a_retry_that_never_arrived_is_over_after_a_while(market: Market) -> None:
    id = await past_due(market)
    market.gateway.will(Op.RETRY, is_lost_on_the_way)
    assert (await market.subscribing.retry(ADA, id, "k1")).status == 202
    await market.later(2400)
    assert await market.open_attempts() == 0
    again = await market.subscribing.retry(ADA, id, "k1")
    assert (again.result, again.code, again.order["state"]) == ("failed", "never_arrived", "past_due")
    assert (await market.subscribing.retry(ADA, id, "k2")).result == "done"


SUBSCRIPTIONS_CHECKS = checks_of(globals())
