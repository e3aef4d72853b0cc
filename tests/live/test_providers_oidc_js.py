"""Signing in with another provider of OpenID Connect: oidc-provider of npm, which is certified, wants PKCE, asks its people
for a login and a consent, and has no addresses."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_twisted

from rtserver.accounts.options import ProviderOptions
from rtserver.accounts.social import AwaitsProof, NeedsAddress, SignedIn
from tests.deadline import deadline
from tests.live.oidc_provider import Provider, Visitor, brought_back
from tests.live.redis_server import free_port
from tests.live.sdk_js import SCRIPTS, check_installed
from tests.services.identity_house import SECRET, Browser, Opened, house_in, refused

JWT = re.compile(r"eyJ[\w-]+\.eyJ")

BACK = "https://rt.example/auth/complete/certified"
FORM = re.compile(r'action="([^"]+)"')


class CertifiedProvider(Provider):
    def __init__(self, folder: Path) -> None:
        check_installed()
        port = free_port()
        node = shutil.which("node") or "node"
        super().__init__([node, str(SCRIPTS / "oidc_provider.mjs"), str(port), BACK, SECRET], port, folder)

    def sign_in(self, url: str, name: str) -> dict[str, str]:
        """Type a name and any password, then agree: what the browser brings back."""
        visitor = Visitor()
        location = url
        for form in ({"prompt": "login", "login": name, "password": "any"}, {"prompt": "consent"}):
            page = self._followed(visitor, location)
            assert "<form" in page, page
            location = visitor.ask(self.url + FORM.search(page)[1].removeprefix(self.url), form)[1]
            location = self._led(visitor, location)
        return brought_back(location)

    def _led(self, visitor: Visitor, location: str) -> str:
        """Where the provider leads, up to a page of its own with a form or away from it."""
        while location.startswith(self.url) and "/interaction/" not in location:
            location = visitor.ask(location)[1]
        return location

    def _followed(self, visitor: Visitor, location: str) -> str:
        status, _, page = visitor.ask(self._led(visitor, location))
        assert status == 200, (status, page)
        return page


@pytest.fixture(scope="module")
def provider(tmp_path_factory) -> Iterator[CertifiedProvider]:
    with CertifiedProvider(tmp_path_factory.mktemp("certified")) as started:
        yield started


@pytest_twisted.async_yield_fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    async with house_in(tmp_path) as made:
        yield made


def certified(provider: Provider, **settings: str) -> ProviderOptions:
    return ProviderOptions(
        name="certified",
        title="Certified",
        backend="social_core.backends.open_id_connect.OpenIdConnectAuth",
        key="client",
        secret=SECRET,
        scope=("openid", "profile"),
        settings={"OIDC_ENDPOINT": provider.url, "IGNORE_DEFAULT_SCOPE": "true", **settings},
    )


async def login(browser: Browser, provider: CertifiedProvider, name: str):
    asked = await browser.begin("certified")
    return await browser.comes("certified", provider.sign_in(asked["url"], name))


@deadline(60)
async def test_who_has_no_address_there_gives_one_confirms_it_elsewhere_and_is_known_from_then_on(opened, provider):
    house = opened(providers=(certified(provider),))
    browser, phone = house.browser(), house.browser()
    asked = await login(browser, provider, "noe")
    assert isinstance(asked, NeedsAddress)
    waits = await browser.give_address(asked.token, "noe@example.org")
    assert isinstance(waits, AwaitsProof)
    (letter,) = await house.letters()
    assert (letter["provider"], letter["handle"]) == ("Certified", "noe of there")
    stored = await house.everything()
    assert not JWT.search(stored) and SECRET not in stored
    await phone.open(letter["link"])
    account = await house.confirming.redeem(waits.proof.id, browser.key)
    assert (account.username, account.email) == ("noe-of-there", "noe@example.org")
    again = await login(house.browser(), provider, "noe")
    assert isinstance(again, SignedIn) and again.account.id == account.id


@deadline(60)
async def test_who_is_signed_in_links_what_is_there(opened, provider):
    house = opened(providers=(certified(provider),))
    ada = await house.person("ada")
    browser = house.browser()
    await browser.sign_in(ada)
    asked = await browser.begin("certified", link=True)
    outcome = await browser.comes("certified", provider.sign_in(asked["url"], "lovelace"))
    assert isinstance(outcome, SignedIn) and outcome.is_link
    assert await house.identities() == [("certified", "lovelace", "ada")]


@deadline(60)
async def test_without_pkce_it_refuses_and_says_so_to_the_operator(opened, provider):
    house = opened(providers=(certified(provider, USE_PKCE="false"),))
    browser = house.browser()
    asked = await browser.begin("certified")
    assert "code_challenge" not in asked
    back = brought_back(Visitor().ask(asked["url"])[1])
    assert back["error"] == "invalid_request"
    error = await refused(browser.comes("certified", back))
    assert (error.code, error.status) == ("invalid_setting", 502)
