"""What the simulator and Braintree's own sandbox must both do: the same tests, asked through the SDK alone.

Without keys of the sandbox the summary of the run says so.
"""

import time
from decimal import Decimal
from uuid import uuid4

import braintree
import pytest
from braintree.exceptions.not_found_error import NotFoundError

from tests.live import sandbox
from tests.live.simulator_process import running

SEARCH_TIME = 60.0
"""Seconds after which a search must find a transaction."""

Status = braintree.Transaction.Status


@pytest.fixture(scope="module", params=sandbox.TARGETS)
def gateway(request, tmp_path_factory, not_run):
    if request.param == "sandbox":
        yield sandbox.sdk()
        return
    if not sandbox.IS_THERE:
        not_run(f"Braintree's sandbox: set {', '.join(sandbox.NAMES)}")
    with running(tmp_path_factory.mktemp("simulator")) as simulator:
        yield simulator.gateway()


def own():
    return f"t_{uuid4().hex[:20]}"


def sale(gateway, amount="10.00", nonce="fake-valid-nonce", submit=False, **more):
    given = {"order_id": own(), "options": {"submit_for_settlement": submit}, **more}
    given |= {"payment_method_nonce": nonce} if nonce else {}
    return gateway.transaction.sale({"amount": amount, **given})


def sold(gateway, *given, **more):
    result = sale(gateway, *given, **more)
    assert result.is_success, result.message
    return result.transaction


def codes(result):
    assert not result.is_success
    return [error.code for error in result.errors.deep_errors]


def test_a_client_token_is_made(gateway):
    assert len(gateway.client_token.generate()) > 20


def test_a_sale_is_submitted_and_found(gateway):
    made = sold(gateway, "10.00", submit=True)
    found = gateway.transaction.find(made.id)
    assert (found.status, found.amount) == (Status.SubmittedForSettlement, Decimal("10.00"))
    assert [event.status for event in made.status_history] == ["authorized", "submitted_for_settlement"]
    with pytest.raises(NotFoundError):
        gateway.transaction.find(own())


@pytest.mark.parametrize(
    ("amount", "status", "code", "kind"),
    [
        ("2000.00", Status.ProcessorDeclined, "2000", "soft_declined"),
        ("2004.00", Status.ProcessorDeclined, "2004", "hard_declined"),
        ("3000.00", Status.Failed, "3000", None),
    ],
)
def test_amounts_are_declined_or_fail(amount, status, code, kind, gateway):
    result = sale(gateway, amount)
    assert not result.is_success
    assert (result.transaction.status, result.transaction.processor_response_code) == (status, code)
    assert kind in (None, result.transaction.processor_response_type)
    assert result.errors.deep_errors == []


@pytest.mark.parametrize(
    ("nonce", "code"),
    [("fake-consumed-nonce", "91564"), ("fake-luhn-invalid-nonce", "81715"), ("not-a-nonce", "91565")],
)
def test_a_bad_nonce_has_its_code(nonce, code, gateway):
    assert codes(sale(gateway, "10.00", nonce)) == [code]


@pytest.mark.parametrize(
    ("nonce", "status"),
    [
        ("fake-processor-declined-visa-nonce", Status.ProcessorDeclined),
        ("fake-gateway-rejected-fraud-nonce", Status.GatewayRejected),
    ],
)
def test_a_nonce_can_be_declined_or_rejected(nonce, status, gateway):
    assert sale(gateway, "10.00", nonce).transaction.status == status


@pytest.mark.parametrize(("amount", "code"), [("", "81502"), ("-1.00", "81501"), ("0.00", "81531"), ("x", "81503")])
def test_a_bad_amount_has_its_code(amount, code, gateway):
    assert codes(sale(gateway, amount)) == [code]


def test_a_void_is_taken_once(gateway):
    made = sold(gateway)
    assert gateway.transaction.void(made.id).transaction.status == Status.Voided
    assert codes(gateway.transaction.void(made.id)) == ["91504"]


