"""Signing in with providers: what people see."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher

from rtserver.accounts.social import AwaitsProof, NeedsAddress, SignedIn
from rtserver.core.errors import StoreError
from rtserver.services.identity_social import Turns
from tests.deadline import deadline
from tests.services.identity_house import OTHER, SECRET, TABLE, Opened, house_in, refused

ADA = {"sub": "1", "name": "Ada", "email": "ada@example.org"}
NOBODY = {"sub": "2", "name": "noe"}


@pytest_twisted.async_yield_fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    async with house_in(tmp_path) as made:
        yield made


@pytest.fixture
def log() -> Iterator[list[str]]:
    """The lines of the log."""
    lines: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


# Somebody new


@deadline(20)
async def test_somebody_new_gets_a_letter_and_by_its_link_an_account(opened):
    house = opened()
    browser = house.browser()
    outcome = await browser.login(ADA)
    assert isinstance(outcome, AwaitsProof) and outcome.proof.target == "/there"
    assert await house.names() == []
    (letter,) = await house.letters()
    assert (letter["kind"], letter["to"]) == ("confirm_provider", "ada@example.org")
    assert (letter["provider"], letter["handle"]) == ("Table", "Ada")
    confirmed = await browser.open(letter["link"])
    assert confirmed.account is not None and confirmed.account.email == "ada@example.org"
    assert await house.identities() == [("table", "1", "Ada")]


@deadline(20)
async def test_who_is_known_signs_in_without_a_letter_and_goes_where_he_wanted(opened):
    house = opened()
    first = house.browser()
    await first.login(ADA)
    await first.open((await house.letters())[0]["link"])
    browser = house.browser()
    outcome = await browser.login({**ADA, "email": "changed@example.org"})
    assert isinstance(outcome, SignedIn)
    assert (outcome.account.username, outcome.target, outcome.is_new) == ("Ada", "/there", False)
    assert len(await house.letters()) == 1


@deadline(20)
async def test_who_has_no_address_there_is_asked_for_one_and_confirms_it_in_a_browser_without_cookies(opened):
    house = opened()
    browser, phone = house.browser(), house.browser()
    asked = await browser.login(NOBODY)
    assert isinstance(asked, NeedsAddress)
    waits = await browser.give_address(asked.token, "Noe@Example.org")
    assert isinstance(waits, AwaitsProof) and waits.proof.target == "/there"
    (letter,) = await house.letters()
    assert letter["to"] == "Noe@Example.org"
    confirmed = await phone.open(letter["link"])
    assert (confirmed.account, confirmed.is_own_browser) == (None, False)
    account = await house.confirming.redeem(waits.proof.id, browser.key)
    assert (account.username, account.email) == ("noe", "Noe@Example.org")


@deadline(20)
async def test_a_letter_is_good_after_a_restart_and_when_every_session_is_gone(opened):
    house = opened()
    await house.browser().login(ADA)
    await house.database.run("delete from rt_sessions")
    house = opened()
    await house.browser().open((await house.letters())[0]["link"])
    assert await house.names() == ["Ada"]


@pytest.mark.parametrize(
    "address", ["no address", "", None, 7, ["a@example.org"], "a@b", "a b@example.org", "x@y@z.org"]
)
@deadline(20)
async def test_what_a_provider_calls_an_address_and_is_none_counts_as_none(opened, address):
    assert isinstance(await opened().browser().login({**ADA, "email": address}), NeedsAddress)


@deadline(20)
async def test_an_address_that_cannot_be_one_is_refused_and_may_be_typed_again(opened):
    browser = opened().browser()
    asked = await browser.login(NOBODY)
    error = await refused(browser.give_address(asked.token, "noe"))
    assert (error.code, error.field) == ("bad_address", "email")
    assert isinstance(await browser.give_address(asked.token, "noe@example.org"), AwaitsProof)


@deadline(20)
async def test_a_name_that_was_taken_while_the_letter_was_out_gets_a_number(opened):
    house = opened()
    browser = house.browser()
    await browser.login(NOBODY | {"email": "first@example.org"})
    await house.person("noe")
    await browser.open((await house.letters())[0]["link"])
    assert await house.names() == ["noe", "noe-2"]


@pytest.mark.parametrize("name", ["", "  ", None, 5, {"a": 1}])
@deadline(20)
async def test_who_has_no_name_there_is_named_after_the_address(opened, name):
    house = opened()
    browser = house.browser()
    await browser.login(ADA | {"name": name, "email": "lovelace@example.org"})
    await browser.open((await house.letters())[0]["link"])
    assert await house.names() == ["lovelace"]


@deadline(20)
async def test_a_name_of_a_stranger_comes_short_and_on_one_line_into_the_letter(opened):
    house = opened()
    await house.browser().login(ADA | {"name": "Ada\r\nBcc: all@example.org\x00" + "x" * 500})
    (letter,) = await house.letters()
    assert letter["handle"].startswith("Ada Bcc: all@example.org x")
    assert len(letter["handle"]) == 64


@deadline(20)
async def test_nobody_new_comes_in_when_sign_up_is_closed_and_who_has_an_account_does(opened):
    house = opened(sign_up=False)
    ada = await house.person("ada")
    browser = house.browser()
    await browser.sign_in(ada)
    await browser.back(await browser.begin(link=True), ADA)
    assert isinstance(await house.browser().login(ADA), SignedIn)
    stranger = house.browser()
    await stranger.login(NOBODY | {"email": "noe@example.org"})
    letters = await house.letters()
    assert (await refused(stranger.open(letters[-1]["link"]))).code == "sign_up_closed"
    assert await house.names() == ["ada"]


@deadline(20)
async def test_a_closed_account_is_not_opened_by_its_identity(opened):
    house = opened()
    browser = house.browser()
    await browser.login(ADA)
    await browser.open((await house.letters())[0]["link"])
    await house.database.run("update rt_users set is_active = 0")
    assert (await refused(house.browser().login(ADA))).code == "account_inactive"


@deadline(20)
async def test_nothing_is_kept_of_a_letter_that_cannot_be_stored(opened):
    house = opened()
    house.post.fail = StoreError("no room: make some")
    with pytest.raises(StoreError):
        await house.browser().login(ADA)
    assert await house.database.run("select 1 from rt_proofs") == []


# Trust


@pytest.mark.parametrize(
    "trust, says, is_asked",
    [
        (True, {"email_verified": True}, False),
        (True, {"email_verified": False}, True),
        (True, {"email_verified": "true"}, True),
        (True, {}, True),
        (False, {"email_verified": True}, True),
    ],
)
@deadline(20)
async def test_only_the_word_of_a_trusted_provider_stands_for_a_letter(opened, trust, says, is_asked):
    house = opened(providers=(replace(TABLE, trust_email=trust),))
    outcome = await house.browser().login(ADA | says)
    assert isinstance(outcome, AwaitsProof if is_asked else SignedIn)
    assert len(await house.letters()) == int(is_asked)
    assert await house.names() == ([] if is_asked else ["Ada"])


@deadline(20)
async def test_an_address_that_a_person_typed_is_proven_by_a_letter_also_with_a_trusted_provider(opened):
    house = opened(providers=(replace(TABLE, trust_email=True),))
    browser = house.browser()
    asked = await browser.login(NOBODY | {"email_verified": True})
    assert isinstance(await browser.give_address(asked.token, "noe@example.org"), AwaitsProof)


@deadline(20)
async def test_the_word_of_a_trusted_provider_opens_the_account_that_is_there(opened):
    house = opened(providers=(replace(TABLE, trust_email=True),))
    ada = await house.person("ada")
    outcome = await house.browser().login(ADA | {"email_verified": True, "email": "ADA@example.org"})
    assert isinstance(outcome, SignedIn) and outcome.account.id == ada.id
    assert await house.identities() == [("table", "1", "ada")]


# Several at a time


@deadline(20)
async def test_two_tabs_sign_in_at_the_same_time_and_each_goes_where_it_wanted(opened):
    house = opened()
    known = house.browser()
    await known.login(ADA)
    await known.open((await house.letters())[0]["link"])
    browser = house.browser()
    one, two = await browser.begin(target="/one"), await browser.begin(target="/two")
    outcome = await browser.back(one, ADA)
    assert isinstance(outcome, SignedIn) and outcome.target == "/one"
    error = await refused(browser.back(two, ADA))
    assert error.code == "already_signed_in"
    browser = house.browser()
    one, two = await browser.begin(target="/one"), await browser.begin(target="/two")
    outcome = await browser.back(two, ADA)
    assert isinstance(outcome, SignedIn) and outcome.target == "/two"


@deadline(20)
async def test_two_tabs_that_wait_for_an_address_do_not_take_each_others_place(opened):
    house = opened()
    browser = house.browser()
    one = await browser.login(NOBODY)
    two = await browser.login({"sub": "3", "name": "lot"})
    await browser.give_address(one.token, "noe@example.org")
    await browser.give_address(two.token, "lot@example.org")
    for letter in await house.letters():
        await browser.open(letter["link"])
    assert await house.identities() == [("table", "2", "noe"), ("table", "3", "lot")]


@deadline(20)
async def test_who_typed_a_wrong_address_signs_in_again_and_is_asked_again(opened):
    house = opened()
    browser = house.browser()
    asked = await browser.login(NOBODY)
    await browser.give_address(asked.token, "wrong@example.org")
    again = await browser.login(NOBODY)
    assert isinstance(again, NeedsAddress) and again.token != asked.token
    await browser.give_address(again.token, "right@example.org")
    assert [each["to"] for each in await house.letters()] == ["wrong@example.org", "right@example.org"]
    await browser.open((await house.letters())[1]["link"])
    assert await house.identities() == [("table", "2", "noe")]


@deadline(20)
async def test_who_did_not_give_an_address_may_begin_again(opened):
    browser = opened().browser()
    await browser.login(NOBODY)
    assert isinstance(await browser.login(ADA), AwaitsProof)


@deadline(20)
async def test_two_providers_of_one_class_are_two(opened):
    house = opened()
    browser = house.browser()
    one, two = await browser.begin("table"), await browser.begin("other")
    assert (one["client_id"], two["client_id"]) == ("client", "client2")
    assert two["redirect_uri"] == "https://rt.example/auth/complete/other"
    await browser.back(one, ADA, "table")
    await browser.back(two, ADA | {"email": "other@example.org"}, "other")
    for letter in await house.letters():
        await browser.open(letter["link"])
    assert await house.identities() == [("other", "1", "Ada-2"), ("table", "1", "Ada")]
    assert [each.title for each in house.providers.offers] == ["Table", "Other"]


@deadline(20)
async def test_a_provider_that_was_removed_is_not_reachable_however_well_it_was_known(opened):
    before = opened()
    browser = before.browser()
    asked = await browser.begin("other")
    await browser.login(ADA, "other")
    after = opened(providers=(TABLE,))
    browser.house = after
    assert (await refused(browser.begin("other"))).code == "backend_missing"
    assert (await refused(browser.back(asked, ADA, "other"))).code == "backend_missing"
    link = (await after.letters())[0]["link"]
    error = await refused(browser.open(link))
    assert (error.code, error.status) == ("backend_missing", 404)
    browser.house = opened(providers=(OTHER,))
    await browser.open(link)
    assert await after.names() == ["Ada"]


@deadline(30)
async def test_of_many_browsers_of_one_new_person_all_come_in_to_one_account(opened):
    house = opened(providers=(replace(TABLE, trust_email=True),))
    came = [Deferred.fromCoroutine(house.browser().login(ADA | {"email_verified": True})) for _ in range(8)]
    outcomes = [await each for each in came]
    assert len({each.account.id for each in outcomes}) == 1
    assert [each.is_new for each in outcomes].count(True) == 1
    assert await house.identities() == [("table", "1", "Ada")]


# A provider that does not work


@deadline(20)
async def test_a_provider_that_answers_nonsense_is_refused_and_nothing_of_it_is_logged(opened, log):
    house = opened()
    for nonsense in (KeyError(SECRET), TypeError(SECRET), AttributeError(SECRET)):
        error = await refused(house.browser().login(nonsense))
        assert (error.code, error.status) == ("malformed_response", 502)
        assert SECRET not in str(error)
    assert [line.partition(" in ")[0] for line in log] == [
        f"sign-in with table: {kind}" for kind in ("KeyError", "TypeError", "AttributeError")
    ]
    assert SECRET not in repr(log)


@deadline(20)
async def test_somebody_without_an_id_is_nobody(opened):
    error = await refused(opened().browser().login({"name": "noe", "email": "noe@example.org"}))
    assert error.code == "missing_claim"


@deadline(20)
async def test_an_id_that_cannot_be_stored_is_nobody(opened):
    assert (await refused(opened().browser().login(ADA | {"sub": "a\x00b"}))).code == "invalid_claim"


@deadline(20)
async def test_a_slow_provider_takes_few_places_and_few_wait_for_it():
    turns, gates = Turns(at_once=2, waiting=1), [Deferred() for _ in range(3)]
    begun = []

    async def work(n):
        begun.append(n)
        await gates[n]
        return n

    running = [Deferred.fromCoroutine(turns.run(lambda n=n: work(n))) for n in range(3)]
    assert begun == [0, 1]
    assert (await refused(turns.run(lambda: work(0)))).status == 503
    gates[0].callback(None)
    assert begun == [0, 1, 2]
    gates[1].callback(None)
    gates[2].callback(None)
    assert [await each for each in running] == [0, 1, 2] and turns.inside == 0
