"""Signing up, in and out over HTTP: as a program does it and as a browser without scripts does it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtserver.accounts.records import Purpose
from tests.accounts.house import NEW_PASSWORD, PASSWORD, changed
from tests.deadline import deadline
from tests.web.accounts.house import web_house

WHO = {"email": "ada@example.org", "username": "ada", "password": PASSWORD}


@deadline(10)
async def test_a_program_signs_up_confirms_and_is_signed_in(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser = web.browser()
        answer = await browser.post("/auth/sign-up", {**WHO, "next": "/chat"})
        assert (answer.status, answer.json["email"]) == (202, "ada@example.org")
        proof = answer.json["proof"]
        assert (await browser.read(f"/auth/proofs/{proof}")).json["state"] == "waiting"
        done = await browser.post(f"/auth/c/{await web.signed()}")
        assert done.status == 200
        assert (done.json["confirmed"], done.json["signed_in"], done.json["next"]) == (True, True, "/chat")
        assert (await browser.read("/auth/session")).json["csrf"] == done.json["csrf"]
        assert await browser.user() == "ada"


@deadline(10)
async def test_a_browser_without_scripts_does_the_same_with_forms(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser = web.browser()
        assert (await browser.get("/auth/sign-up?next=/chat")).text == "<sign_up>"
        name, values = web.page()
        assert (values["next"], values["csrf"]) == ("/chat", (await browser.know()).csrf)
        answer = await browser.form("/auth/sign-up", {**WHO, "next": values["next"]})
        assert answer.status == 303
        place = answer.header("location")
        assert place is not None and place.startswith("/auth/mail?proof=")
        assert (await browser.get(place)).text == "<mail>"
        assert web.page()[1]["state"] == "waiting" and "rt_auth:" in web.page()[1]["token"]
        digits = (await web.house.letter()).digits
        proof = place.partition("=")[2]
        answer = await browser.form(f"/auth/proofs/{proof}/code", {"digits": digits})
        assert (answer.status, answer.header("location")) == (303, "/chat")
        assert await browser.user() == "ada"


@deadline(10)
async def test_every_mistake_of_a_form_is_told_at_once_and_it_is_shown_again_without_the_password(
    tmp_path: Path,
) -> None:
    async with web_house(tmp_path) as web:
        browser = await web.browser().know()
        wrong = {"email": "ada", "username": "-", "password": "short"}
        answer = await browser.post("/auth/sign-up", wrong)
        assert answer.status == 422
        assert [(each["type"], each["loc"], each["input"]) for each in answer.json["detail"]] == [
            ("bad_address", ["body", "email"], None),
            ("bad_username", ["body", "username"], None),
            ("bad_password", ["body", "password"], None),
        ]
        answer = await browser.form("/auth/sign-up", {**wrong, "next": "/chat"})
        name, values = web.page()
        assert (answer.status, name) == (422, "sign_up")
        assert set(values["mistakes"]) == {"email", "username", "password"}
        assert (values["values"], values["next"]) == ({"email": "ada", "username": "-"}, "/chat")


@deadline(10)
async def test_the_answer_is_the_same_for_an_address_that_has_an_account(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        known, unknown = web.browser(), web.browser()
        first = await known.post("/auth/sign-up", {**WHO, "username": "", "email": "ada@example.org"})
        second = await unknown.post("/auth/sign-up", {**WHO, "username": "", "email": "bob@example.org"})
        assert first.status == second.status == 202 and set(first.json) == set(second.json)
        for browser, answer in ((known, first), (unknown, second)):
            facts = (await browser.read(f"/auth/proofs/{answer.json['proof']}")).json
            assert (facts["state"], facts["purpose"]) == ("waiting", None)
            assert (await browser.post(f"/auth/proofs/{answer.json['proof']}/code", {"digits": "x"})).status == 422
        assert (await web.house.proof(first.json["proof"])).purpose is Purpose.NONE


@deadline(10)
async def test_signing_in_makes_another_session_with_another_token(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        browser = await web.browser().know()
        before, token = dict(browser.jar), browser.csrf
        answer = await browser.form("/auth/sign-in", {"name": "ada", "password": PASSWORD, "next": "/chat?x=1"})
        assert (answer.status, answer.header("location")) == (303, "/chat?x=1")
        assert browser.jar["__Host-rt_session"] != before["__Host-rt_session"]
        assert (await browser.form("/auth/sign-out")).status == 403, "the old token is over"
        await browser.know()
        assert browser.csrf != token and await browser.user() == "ada"
        old = web.browser()
        old.jar = before
        assert await old.user() == ""


@deadline(10)
async def test_signing_in_as_somebody_else_ends_the_session_before_and_its_connections(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        ada = await web.person()
        await web.person("bob")
        browser = await web.browser().sign_in()
        before = dict(browser.jar)
        assert web.house.notices.told == []
        await browser.sign_in("bob")
        assert await browser.user() == "bob"
        assert web.house.notices.told == [("signed_out", ada.id, False)]
        browser.jar = before
        assert await browser.user() == ""


@pytest.mark.parametrize("name", ["ada", "ADA@example.org", "nobody", "\0", "x" * 300])
@deadline(10)
async def test_a_wrong_password_is_401_whoever_it_is(tmp_path: Path, name: str) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        answer = await web.browser().post("/auth/sign-in", {"name": name, "password": "wrong password"})
        if name == "\0":
            assert answer.status == 422
        else:
            assert answer.status == 401
            assert [(each["type"], each["loc"]) for each in answer.json["detail"]] == [("wrong_password", [])]
            assert answer.header("www-authenticate") is None


@deadline(10)
async def test_a_wrong_password_in_a_form_shows_the_form_again(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser = await web.browser().know()
        answer = await browser.form("/auth/sign-in", {"name": "ada", "password": "wrong password"})
        name, values = web.page()
        assert (answer.status, name, values["values"]) == (401, "sign_in", {"name": "ada"})
        assert values["mistakes"][""].startswith("Name or password")


@deadline(10)
async def test_too_many_tries_are_429_with_the_time_to_wait(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser = await web.browser().know()
        wrong = {"name": "ada", "password": "wrong password"}
        for _ in range(10):
            assert (await browser.post("/auth/sign-in", wrong)).status == 401
        answer = await browser.post("/auth/sign-in", wrong)
        assert (answer.status, answer.json["detail"][0]["type"]) == (429, "too_many_attempts")
        assert 0 < int(answer.header("retry-after") or 0) <= 600
        answer = await browser.form("/auth/sign-in", wrong)
        assert (answer.status, web.page()[0]) == (429, "sign_in") and answer.header("retry-after")


@deadline(10)
async def test_signing_out_ends_the_session_and_tells_its_connections(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        ada = await web.person()
        browser, other = await web.browser().sign_in(), await web.browser().sign_in()
        answer = await browser.post("/auth/sign-out")
        assert (answer.status, answer.json) == (200, {"user": None, "csrf": ""})
        assert "__Host-rt_session" not in browser.jar
        assert await other.user() == "ada"
        assert web.house.notices.told == [("signed_out", ada.id, False)]
        await browser.know()
        answer = await browser.form("/auth/sign-out")
        assert (answer.status, answer.header("location")) == (303, "/auth/sign-in?notice=signed_out")


@deadline(10)
async def test_signing_out_everywhere_ends_all_sessions(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        ada = await web.person()
        browser, other = await web.browser().sign_in(), await web.browser().sign_in()
        assert (await browser.form("/auth/sign-out-everywhere", {"next": "/bye"})).header("location") == "/bye"
        assert await other.user() == ""
        assert web.house.notices.told == [("signed_out", ada.id, True)]
        await other.know()
        assert (await other.post("/auth/sign-out-everywhere")).status == 401


@deadline(10)
async def test_a_new_password_ends_other_sessions_and_a_wrong_one_shows_the_profile_again(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        browser, other = await web.browser().sign_in(), await web.browser().sign_in()
        answer = await browser.form("/auth/password", {"current": "wrong password", "new": NEW_PASSWORD})
        assert (answer.status, web.page()[0], set(web.page()[1]["mistakes"])) == (403, "profile", {"current"})
        answer = await browser.post("/auth/password", {"current": PASSWORD, "new": "short"})
        assert (answer.status, answer.json["detail"][0]["loc"]) == (422, ["body", "new"])
        answer = await browser.form("/auth/password", {"current": PASSWORD, "new": NEW_PASSWORD})
        assert answer.header("location") == "/auth/profile?notice=password_saved"
        assert await browser.user() == "ada" and await other.user() == ""
        await web.browser().sign_in("ada", NEW_PASSWORD)


@deadline(10)
async def test_who_has_no_password_sets_a_first_one(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        ada = await web.person(password=None)
        browser = web.browser()
        session, cookie = await web.house.parts.sessions.sign_in(None, ada.id, "", "")
        browser.jar["__Host-rt_session"], browser.csrf = cookie, session.csrf
        answer = await browser.post("/auth/password", {"new": "short"})
        assert (answer.status, answer.json["detail"][0]["loc"]) == (422, ["body", "new"])
        assert (await browser.post("/auth/password", {"new": NEW_PASSWORD})).json == {"done": True}
        await web.browser().sign_in("ada", NEW_PASSWORD)


@deadline(10)
async def test_another_address_counts_when_it_is_confirmed(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        browser = await web.browser().sign_in()
        answer = await browser.form("/auth/change-address", {"email": "new@example.org", "password": PASSWORD})
        assert answer.status == 303 and (answer.header("location") or "").startswith("/auth/mail?proof=")
        assert (await browser.read("/auth/session")).json["user"]["email"] == "ADA@example.org"
        answer = await browser.form(f"/auth/c/{await web.signed()}")
        assert answer.header("location") == "/auth/profile?notice=address_changed"
        assert (await browser.read("/auth/session")).json["user"]["email"] == "new@example.org"


@deadline(10)
async def test_who_may_not_sign_up_is_told(tmp_path: Path) -> None:
    async with web_house(tmp_path, options=changed(sign_up=False)) as web:
        answer = await web.browser().post("/auth/sign-up", WHO)
        assert (answer.status, answer.json["detail"][0]["type"]) == (403, "sign_up_closed")
        await web.browser().get("/auth/sign-up")
        assert web.page()[1]["passwords"] is False
