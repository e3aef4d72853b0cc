"""Signing in with a provider of OpenID Connect that is another program: oidc-provider-mock."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher

from rtserver.accounts.options import ProviderOptions
from rtserver.accounts.social import AwaitsProof, NeedsAddress, SignedIn
from tests.deadline import deadline
from tests.live.oidc_provider import MockProvider
from tests.services.identity_house import SECRET, TABLE, Browser, Opened, house_in, refused
from tests.services.test_identity_attacks import outcome_of

JWT = re.compile(r"eyJ[\w-]+\.eyJ")

PEOPLE = (
    {"sub": "no-address", "preferred_username": "noe"},
    {"sub": "verified", "preferred_username": "vera", "email": "vera@example.org", "email_verified": True},
)
ADA = "ada@example.org"
"""Whoever the mock does not know has the address by which he signs in."""


@pytest.fixture(scope="module")
def mock(tmp_path_factory) -> Iterator[MockProvider]:
    with MockProvider(tmp_path_factory.mktemp("mock"), *PEOPLE) as provider:
        yield provider


@pytest_twisted.async_yield_fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    async with house_in(tmp_path) as made:
        yield made


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []

    def observe(event) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def oidc(provider: MockProvider, name: str = "oidc", trust: bool = False) -> ProviderOptions:
    return ProviderOptions(
        name=name,
        title="Mock",
        backend="social_core.backends.open_id_connect.OpenIdConnectAuth",
        key="client",
        secret=SECRET,
        trust_email=trust,
        settings={"OIDC_ENDPOINT": provider.url},
    )


async def login(browser: Browser, mock: MockProvider, sub: str, name: str = "oidc"):
    asked = await browser.begin(name)
    return await browser.comes(name, mock.sign_in(asked["url"], sub))


@deadline(30)
async def test_somebody_new_confirms_a_letter_and_signs_in_without_one_from_then_on(opened, mock):
    house = opened(providers=(oidc(mock),))
    browser = house.browser()
    assert isinstance(await login(browser, mock, ADA), AwaitsProof)
    (letter,) = await house.letters()
    assert (letter["to"], letter["provider"]) == (ADA, "Mock")
    confirmed = await browser.open(letter["link"])
    assert confirmed.account is not None and confirmed.account.email == ADA
    again = await login(house.browser(), mock, ADA)
    assert isinstance(again, SignedIn) and again.account.id == confirmed.account.id
    assert len(await house.letters()) == 1


@deadline(30)
async def test_who_has_no_address_there_gives_one_and_confirms_in_another_browser_after_a_restart(opened, mock):
    house = opened(providers=(oidc(mock),))
    browser = house.browser()
    asked = await login(browser, mock, "no-address")
    assert isinstance(asked, NeedsAddress)
    stranger = house.browser()
    await stranger.begin("oidc")
    assert (await refused(stranger.give_address(asked.token, "eve@example.org"))).code == "login_out_of_date"
    waits = await browser.give_address(asked.token, "noe@example.org")
    await house.database.run("delete from rt_sessions")
    house = opened(providers=(oidc(mock),))
    await house.browser().open((await house.letters())[0]["link"])
    account = await house.confirming.redeem(waits.proof.id, browser.key)
    assert (account.username, account.email) == ("noe", "noe@example.org")
    assert await house.identities() == [("oidc", "no-address", "noe")]


@pytest.mark.parametrize("trust", [False, True])
@deadline(30)
async def test_an_address_that_a_trusted_provider_calls_verified_needs_no_letter(opened, mock, trust):
    house = opened(providers=(oidc(mock, trust=trust),))
    outcome = await login(house.browser(), mock, "verified")
    assert isinstance(outcome, SignedIn if trust else AwaitsProof)
    assert len(await house.letters()) == int(not trust)


@deadline(30)
async def test_pkce_and_a_nonce_are_asked_for_and_nothing_of_a_sign_in_is_left_behind(opened, mock):
    house = opened(providers=(oidc(mock),))
    browser = house.browser()
    asked = await browser.begin("oidc")
    assert asked["code_challenge_method"] == "S256" and asked["nonce"] and asked["state"]
    back = mock.sign_in(asked["url"], ADA)
    await browser.comes("oidc", back)
    stored = await house.everything()
    assert not JWT.search(stored) and back["code"] not in stored
    await browser.open((await house.letters())[0]["link"])
    for table in ("rt_auth_nonces", "rt_auth_associations", "rt_auth_partials"):
        assert await house.database.run(f"select * from {table}") == []
    assert not JWT.search(await house.everything())


@deadline(30)
async def test_a_callback_and_a_code_are_good_once(opened, mock):
    house = opened(providers=(oidc(mock),))
    browser = house.browser()
    back = mock.sign_in((await browser.begin("oidc"))["url"], ADA)
    await browser.comes("oidc", back)
    assert (await refused(browser.comes("oidc", back))).code == "session_context_missing"
    fresh = await browser.begin("oidc")
    error = await refused(browser.comes("oidc", {**back, "state": fresh["state"]}))
    assert error.code in ("authorization_code_rejected", "http_error")


@deadline(30)
async def test_a_code_of_another_browser_is_refused(opened, mock):
    """A stranger's code with one's own state: the nonce of the ID token is not that of this browser."""
    house = opened(providers=(oidc(mock),))
    eve, victim = house.browser(), house.browser()
    stolen = mock.sign_in((await eve.begin("oidc"))["url"], "eve@example.org")
    own = await victim.begin("oidc")
    error = await refused(victim.comes("oidc", {"code": stolen["code"], "state": own["state"]}))
    assert error.code == "nonce_mismatch"
    assert await house.letters() == []


@deadline(30)
async def test_who_presses_cancel_there_is_told_so(opened, mock):
    house = opened(providers=(oidc(mock),))
    browser = house.browser()
    back = mock.cancel((await browser.begin("oidc"))["url"])
    assert (await refused(browser.comes("oidc", back))).code == "authorization_declined"


@deadline(60)
async def test_the_same_id_at_two_providers_of_one_class_is_two_people(opened, mock, tmp_path):
    with MockProvider(tmp_path, {"sub": ADA, "email": "other@example.org"}) as other:
        house = opened(providers=(oidc(mock, "one"), oidc(other, "two")))
        one, two = house.browser(), house.browser()
        await login(one, mock, ADA, "one")
        await login(two, other, ADA, "two")
        assert [each["to"] for each in await house.letters()] == [ADA, "other@example.org"]
        for letter, browser in zip(await house.letters(), (one, two), strict=True):
            await browser.open(letter["link"])
        assert await house.identities() == [("one", ADA, "ada"), ("two", ADA, "other")]


@deadline(60)
async def test_a_provider_that_has_changed_its_keys_goes_on_signing_people_in(opened, tmp_path):
    with MockProvider(tmp_path, *PEOPLE) as before:
        house = opened(providers=(oidc(before, trust=True),))
        for _ in range(2):
            assert isinstance(await login(house.browser(), before, "verified"), SignedIn)
        assert before.served("/jwks") == 1
    with MockProvider(tmp_path, *PEOPLE, port=before.port) as after:
        for _ in range(2):
            assert isinstance(await login(house.browser(), after, "verified"), SignedIn)
        assert after.served("/jwks") == 1
    assert await house.identities() == [("oidc", "verified", "vera")]


@deadline(60)
async def test_many_sign_in_at_once(opened, mock):
    house = opened(providers=(oidc(mock, trust=True),))
    browsers = [house.browser() for _ in range(12)]
    came = [Deferred.fromCoroutine(login(browser, mock, "verified")) for browser in browsers]
    outcomes = [await each for each in came]
    assert {each.account.username for each in outcomes} == {"vera"}
    assert await house.identities() == [("oidc", "verified", "vera")]
    assert await house.database.run("select * from rt_auth_nonces") == []


@deadline(60)
async def test_a_provider_that_is_down_is_told_as_such_and_no_secret_is_logged(opened, tmp_path, log):
    with MockProvider(tmp_path) as other:
        house = opened(providers=(oidc(other),))
        browser = house.browser()
        asked = await browser.begin("oidc")
        back = other.sign_in(asked["url"], ADA)
        other.stop()
        error = await refused(browser.comes("oidc", back))
        assert (error.code, error.status) == ("connection_failed", 503)
        error = await refused(opened(providers=(oidc(other),)).browser().begin("oidc"))
        assert (error.code, error.status) == ("connection_failed", 503)
    told = "\n".join(log)
    assert told.count("sign-in with oidc: connection_failed") == 2
    assert SECRET not in told and back["code"] not in told and back["state"] not in told


@deadline(60)
async def test_a_provider_that_hangs_keeps_nobody_from_signing_in_elsewhere(opened, tmp_path):
    with MockProvider(tmp_path) as other:
        house = opened(providers=(oidc(other), replace(TABLE, trust_email=True)))
        other.freeze()
        stuck = [Deferred.fromCoroutine(outcome_of(house.browser().begin("oidc"))) for _ in range(17)]
        says = {"sub": "1", "name": "Ada", "email": ADA, "email_verified": True}
        assert isinstance(await house.browser().login(says), SignedIn)
        assert not any(each.called for each in stuck[:16])
        assert (await stuck[16]).code == "provider_busy"
        other.thaw()
        outcomes = [await each for each in stuck[:16]]
        assert all(isinstance(each, dict) and each["state"] for each in outcomes)


@deadline(30)
async def test_a_provider_that_hangs_for_long_is_given_up(opened, tmp_path):
    with MockProvider(tmp_path) as other:
        house = opened(providers=(oidc(other),))
        other.freeze()
        error = await refused(house.browser().begin("oidc"))
        assert (error.code, error.status) == ("timeout", 503)
