"""Signing in with a provider of OpenID 2.0 that is another program: the server of python3-openid. On both databases."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from openid import fetchers
from social_core.backends import steam
from twisted.internet.defer import Deferred

from rtserver.accounts.options import ProviderOptions
from rtserver.accounts.social import AwaitsProof, NeedsAddress, SignedIn
from rtserver.services import identity_bounded, identity_openid
from tests.deadline import deadline
from tests.live.openid_provider import HERE, LocalOpenId, LocalProvider, LocalSteam
from tests.live.postgres_server import PostgresServer
from tests.live.postgres_store import harness_of
from tests.live.test_accounts_bounds import Peer, drips_a_body, drips_a_header, says_nothing
from tests.services.identity_house import Browser, House, Opened, house_in, houses_over, refused
from tests.services.test_identity_attacks import outcome_of

pytestmark = pytest.mark.filterwarnings("ignore:The .namespace. attribute:DeprecationWarning")


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request) -> PostgresServer | None:
    return request.getfixturevalue("postgres") if request.param == "postgresql" else None


@pytest_twisted.async_yield_fixture
async def opened(tmp_path: Path, database: PostgresServer | None) -> AsyncIterator[Opened]:
    if database is None:
        async with house_in(tmp_path) as made:
            yield made
    else:
        async with harness_of(database) as harness, houses_over(await harness.start()) as made:
            yield made


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalProvider]:
    with LocalProvider(tmp_path) as started:
        monkeypatch.setattr(LocalOpenId, "URL", started.url)
        monkeypatch.setattr(LocalSteam, "URL", started.url)
        monkeypatch.setattr(steam, "USER_INFO", f"{started.origin}/players")
        yield started


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Another host. It counts who comes."""
    made: list[Peer] = []

    def build(speak=says_nothing, place: Path | None = None) -> Peer:
        made.append(Peer(speak, place))
        return made[-1]

    yield build
    for each in made:
        each.stop()


def house_with(opened: Opened, provider: LocalProvider, kind: str = "LocalOpenId", **settings: str) -> House:
    options = ProviderOptions(backend=f"{HERE}.{kind}", settings={"VERIFY_SSL": provider.certificate, **settings})
    return opened(providers=(options,))


async def back_from(provider: LocalProvider, browser: Browser, name: str, **profile: str) -> dict[str, str]:
    """What the browser of somebody brings back who was sent to the provider."""
    return provider.sign_in((await browser.begin("local"))["url"], name, **profile)


async def known(house: House, provider: LocalProvider, name: str = "ada") -> None:
    """Somebody has walked the whole way in."""
    browser = house.browser()
    asked = await browser.comes("local", await back_from(provider, browser, name))
    await browser.give_address(asked.token, f"{name}@example.org")
    await browser.open((await house.letters())[-1]["link"])


# The way in


@deadline(30)
async def test_somebody_new_gives_an_address_and_is_known_from_then_on(opened, provider):
    house = house_with(opened, provider)
    browser = house.browser()
    asked = await browser.begin("local")
    assert asked["openid.claimed_id"].endswith("/identifier_select") and asked["openid.realm"] == "https://rt.example/"
    needs = await browser.comes("local", provider.sign_in(asked["url"], "ada"))
    assert isinstance(needs, NeedsAddress)
    waits = await browser.give_address(needs.token, "ada@example.org")
    (letter,) = await house.letters()
    assert (letter["to"], letter["provider"], letter["handle"]) == (
        "ada@example.org",
        "Local",
        provider.identity("ada"),
    )
    await house.browser().open(letter["link"])
    account = await house.confirming.redeem(waits.proof.id, browser.key)
    assert await house.identities() == [("local", provider.identity("ada"), account.username)]
    other = house.browser()
    again = await other.comes("local", provider.sign_in((await other.begin("local"))["url"], "ada"))
    assert isinstance(again, SignedIn) and (again.account.id, again.target) == (account.id, "/there")
    assert await house.database.run("select name from rt_session_items where name like '%openid%'") == []


