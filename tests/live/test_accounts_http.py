"""Accounts in a real server: forms, letters, windows that wait, connections that open and end with sessions."""

from __future__ import annotations

import http.client
import json
import re
import time
from contextlib import closing
from email import message_from_bytes
from email.policy import default
from urllib.parse import urlencode, urlsplit

import pytest

from tests.live.raw import RawClient
from tests.live.redis_server import free_port
from tests.live.rtserver_process import RtServer

PASSWORD = "correct horse battery"
DEMO = {
    "name": "demo",
    "title": "Demo",
    "backend": "social_core.backends.open_id_connect.OpenIdConnectAuth",
    "key": "demo",
    "secret": "anything",
}


def settings(port):
    base = f"http://127.0.0.1:{port}"
    provider = {**DEMO, "settings": {"OIDC_ENDPOINT": f"{base}/demo-provider"}}
    return {
        "accounts": {"enabled": True, "base_url": base, "providers": [provider]},
        "mail": {"transport": "file"},
        "demo": {"enabled": True},
        "channel": {"namespaces": [{"name": "user"}]},
    }


@pytest.fixture(scope="module")
def rt(tmp_path_factory):
    port = free_port()
    server = RtServer(tmp_path_factory.mktemp("accounts"), settings(port), port).start()
    yield server
    server.stop()


