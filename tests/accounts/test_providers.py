"""What people link to their accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest_twisted

from rtserver.accounts.joining import Claim, Joining
from rtserver.accounts.parts import Asker
from rtserver.accounts.social import SignedIn
from rtserver.core.errors import Conflict
from tests.deadline import deadline
from tests.services.identity_house import TABLE, Opened, house_in, refused

ADA = {"sub": "1", "name": "Ada", "email": "ada@example.org"}
NOBODY = {"sub": "2", "name": "noe"}


@pytest_twisted.async_yield_fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    async with house_in(tmp_path) as made:
        yield made


@deadline(20)
async def test_who_is_signed_in_links_an_identity_and_signs_in_by_it_from_then_on(opened):
    house = opened()
    ada = await house.person("ada")
    browser = house.browser()
    await browser.sign_in(ada)
    outcome = await browser.back(await browser.begin(link=True, target="/auth/profile"), NOBODY)
    assert isinstance(outcome, SignedIn) and outcome.is_link and outcome.account.id == ada.id
    assert await house.letters() == []
    again = await house.browser().login(NOBODY)
    assert again.account.id == ada.id
    (identity,) = await house.providers.identities(ada)
    assert (identity.provider, identity.handle) == ("table", "noe")


@deadline(20)
async def test_linking_twice_is_no_error(opened):
    house = opened()
    browser = house.browser()
    await browser.sign_in(await house.person("ada"))
    for _ in range(2):
        assert (await browser.back(await browser.begin(link=True), NOBODY)).is_link
    assert await house.identities() == [("table", "2", "ada")]


@deadline(20)
async def test_the_last_way_to_sign_in_cannot_be_taken_off(opened):
    house = opened()
    bare = await house.person("ada", password=None)
    browser = house.browser()
    await browser.sign_in(bare)
    await browser.back(await browser.begin(link=True), ADA)
    (first,) = await house.providers.identities(bare)
    assert (await refused(house.providers.unlink(bare, first.id))).code == "last_way_in"
    await browser.back(await browser.begin("other", link=True), ADA, "other")
    assert (await refused(opened(providers=(TABLE,)).providers.unlink(bare, first.id))).code == "last_way_in"
    await house.providers.unlink(bare, first.id)
    assert [each.provider for each in await house.providers.identities(bare)] == ["other"]


@deadline(20)
async def test_a_password_is_a_way_to_sign_in_unless_passwords_are_off(opened):
    house = opened()
    ada = await house.person("ada")
    browser = house.browser()
    await browser.sign_in(ada)
    await browser.back(await browser.begin(link=True), ADA)
    (identity,) = await house.providers.identities(ada)
    assert (await refused(opened(passwords=False).providers.unlink(ada, identity.id))).code == "last_way_in"
    await house.providers.unlink(ada, identity.id)
    assert await house.providers.identities(ada) == []


@deadline(20)
async def test_nobody_takes_off_what_is_anothers(opened):
    house = opened()
    ada, eve = await house.person("ada"), await house.person("eve")
    browser = house.browser()
    await browser.sign_in(ada)
    await browser.back(await browser.begin(link=True), ADA)
    (identity,) = await house.providers.identities(ada)
    assert (await refused(house.providers.unlink(eve, identity.id))).status == 404
    assert len(await house.providers.identities(ada)) == 1


@deadline(20)
async def test_signing_in_and_linking_are_not_mistaken_for_each_other(opened):
    house = opened()
    browser = house.browser()
    assert (await refused(browser.begin(link=True))).code == "not_signed_in"
    await browser.sign_in(await house.person("ada"))
    assert (await refused(browser.begin())).code == "already_signed_in"


class Crowded:
    """A database in which somebody is faster each time."""

    tries = 0

    async def transact(self, work):
        self.tries += 1
        raise Conflict("rt_users.email_norm")


@deadline(20)
async def test_who_is_always_too_late_is_told_to_try_again_in_the_end(opened):
    crowded = Crowded()
    joining = Joining(replace(opened().parts, database=crowded))
    error = await refused(joining.open(Claim("table", "sub", "1", "Ada", "ada", Asker())))
    assert (error.code, error.status, crowded.tries) == ("try_again", 503, 5)
