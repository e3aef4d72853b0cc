"""Webhooks of the gateway: only its own are read, and no stranger's bytes do more than be refused."""

from base64 import encodebytes

import braintree
import pytest
from braintree.util.crypto import Crypto

from rtserver.payments.errors import GatewayRefused
from rtserver.payments.records import Notification
from rtserver.services.gateway_braintree_webhooks import Webhooks
from tests.services.gateway_house import PRIVATE_KEY, House

HOUSE = House("")
WEBHOOKS = Webhooks(HOUSE.link)
Kind = braintree.WebhookNotification.Kind


def sample(kind, id="x1"):
    """As the SDK makes them, with these keys."""
    made = HOUSE.link.sdk.webhook_testing.sample_notification(kind, id)
    return made["bt_signature"], made["bt_payload"].decode()


def signed(payload, public_key="simulator_public", private_key=PRIVATE_KEY):
    return f"{public_key}|{Crypto.sha1_hmac_hash(private_key, payload)}", payload


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (Kind.TransactionSettled, "transaction"),
        (Kind.TransactionDisbursed, "transaction"),
        (Kind.TransactionSettlementDeclined, "transaction"),
        (Kind.SubscriptionChargedSuccessfully, "subscription"),
        (Kind.SubscriptionChargedUnsuccessfully, "subscription"),
        (Kind.SubscriptionWentPastDue, "subscription"),
        (Kind.SubscriptionCanceled, "subscription"),
        (Kind.DisputeOpened, "dispute"),
        (Kind.DisputeWon, "dispute"),
    ],
)
def test_a_notification_tells_what_it_is_about_and_when_it_happened(kind, subject):
    found = WEBHOOKS.read(*sample(kind))
    assert found == Notification(kind, found.happened_at, subject, "x1")
    assert found.happened_at > 1_700_000_000_000


@pytest.mark.parametrize("kind", [Kind.Check, Kind.PaymentMethodRevokedByCustomer, Kind.LocalPaymentCompleted])
def test_what_is_about_nothing_of_ours_is_other(kind):
    found = WEBHOOKS.read(*sample(kind))
    assert (found.kind, found.subject) == (kind, "other")


def test_a_kind_that_nobody_knows_yet_is_told_as_it_is():
    body = "<notification><kind>news</kind><timestamp type='datetime'>2026-11-22T09:24:51Z</timestamp>"
    body += "<subject><news><id>1</id></news></subject></notification>"
    found = WEBHOOKS.read(*signed(encodebytes(body.encode()).decode()))
    assert found == Notification("news", 1_795_339_491_000, "other", "")


def test_a_signature_among_others_is_found_and_one_line_break_may_be_missing():
    signature, payload = sample(Kind.TransactionSettled)
    assert WEBHOOKS.read(f"other_public|aaaa&{signature}", payload).subject_id == "x1"
    assert WEBHOOKS.read(signature, payload.removesuffix("\n")).subject_id == "x1"


SIGNATURE, PAYLOAD = sample(Kind.TransactionSettled)

FORGED = {
    "no signature": ("", PAYLOAD),
    "no pair": ("abcdef", PAYLOAD),
    "another public key": (SIGNATURE.replace("simulator_public", "somebody"), PAYLOAD),
    "another private key": signed(PAYLOAD, private_key="somebody"),
    "changed payload": (SIGNATURE, "A" + PAYLOAD[1:]),
    "cut payload": (SIGNATURE, PAYLOAD[: len(PAYLOAD) // 2]),
    "payload without any line break": (SIGNATURE, PAYLOAD.replace("\n", "")),
    "letters that no payload has": (SIGNATURE, PAYLOAD + "!"),
    "empty payload": (SIGNATURE, ""),
    "nothing at all": (None, None),
}

BROKEN = {
    "signature of three parts": (f"{SIGNATURE}|more", PAYLOAD),
    "payload that is not ASCII": (SIGNATURE, "ü" + PAYLOAD),
    "well signed, not XML": signed(encodebytes(b"hello").decode()),
    "well signed, no base64": signed("A\n"),
    "well signed, empty": signed("\n"),
    "well signed, another document": signed(encodebytes(b"<other><a>1</a></other>").decode()),
    "well signed, without a subject": signed(encodebytes(b"<notification><kind>check</kind></notification>").decode()),
    "well signed, without a kind": signed(
        encodebytes(b"<notification><a>1</a><subject><check>1</check></subject></notification>").decode()
    ),
    "well signed, without end": signed(encodebytes(b"<a>" * 5000).decode()),
    "well signed, very deep": signed(encodebytes(b"<a>" * 5000 + b"</a>" * 5000).decode()),
    "signature of bytes": (b"a|b", PAYLOAD),
    "a list": (["a|b"], PAYLOAD),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_the_gateway_did_not_sign_is_refused(name):
    with pytest.raises(GatewayRefused) as caught:
        WEBHOOKS.read(*FORGED[name])
    assert caught.value.code == "bad_signature"
    assert PAYLOAD[:20] not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_refused(name):
    with pytest.raises(GatewayRefused) as caught:
        WEBHOOKS.read(*BROKEN[name])
    assert caught.value.code == "bad_payload"


def test_a_challenge_is_answered_with_the_public_key_and_a_mac():
    challenge = "0123456789abcdef0123"
    assert WEBHOOKS.answer_challenge(challenge) == f"simulator_public|{Crypto.sha1_hmac_hash(PRIVATE_KEY, challenge)}"


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "abc",
        "0123456789abcdef0123\n",
        "0123456789ABCDEF0123",
        "0" * 33,
        "g" * 20,
        "<script>alert(1)</script>",
        None,
        b"0" * 20,
        ["0" * 20],
    ],
)
def test_what_is_no_challenge_is_refused(challenge):
    with pytest.raises(GatewayRefused, match="bad_challenge"):
        WEBHOOKS.answer_challenge(challenge)