class Browser:
    """Keeps cookies, sends what pages hold, and goes where it is led."""

    def __init__(self, server):
        self.server = server
        self.jar = {}
        self.page = ""
        self.place = ""

    def ask(self, method, path, body=None, **headers):
        if self.jar:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        for line in answer.headers.get_all("set-cookie", []):
            name, _, rest = line.partition("=")
            value = rest.partition(";")[0]
            self.jar.pop(name, None) if "Max-Age=0" in line else self.jar.update({name: value})
        return answer, text

    def go(self, place):
        """Follow an address as a person does, wherever it leads."""
        for _ in range(10):
            answer, text = self.ask("GET", path_of(place), Accept="text/html")
            if answer.status != 303:
                self.page, self.place = text, place
                return answer.status
            place = answer.headers["location"]
        raise AssertionError(f"led in a circle: {place}")

    def send(self, action, **fields):
        """The form of this page that goes to ``action``, filled in; then wherever it leads."""
        found = re.search(rf'<form method="post" action="{re.escape(action)}"[^>]*>(.*?)</form>', self.page, re.DOTALL)
        assert found, f"{self.place} has no form for {action}:\n{self.page}"
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', found[1]))
        origin = {
            "Origin": self.server.url(),
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "text/html",
        }
        answer, text = self.ask("POST", action, urlencode({**hidden, **fields}), **origin)
        if answer.status == 303:
            return self.go(answer.headers["location"])
        self.page = text
        return answer.status

    def read(self, path):
        answer, text = self.ask("GET", path, Accept="application/json")
        return answer.status, json.loads(text)

    def post(self, path, body=None):
        csrf = self.read("/auth/session")[1]["csrf"]
        headers = {"Content-Type": "application/json", "X-CSRF-Token": csrf}
        answer, text = self.ask("POST", path, json.dumps(body or {}), **headers)
        return answer.status, json.loads(text)

    @property
    def user(self):
        return (self.read("/auth/session")[1]["user"] or {}).get("username", "")

    def connection(self):
        """A realtime connection that the cookie opens."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        return RawClient(self.server, additional_headers={"Cookie": cookie, "Origin": self.server.url()})


def path_of(place):
    parts = urlsplit(place)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def letters(server, to):
    """The newest last: link and digits of each."""
    found = []
    for path in sorted((server.place / "mail").glob("*.eml"), key=lambda each: each.stat().st_mtime_ns):
        message = message_from_bytes(path.read_bytes(), policy=default)
        if message["to"] == to:
            found.append(message.get_body(("plain",)).get_content())
    return found


def letter(server, to, count=1):
    """The link of the newest letter, when there are ``count``; and its digits."""
    deadline = time.monotonic() + 15
    while len(letters(server, to)) < count:
        assert time.monotonic() < deadline, f"no letter to {to}"
        time.sleep(0.05)
    text = letters(server, to)[-1]
    link = re.search(r"http://\S+/auth/c/\S+", text)[0]
    return path_of(link), re.search(r"\b(\d{3} ?\d{3})\b", text.replace(link, ""))[1]


def signed_up(server, name):
    browser = Browser(server)
    browser.go("/auth/sign-up")
    browser.send("/auth/sign-up", email=f"{name}@example.org", username=name, password=PASSWORD)
    link, _ = letter(server, f"{name}@example.org")
    browser.go(link)
    browser.send(link)
    assert browser.user == name
    return browser


def test_a_letter_is_answered_on_another_device_and_the_window_hears_of_it_and_goes_on(rt):
    window, phone = Browser(rt), Browser(rt)
    window.go("/auth/sign-up?next=/auth/profile")
    assert window.send("/auth/sign-up", email="ada@example.org", username="ada", password=PASSWORD) == 200
    proof = window.place.partition("=")[2]
    token = re.search(r'data-token="([^"]+)"', window.page)[1]
    link, _ = letter(rt, "ada@example.org")
    with RawClient(rt, additional_headers={"Origin": rt.url()}) as listening:
        assert f"rt_auth:{proof}" in listening.connect(token=token)["subs"]
        phone.go(link)
        assert phone.send(link) == 200 and "your address is confirmed" in phone.page
        push = listening.receive()["push"]
        assert (push["channel"], push["pub"]["data"]) == (f"rt_auth:{proof}", {"confirmed": True})
    assert phone.user == ""
    assert window.send(f"/auth/proofs/{proof}/continue") == 200
    assert window.place == "/auth/profile" and window.user == "ada"


def test_the_digits_are_enough_in_the_window_that_asked(rt):
    window = Browser(rt)
    window.go("/auth/sign-up")
    window.send("/auth/sign-up", email="dora@example.org", username="dora", password=PASSWORD)
    _, digits = letter(rt, "dora@example.org")
    window.send(f"/auth/proofs/{window.place.partition('=')[2]}/code", digits=digits)
    assert window.user == "dora"


def test_a_link_works_after_a_restart_in_a_browser_without_cookies(tmp_path):
    port = free_port()
    server = RtServer(tmp_path, settings(port), port).start()
    try:
        window = Browser(server)
        window.go("/auth/sign-up")
        window.send("/auth/sign-up", email="bob@example.org", username="bob", password=PASSWORD)
        waiting = window.place
        link, _ = letter(server, "bob@example.org")
        server.stop()
        server.start()
        phone = Browser(server)
        assert phone.go(link) == 200 and phone.go(link) == 200
        assert phone.send(link) == 200 and phone.user == ""
        assert window.go(waiting) == 200
        window.send(f"/auth/proofs/{waiting.partition('=')[2]}/continue")
        assert window.user == "bob"
    finally:
        server.stop()


def test_the_cookie_opens_a_connection_that_ends_with_the_session(rt):
    browser = signed_up(rt, "carl")
    user = browser.read("/auth/session")[1]["user"]["id"]
    other = Browser(rt)
    other.post("/auth/sign-in", {"name": "carl", "password": PASSWORD})
    token = other.read("/auth/token")[1]["token"]
    with browser.connection() as first, RawClient(rt) as second:
        assert first.connect()["client"] and second.connect(token=token)["client"]
        subscription = browser.read(f"/auth/subscription-token?channel=user:{user}")[1]["token"]
        assert "error" not in first.call(2, subscribe={"channel": f"user:{user}", "token": subscription})
        status, _ = browser.post("/auth/sign-out")
        assert status == 200 and first.end() == (4010, "session ended")
    with browser.connection() as nobody:
        nobody.send({"id": 1, "connect": {}})
        assert nobody.end() == (3501, "bad request")
    with RawClient(rt) as second:
        assert second.connect(token=token)["client"]
        assert other.post("/auth/sign-out-everywhere")[0] == 200
        assert second.end() == (4501, "signed out")
    with RawClient(rt) as late:
        assert late.call(1, connect={"token": token})["error"]["code"] == 109


def test_a_provider_that_gives_no_address_is_signed_in_with_after_a_letter(rt):
    window, phone = Browser(rt), Browser(rt)
    window.go("/auth/sign-in?next=/auth/profile")
    at_provider(window, "noe")
    assert window.place.startswith("/auth/address?token=") and "Demo" in window.page
    assert window.send("/auth/address", email="no address") == 422
    window.send("/auth/address", email="noe@example.org")
    assert window.place.startswith("/auth/mail?proof=")
    proof = window.place.partition("=")[2]
    link, _ = letter(rt, "noe@example.org")
    phone.go(link)
    assert "noe" in phone.page
    phone.send(link)
    window.send(f"/auth/proofs/{proof}/continue")
    assert window.place == "/auth/profile" and window.user == "noe"
    again = Browser(rt)
    again.go("/auth/sign-in")
    at_provider(again, "noe")
    assert again.user == "noe" and len(letters(rt, "noe@example.org")) == 1


def test_a_provider_is_linked_and_removed_and_what_it_knows_of_others_is_refused(rt):
    browser = signed_up(rt, "emil")
    browser.go("/auth/profile")
    at_provider(browser, "emil at demo", "/auth/link/demo")
    assert browser.place == "/auth/profile?notice=linked" and "Demo" in browser.page
    (identity,) = browser.read("/auth/identities")[1]["identities"]
    assert identity["handle"] == "emil at demo"
    browser.send(f"/auth/identities/{identity['id']}/remove")
    assert browser.read("/auth/identities")[1]["identities"] == []
    answer, _ = browser.ask("GET", "/auth/complete/demo?code=x&state=stranger", Accept="text/html")
    assert answer.status == 303 and answer.headers["location"].startswith("/auth/error?code=")


def at_provider(browser, name, action="/auth/login/demo"):
    """Press the button, write a name at the provider, and come back."""
    browser.send(action)
    assert "/demo-provider/authorize" in browser.place, browser.page
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', browser.page))
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": browser.server.url()}
    answer, text = browser.ask("POST", "/demo-provider/authorize", urlencode({**fields, "name": name}), **form)
    assert answer.status in (302, 303), text
    browser.go(answer.headers["location"])


def test_the_pages_and_their_files_are_served_and_the_letters_can_be_read(rt):
    browser = signed_up(rt, "fay")
    for path in ("/auth/sign-in", "/auth/sign-up", "/auth/forgotten", "/auth/profile", "/auth/error?code=x"):
        assert browser.go(path) == 200
        for asset in re.findall(r'(?:src|href)="(/auth/static/[^"]+)"', browser.page):
            assert browser.ask("GET", asset)[0].status == 200
    assert browser.go("/auth/letters") == 200
    first = re.search(r"/auth/letters/[^\"]+", browser.page)[0]
    assert browser.go(first) == 200


@pytest.mark.parametrize(("environment", "told"), [("production", 1), ("development", 0)])
def test_a_server_in_production_whose_letters_reach_nobody_says_so(tmp_path, environment, told):
    port = free_port()
    server = RtServer(tmp_path, settings(port) | {"environment": environment}, port).start()
    server.stop()
    assert len(server.lines("letters reach nobody")) == told


def test_no_secret_is_in_the_log(rt):
    signed_up(rt, "gus")
    link, digits = letter(rt, "gus@example.org")
    for secret in (PASSWORD, link.rpartition("/")[2], digits, "gus@example.org"):
        assert secret not in rt.log
