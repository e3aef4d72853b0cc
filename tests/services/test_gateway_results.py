"""What each answer of the gateway comes to, and what persons are told."""

import pytest

from rtserver.payments.errors import GatewayRefused
from rtserver.payments.records import AttemptState, FieldError
from rtserver.services import gateway_braintree_words as words
from rtserver.services.gateway_braintree_results import MOST_ERRORS, STATES
from tests.services.gateway_house import House, attempt, error, final, refusal, sale, sold, transaction, xml

APPROVED, DECLINED = AttemptState.APPROVED, AttemptState.DECLINED


def outcome(answer):
    return House(answer).money.sale(sale())


@pytest.mark.parametrize(
    "status",
    ["authorized", "authorizing", "submitted_for_settlement", "settling", "settled", "settlement_pending", "voided"],
)
def test_a_success_is_approved_with_its_transaction(status):
    found = outcome(sold(status=status))
    assert (found.state, found.code, found.sentence) == (APPROVED, "approved", "")
    assert (found.transaction.id, found.transaction.status) == ("tx1", status)


@pytest.mark.parametrize("status", STATES)
def test_a_status_by_which_no_money_moves_is_never_approved(status):
    assert outcome(sold(status=status)).state is STATES[status]
    assert outcome(final(status)).state is STATES[status]


def test_an_error_with_a_transaction_that_lives_stays_unknown():
    found = outcome(final("authorized"))
    assert (found.state, found.code) == (AttemptState.UNKNOWN, "unexpected_status")
    assert found.transaction.id == "tx1"


@pytest.mark.parametrize(
    ("code", "kind", "is_soft"),
    [
        ("2000", "soft_declined", True),
        ("2000", "hard_declined", False),
        ("2004", "hard_declined", False),
        ("2001", "", True),
        ("2004", "", False),
        ("2053", "", False),
        ("2046", "", True),
        ("2999", "", True),
    ],
)
def test_a_decline_is_soft_or_hard_as_the_bank_says_and_by_its_code_when_it_does_not(code, kind, is_soft):
    found = outcome(final("processor_declined", code, "Text of the bank", kind))
    assert (found.state, found.code, found.is_soft) == (DECLINED, code, is_soft)
    assert found.transaction.details["processor_text"] == "Text of the bank"


@pytest.mark.parametrize("code", [*words.DECLINED, "2000", "2014", "2999", "unheard-of"])
def test_every_decline_has_a_sentence_for_a_person(code):
    sentence = outcome(final("processor_declined", code)).sentence
    assert sentence[0].isupper() and sentence.endswith(".") and code not in sentence


@pytest.mark.parametrize("code", ["2012", "2013", "2014", "2047", "2053"])
def test_who_holds_a_card_is_not_told_that_it_was_reported(code):
    sentence = outcome(final("processor_declined", code, "Possible Stolen Card")).sentence.lower()
    assert not any(word in sentence for word in ("stolen", "lost", "fraud", "pick up"))


def test_a_failure_of_the_bank_is_no_decline():
    found = outcome(final("failed", "3000", "Processor Network Unavailable - Try Again"))
    assert (found.state, found.code, found.is_soft) == (AttemptState.FAILED, "3000", True)


@pytest.mark.parametrize("reason", [*words.REJECTED, "something_new"])
def test_every_rejection_of_the_gateway_has_its_reason_and_a_sentence(reason):
    answer = final("gateway_rejected", "", "Gateway Rejected", "", gateway_rejection_reason=reason)
    found = outcome(answer)
    assert (found.state, found.code) == (AttemptState.REJECTED, reason)
    assert found.is_soft == (reason in words.SOFT_REJECTIONS)
    assert found.sentence.endswith(".")
    assert found.transaction.details["code"] == reason


def test_a_fraud_rejection_does_not_accuse():
    assert "fraud" not in words.rejected("fraud").lower()


# Validation


def test_every_deep_error_is_told_with_its_place():
    body = (
        '<api-error-response><errors><errors type="array"></errors><transaction><errors type="array">'
        + error("81503", "amount", "Amount is an invalid format.")
        + '</errors><credit-card><errors type="array">'
        + error("81715", "number", "Credit card number is invalid.")
        + error("81710", "expiration_date", "Expiration date is invalid.")
        + '</errors><options><errors type="array">'
        + error("81000", "base", "Odd.")
        + "</errors></options></credit-card></transaction></errors><message>Several.</message>"
        "<params><transaction><amount>1</amount></transaction></params></api-error-response>"
    )
    found = outcome((422, f'<?xml version="1.0"?>{body}'))
    assert (found.state, found.code) == (AttemptState.INVALID, "81503")
    assert found.errors == (
        FieldError("amount", "81503", "Amount is an invalid format."),
        FieldError("credit_card.number", "81715", "Credit card number is invalid."),
        FieldError("credit_card.expiration_date", "81710", "Expiration date is invalid."),
        FieldError("credit_card.options.base", "81000", "Odd."),
    )
    assert found.sentence == words.INVALID["81715"]


@pytest.mark.parametrize("code", words.INVALID)
def test_a_known_mistake_has_a_sentence_of_its_own(code):
    found = outcome(refusal(error(code)))
    assert (found.state, found.code, found.sentence) == (AttemptState.INVALID, code, words.INVALID[code])


def test_a_refusal_without_any_error_is_invalid_all_the_same():
    found = outcome(refusal())
    assert (found.state, found.code, found.sentence) == (AttemptState.INVALID, "invalid", words.INVALID_OTHERWISE)


