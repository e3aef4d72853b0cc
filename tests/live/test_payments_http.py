"""Payments of a real server with the real SDK: killed in the middle of a sale, double clicks, webhooks, two tabs, an
application that is told."""

import base64
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from urllib.parse import urlencode

import pytest

from rtserver.simulator.nonces import FAKE
from tests.live.raw import RawClient
from tests.live.redis_server import free_port
from tests.live.rtserver_process import RtServer
from tests.live.simulator_process import running
from tests.live.test_accounts_http import Browser, signed_up
from tests.live.test_payments_browser import settings

PATIENCE = 60.0


class Shop:
    """A server with its simulator. Whoever signs up has a name of his own; ``sales`` are those since ``opens``."""

    def __init__(self, place, simulator, log=None, **payments):
        self.simulator = simulator
        self._numbers = itertools.count(1)
        port = free_port()
        more = settings(port, simulator, **payments)
        more["apps"] = [{"module": "tests.live.apps.deliveries:app"}]
        more["accounts"]["staff"] = ["boss@example.org"]
        more["log"] = log or {}
        self.server = RtServer(place, more, port).start()
        simulator.settings(webhook_url=self.server.url("/payment/webhook/"))
        self.opens()

    def opens(self):
        self._before = {each["id"] for each in self.simulator.objects("transactions")}

    def sales(self):
        """What was charged at the gateway."""
        found = [each for each in self.simulator.objects("transactions") if each["id"] not in self._before]
        return [each for each in found if each["type"] == "sale" and each["status"] != "processor_declined"]

    def person(self):
        return signed_up(self.server, f"paula{next(self._numbers)}")

    def keeper(self):
        return signed_up(self.server, "boss")


@contextmanager
def open_shop(place, **settings):
    with running(place) as simulator:
        shop = Shop(place, simulator, **settings)
        try:
            yield shop
            shop.server.stop()
        finally:
            shop.server.kill()


