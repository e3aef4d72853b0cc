"""Signing in with real browsers: the letter is opened in another one than began, also after everything was restarted."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing

import pytest

from tests.live.redis_server import free_port
from tests.live.rtserver_process import RtServer
from tests.live.sdk_js import SCRIPTS, check_installed

TIME = 120
EXPECTED = re.compile(r"status of 40[139]|ERR_CONNECTION_REFUSED")
"""What was asked for on purpose, and a server that is being restarted."""
ADDRESS = re.compile(r"[\w.]+@example\.org")


def settings(port):
    origin = f"http://127.0.0.1:{port}"
    return {
        "demo": {"enabled": True},
        "client": {"allow_anonymous_connect_without_token": True, "allowed_origins": [origin]},
        "apps": [{"module": "tests.live.apps.whoami:app"}],
        "accounts": {
            "enabled": True,
            "base_url": origin,
            "providers": [
                {
                    "name": "demo",
                    "title": "Demo provider",
                    "backend": "social_core.backends.open_id_connect.OpenIdConnectAuth",
                    "key": "demo",
                    "secret": "a secret of the demo provider",
                    "settings": {"OIDC_ENDPOINT": f"{origin}/demo-provider", "USE_PKCE": "true"},
                }
            ],
        },
    }


def emptied_and_restarted(server):
    server.stop()
    with closing(sqlite3.connect(server.place / "rtserver.db")) as database:
        assert database.execute("select count(*) from rt_sessions").fetchone()[0] > 0
        database.execute("delete from rt_sessions")
        database.commit()
    server.start()


def told(process, server):
    """What the script saw; what it asks for is done."""
    for line in process.stdout:
        message = json.loads(line)
        if "seen" in message:
            return message["seen"]
        emptied_and_restarted(server)
        process.stdin.write("done\n")
        process.stdin.flush()
    raise AssertionError("the script ended without a word")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What ``js/accounts.mjs`` saw, and what the server wrote."""
    check_installed()
    place = tmp_path_factory.mktemp("accounts")
    port = free_port()
    server = RtServer(place, settings(port), port).start()
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"PAGE": server.url(""), "CHROMIUM": shutil.which("chromium"), "SHOTS": ""}
    command = ["timeout", str(TIME), shutil.which("node"), str(SCRIPTS / "accounts.mjs")]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    try:
        found = told(process, server)
        assert "failed" not in found, found["failed"]
        server.stop()
    finally:
        process.kill()
        process.wait()
        server.kill()
    return {**found, "log": server.log, "letters": list((place / "mail").glob("*.eml"))}


def test_the_window_that_began_goes_on_by_itself_when_the_letter_is_answered_elsewhere(seen):
    assert (seen["first"]["email"], seen["first"]["username"]) == ("zoe@example.org", "Zoé-Demo")
    assert "goes on by itself" in seen["confirmedText"]


def test_the_other_browser_is_not_signed_in_by_that(seen):
    assert seen["second"] is None


def test_a_letter_is_good_once(seen):
    assert "not good any more" in seen["again"]


def test_the_page_of_the_link_says_what_it_will_do(seen):
    assert "zoe@example.org" in seen["askedFirst"]
    assert "Demo provider" in seen["askedFirst"]
    assert "Zoé Demo" in seen["askedFirst"]


def test_the_cookie_says_who_connects(seen):
    answer = json.loads(seen["socket"].splitlines()[-1])["rpc"]["data"]
    assert answer == {"user": seen["first"]["id"], "info": {"name": "Zoé-Demo"}}


def test_functions_of_applications_are_given_who_is_signed_in(seen):
    assert seen["application"]["read"] == {"user": seen["first"]["id"]}
    assert seen["stranger"] == 401


def test_nobody_changes_anything_in_a_persons_name_without_the_token_of_a_page(seen):
    assert (seen["application"]["without"], seen["application"]["with"]) == (403, 200)


def test_signing_out_everywhere_closes_open_connections_at_once(seen):
    assert seen["closed"] == {"code": 4501, "reason": "signed out"}


def test_it_goes_on_after_all_sessions_were_lost_and_the_server_was_restarted(seen):
    assert seen["afterRestart"]["email"] == "otto@example.org"


def test_six_digits_do_without_javascript(seen):
    assert seen["withoutScripts"] == "/auth/profile"
    assert seen["afterSignOut"] == "/auth/sign-in"


def test_the_pages_have_no_errors(seen):
    assert [each for each in seen["errors"] if not EXPECTED.search(each)] == []


def test_no_address_code_or_token_is_in_the_log(seen):
    assert ADDRESS.findall(seen["log"]) == []
    for letter in seen["letters"]:
        text = letter.read_text()
        for secret in re.findall(r"/auth/c/([\w.-]+)|\b(\d{6})\b", text):
            assert not any(part and re.search(rf"(?<!\w){re.escape(part)}(?!\w)", seen["log"]) for part in secret)