def test_endless_errors_are_cut():
    found = outcome(refusal(*[error("81503", "amount", "x" * 5000)] * 500))
    assert len(found.errors) == MOST_ERRORS
    assert len(found.errors[0].message) == 255


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("915230", AttemptState.INVALID),
        ("915232", AttemptState.UNKNOWN),
        ("915233", AttemptState.UNKNOWN),
        ("915234", AttemptState.ERROR),
        ("915235", AttemptState.UNKNOWN),
    ],
)
def test_what_is_said_of_a_request_key(code, state):
    found = outcome(refusal(error(code, "api_request_key")))
    assert (found.state, found.code) == (state, code)


# What is no payment


def test_a_card_that_was_looked_at_and_not_found_good_is_refused_with_the_banks_reason():
    verification = (
        "<verification><status>processor_declined</status><processor-response-code>2010</processor-response-code>"
    )
    verification += "<gateway-rejection-reason nil='true'/></verification>"
    with pytest.raises(GatewayRefused) as caught:
        House(refusal(inside=verification)).vault.save_method("c1", "n", "tok", False)
    assert caught.value.code == "2010"
    assert caught.value.sentence == words.DECLINED["2010"]


def test_a_card_that_the_gateway_itself_rejects_is_refused_with_its_reason():
    verification = (
        "<verification><status>gateway_rejected</status><gateway-rejection-reason>cvv</gateway-rejection-reason>"
    )
    with pytest.raises(GatewayRefused) as caught:
        House(refusal(inside=f"{verification}</verification>")).vault.save_method("c1", "n", "tok", False)
    assert caught.value.code == "cvv"


def test_a_refused_subscription_tells_every_error():
    answer = refusal(error("91904", "plan_id", "Plan ID is invalid."), place=("subscription",))
    with pytest.raises(GatewayRefused) as caught:
        House(answer).vault.change_subscription("s1", "no-plan", "", None)
    assert caught.value.errors == (FieldError("plan_id", "91904", "Plan ID is invalid."),)
    assert caught.value.__context__ is None


# Records


def found(**more):
    return House((200, sold(**more))).money.transaction("tx1")


def test_a_transaction_is_read_with_what_it_has():
    made = found(
        customer={"id": "c1"},
        refund_ids=["<item>r1</item>", "<item>r2</item>"],
        subscription_id="s1",
        merchant_account_id="shop_usd",
        three_d_secure_info={
            "status": "authenticate_successful",
            "liability-shifted": True,
            "cavv": "secret",
            "xid": None,
        },
        risk_data={"id": "x", "decision": "Approve", "device-data-captured": True},
        descriptor={"name": "SHOP*THING", "phone": None, "url": None},
    )
    assert (made.id, made.kind, made.status, str(made.amount), made.order_id) == (
        "tx1",
        "sale",
        "submitted_for_settlement",
        "10.00 USD",
        "a1",
    )
    assert made.created_at == 1_795_339_491_000
    assert (made.customer_id, made.refund_ids, made.subscription_id) == ("c1", ("r1", "r2"), "s1")
    assert made.instrument == "Visa ending in 1881"
    assert made.details["three_d_secure"] == {"status": "authenticate_successful", "liability_shifted": True}
    assert made.details["risk"] == {"decision": "Approve", "device_data_captured": True}
    assert made.details["descriptor"] == {"name": "SHOP*THING"}
    assert made.details["merchant_account"] == "shop_usd"
    assert "401288" not in repr(made) and "secret" not in repr(made)


def test_a_transaction_of_bare_bones_is_read_too():
    bare = "<id>tx1</id><status>authorized</status><amount>1</amount><currency-iso-code>JPY</currency-iso-code>"
    made = House((200, xml("transaction", bare))).money.transaction("tx1")
    assert (str(made.amount), made.created_at, made.instrument, made.details, made.parent) == ("1 JPY", 0, "", {}, "")


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("10.00", "USD", "10.00"),
        ("1E+1", "USD", "10.00"),
        ("1000", "JPY", "1000"),
        ("1000.00", "JPY", "1000"),
        ("1.5", "KWD", "1.500"),
    ],
)
def test_amounts_are_exact_in_every_currency(amount, currency, text):
    assert found(amount=amount, currency_iso_code=currency).amount.text == text


def test_the_currency_is_what_was_asked_for_when_the_answer_does_not_tell():
    made = House(sold(without=("currency-iso-code",))).money.refund(attempt(currency="EUR"))
    assert made.transaction.amount.currency == "EUR"


def test_a_credit_and_a_part_know_what_they_belong_to():
    assert found(type="credit", refunded_transaction_id="p1").parent == "p1"
    assert found(authorized_transaction_id="p2").parent == "p2"


@pytest.mark.parametrize(
    ("kind", "inside", "text"),
    [
        ("paypal_account", {"paypal": {"payer-email": "pat@example.com"}}, "PayPal"),
        ("apple_pay_card", {"apple-pay": {"card-type": "Visa", "last-4": "1234"}}, "Apple Pay (Visa ending in 1234)"),
        (
            "android_pay_card",
            {"android-pay-card": {"virtual-card-type": "Visa", "virtual-card-last-4": "1881"}},
            "Google Pay (Visa ending in 1881)",
        ),
        ("venmo_account", {"venmo-account": {"username": "joe"}}, "Venmo"),
        ("us_bank_account", {"us-bank-account": {"last-4": "0002"}}, "Bank account ending in 0002"),
        ("something_new", {}, "Something new"),
        ("credit_card", {"credit-card": {"last-4": None}}, "Card"),
        ("credit_card", {"credit-card": {"last-4": "4111111111111111"}}, "Card ending in 1111"),
    ],
)
def test_people_recognise_what_they_paid_with(kind, inside, text):
    made = House((200, xml("transaction", transaction(payment_instrument_type=kind, **inside)))).money.transaction("t")
    assert made.instrument == text
