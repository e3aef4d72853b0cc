"""What shopkeepers and payers see of disputes, on every database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtserver.core.payments import Money
from rtserver.payments.disputes import LONGEST_EVIDENCE
from rtserver.payments.errors import GatewayAway, GatewayRefused
from rtserver.payments.records import Op, Order, OrderState
from tests.payments.market import Market
from tests.payments.shop import ADA, KEEPER, checks_of, refusal


async def disputed(market: Market) -> Order:
    order = await market.settled()
    market.gateway.quarrel(market.gateway.charged()[0].id)
    await market.told("dispute_opened", "dispute1")
    return await market.order(order.id)


async def check_a_disputed_order_says_so_to_payer_and_staff(market: Market) -> None:
    order = await disputed(market)
    assert order.state is OrderState.DISPUTED
    assert (await market.news())[-2:] == ["dispute.open", "payment.disputed"]
    (record,) = await market.disputes.listed(KEEPER, is_open=True)
    assert (record["order"], record["amount"], record["reply_by"]) == (order.id, "10.00", "2027-03-01")
    news = (await market.staff_news())[-1]
    assert (news["kind"], news["record"]["code"]) == ("payment.disputed", "disputed")
    assert news["record"]["message"] == "This payment is disputed at the bank."


async def check_disputes_are_for_staff_only(market: Market) -> None:
    await disputed(market)
    for work in (
        market.disputes.listed(ADA),
        market.disputes.refresh(ADA),
        market.disputes.accept(ADA, "dispute1"),
        market.disputes.add_evidence(ADA, "dispute1", "It was delivered."),
        market.disputes.finalize(ADA, "dispute1"),
    ):
        assert (await refusal(work)).status == 403


async def check_an_accepted_dispute_stays_disputed_and_accepting_it_twice_is_fine(market: Market) -> None:
    order = await disputed(market)
    for _ in range(2):
        assert (await market.disputes.accept(KEEPER, "dispute1"))["state"] == "accepted"
    assert (await market.order(order.id)).state is OrderState.DISPUTED
    assert await market.disputes.listed(KEEPER, is_open=True) == []
    assert len(await market.disputes.listed(KEEPER)) == 1


async def check_evidence_goes_to_the_bank_and_a_won_dispute_leaves_the_order_as_it_was(market: Market) -> None:
    order = await disputed(market)
    await market.disputes.add_evidence(KEEPER, "dispute1", "It was delivered.")
    assert market.gateway.evidence == [("dispute1", "It was delivered.")]
    assert (await market.disputes.finalize(KEEPER, "dispute1"))["state"] == "disputed"
    assert (await market.order(order.id)).state is OrderState.DISPUTED
    market.gateway.decide("dispute1", "won")
    await market.told("dispute_won", "dispute1")
    assert (await market.order(order.id)).state is OrderState.SETTLED
    assert "It was delivered." not in await market.everything()


async def check_a_lost_dispute_leaves_the_order_disputed(market: Market) -> None:
    order = await disputed(market)
    market.gateway.decide("dispute1", "lost")
    await market.told("dispute_lost", "dispute1")
    assert (await market.order(order.id)).state is OrderState.DISPUTED


async def check_what_the_bank_takes_back_is_not_given_back_a_second_time(market: Market) -> None:
    order = await disputed(market)
    for status in ("open", "disputed", "lost"):
        market.gateway.decide("dispute1", status)
        await market.told(f"dispute_{status}", "dispute1")
        for undo in (market.changes.refund, market.changes.reverse):
            refused = await refusal(undo(KEEPER, order.id))
            assert (refused.code, refused.status) == ("disputed", 409)
        assert (await refusal(market.changes.refund(KEEPER, order.id, "1.00"))).code == "disputed"
    assert market.gateway.count(Op.REFUND) == 0


async def check_what_is_not_disputed_and_what_was_won_can_be_given_back(market: Market) -> None:
    order = await market.settled()
    seen = market.gateway.charged()[0]
    market.gateway.quarrels["dispute1"] = replace(market.gateway.quarrel(seen.id), amount=Money(600, "USD"))
    await market.told("dispute_opened", "dispute1")
    assert (await refusal(market.changes.refund(KEEPER, order.id, "4.01"))).code == "too_much"
    assert (await market.changes.refund(KEEPER, order.id, "4.00")).result == "done"
    market.gateway.decide("dispute1", "won")
    await market.told("dispute_won", "dispute1")
    assert (await market.changes.refund(KEEPER, order.id)).order["state"] == "refunded"


async def check_an_order_with_two_disputes_is_free_when_both_are_won(market: Market) -> None:
    order = await disputed(market)
    market.gateway.quarrel(market.gateway.charged()[0].id, "dispute2")
    await market.told("dispute_opened", "dispute2")
    states = []
    for id in ("dispute1", "dispute2"):
        market.gateway.decide(id, "won")
        await market.told("dispute_won", id)
        states.append((await market.order(order.id)).state)
    assert states == [OrderState.DISPUTED, OrderState.SETTLED]


async def check_news_of_a_dispute_in_reversed_order_end_where_the_gateway_is(market: Market) -> None:
    order = await market.settled()
    market.gateway.quarrel(market.gateway.charged()[0].id, status="won")
    await market.told("dispute_won", "dispute1", at=2)
    await market.told("dispute_opened", "dispute1", at=1)
    assert (await market.order(order.id)).state is OrderState.SETTLED
    market.gateway.decide("dispute1", "open")
    await market.told("dispute_opened", "dispute1", at=3)
    assert [each["state"] for each in await market.disputes.listed(KEEPER)] == ["won"]


async def check_a_dispute_is_found_when_its_webhook_was_lost(market: Market) -> None:
    order = await market.settled()
    market.gateway.quarrel(market.gateway.charged()[0].id)
    await market.disputes.refresh(KEEPER)
    assert (await market.order(order.id)).state is OrderState.DISPUTED


async def check_a_lost_answer_of_the_bank_is_found_out(market: Market) -> None:
    await disputed(market)
    market.gateway.will_do("accept_dispute", "lost")
    assert (await market.disputes.accept(KEEPER, "dispute1"))["state"] == "accepted"


async def check_what_the_gateway_refuses_or_cannot_do_now_is_said(market: Market) -> None:
    await disputed(market)
    market.gateway.will_do("finalize_dispute", "dropped", GatewayRefused("95705", "No."))
    for error in (GatewayAway, GatewayRefused):
        with pytest.raises(error):
            await market.disputes.finalize(KEEPER, "dispute1")
    for text in ("", " ", "x" * (LONGEST_EVIDENCE + 1)):
        assert (await refusal(market.disputes.add_evidence(KEEPER, "dispute1", text))).code == "bad_evidence"
    assert (await refusal(market.disputes.accept(KEEPER, "nothing"))).status == 404


async def check_a_dispute_about_a_subscription_names_the_subscriber(market: Market) -> None:
    await market.subscribed()
    market.gateway.quarrel(market.gateway.charged()[0].id)
    await market.told("dispute_opened", "dispute1")
    assert (await market.news())[-1] == "dispute.open"


async def check_a_dispute_about_what_we_do_not_know_is_kept(market: Market) -> None:
    await market.paid()
    attempt = market.gateway.asked[0][1]
    foreign = market.gateway.add("sale", "settled", attempt, order_id="panel")
    market.gateway.quarrel(foreign.id)
    await market.told("dispute_opened", "dispute1")
    assert [each["order"] for each in await market.disputes.listed(KEEPER)] == [""]


DISPUTES_CHECKS = checks_of(globals())
