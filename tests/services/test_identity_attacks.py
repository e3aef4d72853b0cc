"""Signing in with providers: what attackers try, and what must not be lost by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from rtserver.accounts import proofs
from rtserver.accounts.errors import AccountRefused, NeedsSignIn
from rtserver.accounts.options import PIPELINE
from rtserver.accounts.social import AwaitsProof, NeedsAddress, SignedIn
from tests.deadline import deadline
from tests.services.identity_house import SECRET, Browser, House, Opened, house_in, refused

ADA = {"sub": "1", "name": "Ada", "email": "ada@example.org"}
NOBODY = {"sub": "2", "name": "noe"}


@pytest_twisted.async_yield_fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    async with house_in(tmp_path) as made:
        yield made


async def link_of(house: House, n: int = -1) -> str:
    return (await house.letters())[n]["link"]


async def is_unused(house: House) -> bool:
    return await house.database.run("select 1 from rt_proofs where used_at is not null") == []


# The way back from the provider


@deadline(20)
async def test_a_callback_is_good_once(opened):
    house = opened()
    browser = house.browser()
    asked = await browser.begin()
    assert isinstance(await browser.back(asked, ADA), AwaitsProof)
    error = await refused(browser.back(asked, ADA))
    assert (error.code, error.status) == ("session_context_missing", 400)


@deadline(20)
async def test_a_callback_is_good_once_also_when_two_come_at_the_same_time(opened):
    house = opened()
    browser = house.browser()
    asked = await browser.begin()
    came = [Deferred.fromCoroutine(outcome_of(browser.back(asked, ADA))) for _ in range(4)]
    outcomes = [await each for each in came]
    assert sorted(type(each) is AwaitsProof for each in outcomes) == [False, False, False, True]
    assert len(await house.letters()) == 1


async def outcome_of(work):
    try:
        return await work
    except AccountRefused as error:
        return error


@deadline(20)
async def test_a_state_of_another_browser_is_refused(opened):
    house = opened()
    eve, victim = house.browser(), house.browser()
    asked = await eve.begin()
    await victim.begin()
    assert (await refused(victim.back(asked, ADA))).code == "session_context_missing"
    victim = house.browser()
    assert (await refused(victim.back(asked, ADA))).code == "session_context_missing"


@pytest.mark.parametrize("state", ["", "x" * 129, "nothing of ours", "é\x00"])
@deadline(20)
async def test_a_callback_with_no_state_of_ours_is_refused(opened, state):
    browser = opened().browser()
    await browser.begin()
    assert (await refused(browser.back({"state": state}, ADA))).status == 400


@deadline(20)
async def test_a_callback_is_too_late_after_half_an_hour(opened):
    house = opened()
    browser = house.browser()
    asked = await browser.begin()
    await house.database.run(
        "update rt_session_items set value = replace(value, '\"timestamp\": 1', '\"timestamp\": ') where name like '%state%'"
    )
    assert (await refused(browser.back(asked, ADA))).code == "state_mismatch"


@deadline(20)
async def test_who_pressed_cancel_there_is_told_so_and_may_begin_again(opened):
    browser = opened().browser()
    asked = await browser.begin()
    error = await refused(browser.comes("table", {"error": "access_denied", "state": asked["state"]}))
    assert (error.code, error.status) == ("authorization_declined", 400)
    assert isinstance(await browser.login(ADA), AwaitsProof)


@deadline(20)
async def test_an_error_of_the_provider_is_not_repeated_to_people(opened):
    browser = opened().browser()
    asked = await browser.begin()
    said = {"error": "server_error", "error_description": f"<b>{SECRET}</b>", "state": asked["state"]}
    error = await refused(browser.comes("table", said))
    assert (error.code, error.status) == ("unavailable", 503)
    assert SECRET not in str(error)


@deadline(20)
async def test_a_browser_without_cookies_is_told_to_allow_them(opened):
    house = opened()
    browser = house.browser()
    assert (await refused(house.providers.begin("table", browser.asker, "/"))).code == "session_missing"
    assert (await refused(browser.comes("table", {"code": "1", "state": "1"}))).code == "session_context_missing"


@deadline(20)
async def test_too_many_beginnings_from_one_place_are_refused(opened):
    browser = opened().browser()
    for _ in range(60):
        await browser.begin()
    assert (await refused(browser.begin())).status == 429
    kept = await browser.house.sessions.items(browser.session.sid_hash)
    assert len(kept) <= 64


# Waiting sign-ins


@deadline(20)
async def test_who_only_has_the_token_of_a_waiting_sign_in_cannot_hand_in_an_address(opened):
    house = opened()
    browser, eve = house.browser(), house.browser()
    asked = await browser.login(NOBODY)
    await eve.begin()
    assert (await refused(eve.give_address(asked.token, "eve@example.org"))).code == "login_out_of_date"
    assert await house.letters() == []
    assert isinstance(await browser.give_address(asked.token, "noe@example.org"), AwaitsProof)


@pytest.mark.parametrize("token", ["", "no such token", "\x00", "x" * 5000])
@deadline(20)
async def test_a_token_that_nobody_gave_out_is_refused(opened, token):
    browser = opened().browser()
    await browser.begin()
    assert (await refused(browser.give_address(token, "eve@example.org"))).code == "login_out_of_date"


@deadline(20)
async def test_an_address_in_the_callback_is_not_one_that_was_typed(opened):
    browser = opened().browser()
    assert isinstance(await browser.back(await browser.begin(), NOBODY, email="eve@example.org"), NeedsAddress)


@deadline(20)
async def test_a_callback_cannot_say_that_a_letter_was_answered(opened):
    house = opened()
    browser = house.browser()
    await browser.login(ADA)
    (proof,) = await proofs_of(house)
    token = (await proofs.find(house.database, proof)).data["partial"]
    for more in (
        {"partial_token": token},
        {"partial_token": token, "verification_code": proof},
        {"partial_token": token, "verification_code": proof, "partial_pipeline_confirm": "1"},
    ):
        await refused(browser.comes("table", more))
        outcome = await browser.back(await browser.begin(), ADA, **more)
        assert isinstance(outcome, AwaitsProof)
    assert await house.names() == []
    assert await is_unused(house)


async def proofs_of(house):
    return [id for (id,) in await house.database.run("select id from rt_proofs")]


@deadline(20)
async def test_a_letter_that_is_handed_in_as_an_address_proves_nothing(opened):
    """``with_address`` takes the token of a sign-in that waits for a letter, of the same session."""
    house = opened()
    browser = house.browser()
    outcome = await browser.login(ADA)
    token = outcome.proof.data["partial"]
    assert (await refused(browser.give_address(token, "eve@example.org"))).code == "login_out_of_date"
    assert await house.names() == []


# Letters


@deadline(20)
async def test_a_letter_of_before_the_pipeline_was_edited_opens_nothing(opened):
    house = opened()
    browser = house.browser()
    await browser.login(ADA)
    steps = tuple(each for each in PIPELINE if not each.endswith("auth_allowed"))
    browser.house = opened(pipeline=steps)
    error = await refused(browser.open(await link_of(house)))
    assert (error.code, error.status) == ("login_out_of_date", 410)
    assert await house.names() == [] and await is_unused(house)


@deadline(20)
async def test_a_pipeline_without_letters_lets_nobody_new_in_whose_address_is_not_proven(opened):
    house = opened(pipeline=tuple(each for each in PIPELINE if not each.endswith("mail_validation")))
    assert (await refused(house.browser().login(ADA))).code == "address_unproven"
    assert await house.names() == []


@deadline(20)
async def test_of_many_who_confirm_at_once_one_does_and_there_is_one_account(opened):
    house = opened()
    await house.browser().login(ADA)
    link = await link_of(house)
    came = [Deferred.fromCoroutine(outcome_of(house.browser().open(link))) for _ in range(5)]
    outcomes = [await each for each in came]
    lost = [each for each in outcomes if isinstance(each, AccountRefused)]
    assert len(lost) == 4
    assert {each.status for each in lost} <= {409, 410}
    assert await house.names() == ["Ada"]
    assert await house.identities() == [("table", "1", "Ada")]


@deadline(20)
async def test_two_letters_of_one_person_make_one_account(opened):
    house = opened()
    one, two = house.browser(), house.browser()
    await one.login(ADA)
    await two.login(ADA)
    await one.open(await link_of(house, 0))
    confirmed = await two.open(await link_of(house, 1))
    assert confirmed.account is not None
    assert await house.identities() == [("table", "1", "Ada")]


@deadline(20)
async def test_an_old_letter_to_a_stranger_does_not_sign_him_in_as_who_wrote_to_him(opened):
    house = opened()
    eve, victim = house.browser(), house.browser()
    for address in ("victim@example.org", "eve@example.org"):
        asked = await eve.login(NOBODY)
        await eve.give_address(asked.token, address)
    await eve.open(await link_of(house, 1))
    error = await refused(victim.open(await link_of(house, 0)))
    assert (error.code, error.status) == ("identity_known", 409)


@deadline(20)
async def test_a_letter_is_void_when_its_time_is_over(opened):
    house = opened()
    browser = house.browser()
    await browser.login(ADA)
    house.ahead = 2 * 86_400.0
    assert (await refused(browser.open(await link_of(house)))).code == "link_expired"
    assert await house.names() == []


@deadline(20)
async def test_nothing_that_opens_doors_at_the_provider_is_stored_while_a_letter_is_out_nor_afterwards(opened):
    house = opened()
    browser = house.browser()
    await browser.login(ADA)
    assert SECRET not in await house.everything()
    await browser.open(await link_of(house))
    await house.browser().login(ADA)
    stored = await house.everything()
    assert SECRET not in stored and "auth_time" in stored
    assert await house.database.run("select 1 from rt_auth_partials") == []
    assert await house.database.run("select 1 from rt_auth_nonces") == []


# Accounts of others


async def eve_types_the_address_of_ada(house: House) -> Browser:
    eve = house.browser()
    asked = await eve.login(NOBODY)
    await eve.give_address(asked.token, "ADA@example.org")
    return eve


@deadline(20)
async def test_a_stranger_who_types_my_address_does_not_get_into_my_account_by_my_pressing_the_button(opened):
    house = opened()
    ada = await house.person("ada")
    eve = await eve_types_the_address_of_ada(house)
    (letter,) = await house.letters()
    assert (letter["provider"], letter["handle"], letter["username"]) == ("Table", "noe", "ada")
    elsewhere = house.browser()
    error = await refused(elsewhere.open(letter["link"]))
    assert isinstance(error, NeedsSignIn) and error.username == "ada"
    assert await house.identities() == [] and await is_unused(house)
    look = await house.confirming.look(letter["link"].rpartition("/")[2], elsewhere.asker)
    assert (look.existing, look.needs_sign_in, look.provider, look.handle) == (ada, True, "Table", "noe")
    assert (await refused(eve.login(NOBODY | {"sub": ""}))).code == "missing_claim"


@deadline(20)
async def test_who_is_signed_in_as_somebody_else_does_not_open_it_either(opened):
    house = opened()
    await house.person("ada")
    await eve_types_the_address_of_ada(house)
    browser = house.browser()
    await browser.sign_in(await house.person("bob"))
    assert isinstance(await refused(browser.open(await link_of(house))), NeedsSignIn)
    assert await house.identities() == []


@deadline(20)
async def test_who_is_signed_in_to_the_account_may_let_the_identity_in(opened):
    house = opened()
    ada = await house.person("ada")
    await eve_types_the_address_of_ada(house)
    browser = house.browser()
    await browser.sign_in(ada)
    await browser.open(await link_of(house))
    assert await house.identities() == [("table", "2", "ada")]


@deadline(20)
async def test_the_browser_that_began_may_open_the_account_whose_mailbox_it_reads(opened):
    house = opened()
    ada = await house.person("ada")
    browser = house.browser()
    await browser.login(ADA)
    confirmed = await browser.open(await link_of(house))
    assert confirmed.account == ada
    assert await house.identities() == [("table", "1", "ada")]


@deadline(20)
async def test_an_account_that_came_between_the_look_and_the_button_is_guarded_too(opened):
    house = opened()
    await eve_types_the_address_of_ada(house)
    proof = (await proofs_of(house))[0]
    ada = await house.person("ada")
    waiting = await proofs.find(house.database, proof)
    browser = house.browser()
    assert isinstance(await refused(house.providers.resume(waiting, browser.asker)), NeedsSignIn)
    assert await house.identities() == [] and await is_unused(house)
    await browser.sign_in(ada)
    assert await house.providers.resume(waiting, browser.asker) == ada


@deadline(20)
async def test_an_identity_that_opens_another_account_cannot_be_linked(opened):
    house = opened()
    ada, eve = await house.person("ada"), await house.person("eve")
    first, second = house.browser(), house.browser()
    await first.sign_in(ada)
    await first.back(await first.begin(link=True), ADA)
    await second.sign_in(eve)
    error = await refused(second.back(await second.begin(link=True), ADA))
    assert (error.code, error.status) == ("identity_in_use", 409)
    assert await house.identities() == [("table", "1", "ada")]


@deadline(20)
async def test_two_who_link_the_same_identity_at_once_do_not_both_get_it(opened):
    house = opened()
    browsers = []
    for name in ("ada", "eve"):
        browser = house.browser()
        await browser.sign_in(await house.person(name))
        browsers.append((browser, await browser.begin(link=True)))
    came = [Deferred.fromCoroutine(outcome_of(browser.back(asked, ADA))) for browser, asked in browsers]
    outcomes = [await each for each in came]
    assert sorted(isinstance(each, SignedIn) for each in outcomes) == [False, True]
    assert len(await house.identities()) == 1
