"""Whose a realtime connection is."""

from dataclasses import replace

import pytest
from msgspec import Raw

from rtserver.accounts.hooks import AccountHooks, CookieRule, origin_of
from rtserver.accounts.records import Account, Session
from rtserver.core.hooks import Caller, ConnectAsked, Identity
from tests.accounts.outcome import result_of
from tests.fakes import FakeHooks

ORIGIN = "https://rt.example.com"
ANNA = Account("u1", "anna", "anna@example.org", True, True, False, 0)
SESSION = Session("hash", "s1", "u1", "csrf", "", "", 0, 0, 0)
COOKIE = {"cookie": "a=b; rt_sid=good; c=d", "origin": ORIGIN}


async def find(cookie):
    return (SESSION, ANNA) if cookie == "good" else None


def hooks(inner=None, enabled=True):
    return AccountHooks(inner or FakeHooks(), CookieRule("rt_sid", ORIGIN, enabled), find)


def asked(headers=None, **caller):
    return ConnectAsked(Caller("c", caller.pop("user", ""), "websocket", "json", headers=headers or {}, **caller),
                        Raw(b""), (), bool(caller.get("meta")))  # fmt: skip


def connect(made, question, token=False):
    return result_of(made.connect(token)(question))


def test_the_cookie_of_a_session_says_who_connects():
    identity = connect(hooks(), asked(COOKIE))
    assert (identity.user, bytes(identity.info), bytes(identity.meta)) == (
        "u1", b'{"name":"anna"}', b'{"rt_session":"s1"}',
    )  # fmt: skip


@pytest.mark.parametrize(
    "headers",
    [
        {**COOKIE, "origin": "https://evil.example.com"},
        {**COOKIE, "sec-fetch-site": "cross-site"},
        {**COOKIE, "cookie": "rt_sid=other"},
        {**COOKIE, "cookie": "xrt_sid=good"},
        {"origin": ORIGIN},
    ],
)
def test_a_page_of_another_origin_and_a_wrong_cookie_connect_as_nobody(headers):
    assert connect(hooks(), asked(headers)) is None


def test_without_an_origin_the_browser_says_whether_the_page_is_ours():
    headers = {"cookie": "rt_sid=good"}
    assert connect(hooks(), asked(headers)).user == "u1"
    assert connect(hooks(), asked({**headers, "sec-fetch-site": "same-origin"})).user == "u1"
    assert connect(hooks(), asked({**headers, "sec-fetch-site": "same-site"})) is None


def test_cookies_do_not_count_when_that_is_switched_off():
    assert connect(hooks(enabled=False), asked(COOKIE)) is None


def test_an_application_is_asked_with_who_it_is_and_adds_to_that():
    inner = FakeHooks()
    inner.answers["connect"] = Identity(data=Raw(b"1"), info=Raw(b'{"vip":true}'))
    identity = connect(hooks(inner), asked(COOKIE))
    assert (inner.asked[0].caller.user, inner.asked[0].token) == ("u1", True)
    assert (identity.user, bytes(identity.info), bytes(identity.data)) == ("u1", b'{"vip":true}', b"1")


def test_an_application_decides_about_people_without_a_session():
    inner = FakeHooks()
    inner.answers["connect"] = Identity(user="guest")
    assert connect(hooks(inner), asked()).user == "guest"
    assert inner.asked[0].token is False


@pytest.mark.parametrize("space", ["\x85", "\xa0"])
def test_a_cookie_of_another_host_does_not_pass_as_ours_behind_a_space_that_is_none(space):
    assert connect(hooks(), asked({**COOKIE, "cookie": f"{space}rt_sid=good"})) is None


def test_all_other_questions_go_to_the_application():
    inner = FakeHooks()
    inner.answers["rpc"] = Raw(b"1")
    made = hooks(inner)
    assert made.rpc("sum") is not None
    assert made.refresh() is None
    assert made.disconnect() is None


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Example.com/", "https://example.com"),
        ("https://example.com:443", "https://example.com"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_origins_are_written_as_browsers_write_them(url, origin):
    assert origin_of(url) == origin


def test_what_an_application_leaves_out_stays():
    inner = FakeHooks()
    inner.answers["connect"] = None
    question = replace(asked(COOKIE), data=Raw(b"{}"))
    assert connect(hooks(inner), question).user == "u1"
