"""The page that waits for a letter, in a real browser; the server is played, see ``js/mail_page.mjs``."""

import json
import os
import shutil
import subprocess

import pytest

from rtserver.web.accounts.answers import POLICY
from rtserver.web.accounts.templates import STATIC, AccountPages
from tests.live.sdk_js import SCRIPTS, check_installed
from tests.web.accounts.samples import values

TIME = 120.0


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    check_installed()
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is missing: install the package chromium"
    folder, pages = tmp_path_factory.mktemp("mail"), AccountPages()
    (folder / "mail.html").write_bytes(pages.render("mail", **values("mail", "waiting")))
    for name in STATIC:
        (folder / name).write_bytes(pages.static(name)[0])
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"FOLDER": str(folder), "POLICY": POLICY, "CHROMIUM": chromium}
    command = [shutil.which("node"), str(SCRIPTS / "mail_page.mjs")]
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIME)
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)


def test_it_connects_with_its_token_and_breaks_no_rule_of_the_page(seen):
    assert seen["push"]["address"] == "ws://127.0.0.1:9/connection/websocket"
    assert seen["push"]["tokens"] == ["eyJ.token"]
    assert [seen[each]["errors"] for each in ("push", "missed", "elsewhere", "young", "old")] == [[]] * 5


def test_it_goes_on_when_the_letter_is_confirmed_with_the_token_of_the_session_of_now(seen):
    assert seen["push"]["path"] == "/auth/proofs/p1/continue"
    assert seen["push"]["sent"] == "csrf=fresh&next=%2Fshop"


def test_it_asks_for_what_it_may_have_missed_when_it_connects(seen):
    assert seen["missed"]["path"] == "/auth/proofs/p1/continue"
    assert seen["missed"]["asked"].count("POST /auth/proofs/p1/continue") == 1


def test_it_asks_again_while_another_tab_signs_in(seen):
    assert seen["overtaken"]["asked"].count("GET /auth/session") == 3
    assert seen["overtaken"]["sent"] == "csrf=fresh&next=%2Fshop"


def test_it_goes_where_it_wanted_when_another_tab_has_gone_on(seen):
    assert seen["elsewhere"]["path"] == "/shop"
    assert "POST /auth/proofs/p1/continue" not in seen["elsewhere"]["asked"]


def test_it_asks_every_ten_seconds_without_a_connection_and_bears_a_server_that_is_away(seen):
    assert seen["without"]["path"] == "/auth/proofs/p1/continue"
    assert seen["without"]["asked"].count("GET /auth/proofs/p1") == 3
    assert len(seen["without"]["tokens"]) == 1


def test_it_loads_itself_anew_for_a_fresh_token_but_not_at_once(seen):
    assert seen["young"]["loads"] == 1
    assert seen["old"]["loads"] == 2


def test_digits_that_are_on_their_way_are_waited_for_although_the_push_is_faster(seen):
    """What the push leads to could take the cookie of the new session away."""
    assert seen["digits"]["path"] == "/auth/mail"
    assert {"POST /auth/proofs/p1/continue", "GET /auth/session"}.isdisjoint(seen["digits"]["asked"])
