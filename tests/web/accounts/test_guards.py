"""What keeps pages of others out, and what every answer tells browsers to keep to."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtserver.core.accounts import SESSION_REMOTE
from rtserver.web.accounts.cookies import Cookies
from tests.accounts.house import PASSWORD, changed
from tests.deadline import deadline
from tests.web.accounts.house import FRIEND, OWN, web_house

WHO = {"name": "ada", "password": PASSWORD}


@pytest.mark.parametrize("csrf", ["", "wrong", "é"])
@deadline(10)
async def test_a_form_without_the_token_of_the_session_is_shown_again(tmp_path: Path, csrf: str) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        browser = await web.browser().know()
        answer = await browser.form("/auth/sign-in", {**WHO, "csrf": csrf})
        name, values = web.page()
        assert (answer.status, name, values["csrf"]) == (403, "sign_in", browser.csrf)
        assert set(values["mistakes"]) == {""} and values["values"] == {"name": "ada"}
        assert await browser.user() == ""


@deadline(10)
async def test_a_form_whose_session_is_over_gets_a_new_one_and_works_then(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        browser = await web.browser().know()
        web.house.unix += 7200
        assert (await browser.form("/auth/sign-in", WHO)).status == 403
        browser.csrf = web.page()[1]["csrf"]
        assert (await browser.form("/auth/sign-in", WHO)).status == 303


@deadline(10)
async def test_a_form_without_a_cookie_is_no_form_of_ours(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        known = await web.browser().know()
        stranger = web.browser()
        stranger.csrf = known.csrf
        assert (await stranger.form("/auth/sign-in", WHO)).status == 403


@deadline(10)
async def test_json_needs_the_token_as_soon_as_there_is_a_session(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        browser = await web.browser().sign_in()
        answer = await browser.post("/auth/sign-out", **{"X-CSRF-Token": "wrong"})
        assert (answer.status, answer.json["detail"][0]["type"]) == (403, "csrf")
        browser.csrf = ""
        assert (await browser.post("/auth/sign-out")).status == 403
        assert await browser.user() == "ada"
        browser.jar.clear()
        assert (await browser.post("/auth/sign-in", WHO)).status == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://example.org", "https://example.org:8443", ""]
)
@deadline(10)
async def test_what_pages_of_others_send_is_refused(tmp_path: Path, origin: str) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        browser = await web.browser().know()
        answer = await browser.post("/auth/sign-in", WHO, Origin=origin)
        assert (answer.status, answer.json["detail"][0]["type"]) == (403, "bad_origin")
        assert (await browser.form("/auth/sign-in", WHO, Origin=origin)).status == 403
        assert await browser.user() == ""


@pytest.mark.parametrize("origin", [OWN, FRIEND])
@deadline(10)
async def test_our_own_pages_and_those_that_are_allowed_may_send(tmp_path: Path, origin: str) -> None:
    async with web_house(tmp_path) as web:
        await web.person()
        assert (await web.browser().post("/auth/sign-in", WHO, Origin=origin)).status == 200


@deadline(10)
async def test_whoever_is_not_signed_in_is_sent_to_the_page_for_it_and_back(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser = await web.browser().know()
        answer = await browser.get("/auth/profile?notice=linked")
        assert (answer.status, answer.header("location")) == (
            303,
            "/auth/sign-in?next=/auth/profile%3Fnotice%3Dlinked",
        )
        answer = await browser.form("/auth/password", {"new": "x"})
        assert (answer.status, answer.header("location")) == (303, "/auth/sign-in")
        answer = await browser.read("/auth/sessions")
        assert answer.status == 401
        assert [(each["type"], each["loc"]) for each in answer.json["detail"]] == [("sign_in_needed", [])]


@pytest.mark.parametrize(
    ("next", "place"),
    [
        ("/chat?x=1#y", "/chat?x=1#y"),
        ("https://app.example/in", "https://app.example/in"),
        ("https://example.org/in", "https://example.org/in"),
        ("//evil.example", "/auth/profile"),
        ("/\\evil.example", "/auth/profile"),
        ("https://evil.example/", "/auth/profile"),
        ("javascript:alert(1)", "/auth/profile"),
        ("/a\r\nSet-Cookie: x=y", "/auth/profile"),
        ("", "/auth/profile"),
    ],
)
@deadline(10)
async def test_a_sign_in_leads_to_places_of_ours_only(tmp_path: Path, next: str, place: str) -> None:
    async with web_house(tmp_path, options=changed(allowed_targets=("https://app.example",))) as web:
        await web.person()
        browser = await web.browser().know()
        assert (await browser.form("/auth/sign-in", {**WHO, "next": next})).header("location") == place
        answer = await (await browser.know()).post("/auth/sign-in", {**WHO, "next": next})
        assert answer.json["next"] == place


@deadline(10)
async def test_every_answer_has_the_headers(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser = await web.browser().know()
        answers = [
            await browser.get("/auth/sign-in"),
            await browser.read("/auth/session"),
            await browser.read("/auth/sessions"),
            await browser.form("/auth/sign-in", WHO),
            await browser.post("/auth/sign-in", WHO, **{"Content-Type": "text/plain"}),
            await browser.get("/auth/complete/example?code=x"),
            await browser.get("/auth/c/nothing"),
            await browser.get("/auth/profile"),
        ]
        for answer in answers:
            assert answer.headers.getRawHeaders("cache-control") == ["no-store"]
            assert answer.header("x-content-type-options") == "nosniff"
            assert answer.header("x-frame-options") == "DENY"
            assert (answer.header("content-security-policy") or "").startswith("default-src 'none';")
            assert len(answer.headers.getRawHeaders("referrer-policy") or []) == 1
        assert answers[0].header("referrer-policy") == "same-origin", "or browsers would say Origin: null to us"
        assert answers[1].header("referrer-policy") == answers[5].header("referrer-policy") == "no-referrer"


@deadline(10)
async def test_cookies_are_for_this_host_and_not_for_scripts(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        answer = await web.browser().get("/auth/sign-in")
        (cookie,) = answer.headers.getRawHeaders("set-cookie") or []
        assert cookie.startswith("__Host-rt_session=")
        assert cookie.partition("; ")[2] == "Path=/; HttpOnly; SameSite=Lax; Secure"
        await web.person()
        answer = await web.browser().post("/auth/sign-in", WHO)
        (cookie,) = answer.headers.getRawHeaders("set-cookie") or []
        assert cookie.endswith("; Max-Age=7776000")


def test_without_https_cookies_have_names_that_browsers_take() -> None:
    assert Cookies(False).kept("rt_session", "x") == "rt_session=x; Path=/; HttpOnly; SameSite=Lax"
    assert Cookies(False).session == "rt_session"
    assert Cookies(True).dropped("x").endswith("; Secure; Max-Age=0")


@deadline(10)
async def test_looking_changes_nothing_and_head_does_not_even_begin_a_session(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        for path in ("/auth/sign-in", "/auth/session"):
            answer = await web.browser().get(path, "HEAD")
            assert (answer.status, answer.body, answer.header("set-cookie")) == (200, b"", None)
        assert await web.house.rows("rt_sessions") == []
        browser = web.browser()
        for path in ("/auth/sign-in", "/auth/sign-up", "/auth/forgotten", "/auth/error?code=x"):
            assert (await browser.get(path)).status == 200
        assert len(await web.house.rows("rt_sessions")) == 1


@deadline(10)
async def test_a_database_that_is_away_is_503_as_a_page_too(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser = await web.browser().know()
        await web.house._plain.stop()
        answer = await browser.get("/auth/sign-in")
        assert (answer.status, web.page()[0], web.page()[1]["code"]) == (503, "error", "unavailable")
        assert answer.header("retry-after") == "1"
        answer = await browser.form("/auth/sign-in", WHO)
        assert (answer.status, web.page()[0]) == (503, "error")
        assert (await browser.post("/auth/sign-in", WHO)).status == 503
        assert web.log.texts("warn")


@deadline(10)
async def test_a_failure_is_a_page_with_the_name_of_the_request(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        browser = await web.browser().know()

        async def broken(*_: object) -> None:
            raise LookupError("the secret is out")

        web.house.passwords.sign_in = broken  # type: ignore[method-assign,assignment]
        answer = await browser.form("/auth/sign-in", WHO, **{"X-Request-Id": "r1"})
        name, values = web.page()
        assert (answer.status, name, values) == (500, "error", {"code": "failed", "request_id": "r1"})
        answer = await browser.post("/auth/sign-in", WHO, **{"X-Request-Id": "r2"})
        assert (answer.status, answer.json["request_id"]) == (500, "r2")
        assert b"secret" not in answer.body and len(web.log.texts("error")) == 2
        web.log.lines.clear()


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"name=%FF", 400), (b"name=a" * 8000, 413), (b"name=%00&password=x", 422), (b"name=" + b"a" * 500, 422)],
)
@deadline(10)
async def test_what_no_form_of_ours_sends_is_refused(tmp_path: Path, body: bytes, status: int) -> None:
    async with web_house(tmp_path) as web:
        browser = await web.browser().know()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-CSRF-Token": browser.csrf}
        answer = await browser._ask("POST", "/auth/sign-in", body, headers)
        assert answer.status == status


@deadline(60)
async def test_one_address_of_the_network_cannot_fill_the_table_of_sessions(tmp_path: Path) -> None:
    async with web_house(tmp_path) as web:
        for _ in range(SESSION_REMOTE.n):
            assert (await web.browser().read("/auth/session")).status == 200
        refused = await web.browser().read("/auth/session")
        assert refused.status == 429
        assert int(refused.header("retry-after") or 0) > 0
        assert (await web.browser().get("/auth/sign-in")).status == 429
        assert web.page()[0] == "error"
        web.house.unix += SESSION_REMOTE.seconds
        assert (await web.browser().read("/auth/session")).status == 200
