"""Signing in with a forum: it signs what it says with a secret that both know, as DiscourseConnect has it."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlencode

import pytest_twisted
from twisted.internet.defer import Deferred

from rtserver.accounts.options import ProviderOptions
from rtserver.accounts.social import AwaitsProof, SignedIn
from tests.deadline import deadline
from tests.services.identity_house import House, Opened, house_in, refused
from tests.services.test_identity_attacks import outcome_of

SECRET = "what the forum and we know"
FORUM = ProviderOptions(
    name="forum",
    title="Forum",
    backend="social_core.backends.discourse.DiscourseAuth",
    secret=SECRET,
    settings={"SERVER_URL": "https://forum.example/"},
)
ADA = {"external_id": "7", "username": "ada", "name": "Ada", "email": "ada@example.org"}


@pytest_twisted.async_yield_fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    async with house_in(tmp_path) as made:
        yield made


def signed(text: str, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), text.encode(), sha256).hexdigest()


def says(asked: dict[str, str], person: dict[str, str], secret: str = SECRET) -> dict[str, str]:
    """What the browser brings back from the forum."""
    assert asked["sig"] == signed(asked["sso"])
    wants = {name: values[0] for name, values in parse_qs(b64decode(asked["sso"]).decode()).items()}
    assert wants["return_sso_url"] == "https://rt.example/auth/complete/forum"
    told = b64encode(urlencode({**wants, **person}).encode()).decode()
    return {"sso": told, "sig": signed(told, secret)}


def house_with(opened: Opened) -> House:
    return opened(providers=(FORUM,))


@deadline(20)
async def test_somebody_new_gets_a_letter_and_is_known_from_then_on(opened):
    house = house_with(opened)
    browser = house.browser()
    asked = await browser.begin("forum")
    assert asked["url"].startswith("https://forum.example/session/sso_provider?")
    assert isinstance(await browser.comes("forum", says(asked, ADA)), AwaitsProof)
    (letter,) = await house.letters()
    assert (letter["to"], letter["provider"], letter["handle"]) == ("ada@example.org", "Forum", "ada")
    await browser.open(letter["link"])
    assert await house.identities() == [("forum", "7", "ada")]
    other = house.browser()
    again = await other.comes("forum", says(await other.begin("forum"), {**ADA, "email": "new@example.org"}))
    assert isinstance(again, SignedIn) and again.target == "/there"


@deadline(20)
async def test_an_answer_is_good_once_also_when_two_come_at_the_same_time(opened):
    house = house_with(opened)
    browser = house.browser()
    back = says(await browser.begin("forum"), ADA)
    came = [Deferred.fromCoroutine(outcome_of(browser.comes("forum", back))) for _ in range(4)]
    outcomes = [await each for each in came]
    assert sorted(type(each) is AwaitsProof for each in outcomes) == [False, False, False, True]
    assert (await refused(browser.comes("forum", back))).code == "session_context_missing"


@deadline(20)
async def test_an_answer_to_another_browser_is_refused(opened):
    house = house_with(opened)
    eve, victim, other = [house.browser() for _ in range(3)]
    back = says(await eve.begin("forum"), {**ADA, "external_id": "eve"})
    await victim.begin("forum")
    assert (await refused(victim.comes("forum", back))).code == "state_mismatch"
    assert (await refused(other.comes("forum", back))).status == 400


@deadline(20)
async def test_what_the_forum_did_not_sign_is_refused(opened):
    house = house_with(opened)
    browser = house.browser()
    asked = await browser.begin("forum")
    good = says(asked, ADA)
    forged = says(asked, {**ADA, "external_id": "1"})
    strange = [
        says(asked, ADA, "some other secret that is long"),
        {**good, "sso": forged["sso"]},
        {**good, "sig": ""},
        {**good, "sig": "é"},
        {"sso": good["sso"]},
        {"sig": good["sig"]},
        {"sso": "", "sig": signed("")},
        {"sso": "é", "sig": signed("é")},
    ]
    for each in strange:
        assert (await refused(browser.comes("forum", each))).status in (400, 502)
    assert isinstance(await browser.comes("forum", good), AwaitsProof)


@deadline(20)
async def test_two_forums_are_two(opened):
    house = opened(providers=(FORUM, replace(FORUM, name="other", secret="another secret of a forum")))
    browser = house.browser()
    back = says(await browser.begin("forum"), ADA)
    await browser.begin("other")
    assert (await refused(browser.comes("other", back))).code == "invalid_signature"
    assert isinstance(await browser.comes("forum", back), AwaitsProof)
