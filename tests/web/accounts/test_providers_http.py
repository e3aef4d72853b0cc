"""Signing in with providers over HTTP: the way out, the way back, and what is linked."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtserver.accounts import identities
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.records import Account, Identity
from rtserver.accounts.social import AwaitsProof, SignedIn
from tests.deadline import deadline
from tests.web.accounts.house import Browser, WebHouse, web_house

OUT = "https://id.example/authorize?state=s1&client_id=example"
BACK = "/auth/complete/example?code=c1&state=s1"


async def linked(web: WebHouse, account: Account, provider: str = "example") -> Identity:
    found = Identity(web.house.token(8), account.id, provider, "", provider, "ada", {}, 1000)
    await identities.create(web.house._plain, found)
    return found


@deadline(10)
async def test_a_sign_in_goes_to_the_provider_and_comes_back_signed_in(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        ada = await web.person()
        web.social.answers["c1"] = SignedIn(ada, "")
        browser = await web.browser().know()
        answer = await browser.form("/auth/login/example", {"next": "/chat"})
        assert (answer.status, answer.header("location")) == (303, OUT)
        before = browser.jar["__Host-rt_session"]
        answer = await browser.get(BACK)
        assert (answer.status, answer.header("location")) == (303, "/chat")
        assert browser.jar["__Host-rt_session"] != before and await browser.user() == "ada"


@deadline(10)
async def test_a_form_of_another_site_takes_no_browser_the_key_by_which_its_windows_wait(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        # A cross-site form brings no Lax cookie, but its answer may set one.
        answer = await web.browser().form("/auth/complete/example", Origin="https://evil.example")
        assert answer.header("location") == "/auth/error?code=session_context_missing"
        assert answer.header("set-cookie") is None


@deadline(10)
async def test_a_program_is_told_the_place_and_begins_without_a_session(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        web.social.answers["c1"] = SignedIn(await web.person(), "")
        browser = web.browser()
        answer = await browser.post("/auth/login/example", {"next": "//evil.example"})
        assert (answer.status, answer.json) == (200, {"location": OUT})
        answer = await browser.read(BACK)
        assert (answer.status, answer.json["next"], answer.json["user"]["username"]) == (200, "/auth/profile", "ada")


@deadline(10)
async def test_a_sign_in_cannot_be_begun_by_a_link_or_a_page_of_others(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser = await web.browser().know()
        assert (await browser.get("/auth/login/example")).status == 405
        assert (await browser.form("/auth/login/example", {"csrf": ""})).status == 403
        assert (await browser.form("/auth/login/example", Origin="https://evil.example")).status == 403
        assert web.social.asked == []


@deadline(10)
async def test_the_way_back_needs_no_token_also_as_a_form(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        ada = await web.person()
        web.social.answers["c1"] = SignedIn(ada, "")
        browser = await web.browser().know()
        await browser.form("/auth/login/example", {"next": "/chat"})
        fields = {"code": "c1", "state": "s1", "csrf": "", "user": "{}"}
        answer = await browser.form("/auth/complete/example", fields, Origin="https://id.example")
        assert (answer.status, answer.header("location")) == (303, "/chat")
        assert web.social.asked[-1][2].values["code"] == "c1"


SAID = {"code": "c1", "state": "s1", "user": '{"name": "<b>"}'}
"""What a provider's form says."""
ABROAD = {"Origin": "https://id.example"}


@deadline(10)
async def test_a_form_of_another_site_is_sent_once_more_from_ours_and_belongs_to_its_session_then(
    tmp_path: Path,
) -> None:
    async with web_house(tmp_path) as web:
        web.social.answers["c1"] = SignedIn(await web.person(), "")
        browser = await web.browser().know()
        await browser.form("/auth/login/example", {"next": "/chat"})
        bare = web.browser()  # the same one, which says nothing of its cookies to a page of others
        answer = await bare.form("/auth/complete/example?state=s0", SAID, **ABROAD)
        name, values = web.page()
        assert (answer.status, name, answer.header("set-cookie")) == (200, "onward", None)
        assert (values["action"], values["provider"]) == ("/auth/complete/example", "Example ID")
        assert values["fields"] == {**SAID, "csrf": "", "rt_again": "1"}
        assert len(web.social.asked) == 1, "the provider was asked by the login only"
        answer = await browser.form(values["action"], values["fields"])
        assert (answer.status, answer.header("location")) == (303, "/chat")
        assert web.social.asked[-1][2].values == {**SAID, "csrf": ""}
        assert await browser.user() == "ada"


