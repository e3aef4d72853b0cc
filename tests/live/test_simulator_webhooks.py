"""The simulator's webhooks, read by the real SDK: signed, consistent with the API, sent, repeated, reordered, spoiled."""

import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from braintree.exceptions.invalid_signature_error import InvalidSignatureError

from tests.live.simulator_process import PRIVATE_KEY, OrderRefused


class Receiver:
    """A server that keeps the forms that are posted to it, and answers a challenge with the SDK's answer."""

    def __init__(self, gateway):
        self.forms = []
        forms = self.forms

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                forms.append({name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()})
                self._answer(b"ok")

            def do_GET(self):
                challenge = parse_qs(urlsplit(self.path).query)["bt_challenge"][0]
                self._answer(gateway.webhook_notification.verify(challenge).encode())

            def _answer(self, body):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_parts):
                """Nothing to standard error."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/payment/webhook/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def receiver(gateway):
    made = Receiver(gateway)
    yield made
    made.close()


def sold(gateway, amount="40.00"):
    options = {"submit_for_settlement": True}
    return gateway.transaction.sale(
        {"amount": amount, "payment_method_nonce": "fake-valid-nonce", "options": options}
    ).transaction


def parsed(gateway, form):
    return gateway.webhook_notification.parse(form["bt_signature"], form["bt_payload"])


def test_settlement_is_told_with_the_amount_that_the_api_tells(sim, gateway):
    made = sold(gateway, "40.37")
    sim.settle(made.id)
    (webhook,) = sim.objects("webhooks")
    got = parsed(gateway, sim.order("GET", f"/webhooks/{webhook['number']}")["form"])
    assert (got.kind, got.transaction.id, got.transaction.status) == ("transaction_settled", made.id, "settled")
    assert got.transaction.amount == gateway.transaction.find(made.id).amount == Decimal("40.37")


def subscribed(gateway):
    gateway.customer.create({"id": "u_1"})
    given = {"customer_id": "u_1", "payment_method_nonce": "fake-valid-nonce", "token": "t_1"}
    gateway.payment_method.create(given)
    gateway.subscription.create({"id": "s_1", "payment_method_token": "t_1", "plan_id": "monthly"})


def test_the_life_of_a_subscription_is_told_in_order(sim, gateway):
    subscribed(gateway)
    sim.order("POST", "/subscriptions/charge", id="s_1")
    gateway.subscription.update("s_1", {"price": "2000.00"})
    sim.order("POST", "/subscriptions/charge", id="s_1")
    gateway.subscription.cancel("s_1")
    forms = [sim.order("GET", f"/webhooks/{each['number']}")["form"] for each in sim.objects("webhooks")]
    got = [parsed(gateway, form) for form in forms]
    assert [each.kind.removeprefix("subscription_") for each in got] == [
        "went_active",
        "charged_successfully",
        "charged_successfully",
        "charged_unsuccessfully",
        "went_past_due",
        "canceled",
    ]
    assert {each.subscription.id for each in got} == {"s_1"}
    assert got[2].subscription.transactions[0].amount == Decimal("9.99")


def test_the_life_of_a_dispute_is_told_in_order(sim, gateway):
    made = sold(gateway)
    key = sim.order("POST", "/disputes", transaction_id=made.id)["id"]
    gateway.dispute.finalize(key)
    sim.order("POST", f"/disputes/{key}", status="lost")
    forms = [sim.order("GET", f"/webhooks/{each['number']}")["form"] for each in sim.objects("webhooks")]
    got = [parsed(gateway, form) for form in forms]
    assert [each.kind for each in got] == ["dispute_opened", "dispute_disputed", "dispute_lost"]
    assert [each.dispute.status for each in got] == ["open", "disputed", "lost"]
    assert got[0].dispute.transaction.id == made.id


@pytest.mark.parametrize(
    "kind",
    [
        "check", "transaction_disbursed", "transaction_settled", "transaction_settlement_declined", "refund_failed",
        "subscription_trial_ended", "subscription_went_past_due", "dispute_won", "payment_method_revoked_by_customer",
    ],
)  # fmt: skip
def test_any_kind_can_be_sent_about_what_is_there(kind, sim, gateway, receiver):
    subscribed(gateway)
    made = sold(gateway).id
    dispute = sim.order("POST", "/disputes", transaction_id=made)["id"]
    about = {"s": "s_1", "d": dispute, "p": "t_1", "c": ""}.get(kind[0], made)
    done = sim.order("POST", "/webhooks", kind=kind, id=about, url=receiver.url)
    assert done["sent"] == [{"status": 200, "body": "ok"}]
    assert parsed(gateway, receiver.forms[-1]).kind == kind


def test_webhooks_are_sent_in_any_order_and_again(sim, gateway, receiver):
    for amount in ("1.00", "2.00", "3.00"):
        sim.settle(sold(gateway, amount).id)
    numbers = [each["number"] for each in sim.objects("webhooks")]
    order = [numbers[2], numbers[0], numbers[0], numbers[1]]
    assert len(sim.order("POST", "/webhooks/send", url=receiver.url, numbers=order)["sent"]) == 4
    amounts = [str(parsed(gateway, form).transaction.amount) for form in receiver.forms]
    assert amounts == ["3.00", "1.00", "1.00", "2.00"]
    assert receiver.forms[1] == receiver.forms[2]


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("payload", InvalidSignatureError),
        ("signature", InvalidSignatureError),
        ("private_key", InvalidSignatureError),
        ("public_key", InvalidSignatureError),
        ("no_signature", Exception),
        ("three_parts", ValueError),
        ("not_ascii", UnicodeEncodeError),
        ("not_xml", Exception),
    ],
)
def test_a_webhook_that_was_tampered_with_is_not_believed(how, error, sim, gateway, receiver):
    sim.order("POST", "/webhooks", kind="check", url=receiver.url, tamper=how)
    with pytest.raises(error):
        parsed(gateway, {"bt_signature": "", **receiver.forms[-1]})


def test_a_webhook_can_be_of_ten_megabytes(sim, receiver):
    assert sim.order("POST", "/webhooks", kind="check", url=receiver.url, tamper="10_mb")["sent"][0]["status"] == 200
    assert len(receiver.forms[-1]["bt_payload"]) > 10_000_000


def test_what_happens_is_sent_by_itself_when_a_place_is_set(sim, gateway, receiver):
    sim.settings(webhook_url=receiver.url)
    sim.settle(sold(gateway, "1.00").id)
    sim.settle(sold(gateway, "2.00").id)
    sim.wait_for(lambda: len(receiver.forms) == 2)
    assert [str(parsed(gateway, form).transaction.amount) for form in receiver.forms] == ["1.00", "2.00"]


def test_the_challenge_is_asked_and_judged(sim, receiver):
    assert sim.order("POST", "/webhooks/challenge", url=receiver.url)["right"] is True
    assert sim.order("POST", "/webhooks/challenge", url=sim.url("/"))["right"] is False


def test_nobody_there_is_an_answer_too(sim):
    done = sim.order("POST", "/webhooks", kind="check", url="http://127.0.0.1:1/")
    assert done["sent"][0]["status"] == 0


@pytest.mark.parametrize("url", ["http://example.com/", "https://127.0.0.1/", "file:///etc/passwd", "http://10.0.0.1/"])
def test_it_sends_to_the_loopback_only(url, sim):
    with pytest.raises(OrderRefused, match="loopback"):
        sim.order("POST", "/webhooks", kind="check", url=url)
    with pytest.raises(OrderRefused, match="loopback"):
        sim.settings(webhook_url=url)


def test_an_order_about_nothing_says_so(sim):
    for path, said, status in (
        ("/webhooks", {"kind": "transaction_settled", "id": "nothing"}, 404),
        ("/webhooks", {"kind": "nonsense"}, 400),
        ("/webhooks", {"kind": "check", "tamper": "nonsense"}, 400),
        ("/webhooks/send", {"numbers": "all", "url": "http://127.0.0.1:1/"}, 400),
        ("/webhooks/send", {"numbers": [99], "url": "http://127.0.0.1:1/"}, 404),
        ("/settings", {"duplicate_seconds": "many"}, 400),
        ("/nonces", {"like": "nothing"}, 400),
        ("/disputes", {"transaction_id": "nothing"}, 404),
        ("/plans", {"id": "p", "price": "cheap"}, 400),
        ("/settlement/advance", {"id": "nothing"}, 404),
    ):
        with pytest.raises(OrderRefused) as refused:
            sim.order("POST", path, **said)
        assert refused.value.status == status, path


def test_the_private_key_is_never_shown(sim, gateway):
    sim.settle(sold(gateway).id)
    for path in ("/", "/webhooks/1", "/objects/webhooks", "/faults"):
        assert PRIVATE_KEY not in str(sim.order("GET", path))
