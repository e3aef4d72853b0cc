"""What a payer sees, on every database."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import CancelledError, Deferred, gatherResults

from rtserver.core.payments import Money
from rtserver.payments import items
from rtserver.payments.checkout import LUCK_TIME, MOST_REFUSED
from rtserver.payments.records import AttemptState, Op, Order, OrderState
from tests.payments.fake_gateway import approves, breaks, is_busy, refuses, tells, waits
from tests.payments.shop import ADA, BOB, BOOK, KEEPER, Shop, changed, checks_of, refusal

# One payment


async def check_a_payment_is_done_at_the_price_of_the_item(shop: Shop) -> None:
    answer = await shop.pay(item="book")
    assert (answer.status, answer.result, answer.code) == (200, "done", "approved")
    assert answer.order["state"] == "paid" and answer.order["amount"] == "10.00" == answer.order["captured"]
    (sale,) = shop.gateway.sales
    assert sale.attempt.amount == BOOK.price and sale.descriptor == {"name": "SHOP*BOOKS"}
    assert answer.order["transaction"] in shop.gateway.transactions
    assert await shop.news() == ["payment.paid"]


async def check_what_is_held_is_authorized_and_not_paid(shop: Shop) -> None:
    answer = await shop.pay(item="room")
    assert (answer.result, answer.order["state"], answer.order["captured"]) == ("done", "authorized", "0.00")
    (sale,) = shop.gateway.sales
    assert sale.is_held and sale.merchant_account == "hotel"


async def check_the_attempt_is_written_down_before_the_gateway_is_asked(shop: Shop) -> None:
    way, gate = waits()
    shop.gateway.will(Op.SALE, way)
    paying = shop.paying()
    await shop.until(lambda: bool(shop.gateway.asked))
    (attempt,) = await shop.attempts(shop.gateway.sales[0].attempt.order_id)
    assert attempt == shop.gateway.sales[0].attempt
    assert attempt.state is AttemptState.SENDING
    gate.callback(None)
    assert (await paying).result == "done"


async def check_who_tries_out_stolen_cards_is_stopped_for_an_hour(shop: Shop) -> None:
    for _ in range(MOST_REFUSED):
        shop.gateway.will(Op.SALE, refuses(AttemptState.DECLINED, "2000", "Do Not Honor", True))
        assert (await shop.pay()).result == "declined"
    refused = await refusal(shop.pay())
    assert (refused.code, refused.status) == ("too_many_refused", 429)
    assert (await shop.pay(BOB)).result == "done"
    shop.clock.advance(LUCK_TIME / 1000 + 1)
    assert (await shop.pay()).result == "done"


async def check_a_declined_card_leaves_the_order_open_for_another_card(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, refuses(AttemptState.DECLINED, "2000", "Do Not Honor", True))
    first = await shop.pay()
    assert (first.status, first.result, first.code, first.message) == (402, "declined", "2000", "Do Not Honor")
    assert first.retry and first.order["state"] == "open"
    second = await shop.pay(order=first.order["order"])
    assert second.result == "done" and second.order["order"] == first.order["order"]
    assert await shop.news() == ["payment.open", "payment.paid"]


async def check_refusals_are_told_apart(shop: Shop) -> None:
    cases = (
        (AttemptState.DECLINED, "2004", 402, "declined", False),
        (AttemptState.REJECTED, "fraud", 402, "rejected", False),
        (AttemptState.FAILED, "3000", 402, "failed", False),
        (AttemptState.INVALID, "81715", 422, "invalid", True),
        (AttemptState.ERROR, "not_connected", 402, "failed", True),
    )
    for state, code, status, result, retry in cases:
        shop.gateway.will(Op.SALE, refuses(state, code))
        answer = await shop.pay()
        assert (answer.status, answer.result, answer.code, answer.retry) == (status, result, code, retry)
        assert answer.order["state"] == "open"


async def check_every_mistake_that_the_gateway_found_is_told_again(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, refuses(AttemptState.INVALID, "81715"))
    first = await shop.pay(nonce="n1")
    assert [(each.attribute, each.code) for each in first.errors] == [("credit_card.number", "81715")]
    assert (await shop.pay(nonce="n1")).body() == first.body()


async def check_less_than_it_costs_is_undone_and_said(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, approves(600))
    answer = await shop.pay()
    assert (answer.status, answer.result, answer.code) == (402, "amount_mismatch", "amount_mismatch")
    assert "6.00 USD" in answer.message and "10.00 USD" in answer.message
    await shop.quiet()
    assert shop.gateway.count(Op.VOID) == 1 and shop.gateway.charged() == []
    assert (await shop.order(answer)).state is OrderState.OPEN
    assert (await shop.pay(order=answer.order["order"])).result == "done"


async def check_another_currency_than_it_costs_is_undone_and_said(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, approves(1000, "EUR"))
    answer = await shop.pay()
    assert (answer.status, answer.result) == (402, "amount_mismatch")
    assert "10.00 EUR were approved instead of 10.00 USD" in answer.message and "the shop" in answer.message
    await shop.quiet()
    assert shop.gateway.count(Op.VOID) == 1 and shop.gateway.charged() == []


async def check_an_order_is_not_paid_anew_while_a_wrong_amount_is_undone(shop: Shop) -> None:
    way, gate = waits()
    shop.gateway.will(Op.SALE, approves(600))
    shop.gateway.will(Op.VOID, way)
    first = await shop.pay()
    refused = await refusal(shop.pay(order=first.order["order"]))
    assert (refused.code, refused.status) == ("in_progress", 409)
    gate.callback(None)
    await shop.quiet()
    assert (await shop.pay(order=first.order["order"])).result == "done"


async def check_a_card_that_its_bank_did_not_confirm_is_not_charged_where_that_is_needed(shop: Shop) -> None:
    shop.parts = replace(shop.parts, options=replace(shop.parts.options, needs_3d_secure=True))
    shop.restart()
    cases = (({"three_d_secure": {"liability_shifted": True}}, "done"), ({}, "done"))
    cases += (({"three_d_secure": {"liability_shifted": False, "status": "authenticate_error"}}, "rejected"),)
    for details, result in cases:
        shop.gateway.will(Op.SALE, tells(details))
        answer = await shop.pay()
        assert answer.result == result
    assert answer.code == "three_d_secure" and shop.gateway.sales[-1].needs_3d_secure
    await shop.quiet()
    assert (await shop.order(answer)).state is OrderState.OPEN and len(shop.gateway.charged()) == 2


async def check_too_many_payments_at_once_charge_nobody(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, is_busy)
    answer = await shop.pay(nonce="n1")
    assert (answer.result, answer.code, answer.retry) == ("failed", "busy", True)
    again = await shop.pay(nonce="n1")
    assert again.result == "done" and again.order["order"] == answer.order["order"]


async def check_nothing_of_a_nonce_is_stored(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, breaks)
    await shop.pay(nonce="fake-valid-nonce", device_data="device-data-of-ada", key="key-of-ada")
    await shop.pay(nonce="fake-valid-nonce-2", device_data="device-data-of-ada")
    everything = await shop.everything()
    assert "fake-valid" not in everything and "device-data" not in everything and "key-of-ada" not in everything
    assert "fake-valid" not in repr(shop.gateway.sales)


async def check_a_saved_card_pays_and_a_new_one_is_saved(shop: Shop) -> None:
    await shop.database.run(
        "insert into rt_pay_methods (token, user_id, kind, created_at) values ('t1', ?, 'credit_card', 0)", (ADA.id,)
    )
    assert (await shop.pay(method="t1", key="k1")).result == "done"
    assert (await shop.pay(nonce="n1", saves_method=True)).result == "done"
    by_token, by_nonce = shop.gateway.sales
    assert (by_token.method, by_token.nonce, by_token.customer_id) == ("t1", "", "c-u-ada")
    assert by_nonce.saves_method and by_nonce.customer_id == "c-u-ada"
    assert shop.customers.refreshed == [ADA.id]


async def check_nobody_pays_with_the_card_of_somebody_else(shop: Shop) -> None:
    await shop.database.run(
        "insert into rt_pay_methods (token, user_id, kind, created_at) values ('t1', ?, 'credit_card', 0)", (ADA.id,)
    )
    assert (await refusal(shop.pay(BOB, method="t1", key="k1"))).code == "no_such_method"
    assert (await refusal(shop.pay(ADA, method="t2", key="k2"))).code == "no_such_method"
    assert shop.gateway.asked == [] and await shop.rows("rt_pay_orders") == []


async def check_what_cannot_be_bought_is_refused_before_anything_is_written(shop: Shop) -> None:
    cases = (
        ({"item": "no"}, "no_such_item", 404),
        ({"item": "old"}, "no_such_item", 404),
        ({"item": "club"}, "is_subscription", 422),
        ({"order": "no"}, "no_such_order", 404),
        ({"item": "book", "order": "o1"}, "item_or_order", 422),
        ({"nonce": "n", "method": "m"}, "nonce_or_method", 422),
        ({"method": "t1"}, "key_missing", 400),
        ({"key": "x" * 256}, "bad_key", 400),
        ({"key": "é"}, "bad_key", 400),
        ({"nonce": "n\0"}, "bad_nonce", 422),
    )
    for request, code, status in cases:
        refused = await refusal(shop.pay(**request))
        assert (refused.code, refused.status) == (code, status), request
    assert shop.gateway.asked == [] and await shop.rows("rt_pay_orders") == []


async def check_a_price_that_changes_later_does_not_change_an_order(shop: Shop) -> None:
    order = await shop.checkout.start_order(ADA, "book")
    await items.save(shop.database, changed(BOOK, price=Money(9900, "USD"), is_active=False), shop.parts.now)
    assert (await shop.pay(order=order.id)).order["amount"] == "10.00"
    assert shop.gateway.sales[0].attempt.amount == Money(1000, "USD")


async def check_nobody_pays_or_sees_the_order_of_somebody_else(shop: Shop) -> None:
    order = await shop.checkout.start_order(ADA, "book")
    assert (await refusal(shop.pay(BOB, order=order.id))).code == "no_such_order"
    assert (await refusal(shop.pay(KEEPER, order=order.id))).code == "no_such_order"


async def check_fifty_payments_at_once_are_all_done(shop: Shop) -> None:
    answers = await gatherResults([shop.paying(ADA if number % 2 else BOB) for number in range(50)])
    assert {each.result for each in answers} == {"done"}
    assert len({each.order["order"] for each in answers}) == 50 == len(shop.gateway.charged())


# Twice


async def check_a_double_click_charges_once(shop: Shop) -> None:
    way, gate = waits()
    shop.gateway.will(Op.SALE, way)
    clicks = [shop.paying(nonce="n1") for _ in range(3)]
    await shop.until(lambda: bool(shop.gateway.asked))
    late = shop.paying(nonce="n1")
    gate.callback(None)
    answers = await gatherResults([*clicks, late])
    assert {each.result for each in answers} == {"done"}
    assert len({each.order["order"] for each in answers}) == 1
    assert shop.gateway.count(Op.SALE) == 1


async def check_a_request_that_is_sent_again_gets_the_same_answer(shop: Shop) -> None:
    for way in (None, refuses(AttemptState.DECLINED, "2000")):
        if way:
            shop.gateway.will(Op.SALE, way)
        key = f"key-{way is None}"
        first = await shop.pay(nonce="n1", key=key)
        assert (await shop.pay(nonce="n1", key=key)).body() == first.body()
    assert shop.gateway.count(Op.SALE) == 2 and len(await shop.rows("rt_pay_orders")) == 2


async def check_the_same_answer_comes_after_a_restart_and_after_another_attempt(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, refuses(AttemptState.DECLINED, "2000"))
    first = await shop.pay(nonce="n1", key="k1")
    await shop.pay(order=first.order["order"], nonce="n2", key="k2")
    shop.restart()
    again = await shop.pay(nonce="n1", key="k1")
    assert (again.result, again.code, again.order["state"]) == ("declined", "2000", "paid")
    assert shop.gateway.count(Op.SALE) == 2


async def check_a_key_that_names_something_else_is_refused(shop: Shop) -> None:
    await shop.pay(nonce="n1", key="k1")
    for request in ({"nonce": "n2"}, {"nonce": "n1", "item": "room"}, {"nonce": "n1", "saves_method": True}):
        refused = await refusal(shop.pay(key="k1", **request))
        assert (refused.code, refused.status) == ("key_reused", 409)
    assert (await refusal(shop.pay(nonce="n3", item="book", key="k1"))).code == "key_reused"
    assert shop.gateway.count(Op.SALE) == 1


async def check_a_nonce_pays_one_item_only(shop: Shop) -> None:
    await shop.pay(nonce="n1", item="book")
    assert (await refusal(shop.pay(nonce="n1", item="room"))).code == "key_reused"
    assert shop.gateway.count(Op.SALE) == 1


async def check_two_people_may_have_the_same_key(shop: Shop) -> None:
    first = await shop.pay(ADA, nonce="n1", key="k")
    second = await shop.pay(BOB, nonce="n2", key="k")
    assert first.order["order"] != second.order["order"] and shop.gateway.count(Op.SALE) == 2


async def check_two_tabs_that_pay_one_order_charge_once(shop: Shop) -> None:
    order = await shop.checkout.start_order(ADA, "book")
    way, gate = waits()
    shop.gateway.will(Op.SALE, way)
    tabs = [shop.paying(order=order.id, nonce=f"n{number}") for number in range(4)]
    await shop.until(lambda: bool(shop.gateway.asked))
    gate.callback(None)
    answers = await gatherResults(tabs)
    assert {each.result for each in answers} == {"done"} and {each.order["state"] for each in answers} == {"paid"}
    assert (await shop.pay(order=order.id)).order["state"] == "paid"
    assert shop.gateway.count(Op.SALE) == 1


async def check_another_process_is_asked_to_wait(shop: Shop) -> None:
    way, gate = waits()
    shop.gateway.will(Op.SALE, way)
    paying = shop.paying(nonce="n1", key="k1")
    await shop.until(lambda: bool(shop.gateway.asked))
    calls = shop.calls
    shop.restart()
    refused = await refusal(shop.pay(nonce="n1", key="k1"))
    assert (refused.code, refused.status) == ("in_progress", 409)
    gate.callback(None)
    assert (await paying).result == "done"
    await shop.until(lambda: not calls.under_way)
    assert (await shop.pay(nonce="n1", key="k1")).result == "done"
    assert shop.gateway.count(Op.SALE) == 1


async def check_a_payer_who_leaves_is_charged_and_finds_the_order_paid(shop: Shop) -> None:
    way, gate = waits()
    shop.gateway.will(Op.SALE, way)
    paying = shop.paying(nonce="n1")
    await shop.until(lambda: bool(shop.gateway.asked))
    paying.cancel()
    try:
        await paying
    except CancelledError:
        pass
    else:
        raise AssertionError("it was not cancelled")
    gate.callback(None)
    await shop.quiet()
    assert (await shop.pay(nonce="n1")).result == "done"
    assert shop.gateway.count(Op.SALE) == 1


async def check_an_order_that_is_asked_for_twice_is_made_once(shop: Shop) -> None:
    first, second = await gatherResults([_ordering(shop, "book"), _ordering(shop, "book")])
    assert first == second
    assert (await refusal(shop.checkout.start_order(ADA, "room", "k"))).code == "key_reused"
    assert (await shop.checkout.start_order(ADA, "book")).id != first.id


async def check_an_order_that_was_given_back_is_not_paid_again(shop: Shop) -> None:
    order = await shop.paid()
    await shop.changes.void(KEEPER, order.id)
    refused = await refusal(shop.pay(order=order.id))
    assert (refused.code, refused.status) == ("order_over", 409)


def _ordering(shop: Shop, item: str) -> Deferred[Order]:
    return Deferred.fromCoroutine(shop.checkout.start_order(ADA, item, "k"))


PAYING_CHECKS = checks_of(globals())