@deadline(10)
async def test_a_form_that_was_sent_once_more_and_still_has_no_session_ends_in_the_error(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser = web.browser()
        await browser.form("/auth/complete/example", SAID, **ABROAD)
        answer = await browser.form("/auth/complete/example", web.page()[1]["fields"])
        assert answer.header("location") == "/auth/error?code=session_context_missing"
        assert answer.header("set-cookie") is None and web.social.asked == []


@deadline(10)
async def test_what_another_site_sends_in_the_state_of_its_own_sign_in_signs_nobody_in(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        web.social.answers["c1"] = AccountRefused("state_mismatch", "That was not begun here.", status=400)
        browser = await web.browser().know()
        await web.browser().form(
            "/auth/complete/example", {**SAID, "state": "mallory's"}, Origin="https://evil.example"
        )
        answer = await browser.form("/auth/complete/example", web.page()[1]["fields"])
        assert answer.header("location") == "/auth/error?code=state_mismatch" and await browser.user() == ""


@pytest.mark.parametrize(
    "path, fields",
    [
        ("/auth/complete/example", {"code": "c1"}),
        ("/auth/complete/example", {**SAID, "id_token": "x" * 32_768}),
        ("/auth/complete/example", {**SAID, **{f"f{n}": "" for n in range(32)}}),
        ("/auth/complete/example", {**SAID, "n" * 65: ""}),
        ("/auth/complete/nobody", SAID),
        ("/auth/complete/%22%3E%3Cb%3E", SAID),
    ],
)
@deadline(10)
async def test_what_no_provider_sends_is_not_sent_once_more(tmp_path: Path, path: str, fields: dict[str, str]) -> None:
    async with web_house(tmp_path) as web:
        answer = await web.browser().form(path, fields, **ABROAD)
        assert answer.header("location") == "/auth/error?code=session_context_missing"
        assert web.pages.shown == []


@deadline(10)
async def test_who_brings_a_session_that_is_over_or_wants_no_page_sends_nothing_once_more(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser = web.browser()
        browser.jar["__Host-rt_session"] = "of long ago"
        answer = await browser.form("/auth/complete/example", SAID)
        assert answer.header("location") == "/auth/error?code=session_context_missing"
        answer = await web.browser().form("/auth/complete/example", SAID, Accept="application/json")
        assert answer.json["detail"][0]["type"] == "session_context_missing"


@deadline(10)
async def test_a_form_that_is_none_is_refused(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
        for body in (b"state=\xff", b"&".join(b"a%d=" % n for n in range(1001))):
            answer = await web.ask("POST", "/auth/complete/example", body, kind)
            assert answer.status == 400


@deadline(10)
async def test_looking_with_head_does_not_use_up_the_way_back(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser = await web.browser().know()
        answer = await browser.get(BACK, "HEAD")
        assert (answer.status, answer.header("allow")) == (405, "GET, POST")
        assert web.social.asked == []


@pytest.mark.parametrize("code", ["authorization_declined", "a b&c"])
@deadline(10)
async def test_what_goes_wrong_is_told_on_a_page_whose_address_has_nothing_of_the_provider(
    tmp_path: Path, code: str
) -> None:
    async with web_house(tmp_path) as web:
        web.social.answers["c1"] = AccountRefused(code, "You pressed cancel.")
        browser = await web.browser().know()
        answer = await browser.get(BACK)
        assert answer.status == 303
        place = answer.header("location") or ""
        assert place.startswith("/auth/error?code=") and "state" not in place
        assert (await browser.get(place)).status == 200 and web.page()[1]["code"] == code
        answer = await browser.read(BACK)
        assert (answer.status, answer.json["detail"][0]["type"]) == (400, code)


@deadline(10)
async def test_a_way_back_without_the_session_that_began_signs_nobody_in(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        web.social.answers["c1"] = SignedIn(await web.person(), "")
        answer = await web.browser().get(BACK)
        assert answer.header("location") == "/auth/error?code=session_context_missing"
        assert web.social.asked == []


@deadline(10)
async def test_a_provider_that_is_not_known_is_404(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser = await web.browser().know()
        assert (await browser.post("/auth/login/nobody")).status == 404
        answer = await browser.form("/auth/login/nobody")
        assert (answer.status, web.page()[0]) == (404, "sign_in")


@deadline(10)
async def test_a_letter_that_is_needed_is_waited_for_and_then_the_first_window_goes_on(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        browser = await web.browser().know()
        await answered_by_letter(web, browser)
        answer = await browser.get(BACK)
        place = answer.header("location") or ""
        assert place.startswith("/auth/mail?proof=")
        signed = await web.signed()
        assert (await browser.form(f"/auth/c/{signed}")).header("location") == "/chat"
        assert await browser.user() == "ada"


@deadline(10)
async def test_an_address_that_has_an_account_is_not_given_away_by_its_letter(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        mallory = await web.browser().know()
        await answered_by_letter(web, mallory)
        signed = await web.signed()
        ada = await web.browser().know()
        answer = await ada.get(f"/auth/c/{signed}")
        assert web.page()[1]["needs_sign_in"] and web.page()[1]["handle"] == "mallory"
        answer = await ada.form(f"/auth/c/{signed}")
        assert (answer.status, web.page()[0]) == (403, "confirm")
        assert (await ada.read(f"/auth/c/{signed}")).json["needs_sign_in"] is True
        assert (await ada.post(f"/auth/c/{signed}")).json["detail"][0]["type"] == "needs_sign_in"
        await ada.sign_in()
        assert (await ada.get(f"/auth/c/{signed}")).status == 200 and not web.page()[1]["needs_sign_in"]
        assert (await ada.form(f"/auth/c/{signed}")).status == 200


async def answered_by_letter(web: WebHouse, browser: Browser) -> None:
    """The provider's answer needs a letter, which this browser asked for."""
    await browser.get("/auth/complete/other?code=nothing")
    web.social.answers["c1"] = AwaitsProof(await web.claim(browser.jar["__Host-rt_browser"]))


@deadline(10)
async def test_an_address_is_given_and_a_letter_goes_there(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser = await web.browser().know()
        web.social.answers["t1"] = AwaitsProof(await web.claim("x"))
        answer = await browser.post("/auth/address", {"token": "t1", "email": "ada@example.org"})
        assert (answer.status, set(answer.json)) == (202, {"proof", "email"})
        answer = await browser.form("/auth/address", {"token": "t1", "email": "ada@example.org"})
        assert (answer.header("location") or "").startswith("/auth/mail?proof=")
        assert web.social.asked[-1][2].asker.browser == browser.jar["__Host-rt_browser"]


@deadline(10)
async def test_who_is_signed_in_links_a_provider(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        ada = await web.person()
        browser = await web.browser().sign_in()
        answer = await browser.form("/auth/link/example")
        assert (answer.status, answer.header("location")) == (303, OUT)
        web.social.answers["c1"] = SignedIn(ada, "", is_link=True)
        session = browser.jar["__Host-rt_session"]
        answer = await browser.get(BACK)
        assert answer.header("location") == "/auth/profile?notice=linked"
        assert browser.jar["__Host-rt_session"] == session
        assert (await browser.post("/auth/login/example")).status == 409
        assert (await web.browser().post("/auth/link/example")).status == 401


@deadline(10)
async def test_what_is_linked_is_listed_and_removed_but_not_the_last_way_in(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        ada = await web.person()
        first = await linked(web, ada)
        browser = await web.browser().sign_in()
        found = (await browser.read("/auth/identities")).json
        assert found == {
            "identities": [
                {"id": first.id, "provider": "example", "title": "Example ID", "handle": "ada", "created_at": 1000}
            ],
            "linkable": ["other"],
            "can_remove": True,
        }
        answer = await browser.form(f"/auth/identities/{first.id}/remove")
        assert answer.header("location") == "/auth/profile?notice=unlinked"
        assert (await browser.post(f"/auth/identities/{first.id}/remove")).status == 404
        second = await linked(web, ada)
        await web.house._plain.run("update rt_users set password_hash = null")
        assert (await browser.read("/auth/identities")).json["can_remove"] is False
        answer = await browser.form(f"/auth/identities/{second.id}/remove")
        assert (answer.status, web.page()[0]) == (409, "profile") and web.page()[1]["mistakes"][""]