@deadline(30)
async def test_what_it_says_about_people_is_taken_and_an_address_is_not_believed(opened, provider):
    house = house_with(opened, provider)
    browser = house.browser()
    back = await back_from(provider, browser, "ada", email="ada@example.org", fullname="Ada Love")
    assert isinstance(await browser.comes("local", back), AwaitsProof)
    (letter,) = await house.letters()
    assert (letter["to"], letter["handle"]) == ("ada@example.org", "AdaLove")
    account = (await browser.open(letter["link"])).account
    assert (account.username, account.email) == ("AdaLove", "ada@example.org")


@deadline(30)
async def test_one_secret_is_agreed_on_for_all_sign_ins_and_without_it_the_provider_is_asked(opened, provider):
    house = house_with(opened, provider)
    await known(house, provider)
    browser = house.browser()
    back = await back_from(provider, browser, "ada")
    assert isinstance(await browser.comes("local", back), SignedIn)
    assert provider.asked.count("associate") == 1 and "check_authentication" not in provider.asked
    ((server, lifetime),) = await house.database.run("select server_url, lifetime from rt_auth_associations")
    assert server == provider.endpoint and lifetime > 3600
    browser = house.browser()
    url = (await browser.begin("local"))["url"].replace("openid.assoc_handle", "openid.unknown")
    assert isinstance(await browser.comes("local", provider.sign_in(url, "ada")), SignedIn)
    assert provider.asked.count("check_authentication") == 1


@deadline(30)
async def test_two_tabs_sign_in_at_the_same_time(opened, provider):
    house = house_with(opened, provider)
    first, second = [house.browser() for _ in range(2)]
    one = await first.begin("local")
    second.session = first.session
    other = await second.begin("local")
    assert isinstance(await second.comes("local", provider.sign_in(other["url"], "ada")), NeedsAddress)
    assert isinstance(await first.comes("local", provider.sign_in(one["url"], "bob")), NeedsAddress)


@deadline(30)
async def test_steam_is_asked_for_every_answer_and_tells_the_name(opened, provider):
    house = house_with(opened, provider, "LocalSteam", API_KEY="of the Web API")
    browser = house.browser()
    asked = await browser.begin("steam")
    assert "openid.assoc_handle" not in asked
    needs = await browser.comes("steam", provider.sign_in(asked["url"], "76561197960287930"))
    await browser.give_address(needs.token, "gordon@example.org")
    await browser.open((await house.letters())[0]["link"])
    assert await house.identities() == [("steam", "76561197960287930", "gordon")]
    assert provider.asked == ["/openid", "/openid/id/76561197960287930", "check_authentication", "/players"]


@deadline(30)
async def test_who_is_signed_in_links_it(opened, provider):
    house = house_with(opened, provider)
    browser = house.browser()
    await browser.sign_in(await house.person("ada"))
    asked = await browser.begin("local", "/mine", link=True)
    outcome = await browser.comes("local", provider.sign_in(asked["url"], "ada"))
    assert isinstance(outcome, SignedIn) and (outcome.is_link, outcome.target) == (True, "/mine")
    assert await house.identities() == [("local", provider.identity("ada"), "ada")] and await house.letters() == []


@deadline(30)
async def test_who_does_not_allow_it_there_is_told_so(opened, provider):
    house = house_with(opened, provider)
    browser = house.browser()
    back = await back_from(provider, browser, "")
    assert (await refused(browser.comes("local", back))).code == "authorization_declined"


# What attackers try


@deadline(30)
async def test_an_answer_is_good_once(opened, provider):
    house = house_with(opened, provider)
    await known(house, provider)
    browser = house.browser()
    back = await back_from(provider, browser, "ada")
    came = [
        Deferred.fromCoroutine(outcome_of(house.providers.complete("local", back, browser.asker))) for _ in range(4)
    ]
    outcomes = [await each for each in came]
    assert sorted(type(each) is SignedIn for each in outcomes) == [False, False, False, True]
    assert (await refused(browser.comes("local", back))).code == "session_context_missing"


@deadline(30)
async def test_an_answer_is_good_once_also_by_its_own_nonce(opened, provider):
    house = house_with(opened, provider)
    await known(house, provider)
    browser = house.browser()
    back = await back_from(provider, browser, "ada")
    ((name, value),) = await house.database.run("select name, value from rt_session_items where name like '%openid%'")
    assert isinstance(await house.providers.complete("local", back, browser.asker), SignedIn)
    await house.sessions.set_item(browser.session.sid_hash, name, value)
    assert (await refused(browser.comes("local", back))).code == "malformed_response"


