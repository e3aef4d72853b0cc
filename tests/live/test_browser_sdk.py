"""The JavaScript SDK where most people run it: in a browser, on every transport, from a page of another origin."""

import json
import os
import shutil
import subprocess

import pytest

from tests.live.rtserver_process import API_KEY, LOOPBACK, RtServer
from tests.live.sdk_js import SCRIPTS, check_installed
from tests.live.settings import JS_SDKS, SDKS
from tests.live.tokens import token

TIME = 120.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """On two ports, which are two origins for a browser: one for the page, one for its connections."""
    settings = {
        "apps": [{"module": "tests.live.apps.browser:app"}],
        "listen": [LOOPBACK.format(port=number) for number in ("0", "port=0")],
        "client": {"allowed_origins": ["http://127.0.0.1:*"]},
        "channel": {"namespaces": [{"name": "recover", **FULL}, {"name": "closed"}]},
    }
    server = RtServer(tmp_path_factory.mktemp("browser"), settings).start()
    yield server
    server.stop()


FULL = {
    "history_size": 100,
    "history_ttl": "60s",
    "force_recovery": True,
    "presence": True,
    "allow_subscribe_for_client": True,
    "allow_publish_for_client": True,
    "allow_presence_for_subscriber": True,
    "allow_history_for_subscriber": True,
}


@pytest.fixture(scope="module", params=JS_SDKS)
def seen(request, server):
    """What one visitor saw, see ``js/browser_sdk.mjs``; the transport beside it."""
    check_installed()
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is missing: install the package chromium"
    transport, protobuf = SDKS[request.param]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    page, base = server.ports
    environment |= {
        **{"PAGE": f"http://127.0.0.1:{page}", "STRANGE": f"http://localhost:{page}", "BASE": f"127.0.0.1:{base}"},
        **{"TRANSPORT": transport, "PROTOBUF": "1" if protobuf else "", "TOKEN": token("ada")},
        **{"API_KEY": API_KEY, "CHROMIUM": chromium},
    }
    command = [shutil.which("node"), str(SCRIPTS / "browser_sdk.mjs")]
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIME)
    assert outcome.returncode == 0, outcome.stderr
    return {**json.loads(outcome.stdout), "transport": transport}


def named(seen, name):
    return [each for each in seen["log"] if each["name"] == name]


def test_it_connects_by_the_transport_that_it_was_told(seen):
    assert [each["transport"] for each in named(seen, "connected")] == [seen["transport"]] * 2
    assert seen["errors"] == [] and named(seen, "error") == []


def test_publications_of_both_sides_arrive_whole_and_once(seen):
    data = [each["data"] for each in named(seen, "publication")]
    assert data == [{"text": "größe ✓ 🎈"}, 200_000, {"n": 1}, {"n": 2}, {"n": 3}]


def test_calls_presence_and_history_are_answered(seen):
    assert (seen["called"], seen["users"], seen["refused"]) == (42, ["ada"], 103)
    assert seen["kept"] >= 2


def test_after_a_time_away_nothing_is_missing(seen):
    assert [each["code"] for each in named(seen, "connecting")] == [0, 4000]
    assert [each["recovered"] for each in named(seen, "subscribed")] == [False, True]
    offsets = [each["offset"] for each in named(seen, "publication")]
    assert offsets == list(range(offsets[0], offsets[0] + 5))


def test_a_closed_page_leaves_the_channel(seen):
    assert seen["left"] == 0


def test_a_page_of_an_origin_that_is_not_allowed_does_not_connect(seen):
    assert seen["stranger"] == {"state": "connecting", "connected": False}
