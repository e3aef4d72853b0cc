"""What becomes of what the gateway tells, on every database."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, gatherResults

from rtserver.payments import transactions
from rtserver.payments.errors import GatewayRefused
from rtserver.payments.records import OrderState
from rtserver.payments.webhooks import MOST, TRIES
from tests.payments.market import Market
from tests.payments.shop import checks_of


async def refused(market: Market, signature: str, payload: str) -> str:
    with pytest.raises(GatewayRefused) as error:
        await market.webhooks.receive(signature, payload)
    assert await market.webhook_states() == []
    return error.value.code


async def paid(market: Market) -> tuple[str, str]:
    """The ids of an order and of its transaction."""
    order = await market.paid()
    return order.id, market.gateway.charged()[0].id


async def check_a_payer_hears_of_a_settlement_by_webhook(market: Market) -> None:
    order, id = await paid(market)
    market.gateway.set_status(id, "settled")
    await market.told("transaction_settled", id)
    assert (await market.order(order)).state is OrderState.SETTLED
    assert (await market.news())[-1] == "payment.settled"
    assert await market.webhook_states() == ["done"]


async def check_a_webhook_is_answered_before_anything_is_read(market: Market) -> None:
    _, id = await paid(market)
    market.gateway.is_away = True
    assert await market.tell("transaction_settled", id)
    assert await market.webhook_states() == ["new"]


async def check_a_webhook_that_comes_twice_is_dealt_with_once(market: Market) -> None:
    order, id = await paid(market)
    market.gateway.set_status(id, "settled")
    signature, payload = market.gateway.webhook("transaction_settled", id)
    news = [await market.webhooks.receive(signature, payload) for _ in range(2)]
    await market.work()
    news.append(await market.webhooks.receive(signature, payload))
    await market.work()
    assert news == [True, False, False] and await market.webhook_states() == ["done"]
    assert (await market.news()).count("payment.settled") == 1


async def check_a_webhook_that_comes_twice_at_the_same_time_is_written_down_once(market: Market) -> None:
    _, id = await paid(market)
    both = [Deferred.fromCoroutine(market.tell("transaction_settled", id)) for _ in range(2)]
    assert sorted(await gatherResults(both)) == [False, True]


async def check_webhooks_in_reversed_order_leave_the_latest_state(market: Market) -> None:
    order, id = await paid(market)
    market.gateway.set_status(id, "settled")
    await market.told("transaction_settled", id, at=2)
    market.gateway.set_status(id, "settlement_pending")
    await market.told("transaction_settlement_pending", id, at=1)
    assert (await market.order(order)).state is OrderState.SETTLED
    stored = await transactions.find(market.database, id)
    assert stored is not None and stored.status == "settled"


async def check_many_webhooks_of_one_thing_are_one_look(market: Market) -> None:
    row = await market.subscribed()
    market.gateway.called.clear()
    for at in range(5):
        await market.tell("subscription_charged_successfully", row.id, at)
    await market.work()
    assert market.gateway.called.count("subscription") == 1
    assert await market.webhook_states() == ["done"] * 5


async def check_a_webhook_with_a_wrong_key_changes_nothing(market: Market) -> None:
    _, id = await paid(market)
    assert await refused(market, *market.gateway.webhook("transaction_settled", id, key=b"another")) == "bad_signature"


async def check_a_webhook_that_was_tampered_with_changes_nothing(market: Market) -> None:
    _, id = await paid(market)
    signature, payload = market.gateway.webhook("transaction_settled", id)
    assert await refused(market, signature, payload.replace(id, "bt999")) == "bad_signature"
    assert await refused(market, "", payload) == "bad_signature"


async def check_a_webhook_of_ten_megabytes_is_not_even_verified(market: Market) -> None:
    signature, payload = market.gateway.webhook("transaction_settled", "bt1")
    assert await refused(market, signature, payload + " " * 10 * 1024 * 1024) == "too_large"
    assert await refused(market, signature, "x" * (MOST + 1)) == "too_large"


async def check_what_a_webhook_said_is_not_stored(market: Market) -> None:
    _, id = await paid(market)
    signature, payload = market.gateway.webhook("transaction_settled", id)
    await market.webhooks.receive(signature, payload)
    stored = await market.everything()
    assert "4012888888881881" in payload and "4012888888881881" not in stored
    assert signature not in stored and id in stored


async def check_a_kind_that_nobody_knows_is_kept_as_ignored(market: Market) -> None:
    assert await market.tell("disbursement", "d1")
    assert await market.tell("transaction_settled", "")
    await market.work()
    assert await market.webhook_states() == ["ignored", "ignored"]


async def check_a_webhook_waits_while_the_gateway_is_away(market: Market) -> None:
    order, id = await paid(market)
    market.gateway.set_status(id, "settled")
    market.gateway.is_away = True
    await market.told("transaction_settled", id)
    market.clock.advance(4)
    market.gateway.is_away = False
    await market.work()
    assert (await market.order(order)).state is OrderState.PAID
    market.clock.advance(1)
    await market.work()
    assert (await market.order(order)).state is OrderState.SETTLED


async def check_the_pauses_grow_and_end(market: Market) -> None:
    _, id = await paid(market)
    market.gateway.is_away = True
    await market.told("transaction_settled", id)
    tries: list[int] = []
    while await market.webhook_states() == ["new"]:
        pause = 5
        while True:
            market.clock.advance(pause)
            await market.work()
            ((count,),) = await market.database.run("select tries from rt_pay_webhooks")
            if not tries or count > tries[-1]:
                tries.append(count)
                break
            pause = 3600
    assert await market.webhook_states() == ["failed"] and tries[-1] == TRIES


async def check_a_server_that_was_killed_deals_with_what_it_had_received(market: Market) -> None:
    order, id = await paid(market)
    market.gateway.set_status(id, "settled")
    await market.tell("transaction_settled", id)
    market.restart()
    await market.work()
    assert (await market.order(order)).state is OrderState.SETTLED


async def check_a_payment_of_the_control_panel_is_recorded(market: Market) -> None:
    await market.paid()
    foreign = market.gateway.add("sale", "settled", market.gateway.asked[0][1], order_id="by-hand")
    await market.told("transaction_settled", foreign.id)
    stored = await transactions.find(market.database, foreign.id)
    assert stored is not None and (stored.order_id, stored.status) == ("", "settled")


async def check_a_refund_of_the_control_panel_is_of_its_order(market: Market) -> None:
    order = await market.settled()
    sale = market.gateway.charged()[0]
    refund = market.gateway.add("credit", "settled", market.gateway.asked[0][1], order_id="", parent=sale.id)
    await market.told("refund_settled", refund.id)
    assert (await market.order(order.id)).state is OrderState.SETTLED
    await market.told("transaction_settled", refund.id)
    assert (await market.order(order.id)).state is OrderState.REFUNDED


async def check_a_charge_of_a_subscription_is_recorded_and_told(market: Market) -> None:
    row = await market.subscribed()
    market.clock.advance(3600)
    market.gateway.becomes(row.id, "Active", paid_through="2027-03-14")
    charge = market.gateway.charge(row.id)
    await market.told("subscription_charged_successfully", row.id)
    assert (await market.subscription(row.id)).paid_through == "2027-03-14"
    assert await transactions.find(market.database, charge.id) is not None
    assert (await market.news())[-1] == "subscription.active"


async def check_a_subscription_that_has_ended_does_not_come_back(market: Market) -> None:
    row = await market.subscribed()
    market.clock.advance(3600)
    market.gateway.becomes(row.id, "Canceled")
    await market.told("subscription_canceled", row.id, at=2)
    market.gateway.becomes(row.id, "Active")
    await market.told("subscription_went_active", row.id, at=1)
    assert (await market.subscription(row.id)).status == "canceled"


async def check_a_subscription_of_the_control_panel_is_no_trouble(market: Market) -> None:
    row = await market.subscribed()
    market.gateway.subscriptions["panel"] = market.gateway.subscriptions[row.id]
    await market.told("subscription_charged_successfully", "panel")
    assert await market.webhook_states() == ["done"]


async def check_what_was_read_earlier_does_not_win_over_what_was_read_later(market: Market) -> None:
    """A slow look that began before a subscription was cancelled."""
    row = await market.subscribed()
    market.clock.advance(60)
    market.gateway.becomes(row.id, "Past Due")
    late = market.gateway.subscriptions[row.id]
    gate: Deferred[None] = Deferred()
    market.gateway.will_do("subscription", gate)
    looking = Deferred.fromCoroutine(market.subscriptions.look(row.id))
    market.clock.advance(60)
    market.gateway.becomes(row.id, "Active", paid_through="2027-03-14")
    await market.subscriptions.look(row.id)
    market.gateway.subscriptions[row.id], now = late, market.gateway.subscriptions[row.id]
    market.gateway.called.clear()
    gate.addCallback(lambda _: None).callback(None)
    market.gateway.subscriptions[row.id] = now
    await looking
    assert (await market.subscription(row.id)).status == "active"
    assert market.gateway.called == ["subscription"]


async def check_the_gateway_gets_an_answer_to_its_challenge(market: Market) -> None:
    assert market.webhooks.challenge("20f9f8ed") == "verified 20f9f8ed"


async def check_old_webhooks_leave_the_table(market: Market) -> None:
    _, id = await paid(market)
    await market.told("transaction_settled", id)
    market.clock.advance(91 * 86400)
    await market.work()
    assert await market.webhook_states() == []


async def check_a_running_server_deals_with_webhooks_by_itself(market: Market) -> None:
    order, id = await paid(market)
    market.gateway.set_status(id, "settled")
    await market.webhooks.start()
    await market.tell("transaction_settled", id)
    while await market.webhook_states() != ["done"]:
        await market.turn()
    await market.webhooks.stop()
    assert (await market.order(order)).state is OrderState.SETTLED
    await market.tell("transaction_settled", id, at=1)
    assert "new" in await market.webhook_states()


WEBHOOKS_CHECKS = checks_of(globals())
