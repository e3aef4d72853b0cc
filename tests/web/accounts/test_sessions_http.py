"""Where a person is signed in, tokens for the realtime server, and visits of an application's own endpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtserver.app import App
from rtserver.app.routes import Routes
from rtserver.web.accounts import Member, Visit
from rtserver.web.endpoints import EndpointsResource, Surroundings
from tests.accounts.house import PASSWORD
from tests.api_house import no_threads
from tests.deadline import deadline
from tests.line import Port
from tests.web.accounts.house import web_house


@deadline(10)
async def test_sessions_are_listed_and_ended_one_by_one(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        ada = await web.person()
        await web.person("bob")
        browser = await web.browser(**{"User-Agent": "Firefox\x1b[1m"}).sign_in()
        web.house.unix += 100
        phone = await web.browser(**{"User-Agent": "Phone"}).sign_in()
        found = (await phone.read("/auth/sessions")).json["sessions"]
        assert [(each["agent"], each["is_current"]) for each in found] == [("Phone", True), ("Firefox[1m", False)]
        assert found[0]["remote"] == "127.0.0.1"
        stranger = await web.browser().sign_in("bob")
        assert (await stranger.post(f"/auth/sessions/{found[1]['id']}/end")).status == 404
        assert (await phone.post(f"/auth/sessions/{found[1]['id']}/end")).json == {"done": True}
        assert web.house.notices.told == [("signed_out", ada.id, False)]
        assert await browser.user() == "" and await phone.user() == "ada"
        answer = await phone.form(f"/auth/sessions/{found[1]['id']}/end")
        assert (answer.status, web.page()[0]) == (404, "profile")
        answer = await phone.form(f"/auth/sessions/{found[0]['id']}/end", {"next": "/"})
        assert answer.header("location") == "/" and "__Host-rt_session" not in phone.jar


@deadline(10)
async def test_tokens_are_for_those_who_are_signed_in(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        ada = await web.person()
        assert (await web.browser().read("/auth/token")).status == 401
        browser = await web.browser().sign_in()
        answer = (await browser.read("/auth/token")).json
        assert answer["expires_in"] == 600
        claims = json.loads(answer["token"])
        assert (claims["sub"], claims["info"]) == (ada.id, {"name": "ada"})
        channel = f"user:{ada.id}:orders"
        answer = (await browser.read(f"/auth/subscription-token?channel={channel}")).json
        assert json.loads(answer["token"])["channel"] == channel
        answer = await browser.read("/auth/subscription-token?channel=user:other")
        assert (answer.status, answer.json["detail"][0]["loc"]) == (403, ["query", "channel"])
        assert (await browser.read("/auth/subscription-token")).json["detail"][0]["loc"] == ["query", "channel"]


@deadline(10)
async def test_the_session_tells_who_is_signed_in(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        ada = await web.person()
        browser = web.browser()
        facts = (await browser.read("/auth/session")).json
        assert facts["user"] is None and facts["csrf"]
        assert (await browser.read("/auth/session")).json == facts
        await browser.sign_in()
        assert (await browser.read("/auth/session")).json["user"] == {
            "id": ada.id,
            "username": "ada",
            "email": "ADA@example.org",
            "has_password": True,
            "is_staff": False,
            "created_at": int(web.house.unix * 1000),
        }
        await web.house._plain.run("update rt_users set is_active = 0")
        assert await browser.user() == ""


@pytest.mark.parametrize("path", ["/auth/session", "/auth/sign-in"])
@deadline(10)
async def test_an_answer_that_a_sign_in_has_overtaken_takes_nobody_the_new_session(tmp_path: Path, path: str) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        browser = await web.browser().know()
        slow = web.browser()
        slow.jar = dict(browser.jar)  # a request that is under way with the cookie of now
        await browser.sign_in()
        for answer in (await slow.read(path), await slow.get(path), await slow.get("/auth/profile")):
            assert answer.header("set-cookie") is None
        assert await slow.user() == "" and await browser.user() == "ada"
        web.house.unix += 61
        assert (await slow.get(path)).header("set-cookie")


@deadline(10)
async def test_who_lost_the_answer_with_the_new_cookie_gets_a_session_by_the_next_form(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        browser = await web.browser().know()
        lost = web.browser()
        lost.jar = dict(browser.jar)
        await browser.sign_in()
        who = {"name": "ada", "password": PASSWORD}
        assert (await lost.form("/auth/sign-in", who)).status == 403
        lost.csrf = web.page()[1]["csrf"]
        assert (await lost.form("/auth/sign-in", who)).status == 303
        assert await lost.user() == "ada"


@deadline(10)
async def test_endpoints_of_applications_may_ask_who_visits(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        browser = await web.browser().sign_in()
        app = App()

        @app.post("/orders")
        async def order(member: Member) -> str:
            return member.account.username

        @app.post("/who")
        @app.get("/who")
        async def who(visit: Visit) -> str:
            return visit.account.username if visit.account else "nobody"

        around = Surroundings(web.clock, web.log, no_threads, lambda origin: False, web.givers)
        web.resource = EndpointsResource(Routes(app.endpoints), around)
        web.port = Port(web.clock, {"/*": web.resource})
        assert (await browser.read("/who")).json == "ada"
        assert (await browser.post("/orders")).json == "ada"
        assert (await web.browser().read("/who")).json == "nobody"
        assert (await web.browser().post("/orders")).status == 401
        assert (await web.browser().post("/who", Origin="https://evil.example")).json == "nobody"
        assert (await browser.post("/who", Origin="https://evil.example")).status == 403
        browser.csrf = ""
        answer = await browser.post("/orders")
        assert answer.status == 403 and "X-CSRF-Token" in answer.json["detail"]
