"""Paying with real browsers, the real SDK and the simulator: the page turns to "paid", "refunded" and
"released" by itself."""

import json
import os
import shutil
import subprocess

import pytest

from tests.live.redis_server import free_port
from tests.live.rtserver_process import RtServer
from tests.live.sdk_js import SCRIPTS, check_installed
from tests.live.simulator_process import MERCHANT, PRIVATE_KEY, PUBLIC_KEY, running

TIME = 150


def settings(port, simulator, **payments):
    origin = f"http://127.0.0.1:{port}"
    return {
        "client": {"allow_anonymous_connect_without_token": True},
        "accounts": {"enabled": True, "base_url": origin, "staff": ["boss@example.org"]},
        "payments": {
            "enabled": True,
            "simulator_url": f"http://127.0.0.1:{simulator.port}",
            "merchant_id": MERCHANT,
            "public_key": PUBLIC_KEY,
            "private_key": PRIVATE_KEY,
            "timeout": "1s",
            "connect_timeout": "1s",
            **payments,
        },
    }


def told(process, orders):
    """What the script saw; what it asks for is done."""
    for line in process.stdout:
        message = json.loads(line)
        if "seen" in message:
            return message["seen"]
        orders[message["ask"]]()
        process.stdin.write("done\n")
        process.stdin.flush()
    raise AssertionError("the script ended without a word")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    check_installed()
    place = tmp_path_factory.mktemp("payments")
    port = free_port()
    with running(place) as simulator:
        server = RtServer(place, settings(port, simulator), port).start()
        simulator.settings(webhook_url=server.url("/payment/webhook/"))
        orders = {
            "the next sale is done, and nobody is told": lambda: simulator.fault(
                "POST /transactions", "work_then_silence"
            ),
            "everything is settled": simulator.settle,
        }
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment |= {
            "PAGE": server.url(""),
            "CHROMIUM": shutil.which("chromium"),
            "SHOTS": os.environ.get("SHOTS", ""),
        }
        command = ["timeout", str(TIME), shutil.which("node"), str(SCRIPTS / "payments.mjs")]
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        try:
            found = told(process, orders)
            assert "failed" not in found, found["failed"] + server.log[-3000:]
            found["transactions"] = simulator.objects("transactions")
            server.stop()
        finally:
            process.kill()
            process.wait()
            server.kill()
    return {**found, "log": server.log}


def test_a_payment_is_done_and_told_at_once(seen):
    assert seen["paid"] == {"state": "paid", "text": "Paid. Thank you!"}


def test_a_decline_says_why_in_words_for_a_person(seen):
    assert seen["declined"]["state"] in (None, "open")
    assert "declined" in seen["declined"]["text"].lower()


def test_a_payment_of_which_nobody_knows_turns_to_paid_by_itself(seen):
    assert seen["checking"]["state"] == "checking"
    assert seen["afterwards"]["state"] == "paid"


def test_staff_gives_back_a_part_and_then_the_rest(seen):
    """Each arrives on the page of the payer, or there is no word of ``seen``."""
    assert (seen["prefilled"], seen["rest"]) == ("10.00", "7.00")
    amounts = sorted(each["amount"] for each in seen["transactions"] if each["type"] == "credit")
    assert amounts == ["3.00", "7.00"]


def test_what_the_server_says_of_an_amount_stands_beside_it(seen):
    assert seen["tooMuch"] == "At most 10.00 USD can be refunded."
    assert "write an amount as in 10.00" in seen["unreadable"]
    assert seen["nothing"] == "Write how much, as in 10.00."


def test_what_is_being_typed_stays_when_news_of_other_orders_arrive(seen):
    assert seen["kept"] == " "


def test_staff_releases_what_is_not_settled(seen):
    assert seen["released"] == {"state": "voided", "text": "The payment was released: you are not charged."}


def test_staff_settles_a_part_of_what_is_held(seen):
    assert seen["settled"] == {"state": "paid", "text": "Paid. Thank you! 20.00 of 25.00 USD charged."}


def test_the_page_was_never_loaded_anew(seen):
    assert seen["loads"] == 0


def test_nobody_was_charged_twice(seen):
    sales = [each["status"] for each in seen["transactions"] if each["type"] == "sale"]
    assert sorted(sales) == ["processor_declined", "settled", "settled", "submitted_for_settlement", "voided"]


def test_the_pages_have_no_errors(seen):
    assert [each for each in seen["errors"] if "status of 402" not in each and "status of 422" not in each] == []


def test_no_nonce_or_client_token_is_in_the_log(seen):
    assert "fake-valid" not in seen["log"]
    assert "authorizationFingerprint" not in seen["log"]
