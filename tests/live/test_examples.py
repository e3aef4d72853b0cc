"""The examples run as their READMEs say, and do what they show."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.parse

import pytest

from tests.live.examples import EXAMPLES, Example, Visitor, needed
from tests.live.redis_server import run_command
from tests.live.sdk import SdkError
from tests.live.sdk_js import SCRIPTS, check_installed

PASSWORD = "live-tests-password"
BROWSER_TIME = 90.0


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    needed()
    started = []

    def begin(name, ready, **more):
        example = Example(name, tmp_path_factory.mktemp(name), **more)
        started.append(example)
        example.wait_log(ready)
        return example

    yield begin
    try:
        for example in started:
            example.stop()
    finally:
        for example in started:
            example.kill()


@pytest.fixture(scope="module")
def chat(start):
    example = start("chat", "ready, node")
    example.backend = example.port
    return example


@pytest.fixture(scope="module")
def auction(start):
    return start("fastapi_backend", "ready: http")


@pytest.fixture(scope="module")
def airport(start, tmp_path_factory):
    database = tmp_path_factory.mktemp("database") / "db.sqlite3"
    return start("django_backend", "ready: http", DATABASE=str(database), ADMIN_PASSWORD=PASSWORD)


def browse(name, example):
    """What a visitor saw, see ``js/example_pages.mjs``."""
    check_installed()
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is missing: install the package chromium"
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environment |= {
        **{"EXAMPLE": name, "PAGE": f"http://127.0.0.1:{example.backend}/", "CHROMIUM": chromium},
        "PASSWORD": PASSWORD,
    }
    command = [shutil.which("node"), str(SCRIPTS / "example_pages.mjs")]
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BROWSER_TIME)
    assert outcome.returncode == 0, outcome.stderr
    seen = json.loads(outcome.stdout)
    assert seen["errors"] == []
    assert {host.split(":")[0] for host in seen["hosts"]} == {"127.0.0.1"}
    return seen


def until(question, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.05)
    return answer


@pytest.mark.parametrize("name", ["chat", "fastapi_backend", "django_backend"])
def test_every_readme_is_short_and_names_one_command(name):
    lines = (EXAMPLES / name / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 40
    assert lines[lines.index("```sh") + 1] == "make run"


@pytest.mark.parametrize("name", ["chat", "fastapi_backend", "django_backend"])
def test_what_the_examples_need_is_pinned(name):
    for line in (EXAMPLES / name / "requirements.txt").read_text("utf-8").splitlines():
        assert re.fullmatch(r"[\w\[\]-]+==[\w.]+", line), line


# Chat

both_sdks = pytest.mark.parametrize("sdk", ["js-websocket", "python"])


@both_sdks
def test_a_message_is_stamped_and_reaches_everybody(sdk, make_client, chat):
    ada, grace = (make_client(sdk, chat, data={"name": name}) for name in ("Ada", "Grace"))
    for client in (ada, grace):
        client.open()
        client.enter("chat:lobby")
    ada.publish("chat:lobby", {"text": "  good morning  "})
    got = grace.wait("publication", "chat:lobby")
    assert (got["data"]["text"], got["data"]["author"]) == ("good morning", "Ada")
    assert (got["info"]["user"], got["info"]["conn_info"]) == ("Ada", {"colour": got["data"]["colour"]})
    assert abs(got["data"]["at"] - time.time()) < 10
    history = grace.history("chat:lobby", limit=1, reverse=True)
    assert history["publications"][0]["data"] == got["data"]
    here = {info["user"] for info in grace.presence("chat:lobby").values()}
    assert here == {"Ada", "Grace"}
    assert all(info["chan_info"]["since"] for info in grace.presence("chat:lobby").values())


@both_sdks
@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"text": " "}, "at least 1 character"),
        ({"text": "x" * 1001}, "at most 1000 characters"),
        ({"text": "hi", "author": "Grace"}, "author"),
        ("hi", "data"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(sdk, data, why, make_client, chat):
    client = make_client(sdk, chat, data={"name": "Ada"})
    client.open()
    client.enter("chat:lobby")
    with pytest.raises(SdkError, match=why) as refusal:
        client.publish("chat:lobby", data)
    assert refusal.value.code == 107


def test_a_room_can_be_opened_and_is_in_every_pulse_and_in_the_list(make_client, chat):
    client = make_client("js-websocket", chat, data={"name": "Ada"})
    client.open()
    client.enter("live:pulse")
    client.subscribe("chat:engines")
    assert client.wait("unsubscribed", "chat:engines")["code"] == 404
    with pytest.raises(SdkError) as refusal:
        client.publish("chat:engines", {"text": "hi"})
    assert refusal.value.code == 404
    assert client.rpc("rooms.create", {"name": "engines", "topic": "Analytical"})["topic"] == "Analytical"
    until(lambda: "engines" in [room["name"] for room in client.data("live:pulse")["rooms"]])
    for name, code in (("engines", 409), ("No Room", 107)):
        with pytest.raises(SdkError) as refusal:
            client.rpc("rooms.create", {"name": name})
        assert refusal.value.code == code
    status, rooms = Visitor(chat.port).ask("GET", "/rooms")
    assert (status, rooms[-1]["name"]) == (200, "engines")
    assert "/rooms" in Visitor(chat.port).ask("GET", "/openapi.json")[1]["paths"]


def test_nobody_comes_in_without_a_name(make_client, chat):
    client = make_client("python", chat, data={"name": " "})
    client.connect()
    assert "data.name" in client.wait("disconnected")["reason"]


def test_the_page_of_the_chat_works_in_a_browser(chat):
    seen = browse("chat", chat)
    assert seen["messages"] == ["from Ada <b>bold</b>", "from Grace"]
    assert seen["people"] == ["Ada", "Grace (you)"]
    assert seen["room"] == "# browser"
    assert seen["refused"].startswith("there is a room lobby already")
    assert seen["markup"] == 0


# FastAPI


def signed_in(auction, name):
    visitor = Visitor(auction.backend)
    assert visitor.ask("POST", "/api/sign-in", {"name": name}) == (200, {"name": name})
    return visitor


def lot(auction, id):
    return next(each for each in Visitor(auction.backend).ask("GET", "/api/lots")[1] if each["id"] == id)


def test_a_bid_by_call_reaches_guests_and_is_in_the_history(make_client, auction):
    guest = make_client("js-websocket", auction)
    guest.open()
    guest.enter("lots:1")
    ada = make_client("python", auction, headers={"Cookie": signed_in(auction, "Ada").cookie})
    ada.open()
    amount = lot(auction, 1)["price"] + 50
    assert ada.rpc("bid", {"lot": 1, "amount": amount}) == {"price": amount}
    news = guest.wait("publication", "lots:1")
    assert (news["data"]["bidder"], news["data"]["price"], news["offset"] > 0) == ("Ada", amount, True)
    assert guest.history("lots:1", limit=1, reverse=True)["publications"][0]["data"] == news["data"]


def test_a_bid_by_http_reaches_browsers_too(make_client, auction):
    guest = make_client("js-websocket", auction)
    guest.open()
    guest.enter("lots:2")
    grace = signed_in(auction, "Grace")
    amount = lot(auction, 2)["price"] + 20
    assert grace.ask("POST", "/api/lots/2/bids", {"amount": amount})[0] == 201
    assert guest.data("lots:2")["bidder"] == "Grace"
    assert grace.ask("POST", "/api/lots/2/bids", {"amount": amount})[0] == 409
    assert Visitor(auction.backend).ask("POST", "/api/lots/2/bids", {"amount": 10_000})[0] == 401


def test_the_seconds_come_by_plain_publish(make_client, auction):
    guest = make_client("js-websocket", auction)
    guest.open()
    guest.enter("ticker:all")
    assert set(guest.data("ticker:all")) == {"1", "2", "3"}


def test_the_backend_decides_what_guests_and_bidders_may_do(make_client, auction):
    guest = make_client("python", auction)
    guest.open()
    ada = make_client("python", auction, headers={"Cookie": signed_in(auction, "Ada").cookie})
    ada.open()
    for client, method, data, code in (
        (guest, "bid", {"lot": 1, "amount": 100_000}, 1401),
        (ada, "bid", {"lot": 1, "amount": 1}, 1400),
        (ada, "bid", {"lot": 9, "amount": 100}, 1400),
        (ada, "bid", "everything", 1400),
        (ada, "sell", {}, 104),
    ):
        with pytest.raises(SdkError) as refusal:
            client.rpc(method, data)
        assert refusal.value.code == code
    guest.subscribe("lots:9")
    assert guest.wait("unsubscribed", "lots:9")["code"] == 1404


def test_comments_are_signed_by_the_backend(make_client, auction):
    guest = make_client("js-websocket", auction)
    guest.open()
    guest.enter("talk:1")
    ada = make_client("python", auction, headers={"Cookie": signed_in(auction, "Ada").cookie})
    ada.open()
    ada.publish("talk:1", {"text": " brass? ", "author": "Grace"})
    said = guest.data("talk:1")
    assert (said["text"], said["author"]) == ("brass?", "Ada")
    with pytest.raises(SdkError) as refusal:
        guest.publish("talk:1", {"text": "me too"})
    assert refusal.value.code == 1401


def test_nobody_else_may_ask_the_backend_in_the_name_of_rtserver(auction, airport):
    assert Visitor(auction.backend).ask("POST", "/rt/connect", {})[0] == 422
    assert Visitor(airport.backend).ask("POST", "/rt/connect", {})[0] == 403


def test_the_page_of_the_auction_works_in_a_browser(auction):
    seen = browse("auction", auction)
    assert seen["bidder"] == "highest bid: you"
    assert seen["elsewhere"] == "highest bid: Edsger"
    assert seen["price"] == seen["priceElsewhere"]
    assert seen["comment"] == "Edsger<i>which one?</i>"
    assert (seen["guestMayBid"], seen["markup"]) == (False, 0)
    assert seen["narrow"] == 390


# Django


def staff(airport):
    """Somebody who signed in by the form, as a browser does."""
    visitor = Visitor(airport.backend)
    visitor.ask("GET", "/login")
    form = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": visitor.value("airport_csrf")}
    assert visitor.ask("POST", "/login", urllib.parse.urlencode(form), form=True)[0] == 302
    return visitor


def test_who_is_signed_in_at_django_is_signed_in_here(make_client, airport):
    admin = make_client("python", airport, headers={"Cookie": staff(airport).cookie})
    admin.open()
    admin.enter("staff:room")
    (info,) = admin.presence("staff:room").values()
    assert info["conn_info"] == {"name": "admin", "staff": True}
    passenger = make_client("js-websocket", airport)
    passenger.open()
    passenger.subscribe("staff:room")
    assert passenger.wait("unsubscribed", "staff:room")["code"] == 1403


def test_a_call_changes_the_database_and_every_board(make_client, airport):
    passenger = make_client("js-websocket", airport)
    passenger.open()
    passenger.enter("board:departures")
    admin = make_client("python", airport, headers={"Cookie": staff(airport).cookie})
    admin.open()
    changed = admin.rpc("flights:delay", {"number": "RT 550", "minutes": 45})
    assert changed["expected"] - changed["scheduled"] >= 45 * 60
    until(lambda: passenger.data("board:departures")["id"] == changed["id"])
    for client, data, code in (
        (passenger, {"number": "RT 550", "minutes": 5}, 1403),
        (admin, {"number": "RT 000", "minutes": 5}, 1400),
        (admin, {"number": "RT 550", "minutes": "5"}, 1400),
    ):
        with pytest.raises(SdkError) as refusal:
            client.rpc("flights:delay", data)
        assert refusal.value.code == code


def test_what_the_admin_saves_is_on_every_board(make_client, airport):
    passenger = make_client("js-websocket", airport)
    passenger.open()
    passenger.enter("board:departures")
    admin = staff(airport)
    form = {
        **{"number": "XX 1", "destination": "Nowhere", "gate": "Z9", "status": "boarding", "delay": "0"},
        **{"scheduled_0": "2026-01-01", "scheduled_1": "12:00:00", "csrfmiddlewaretoken": admin.value("airport_csrf")},
    }
    status, page = admin.ask("POST", "/admin/airport/flight/add/", urllib.parse.urlencode(form), form=True)
    assert status == 302, page
    added = until(
        lambda: next((each for each in [passenger.data("board:departures")] if each["number"] == "XX 1"), None)
    )
    assert (added["destination"], added["gate"], added["status"]) == ("Nowhere", "Z9", "boarding")


def test_calls_come_from_the_staff_or_from_any_program(make_client, airport):
    passenger = make_client("js-websocket", airport)
    passenger.open()
    passenger.enter("calls:hall")
    admin = make_client("python", airport, headers={"Cookie": staff(airport).cookie})
    admin.open()
    admin.publish("calls:hall", {"text": "Passenger Hopper"})
    assert passenger.data("calls:hall")["text"] == "Passenger Hopper"
    run_command(airport.redis, "PUBLISH", "rt:calls:hall", json.dumps({"text": "Passenger Twist"}))
    assert passenger.data("calls:hall") == {"text": "Passenger Twist"}
    with pytest.raises(SdkError) as refusal:
        passenger.publish("calls:hall", {"text": "me"})
    assert refusal.value.code == 1403


def test_the_clock_and_the_traffic_come_from_a_process_of_their_own(make_client, airport):
    passenger = make_client("js-websocket", airport)
    passenger.open()
    passenger.enter("clock:airport")
    passenger.enter("board:departures")
    assert abs(passenger.data("clock:airport")["at"] - time.time()) < 10
    assert passenger.data("board:departures")["number"]


def test_the_page_of_the_airport_works_in_a_browser(airport):
    seen = browse("airport", airport)
    assert seen["desk"] == "At the desk: admin"
    assert seen["call"].endswith("Passenger <b>Lovelace</b>")
    assert seen["markup"] == 0
    assert seen["delayed"] > seen["scheduled"]
    assert re.fullmatch(r"\d\d:\d\d:\d\d", seen["clock"])
    assert seen["narrow"] == 390


# The end


def test_programs_that_run_together_end_together(start, tmp_path_factory):
    """Of the three programs the backend is killed: the others end, and make says that something went wrong."""
    example = Example("fastapi_backend", tmp_path_factory.mktemp("together"))
    try:
        pid = int(example.wait_log(r"Started server process \[(\d+)\]")[1])
        example.wait_log("ready: http")
        os.kill(pid, 9)
        assert example.process.wait(60) != 0
        assert "backend ended with -9" in example.log
        for port in (example.port, example.backend, example.redis):
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0
    finally:
        example.kill()
