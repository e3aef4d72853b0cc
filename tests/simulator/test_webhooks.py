"""Signatures of webhooks, against the SDK's own check of them."""

import braintree
import pytest
from braintree.exceptions.invalid_signature_error import InvalidSignatureError

from rtserver.simulator.webhooks import MAX_WEBHOOKS, verification
from tests.simulator.house import KEYS, make_gateway, sold

SDK = braintree.BraintreeGateway(
    braintree.Configuration(braintree.Environment.Development, KEYS.merchant_id, KEYS.public_key, KEYS.private_key)
)


@pytest.fixture
def webhook_and_gateway():
    gateway = make_gateway()
    sold(gateway, "12.34", submit=True, order_id="é <&>" * 40)
    gateway.transactions.advance()
    gateway.transactions.advance()
    return gateway.webhooks.all()[0], gateway


def test_the_sdk_believes_a_webhook_and_reads_its_object(webhook_and_gateway):
    webhook, gateway = webhook_and_gateway
    form = gateway.webhooks.form(webhook)
    got = SDK.webhook_notification.parse(form["bt_signature"], form["bt_payload"])
    assert (got.kind, str(got.transaction.amount)) == ("transaction_settled", "12.34")
    assert (got.transaction.order_id, got.source_merchant_id) == ("é <&>" * 40, "m")
    assert "\n" in form["bt_payload"].rstrip("\n")


@pytest.mark.parametrize("how", ["payload", "signature", "private_key", "public_key"])
def test_the_sdk_does_not_believe_one_that_was_tampered_with(how, webhook_and_gateway):
    webhook, gateway = webhook_and_gateway
    form = gateway.webhooks.form(webhook, how)
    with pytest.raises(InvalidSignatureError):
        SDK.webhook_notification.parse(form["bt_signature"], form["bt_payload"])


def test_the_challenge_is_answered_as_the_sdk_answers_it():
    assert verification(KEYS, "0123456789abcdef0123") == SDK.webhook_notification.verify("0123456789abcdef0123")


def test_webhooks_are_bounded_and_the_oldest_goes():
    gateway = make_gateway()
    for _ in range(MAX_WEBHOOKS + 5):
        gateway.notify("check", "", {"check": True})
    numbers = [each.number for each in gateway.webhooks.all()]
    assert (len(numbers), numbers[0]) == (MAX_WEBHOOKS, 6)


def test_the_private_key_is_not_shown():
    assert "private" not in repr(KEYS)