def test_an_authorisation_is_settled_once_and_not_above_its_amount(gateway):
    made = sold(gateway, "20.00")
    assert codes(gateway.transaction.submit_for_settlement(made.id, "20.01")) == ["91522"]
    assert gateway.transaction.submit_for_settlement(made.id, "15.00").transaction.amount == Decimal("15.00")
    assert codes(gateway.transaction.submit_for_settlement(made.id)) == ["91507"]


def test_a_refund_needs_settlement_and_ends_at_the_amount(gateway):
    made = sold(gateway, "30.00", submit=True)
    assert codes(gateway.transaction.refund(made.id)) == ["91506"]
    assert gateway.testing.settle_transaction(made.id).transaction.status == Status.Settled
    assert gateway.transaction.refund(made.id, "10.00").transaction.type == "credit"
    assert codes(gateway.transaction.refund(made.id, "20.01")) == ["91521"]
    assert gateway.transaction.refund(made.id, "20.00").is_success
    assert codes(gateway.transaction.refund(made.id)) == ["91512"]


def test_the_same_request_key_makes_one_transaction_where_keys_are_enabled(gateway, not_run):
    given = {"api_request_key": uuid4().hex, "order_id": own()}
    first = sale(gateway, **given)
    if not first.is_success and codes(first) == ["915231"]:
        not_run("request keys: this merchant of the sandbox does not have them (915231)")
        return
    assert first.transaction.id == sale(gateway, **given).transaction.id
    assert codes(sale(gateway, "11.00", **given)) == ["915232"]


def test_a_search_finds_an_order_in_time(gateway):
    made = sold(gateway)
    deadline = time.monotonic() + SEARCH_TIME
    while (found := gateway.transaction.search(braintree.TransactionSearch.order_id == made.order_id).ids) != [made.id]:
        assert time.monotonic() < deadline, found
        time.sleep(1)


def test_a_customer_of_ones_own_id_is_made_once_and_pays_with_a_saved_card(gateway):
    key, token = own(), own()
    assert gateway.customer.create({"id": key, "first_name": "Zoë <&>"}).customer.first_name == "Zoë <&>"
    try:
        assert codes(gateway.customer.create({"id": key})) == ["91609"]
        saved = {"customer_id": key, "payment_method_nonce": "fake-valid-visa-nonce", "token": token}
        assert gateway.payment_method.create(saved).payment_method.default
        assert codes(gateway.payment_method.create(saved)) == ["91719"]
        assert codes(
            gateway.payment_method.create({**saved, "token": own(), "payment_method_nonce": "fake-consumed-nonce"})
        ) == ["91731"]
        assert sold(gateway, "10.00", None, payment_method_token=token).credit_card_details.token == token
    finally:
        assert gateway.customer.delete(key).is_success
    with pytest.raises(NotFoundError):
        gateway.payment_method.find(token)


def test_a_foreign_token_and_an_unknown_customer_cannot_pay(gateway):
    assert codes(sale(gateway, "10.00", None, payment_method_token=own())) == ["91518"]
    assert codes(sale(gateway, "10.00", None, customer_id=own())) == ["91510"]


def test_a_plan_that_is_unknown_cannot_be_subscribed(gateway):
    key = own()
    gateway.customer.create({"id": key})
    try:
        token = gateway.payment_method.create(
            {"customer_id": key, "payment_method_nonce": "fake-valid-nonce"}
        ).payment_method.token
        assert codes(gateway.subscription.create({"payment_method_token": token, "plan_id": own()})) == ["91904"]
    finally:
        gateway.customer.delete(key)


def test_3d_secure_is_told_by_a_nonce(gateway):
    found = gateway.payment_method_nonce.find("fake-three-d-secure-visa-full-authentication-nonce").three_d_secure_info
    assert (found.status, found.enrolled, found.liability_shifted) == ("authenticate_successful", "Y", True)
