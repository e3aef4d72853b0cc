"""Answers to letters over HTTP: in which browser, how often, and who is signed in by it."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred, gatherResults

from rtserver.accounts.records import ProofState
from tests.accounts.house import NEW_PASSWORD, PASSWORD
from tests.deadline import deadline
from tests.web.accounts.house import Browser, WebHouse, web_house

WHO = {"email": "ada@example.org", "username": "ada", "password": PASSWORD, "next": "/chat"}


async def begun(web: WebHouse) -> tuple[Browser, str, str]:
    """A browser that signed up, its proof and the signed code of the letter."""
    browser = await web.browser().know()
    proof = (await browser.post("/auth/sign-up", WHO)).json["proof"]
    return browser, proof, await web.signed()


@deadline(10)
async def test_a_letter_is_answered_in_another_browser_and_the_first_one_goes_on(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser, proof, signed = await begun(web)
        phone = web.browser()
        assert (await phone.get(f"/auth/c/{signed}")).text == "<confirm>"
        phone.csrf = web.page()[1]["csrf"]
        answer = await phone.form(f"/auth/c/{signed}")
        assert (answer.status, answer.text) == (200, "<confirmed>")
        assert web.page()[1]["action"] == f"/auth/c/{signed}/continue"
        assert await phone.user() == ""
        facts = (await browser.read(f"/auth/proofs/{proof}")).json
        assert (facts["state"], facts["purpose"]) == ("confirmed", "sign_up")
        await browser.get(f"/auth/mail?proof={proof}")
        assert web.page()[1]["state"] is ProofState.CONFIRMED and "token" not in web.page()[1]
        answer = await browser.form(f"/auth/proofs/{proof}/continue")
        assert (answer.status, answer.header("location")) == (303, "/chat")
        assert await browser.user() == "ada"


@deadline(10)
async def test_the_first_browser_goes_on_once(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser, proof, signed = await begun(web)
        assert (await browser.post(f"/auth/proofs/{proof}/continue")).status == 409
        assert (await web.browser().post(f"/auth/c/{signed}")).json["signed_in"] is False
        answer = await browser.post(f"/auth/proofs/{proof}/continue")
        assert answer.json["user"]["username"] == "ada" and answer.json["next"] == "/chat"
        browser.csrf = answer.json["csrf"]
        again = await browser.post(f"/auth/proofs/{proof}/continue")
        assert (again.status, again.json["csrf"]) == (200, browser.csrf), "another tab of it is no error"
        await browser.post("/auth/sign-out")
        browser.csrf = ""
        assert (await browser.post(f"/auth/proofs/{proof}/continue")).status == 409
        await browser.know()
        answer = await browser.form(f"/auth/proofs/{proof}/continue")
        assert (answer.status, answer.header("location")) == (303, "/auth/sign-in")


@deadline(10)
async def test_a_person_whose_first_window_is_gone_signs_in_where_the_letter_was_read_once(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        _, _, signed = await begun(web)
        phone, thief = await web.browser().know(), await web.browser().know()
        await phone.form(f"/auth/c/{signed}")
        assert (await phone.get(f"/auth/c/{signed}")).text == "<confirmed>"
        answer = await phone.form(f"/auth/c/{signed}/continue")
        assert (answer.status, answer.header("location")) == (303, "/chat")
        assert await phone.user() == "ada"
        assert (await thief.form(f"/auth/c/{signed}/continue")).header("location") == "/auth/sign-in"
        answer = await thief.get(f"/auth/c/{signed}")
        assert (answer.status, web.page()[0], web.page()[1]["code"]) == (409, "error", "link_used")


@deadline(10)
async def test_looking_at_a_link_uses_nothing_up(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        _, _, signed = await begun(web)
        before = await web.house.rows("rt_proofs")
        for _ in range(2):
            assert (await web.browser().get(f"/auth/c/{signed}")).status == 200
            assert (await web.browser().get(f"/auth/c/{signed}", "HEAD")).status == 200
        facts = (await web.browser().read(f"/auth/c/{signed}")).json
        assert facts == {
            "purpose": "sign_up",
            "state": "waiting",
            "email": "ada@example.org",
            "username": "ada",
            "existing": None,
            "provider": "",
            "handle": "",
            "needs_sign_in": False,
        }
        assert await web.house.rows("rt_proofs") == before
        assert await web.house.rows("rt_users") == []


@deadline(10)
async def test_a_link_works_after_all_sessions_are_gone_and_the_server_began_anew(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser, _, signed = await begun(web)
        await web.house._plain.run("delete from rt_sessions")
        web.configure(web.house.parts.options)
        browser.csrf = ""
        answer = await browser.post(f"/auth/c/{signed}")
        assert answer.json["signed_in"] is True and await browser.user() == "ada"


@deadline(10)
async def test_of_many_who_confirm_at_once_one_does(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        _, _, signed = await begun(web)
        asked = [Deferred.fromCoroutine(web.browser().post(f"/auth/c/{signed}")) for _ in range(5)]
        answers = await gatherResults(asked)
        assert sorted(answer.status for answer in answers) == [200, 409, 409, 409, 409]
        assert len(await web.house.rows("rt_users")) == 1


@deadline(10)
async def test_a_link_that_was_changed_is_none(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        _, _, signed = await begun(web)
        for wrong in (signed[:-1], signed + "x", "x." + signed, "%00", "x" * 500):
            answer = await web.browser().get(f"/auth/c/{wrong}")
            assert (answer.status, web.page()[0], web.page()[1]["code"]) == (404, "error", "bad_link")
            assert (await web.browser().read(f"/auth/c/{wrong}")).json["detail"][0]["type"] == "bad_link"
            assert (await web.browser().post(f"/auth/c/{wrong}")).status == 404


@deadline(10)
async def test_a_letter_that_is_too_old_says_so(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser, proof, signed = await begun(web)
        web.house.unix += 2 * 86_400
        assert (await browser.get(f"/auth/c/{signed}")).status == 410
        await browser.know()
        assert (await browser.post(f"/auth/c/{signed}")).status == 410
        assert (await browser.get(f"/auth/mail?proof={proof}")).status == 200
        assert web.page()[1]["state"] is ProofState.EXPIRED


@deadline(10)
async def test_only_the_browser_that_asked_learns_of_a_letter(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        _, proof, _ = await begun(web)
        stranger = await web.browser().know()
        await stranger.post("/auth/sign-up", {**WHO, "username": "", "email": "bob@example.org"})
        digits = (await web.house.letters())[0].digits
        assert (await stranger.read(f"/auth/proofs/{proof}")).status == 404
        assert (await stranger.get(f"/auth/mail?proof={proof}")).status == 404
        for step in ("resend", "continue"):
            assert (await stranger.post(f"/auth/proofs/{proof}/{step}")).status == 404
        assert (await stranger.post(f"/auth/proofs/{proof}/code", {"digits": digits})).status == 404
        assert (await stranger.form(f"/auth/proofs/{proof}/code", {"digits": digits})).status == 404
        assert web.page()[0] == "error"


@deadline(10)
async def test_wrong_digits_show_the_page_again_and_are_few(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser, proof, signed = await begun(web)
        digits = (await web.house.letter()).digits
        for _ in range(5):
            answer = await browser.form(f"/auth/proofs/{proof}/code", {"digits": "no"})
            assert (answer.status, web.page()[0], set(web.page()[1]["mistakes"])) == (422, "mail", {"digits"})
        assert (await browser.post(f"/auth/proofs/{proof}/code", {"digits": digits})).status == 429
        assert (await browser.post(f"/auth/c/{signed}")).status == 200


@deadline(10)
async def test_a_letter_is_sent_again_and_both_are_good(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser, proof, signed = await begun(web)
        answer = await browser.form(f"/auth/proofs/{proof}/resend")
        assert answer.header("location") == f"/auth/mail?proof={proof}&notice=letter_sent"
        assert len(await web.house.letters()) == 2 and await web.signed() == signed
        answer = await browser.form(f"/auth/proofs/{proof}/resend")
        assert (answer.status, web.page()[0]) == (429, "mail") and answer.header("retry-after")


@deadline(10)
async def test_a_forgotten_password_is_set_by_the_link(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        elsewhere = await web.browser().sign_in()
        browser = await web.browser().know()
        answer = await browser.form("/auth/forgotten", {"email": "ada@example.org", "next": "/chat"})
        proof = (answer.header("location") or "").partition("=")[2]
        signed = await web.signed()
        assert (await browser.get(f"/auth/c/{signed}")).text == "<new_password>"
        answer = await browser.form(f"/auth/c/{signed}", {"password": "short"})
        assert (answer.status, web.page()[0], set(web.page()[1]["mistakes"])) == (422, "new_password", {"password"})
        answer = await browser.form(f"/auth/c/{signed}", {"password": NEW_PASSWORD})
        assert answer.header("location") == "/auth/sign-in?notice=password_changed&next=/chat"
        assert await browser.user() == "" and await elsewhere.user() == ""
        answer = await browser.form(f"/auth/proofs/{proof}/continue")
        assert answer.header("location") == "/auth/sign-in?notice=password_changed&next=/chat"
        answer = await browser.post(f"/auth/proofs/{proof}/continue")
        assert (answer.status, answer.json["user"]) == (200, None)
        await web.browser().sign_in("ada", NEW_PASSWORD)


@deadline(10)
async def test_the_digits_of_a_forgotten_password_lead_to_the_page_for_a_new_one(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        browser = await web.browser().know()
        proof = (await browser.post("/auth/forgotten", {"email": "ada@example.org"})).json["proof"]
        letter = await web.house.letter()
        answer = await browser.form(f"/auth/proofs/{proof}/code", {"digits": letter.digits})
        assert answer.header("location") == f"/auth/c/{letter.signed}"
        answer = await browser.post(f"/auth/proofs/{proof}/code", {"digits": letter.digits})
        assert (answer.json["confirmed"], answer.json["next"]) == (False, f"/auth/c/{letter.signed}")
        body = {"digits": letter.digits, "password": NEW_PASSWORD}
        assert (await browser.post(f"/auth/proofs/{proof}/code", body)).json["confirmed"] is True
        await web.browser().sign_in("ada", NEW_PASSWORD)


@deadline(10)
async def test_nobody_learns_whether_a_forgotten_account_exists(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        answer = await web.browser().post("/auth/forgotten", {"email": "nobody@example.org"})
        assert (answer.status, answer.json["email"]) == (202, "nobody@example.org")
        assert await web.house.letters() == []
        answer = await web.browser().post("/auth/forgotten", {"email": "no address"})
        assert (answer.status, answer.json["detail"][0]["loc"]) == (422, ["body", "email"])


@deadline(10)
async def test_another_address_is_confirmed_elsewhere_by_who_is_signed_in_there(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        browser = await web.browser().sign_in()
        answer = await browser.post("/auth/change-address", {"email": "new@example.org", "password": PASSWORD})
        phone = await web.browser().know()
        signed = await web.signed()
        refused = await phone.form(f"/auth/c/{signed}")
        assert (refused.status, refused.text) == (403, "<confirm>") and web.page()[1]["needs_sign_in"]
        assert await phone.user() == ""
        await phone.sign_in()
        done = await phone.form(f"/auth/c/{signed}")
        assert done.header("location") == "/auth/profile?notice=address_changed"
        answer = await browser.form(f"/auth/proofs/{answer.json['proof']}/continue")
        assert answer.header("location") == "/auth/profile?notice=address_changed"
