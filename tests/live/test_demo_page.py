"""The demonstration page in a real browser that can reach nothing but the loopback."""

import json
import os
import re
import shutil
import subprocess
import tomllib

import pytest

from tests.live.rtserver_process import API_KEY, ROOT, RtServer
from tests.live.sdk_js import SCRIPTS, check_installed

TIME = 120.0
RECOVERED = re.compile(r"(\d+) publications recovered, offsets (\d+)–(\d+), none lost\. And 1 message of the chat\.")


def embedded():
    """What the server runs with when no file is named."""
    settings = tomllib.loads((ROOT / "rtserver/embedded.toml").read_text("utf-8"))
    del settings["listen"]
    return settings


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What two visitors of a fresh server saw, see ``js/demo_page.mjs``."""
    check_installed()
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is missing: install the package chromium"
    server = RtServer(tmp_path_factory.mktemp("demo"), embedded()).start()
    try:
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment |= {"PAGE": server.url("/"), "API_KEY": API_KEY, "CHROMIUM": chromium}
        command = [shutil.which("node"), str(SCRIPTS / "demo_page.mjs")]
        outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIME)
        assert outcome.returncode == 0, outcome.stderr
        server.stop()
    finally:
        server.kill()
    return {**json.loads(outcome.stdout), "host": f"127.0.0.1:{server.port}"}


def test_the_price_and_the_chart_move_by_themselves(seen):
    assert seen["chartMoved"]
    assert seen["firstData"] > 0


def test_everybody_who_is_here_is_shown_and_one_of_them_is_oneself(seen):
    mine, other = seen["present"]
    assert mine == f"{seen['me']}you"
    assert re.fullmatch("[0-9a-f]{8}joined", other)


def test_what_one_tab_publishes_the_other_shows(seen):
    assert seen["messages"][0] == "good morning"
    assert (seen["speakers"][0], seen["speakers"][2]) == ("you", "from elsewhere")


def test_what_others_write_is_text_and_never_markup(seen):
    assert seen["messages"][1] == '<img src=x onerror="document.title=1"><b>bold</b>'
    assert seen["messages"][3] == '[1,{"deep":true}]'
    assert seen["markup"] == 0


def test_a_dropped_connection_comes_back_with_everything(seen):
    count, first, last = map(int, RECOVERED.fullmatch(seen["outcome"]).groups())
    assert count == last - first + 1 > 5
    assert (seen["recovered"], seen["lost"]) == (count + 1, 0)
    assert seen["recoveredMessages"] == ["while you were away"]


def test_what_was_recovered_has_a_colour_of_its_own_in_the_chart(seen):
    assert seen["amberBefore"] == 0
    assert seen["amber"] > 30


def test_what_could_not_be_recovered_is_told_and_counted(seen):
    assert f"the server no longer keeps {seen['lostThen']} publications" in seen["tooLate"]
    assert seen["lostThen"] > 5


def test_a_visitor_who_publishes_nonsense_breaks_nothing(seen):
    assert re.fullmatch(r"\d\.\d{5}", seen["price"])


def test_the_connection_can_be_dropped_from_the_keyboard(seen):
    assert seen["keyboard"]


def test_the_command_of_the_page_names_its_own_server(seen):
    assert seen["copied"].startswith(f"curl http://{seen['host']}/api/publish")


def test_the_board_fits_a_small_laptop_and_a_phone(seen):
    assert seen["wide"] == [1280, 800]
    assert seen["narrow"] == 390


def test_nothing_jumps(seen):
    assert seen["shifted"] == []


def test_the_console_of_the_browser_is_clean(seen):
    assert seen["errors"] == []


def test_no_request_leaves_the_server(seen):
    assert seen["hosts"] == [seen["host"]]