@deadline(30)
async def test_an_answer_to_another_browser_is_refused_and_nobody_is_asked(opened, provider):
    house = house_with(opened, provider)
    eve, victim, other = [house.browser() for _ in range(3)]
    back = await back_from(provider, eve, "eve")
    own = await victim.begin("local")
    before = list(provider.asked)
    assert (await refused(victim.comes("local", back))).code == "session_context_missing"
    state = provider.sign_in(own["url"], "ada")["redirect_state"]
    assert (await refused(victim.comes("local", {**back, "redirect_state": state}))).code == "malformed_response"
    assert (await refused(other.comes("local", {**back, "openid.mode": "cancel"}))).status == 400
    assert provider.asked == before


@deadline(30)
async def test_an_answer_is_too_late_after_half_an_hour(opened, provider, monkeypatch):
    house = house_with(opened, provider)
    browser = house.browser()
    back = await back_from(provider, browser, "ada")
    monkeypatch.setattr(identity_openid, "STATE_LIFETIME", -1)
    assert (await refused(browser.comes("local", back))).code == "state_mismatch"


STRANGE = [
    "{other}/openid/id/eve",
    "{origin}@{host}/id/eve",
    "{origin}.example/openid/id/eve",
    "{origin}\\@{host}/id/eve",
    "{plain}/openid/id/eve",
    "//{host}/id/eve",
    "=eve",
    "xri://=eve",
    "",
]


@pytest.mark.parametrize("name", ["claimed_id", "op_endpoint", "identity", "both"])
@pytest.mark.parametrize("address", STRANGE)
@deadline(30)
async def test_an_address_elsewhere_is_refused_and_nobody_is_asked(opened, provider, peer, address, name):
    house, other = house_with(opened, provider), peer()
    browser = house.browser()
    back = await back_from(provider, browser, "ada")
    host = other.url.partition("//")[2]
    text = address.format(other=other.url, host=host, origin=provider.origin, plain=f"http{provider.origin[5:]}")
    before = list(provider.asked)
    changed = dict.fromkeys(("openid.claimed_id", "openid.identity") if name == "both" else (f"openid.{name}",), text)
    error = await refused(browser.comes("local", {**back, **changed}))
    assert (error.code, error.status) == ("invalid_claim", 502)
    assert (provider.asked, other.met) == (before, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"openid.ns": "http://openid.net/signon/1.1", "openid1_claimed_id": "{other}/eve"},
        {"openid.ns": "http://specs.openid.net/auth/3.0"},
        {"openid.ns.claimed_id": "http://specs.openid.net/auth/2.0"},
        {"openid.ns.x": "http://specs.openid.net/auth/2.0", "openid.x.claimed_id": "{other}/eve"},
        {"openid.sig": "AAAA"},
        {"openid.signed": "return_to,response_nonce,assoc_handle,op_endpoint"},
        {"openid.identity": "{bob}", "openid.claimed_id": "{bob}"},
        {"openid.return_to": "https://rt.example/auth/complete/other"},
        {"openid.response_nonce": "2001-01-01T00:00:00Zabcdef"},
        {"openid.mode": "error"},
        {"openid.mode": "setup_needed"},
        {"openid.mode": "nothing"},
        {"more": "than was signed"},
    ],
    ids=str,
)
@deadline(30)
async def test_what_was_changed_on_the_way_is_refused(opened, provider, peer, changes):
    house, other = house_with(opened, provider), peer()
    browser = house.browser()
    back = await back_from(provider, browser, "ada")
    changes = {key: text.format(other=other.url, bob=provider.identity("bob")) for key, text in changes.items()}
    error = await refused(browser.comes("local", {**back, **changes}))
    assert error.status in (400, 502) and other.met == 0
    assert await house.database.run("select 1 from rt_auth_partials") == []


# Providers that are not as they should be


