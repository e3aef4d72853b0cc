"""The documentation pages of a real server with an application, in a real browser that can reach nothing but the loopback."""

import json
import os
import shutil
import subprocess

import pytest

from tests.live.rtserver_process import API_KEY, ROOT, RtServer
from tests.live.sdk_js import SCRIPTS, check_installed
from tests.live.settings import HISTORY, OPEN, PRESENCE
from tests.live.tokens import token

TIME = 240.0
SETTINGS = {
    "apps": [{"module": "tests.app.shop:app"}],
    "client": {
        "allow_anonymous_connect_without_token": True,
        "allowed_origins": ["http://127.0.0.1:*"],
    },
    "channel": {
        "without_namespace": OPEN,
        "namespaces": [{"name": "chat", **OPEN, **HISTORY, **PRESENCE}, {"name": "likes", **OPEN}],
    },
}
ATTACK = '<img src=x onerror="document.title=1"><b>bold</b>'


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What a developer saw, see ``js/docs_pages.mjs``."""
    check_installed()
    viewers = ROOT / "rtserver/web/pages/vendor/versions.json"
    assert viewers.exists(), "the viewers of the documentation are missing: run scripts/fetch-assets"
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is missing: install the package chromium"
    server = RtServer(tmp_path_factory.mktemp("docs"), SETTINGS).start()
    try:
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment |= {"BASE": server.url(), "API_KEY": API_KEY, "CHROMIUM": chromium, "TOKEN": token("ada")}
        command = [shutil.which("node"), str(SCRIPTS / "docs_pages.mjs")]
        outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIME)
        assert outcome.returncode == 0, outcome.stderr
        server.stop()
    finally:
        server.kill()
    return {**json.loads(outcome.stdout), "host": f"127.0.0.1:{server.port}"}


# Swagger UI


def test_every_endpoint_is_listed(seen):
    assert "/shop/items/{item_id}" in [each.replace("\u200b", "") for each in seen["operations"]]
    assert "/api/publish" in [each.replace("\u200b", "") for each in seen["operations"]]
    assert seen["current"] == ["HTTP"]


def test_an_endpoint_can_be_tried_out(seen):
    assert seen["listed"]["status"] == 200
    assert "[]" in seen["listed"]["shown"]


def test_without_a_token_the_answer_is_401(seen):
    assert seen["stranger"]["status"] == 401
    assert "Not authenticated" in seen["stranger"]["shown"]


def test_mistakes_are_told(seen):
    assert seen["wrong"]["status"] == 422
    assert '"payment"' in seen["wrong"]["shown"]
    assert seen["notJson"]["status"] == 400


def test_with_the_token_of_the_form_the_example_is_taken(seen):
    assert seen["added"]["status"] == 201
    assert '"name": "Teapot"' in seen["added"]["shown"]
    assert (seen["again"]["status"], "there is a Teapot already" in seen["again"]["shown"]) == (409, True)


def test_the_page_follows_the_colour_scheme_and_fits_a_phone(seen):
    assert seen["dark"] == "dark"
    assert seen["swaggerOnPhone"] == 390


# Redoc and AsyncAPI


def test_the_reference_has_every_endpoint(seen):
    assert {"Everything on the shelf.", "Put something on the shelf."} <= set(seen["reference"])


def test_the_realtime_page_has_channels_calls_and_the_address(seen):
    for text in (
        "chat:{room}",
        "cart.add",
        "prices",
        "A line of the chat",
        f"ws://{seen['host']}/connection/websocket",
    ):
        assert text in seen["realtime"]


# The console


def test_the_console_knows_where_to_connect(seen):
    assert seen["address"] == f"ws://{seen['host']}/connection/websocket"


def test_what_is_no_json_is_told_before_anything_is_sent(seen):
    assert "The data is no JSON" in seen["brokenData"]
    assert "The data is no JSON" in seen["noJson"]["outcome"]


def test_a_channel_that_is_refused_says_why(seen):
    assert seen["refusedChannel"] == "permission denied"


def test_names_and_examples_come_from_the_document(seen):
    assert seen["example"] == {"text": "Is the teapot still there?"}
    assert seen["about"] == "A line of the chat: the server adds who says it."
    assert seen["methods"] == ["cart.add", "echo", "reviews.best"]


def test_publications_are_sent_refused_and_heard(seen):
    assert seen["published"]["outcome"].startswith("answered in")
    assert seen["invalid"]["outcome"].startswith("107: bad request: data.text: String should have at least 1 character")
    assert seen["heard"] == "2 received"


def test_a_call_shows_its_answer(seen):
    assert json.loads(seen["called"]["answer"]) == {"items": {"7": 1}, "total": "12.50"}
    assert seen["unknown"]["outcome"] == "104: method not found"


def test_presence_and_history_show_theirs(seen):
    (client,) = json.loads(seen["present"]["answer"])["presence"].values()
    assert client["user"] == "ada"
    assert [each["data"]["text"] for each in json.loads(seen["past"]["answer"])["publications"]] == [
        f"outside {ATTACK}",
        ATTACK,
    ]


def test_every_frame_is_listed(seen):
    assert seen["kinds"][:4] == ["connect", "connect reply", "subscribe", "subscribe reply"]
    assert {"subscribe refused", "publication", "rpc reply", "rpc refused", "history reply"} <= set(seen["kinds"])


def test_a_frame_opens_in_full(seen):
    assert seen["opened"]["push"]["pub"]["data"] == {"text": f"outside {ATTACK}"}
    assert seen["lines"] > 5


def test_what_others_write_is_text_and_never_markup(seen):
    assert seen["markup"] == 0


def test_the_token_is_shown_to_nobody(seen):
    assert not seen["token"]
    assert '"token":"•••"' in seen["masked"]
    assert '"data":{"from":"console"}' in seen["masked"]


def test_frames_can_be_filtered_copied_and_cleared(seen):
    assert set(seen["filtered"]) == {"publication", "history reply"}
    assert len(seen["copied"].splitlines()) == len(seen["filtered"])
    assert seen["outOnly"] == ["out"]
    assert seen["cleared"] == 0


def test_a_channel_can_be_left(seen):
    assert seen["left"] == ["prices", "chat:cellar"]


def test_a_connection_that_the_server_ends_says_why_and_can_be_made_anew(seen):
    assert seen["why"] == "4501 go away"
    assert seen["closed"] == "closed by you"


def test_a_flood_of_frames_stays_bounded(seen):
    assert seen["kept"] <= 1000


def test_the_console_fits_its_window_and_a_phone(seen):
    assert seen["wide"] == [1280, 800]
    assert seen["narrow"] == 390
    assert seen["darkConsole"] == "rgb(11, 14, 21)"


# All of them


def test_the_console_of_the_browser_is_clean(seen):
    assert seen["errors"] == []


def test_no_byte_comes_from_another_host(seen):
    assert seen["hosts"] == [seen["host"]]
    assert len(seen["refused"]) <= 2
