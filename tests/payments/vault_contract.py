"""What payers see of their saved payment methods, on every database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from rtserver.payments import methods
from rtserver.payments.errors import GatewayAway, GatewayBusy, GatewayRefused
from rtserver.payments.parts import Payer
from rtserver.payments.records import AttemptState, Op, Outcome, SavedMethod
from tests.payments.fake_gateway import UNKNOWN
from tests.payments.market import Market
from tests.payments.shop import ADA, BOB, checks_of, refusal


async def tokens(market: Market, payer: Payer = ADA) -> list[str]:
    return [each.token for each in await market.vault.methods(payer)]


async def check_a_person_becomes_one_customer(market: Market) -> None:
    first = await market.vault.customer(ADA)
    market.restart()
    assert await market.vault.customer(ADA) == first != await market.vault.customer(BOB)
    assert market.gateway.people[first] == (ADA.email, ADA.name)
    assert market.gateway.called == ["make_customer"] * 2


async def check_a_customer_whose_answer_was_lost_is_not_made_twice(market: Market) -> None:
    market.gateway.will_do("make_customer", "lost")
    with pytest.raises(GatewayAway):
        await market.vault.customer(ADA)
    market.restart()
    assert [await market.vault.customer(ADA)] == list(market.gateway.people)


async def check_two_pages_make_one_customer(market: Market) -> None:
    gate: Deferred[None] = Deferred()
    market.gateway.will_do("make_customer", gate)
    one = Deferred.fromCoroutine(market.vault.customer(ADA))
    other = Deferred.fromCoroutine(market.vault.customer(ADA))
    await market.until(lambda: len(market.gateway.called) == 2)
    gate.callback(None)
    assert await one == await other
    assert len(market.gateway.people) == 1


async def check_a_card_is_saved_by_its_nonce_and_listed(market: Market) -> None:
    saved = await market.vault.save(ADA, "nonce-1881")
    assert (saved.brand, saved.last4, saved.expires, saved.is_default) == ("Visa", "1881", "12/2030", True)
    assert await market.vault.methods(ADA) == [saved]
    assert await market.vault.methods(BOB) == []
    assert "nonce-1881" not in await market.everything()


async def check_a_double_click_saves_a_card_once(market: Market) -> None:
    first = await market.vault.save(ADA, "nonce-1881")
    assert await market.vault.save(ADA, "nonce-1881") == first
    assert market.gateway.called.count("save_method") == 1


async def check_a_test_nonce_that_can_be_used_again_saves_another_card_with_another_key(market: Market) -> None:
    first = await market.vault.save(ADA, "fake-valid-nonce", key="k1")
    market.gateway.used.clear()
    second = await market.vault.save(ADA, "fake-valid-nonce", key="k2")
    assert await market.vault.save(ADA, "fake-valid-nonce", key="k1") == first
    assert {first.token, second.token} == set(await tokens(market)) and first.token != second.token


async def check_a_card_that_is_being_saved_is_not_saved_again_meanwhile(market: Market) -> None:
    gate: Deferred[None] = Deferred()
    market.gateway.will_do("save_method", gate)
    first = Deferred.fromCoroutine(market.vault.save(ADA, "nonce-1881"))
    await market.until(lambda: "save_method" in market.gateway.called)
    assert (await refusal(market.vault.save(ADA, "nonce-1881"))).code == "in_progress"
    assert await market.vault.methods(ADA) == []
    gate.callback(None)
    assert [(await first).token] == await tokens(market)


async def check_a_card_whose_saving_got_no_answer_is_found_again_at_once(market: Market) -> None:
    market.gateway.will_do("save_method", "lost")
    assert (await market.vault.save(ADA, "nonce-1881")).last4 == "1881"
    assert len(market.gateway.saved) == 1


async def check_a_card_that_was_saved_while_the_gateway_was_lost_is_in_the_list_later(market: Market) -> None:
    market.gateway.will_do("save_method", "lost")
    market.gateway.will_do("methods", "dropped")
    with pytest.raises(GatewayAway):
        await market.vault.save(ADA, "nonce-1881")
    assert await tokens(market) == []
    market.restart()
    market.clock.advance(30)
    assert await tokens(market) == list(market.gateway.saved)


async def check_a_card_that_never_arrived_can_be_saved_again(market: Market) -> None:
    market.gateway.will_do("save_method", "dropped")
    with pytest.raises(GatewayAway):
        await market.vault.save(ADA, "nonce-1881")
    market.clock.advance(30)
    assert (await market.vault.save(ADA, "nonce-1881")).last4 == "1881"


async def check_the_list_is_shown_while_the_gateway_is_away(market: Market) -> None:
    saved = await market.vault.save(ADA, "nonce-1881")
    market.gateway.will_do("save_method", "dropped")
    market.gateway.will_do("methods", "dropped")
    with pytest.raises(GatewayAway):
        await market.vault.save(ADA, "nonce-0005")
    market.clock.advance(30)
    market.gateway.is_away = True
    assert await market.vault.methods(ADA) == [saved]


async def check_a_card_that_the_gateway_refuses_leaves_nothing(market: Market) -> None:
    with pytest.raises(GatewayRefused) as refused:
        await market.vault.save(ADA, "bad")
    assert refused.value.code == "81715"
    assert await market.rows("rt_pay_methods") == []


async def check_a_customer_who_was_deleted_in_the_control_panel_is_made_again(market: Market) -> None:
    await market.vault.customer(ADA)
    market.gateway.people.clear()
    assert (await market.vault.save(ADA, "nonce-1881")).last4 == "1881"


async def check_a_customer_who_was_deleted_in_the_control_panel_gets_a_client_token(market: Market) -> None:
    assert await market.vault.client_token(ADA, "") == "token of nobody"
    known = await market.vault.customer(ADA)
    market.gateway.people.clear()
    assert await market.vault.client_token(ADA, "") == f"token of {known}"
    assert list(market.gateway.people) == [known]


async def check_a_client_token_for_no_account_of_the_shop_is_refused(market: Market) -> None:
    await market.vault.customer(ADA)
    with pytest.raises(GatewayRefused, match="client_token"):
        await market.vault.client_token(ADA, "no account")


async def check_a_busy_gateway_saves_nothing_and_may_be_asked_again(market: Market) -> None:
    market.gateway.will_do("save_method", "busy")
    with pytest.raises(GatewayBusy):
        await market.vault.save(ADA, "nonce-1881")
    assert (await market.vault.save(ADA, "nonce-1881")).last4 == "1881"


async def check_one_card_is_the_default_one(market: Market) -> None:
    first = await market.vault.save(ADA, "nonce-1881")
    second = await market.vault.save(ADA, "nonce-0005", is_default=True)
    assert await tokens(market) == [second.token, first.token]
    assert (await market.vault.choose(ADA, first.token)).is_default
    assert [each.is_default for each in await market.vault.methods(ADA)] == [True, False]
    assert await tokens(market) == [first.token, second.token]


async def check_nobody_touches_or_pays_with_the_card_of_somebody_else(market: Market) -> None:
    theirs = (await market.vault.save(BOB, "nonce-1881")).token
    await market.vault.customer(ADA)
    called = len(market.gateway.called)
    for work in (market.vault.method, market.vault.choose, market.vault.delete):
        assert (await refusal(work(ADA, theirs))).status == 404
    assert (await refusal(market.subscribe(ADA, method=theirs))).status == 404
    assert (await refusal(market.pay(ADA, method=theirs, key="k"))).status == 404
    assert len(market.gateway.called) == called and market.gateway.sales == []
    assert await tokens(market, BOB) == [theirs]


async def check_the_nonce_of_one_person_saves_no_card_of_another(market: Market) -> None:
    await market.vault.save(BOB, "nonce-1881")
    with pytest.raises(GatewayRefused):
        await market.vault.save(ADA, "nonce-1881")
    assert await tokens(market) == []


async def check_a_deleted_card_is_gone_and_deleting_it_twice_is_fine(market: Market) -> None:
    token = (await market.vault.save(ADA, "nonce-1881")).token
    await market.vault.delete(ADA, token)
    await market.vault.delete(ADA, token)
    assert await tokens(market) == [] and market.gateway.saved == {}
    assert (await refusal(market.vault.method(ADA, token))).status == 404
    assert (await refusal(market.vault.save(ADA, "nonce-1881"))).code == "nonce_used"


async def check_a_deletion_whose_answer_was_lost_can_be_asked_for_again(market: Market) -> None:
    token = (await market.vault.save(ADA, "nonce-1881")).token
    market.gateway.will_do("delete_method", "lost")
    with pytest.raises(GatewayAway):
        await market.vault.delete(ADA, token)
    await market.vault.delete(ADA, token)
    assert await tokens(market) == []


async def check_a_card_that_pays_a_subscription_is_not_deleted(market: Market) -> None:
    row = await market.subscribed()
    assert (await refusal(market.vault.delete(ADA, row.method))).code == "method_in_use"
    await market.subscriptions.cancel(ADA, row.id)
    await market.vault.delete(ADA, row.method)
    assert await tokens(market) == []


async def check_cards_that_were_saved_or_deleted_elsewhere_become_known(market: Market) -> None:
    mine = await market.vault.save(ADA, "nonce-1881")
    customer = await market.vault.customer(ADA)
    market.gateway._save(customer, "nonce-0005", "theirs", False)
    await market.vault.refresh(ADA.id)
    assert await tokens(market) == [mine.token, "theirs"]
    del market.gateway.saved["theirs"]
    await market.vault.refresh(ADA.id)
    assert await tokens(market) == [mine.token]


def saves(market: Market) -> Callable[[Any, Callable[[], Outcome]], None]:
    """What the gateway does with a sale that saves its card."""

    def save(_: Any, work: Callable[[], Outcome]) -> None:
        work()
        (customer,) = market.gateway.people
        market.gateway.saved["of the sale"] = (
            customer,
            SavedMethod("of the sale", "credit_card", "Visa", "1881", "12/2030", True),
        )

    return save


async def check_a_card_that_was_saved_while_paying_is_listed_though_the_answer_was_lost(market: Market) -> None:
    async def works_and_is_lost(gateway: Any, work: Callable[[], Outcome]) -> Outcome:
        saves(market)(gateway, work)
        return UNKNOWN

    market.gateway.will(Op.SALE, works_and_is_lost)
    assert (await market.pay(saves_method=True)).status == 202
    market.restart()
    await market.later(60)
    assert await tokens(market) == ["of the sale"]
    asked = market.gateway.called.count("methods")
    assert await tokens(market) == ["of the sale"]
    assert market.gateway.called.count("methods") == asked, "it is asked anew only when there may be more"


async def check_a_card_that_was_saved_while_paying_is_listed_though_it_could_not_be_read_at_once(
    market: Market,
) -> None:
    async def works(gateway: Any, work: Callable[[], Outcome]) -> Outcome:
        saves(market)(gateway, work)
        return Outcome(AttemptState.APPROVED, "approved", "", transaction=market.gateway.charged()[0])

    market.gateway.will(Op.SALE, works)
    market.gateway.will_do("methods", "dropped", "dropped")
    assert (await market.pay(saves_method=True)).result == "done"
    await market.quiet()
    assert await tokens(market) == []
    assert await tokens(market) == ["of the sale"]


async def check_a_card_that_is_saved_while_the_list_is_read_stays(market: Market) -> None:
    await market.vault.save(ADA, "nonce-1881")
    gate: Deferred[None] = Deferred()
    market.gateway.will_do("save_method", gate)
    saving = Deferred.fromCoroutine(market.vault.save(ADA, "nonce-0005"))
    await market.until(lambda: market.gateway.called.count("save_method") == 2)
    await market.vault.refresh(ADA.id)
    gate.callback(None)
    await saving
    assert len(await tokens(market)) == 2


async def check_what_the_gateway_says_of_one_person_never_touches_the_card_of_another(market: Market) -> None:
    theirs = await market.vault.save(BOB, "nonce-1881")
    await methods.save(market.database, ADA.id, replace(theirs, last4="0000", is_default=False), 1)
    assert await market.vault.methods(BOB) == [theirs] and await market.vault.methods(ADA) == []


async def check_a_person_saves_twenty_cards_at_most(market: Market) -> None:
    for number in range(20):
        await market.vault.save(ADA, f"nonce-{number:04}")
    assert (await refusal(market.vault.save(ADA, "nonce-9999"))).code == "too_many_methods"


async def check_what_is_no_nonce_goes_nowhere(market: Market) -> None:
    for text in ("", "x" * 5000, "a\0b"):
        assert (await refusal(market.vault.save(ADA, text))).code == "bad_nonce"
    assert market.gateway.called == []


VAULT_CHECKS = checks_of(globals())