@pytest.mark.parametrize("place", ["/openid", "/openid/id/ada"])
@pytest.mark.parametrize("way", ["redirect", "document", "endpoint", "page"])
@deadline(30)
async def test_a_provider_that_leads_elsewhere_is_not_followed(opened, provider, peer, place, way):
    house, other = house_with(opened, provider), peer()
    browser = house.browser()
    page = f'<html><head><link rel="openid2.provider" href="{other.url}"></head></html>'
    says = {
        "redirect": (302, {"Location": f"{other.url}/on"}, ""),
        "document": (200, {"X-XRDS-Location": f"{other.url}/xrds"}, ""),
        "endpoint": provider.service(provider.kind, other.url),
        "page": (200, {"Content-Type": "text/html"}, page),
    }
    if place == "/openid":
        provider.says[place] = says[way]
        error = await refused(browser.begin("local"))
    else:
        url = (await browser.begin("local"))["url"]
        provider.says[place] = says[way]
        error = await refused(browser.comes("local", provider.sign_in(url, "ada")))
    assert error.status == 502 and other.met == 0


@deadline(30)
async def test_people_are_sent_nowhere_else(opened, provider, peer):
    provider.says["/openid"] = provider.service(provider.kind, peer().url.replace("http:", "https:"))
    house = house_with(opened, provider, "LocalSteam", API_KEY="of the Web API")
    assert (await refused(house.browser().begin("steam"))).code == "malformed_response"


@deadline(30)
async def test_a_provider_may_lead_to_another_place_of_its_own(opened, provider):
    house = house_with(opened, provider)
    provider.says["/openid"] = (302, {"Location": "/here"}, "")
    provider.says["/here"] = (200, {"X-XRDS-Location": f"{provider.origin}/xrds"}, "")
    provider.says["/xrds"] = provider.service(provider.kind, provider.endpoint)
    assert isinstance(await house.browser().begin("local"), dict)
    provider.says["/here"] = (302, {"Location": "/openid"}, "")
    assert (await refused(house.browser().begin("local"))).status == 502


@deadline(30)
async def test_a_provider_of_version_1_is_refused(opened, provider):
    provider.old_service()
    assert (await refused(house_with(opened, provider).browser().begin("local"))).code == "malformed_response"


@pytest.mark.parametrize("speak", [drips_a_header, drips_a_body])
@deadline(30)
async def test_a_provider_that_drips_is_left_in_time(opened, provider, peer, tmp_path, monkeypatch, speak):
    monkeypatch.setattr(identity_bounded, "ANSWERS_TIME", 0.5)
    slow = peer(speak, tmp_path)
    monkeypatch.setattr(LocalOpenId, "URL", f"{slow.url}/openid")
    house = house_with(opened, provider)
    error = await refused(house.browser().begin("local"))
    assert (error.code, error.status) == ("timeout", 503)
    assert house.social._threads.busy == 0


@deadline(30)
async def test_a_certificate_is_looked_at(opened, provider):
    house = opened(providers=(ProviderOptions(backend=f"{HERE}.LocalOpenId"),))
    assert (await refused(house.browser().begin("local"))).code == "tls_error"
    assert provider.asked == []


class Heard(logging.Handler):
    """What comes up to the root."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.names.add(record.name)


@deadline(30)
async def test_the_library_logs_nothing_of_what_is_said(opened, provider):
    house, heard = house_with(opened, provider), Heard()
    logging.getLogger().addHandler(heard)
    try:
        logging.getLogger("other").error("something else")
        browser = house.browser()
        back = await back_from(provider, browser, "ada")
        await refused(browser.comes("local", {**back, "more": "than was signed"}))
    finally:
        logging.getLogger().removeHandler(heard)
    assert heard.names == {"other"}


@deadline(30)
async def test_what_others_ask_by_the_same_library_goes_where_it_went(opened, provider, monkeypatch):
    monkeypatch.setattr(fetchers, "_default_fetcher", None)

    class Theirs:
        def fetch(self, url, body=None, headers=None):
            return fetchers.HTTPResponse(url, 200, {}, "theirs")

    fetchers.setDefaultFetcher(Theirs())
    await house_with(opened, provider).browser().begin("local")
    assert fetchers.fetch("https://elsewhere.example/").body == "theirs"