@pytest.fixture
def own_shop(tmp_path):
    """For what has to be alone."""
    with open_shop(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared_shop(tmp_path_factory):
    with open_shop(tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.fixture
def shop(shared_shop):
    shared_shop.opens()
    yield shared_shop
    shared_shop.server.check_log()


def eventually(question, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"it did not become so in {seconds} s"
        time.sleep(0.05)
    return answer


def state_of(browser, order):
    return browser.read(f"/payment/orders/{order}")[1]["state"]


def sale(nonce, **more):
    return {"item": "test-10", "nonce": nonce, **more}


def test_after_a_kill_in_the_middle_of_a_sale_exactly_one_transaction_is_there_and_the_payer_is_told(tmp_path):
    with open_shop(tmp_path, timeout="10s") as shop:
        kill_in_the_middle_of_a_sale(shop)


def pay_until_the_kill(payer, simulator, charged):
    """The gateway does the work of a sale and says nothing; then the server that ``payer`` asked is killed."""
    simulator.fault("POST /transactions", "work_then_silence")
    lost = []

    def pay():
        try:
            payer.post("/payment/process/", sale("fake-valid-visa-nonce"))
        except OSError as error:
            lost.append(error)

    paying = threading.Thread(target=pay)
    paying.start()
    eventually(charged)
    payer.server.signal(signal.SIGKILL)
    payer.server.wait_end()
    paying.join(PATIENCE)
    assert lost, "the payer got an answer"


def kill_in_the_middle_of_a_sale(shop):
    payer = shop.person()
    pay_until_the_kill(payer, shop.simulator, shop.sales)
    shop.server.settings["payments"]["timeout"] = "1s"
    shop.server.start()
    ((order,),) = ([each["order"] for each in payer.read("/payment/orders")[1]["orders"]],)
    with RawClient(shop.server, additional_headers={"Origin": shop.server.url()}) as listening:
        user = payer.read("/auth/session")[1]["user"]["id"]
        listening.connect(token=payer.read("/auth/token")[1]["token"])
        token = payer.read(f"/auth/subscription-token?channel=user:{user}")[1]["token"]
        listening.call(2, subscribe={"channel": f"user:{user}", "token": token})
        if state_of(payer, order) != "paid":
            while (news := listening.receive(PATIENCE)["push"]["pub"]["data"])["record"]["state"] != "paid":
                assert news["record"]["order"] == order
    assert state_of(payer, order) == "paid"
    assert len(shop.sales()) == 1


def test_a_double_click_and_a_request_that_is_sent_again_charge_once(shop):
    payer = shop.person()
    answers = []
    clicks = [
        threading.Thread(target=lambda: answers.append(payer.post("/payment/process/", sale("fake-valid-visa-nonce"))))
        for _ in range(2)
    ]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join(PATIENCE)
    answers.append(payer.post("/payment/process/", sale("fake-valid-visa-nonce")))
    assert {status for status, _ in answers} <= {200, 202, 409}
    assert answers[-1][1]["result"] == "done"
    assert len(shop.sales()) == 1


def test_of_two_tabs_that_pay_one_order_one_does(shop):
    payer = shop.person()
    _, order = payer.post("/payment/orders", {"item": "test-10"})
    first = payer.post("/payment/process/", {"order": order["order"], "nonce": "fake-valid-visa-nonce"})
    second = payer.post("/payment/process/", {"order": order["order"], "nonce": "fake-valid-mastercard-nonce"})
    assert (first[0], first[1]["result"]) == (200, "done")
    assert second[0] in (200, 409)
    assert len(shop.sales()) == 1


def test_the_price_is_never_the_requests(shop):
    payer = shop.person()
    status, answer = payer.post("/payment/process/", sale("fake-valid-visa-nonce", amount="0.01"))
    assert status in (200, 422)
    assert [each["amount"] for each in shop.sales()] == ["10.00"] * (status == 200)


def text(payload):
    return payload.decode() if isinstance(payload, bytes) else payload


def webhook(shop, signature, payload):
    browser = Browser(shop.server)
    body = urlencode({"bt_signature": signature, "bt_payload": payload})
    answer, _ = browser.ask("POST", "/payment/webhook/", body, **{"Content-Type": "application/x-www-form-urlencoded"})
    return answer.status


def test_no_nonce_or_device_data_or_client_token_is_in_the_log_or_in_the_database(tmp_path):
    with open_shop(tmp_path, log={"level": "debug"}) as shop:
        pay_with_every_nonce(shop)


def pay_with_every_nonce(shop):
    payer = shop.person()
    nonces = sorted(FAKE)
    for number, nonce in enumerate(nonces):
        body = {"item": "test-10", "nonce": nonce, "device_data": f"device data {nonce}", "save": number % 4 == 0}
        assert payer.post("/payment/process/", body)[0] in (200, 402, 422)
    payer.post("/payment/methods", {"nonce": "no-nonce-at-all"})
    for fault in ("work_then_silence", "bad_xml"):
        shop.simulator.fault("POST /transactions", fault)
        assert payer.post("/payment/process/", sale(f"a-nonce-{fault}"))[0] == 202
    secrets = [payer.read("/payment/token/")[1]["client_token"], "device data", "no-nonce-at-all", "a-nonce-", *nonces]
    shop.server.stop()
    written = shop.server.log_file.read_bytes() + b"".join(
        each.read_bytes() for each in shop.server.place.glob("*.db*")
    )
    assert [each for each in secrets if each.encode() in written] == []
    assert len(written) > 100_000


def test_webhooks_of_strangers_and_of_any_size_are_refused(shop):
    sample = shop.simulator.gateway().webhook_testing.sample_notification("dispute_opened", "d1")
    forged = shop.simulator.gateway(private_key="another key").webhook_testing.sample_notification(
        "dispute_opened", "d1"
    )
    payload = text(sample["bt_payload"])
    altered = base64.encodebytes(base64.decodebytes(payload.encode()).replace(b"dispute", b"dispone")).decode()
    assert webhook(shop, forged["bt_signature"], text(forged["bt_payload"])) == 400
    assert webhook(shop, sample["bt_signature"], altered) == 400
    assert webhook(shop, sample["bt_signature"], payload + "A" * 10_000_000) in (400, 413)
    assert webhook(shop, sample["bt_signature"], payload) == 200
    assert webhook(shop, sample["bt_signature"], payload) == 200


def test_applications_are_told_until_they_succeed(own_shop):
    """The function of the application fails at first."""
    own_shop.server.trouble = [".*"]
    payer = own_shop.person()
    status, answer = payer.post("/payment/process/", {"item": "test-held", "nonce": "fake-valid-visa-nonce"})
    assert (status, answer["order"]["state"]) == (200, "authorized")
    delivered = eventually(lambda: payer.read("/deliveries")[1])
    assert delivered == [[answer["order"]["order"], "authorized"]]
    assert "the printer is out of paper" in own_shop.server.log


def test_people_see_and_refund_nothing_of_others(shop):
    payer, stranger = shop.person(), shop.person()
    order = payer.post("/payment/process/", sale("fake-valid-visa-nonce"))[1]["order"]["order"]
    assert stranger.read(f"/payment/orders/{order}")[0] == 404
    assert stranger.post(f"/payment/orders/{order}/refund")[0] == 403
    assert stranger.read("/payment/staff/orders")[0] == 403
    assert stranger.read("/payment/orders")[1]["orders"] == []


def test_staff_never_give_back_more_than_is_left(shop):
    payer, staff = shop.person(), shop.keeper()
    order = payer.post("/payment/process/", sale("fake-valid-visa-nonce"))[1]["order"]["order"]
    shop.simulator.settle()
    eventually(lambda: state_of(payer, order) == "settled")
    assert staff.post(f"/payment/orders/{order}/refund", {"amount": "7.00"})[0] == 200
    assert staff.post(f"/payment/orders/{order}/refund", {"amount": "3.01"})[0] in (409, 422)
    assert staff.post(f"/payment/orders/{order}/refund", {"amount": "3.00"})[0] == 200
    eventually(lambda: state_of(payer, order) == "refunded")


def test_an_item_that_its_merchant_account_cannot_take_is_refused_by_the_endpoint_and_warned_of_at_the_start(own_shop):
    server, staff = own_shop.server, own_shop.keeper()
    item = {"id": "pen", "name": "A pen", "price": "2.50", "currency": "EUR"}
    status, answer = staff.post("/payment/staff/items", item)
    assert (status, answer["detail"][0]["loc"]) == (422, ["body", "currency"])
    assert staff.post("/payment/staff/items", {**item, "merchant_account": "shop_eur"})[0] == 200
    server.stop()
    (file,) = server.place.glob("*.db")
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("update rt_sale_items set merchant_account = '' where id = 'pen'")
    server.seen = len(server.log)
    server.start()
    server.wait_line("item pen cannot be bought: Its merchant account shop_usd takes USD, not EUR")
    server.stop()
    own_shop.simulator.stop()
    server.seen = len(server.log)
    server.start()
    server.wait_line("the currencies of merchant accounts cannot be learned now")


def test_the_report_of_the_command_line_finds_nothing_amiss(own_shop):
    payer = own_shop.person()
    assert payer.post("/payment/process/", sale("fake-valid-visa-nonce"))[0] == 200
    command = [
        sys.executable,
        "-c",
        "import sys; from rtserver.cli import main; sys.exit(main())",
        "payments",
        "reconcile",
        "--json",
    ]
    command += ["--config", str(own_shop.server.place / "rtserver.toml"), "--url", own_shop.server.url()]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["here"] == report["there"] == 1
