"""The simulator and the real SDK over HTTP: sales, and what is done to a transaction afterwards."""

from decimal import Decimal

import braintree
import pytest
from braintree.exceptions.not_found_error import NotFoundError
from braintree.test.authentication_ids import AuthenticationIds
from braintree.test.nonces import Nonces

from rtserver.simulator.nonces import FAKE

Status = braintree.Transaction.Status


def sale(gateway, amount="10.00", nonce="fake-valid-nonce", submit=False, **more):
    options = {"submit_for_settlement": submit, **more.pop("options", {})}
    given = {"payment_method_nonce": nonce} if nonce else {}
    return gateway.transaction.sale({"amount": amount, "options": options, **given, **more})


def sold(gateway, *given, **more):
    result = sale(gateway, *given, **more)
    assert result.is_success, result.message
    return result.transaction


def codes(result):
    assert not result.is_success
    assert result.transaction is None
    return [error.code for error in result.errors.deep_errors]


def settled(sim, gateway, amount="10.00", **more):
    made = sold(gateway, amount, submit=True, **more)
    sim.settle(made.id)
    return made.id


# Client tokens


def test_a_client_token_is_made_and_knows_its_customer(gateway):
    assert gateway.client_token.generate()
    gateway.customer.create({"id": "u_1"})
    assert gateway.client_token.generate({"customer_id": "u_1", "merchant_account_id": "shop_eur"})
    with pytest.raises(ValueError, match="does not exist"):
        gateway.client_token.generate({"customer_id": "nobody"})


# Sales


def test_a_sale_is_authorised_or_submitted_and_can_be_found(gateway):
    made = sold(gateway, "10.00", order_id="o-1")
    assert (made.status, made.amount, made.type, made.order_id) == (Status.Authorized, Decimal("10.00"), "sale", "o-1")
    assert (made.processor_response_code, made.processor_response_type) == ("1000", "approved")
    assert (made.currency_iso_code, made.merchant_account_id) == ("USD", "shop_usd")
    assert (made.credit_card_details.card_type, made.credit_card_details.last_4) == ("Visa", "1881")
    assert gateway.transaction.find(made.id).id == made.id
    now = sold(gateway, "11.00", submit=True)
    assert now.status == Status.SubmittedForSettlement
    assert [event.status for event in now.status_history] == ["authorized", "submitted_for_settlement"]
    with pytest.raises(NotFoundError):
        gateway.transaction.find("nothing")


def all_nonces():
    return sorted({value for name, value in vars(Nonces).items() if not name.startswith("_")})


def test_every_nonce_of_the_sdk_is_known():
    assert set(all_nonces()) <= set(FAKE)


@pytest.mark.parametrize("nonce", sorted(FAKE))
def test_every_fake_nonce_has_an_answer_that_the_sdk_can_read(nonce, gateway):
    result = sale(gateway, "12.00", nonce, device_data="{}")
    made = result.transaction
    assert result.is_success or made is not None or codes(result)
    if made is not None:
        assert gateway.transaction.find(made.id).payment_instrument_type == FAKE[nonce].instrument.kind
    assert gateway.payment_method_nonce.find(nonce).nonce == nonce


@pytest.mark.parametrize(
    ("nonce", "expected", "path"),
    [
        ("fake-consumed-nonce", "91564", ("transaction",)),
        ("fake-luhn-invalid-nonce", "81715", ("transaction", "credit_card")),
        ("nobody-knows-it", "91565", ("transaction",)),
    ],
)
def test_a_bad_nonce_is_a_deep_validation_error(nonce, expected, path, gateway):
    result = sale(gateway, "10.00", nonce, order_id="o-9")
    assert codes(result) == [expected]
    level = result.errors
    for name in path:
        level = level.for_object(name)
    assert [each.code for each in level.errors] == [expected]
    assert result.params["transaction"]["order_id"] == "o-9"


@pytest.mark.parametrize("brand", ["visa", "mastercard", "amex", "discover"])
def test_declined_cards_are_declined_by_the_processor(brand, gateway):
    result = sale(gateway, "10.00", f"fake-processor-declined-{brand}-nonce")
    assert not result.is_success
    assert result.errors.deep_errors == []
    made = result.transaction
    assert (made.status, made.processor_response_code) == (Status.ProcessorDeclined, "2000")
    assert (made.processor_response_type, result.message) == ("soft_declined", "Do Not Honor")
    assert gateway.transaction.find(made.id).status == Status.ProcessorDeclined


def test_a_processor_failure_and_rejections_by_the_gateway_have_their_own_status(gateway):
    failed = sale(gateway, "10.00", "fake-processor-failure-jcb-nonce").transaction
    assert (failed.status, failed.processor_response_code) == (Status.Failed, "3000")
    for nonce, reason in (("fraud", "fraud"), ("risk-thresholds", "risk_threshold")):
        result = sale(gateway, "10.00", f"fake-gateway-rejected-{nonce}-nonce")
        assert (result.transaction.status, result.transaction.gateway_rejection_reason) == ("gateway_rejected", reason)
        assert result.message == f"Gateway Rejected: {reason}"


AMOUNTS = [
    ("0.01", "fake-valid-nonce", Status.Authorized, "1000"),
    ("1999.99", "fake-valid-nonce", Status.Authorized, "1000"),
    ("2000.00", "fake-valid-nonce", Status.ProcessorDeclined, "2000"),
    ("2001.50", "fake-valid-nonce", Status.ProcessorDeclined, "2001"),
    ("2999.99", "fake-valid-nonce", Status.ProcessorDeclined, "2999"),
    ("3000.00", "fake-valid-nonce", Status.Failed, "3000"),
    ("3000.99", "fake-valid-nonce", Status.Failed, "3000"),
    ("3001.00", "fake-valid-nonce", Status.Authorized, "1000"),
    ("4000.99", "fake-valid-nonce", Status.Authorized, "1000"),
    ("5001.00", "fake-valid-nonce", Status.GatewayRejected, ""),
    ("5001.01", "fake-valid-nonce", Status.Authorized, "1000"),
    ("5001.01", "fake-paypal-one-time-nonce", Status.ProcessorDeclined, "2038"),
    ("5002.00", "fake-valid-nonce", Status.Authorized, "1000"),
]


@pytest.mark.parametrize(("amount", "nonce", "status", "code"), AMOUNTS)
def test_amounts_decide(amount, nonce, status, code, gateway):
    made = sale(gateway, amount, nonce).transaction
    assert (made.status, made.processor_response_code) == (status, code)


SETTLEMENTS = [
    ("10.00", "fake-paypal-one-time-nonce", Status.Settled, "4000"),
    ("4001.00", "fake-paypal-one-time-nonce", Status.SettlementDeclined, "4001"),
    ("4001.00", "fake-valid-nonce", Status.Settled, "4000"),
    ("4002.00", "fake-paypal-one-time-nonce", Status.SettlementPending, "4002"),
    ("4002.00", "fake-valid-nonce", Status.Settled, "4000"),
    ("5000.99", "fake-paypal-one-time-nonce", Status.SettlementDeclined, "5000"),
    ("5001.02", "fake-paypal-one-time-nonce", Status.SettlementDeclined, "3000"),
]


@pytest.mark.parametrize(("amount", "nonce", "status", "code"), SETTLEMENTS)
def test_amounts_decide_how_settlement_ends(amount, nonce, status, code, sim, gateway):
    made = sold(gateway, amount, nonce, submit=True)
    assert sim.settle(made.id, steps=1) == {made.id: Status.Settling}
    assert sim.settle(made.id, steps=1) == {made.id: status}
    found = gateway.transaction.find(made.id)
    assert (found.status, found.processor_settlement_response_code) == (status, code)


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ("", "81502"),
        ("0.00", "81531"),
        ("-1.00", "81501"),
        ("1E+1", "81503"),
        ("1.001", "81503"),
        ("12345678901.00", "81528"),
    ],
)
def test_what_is_no_amount_is_refused(amount, code, gateway):
    assert codes(sale(gateway, amount)) == [code]


def test_each_merchant_account_has_its_currency(sim, gateway):
    assert sold(gateway, "10.00", merchant_account_id="shop_eur").currency_iso_code == "EUR"
    yen = sold(gateway, "1000", merchant_account_id="shop_jpy")
    assert (yen.currency_iso_code, str(yen.amount)) == ("JPY", "1000")
    assert codes(sale(gateway, "10.50", merchant_account_id="shop_jpy")) == ["81503"]
    assert codes(sale(gateway, "10.00", merchant_account_id="unknown")) == ["91513"]
    sim.order("POST", "/merchant_accounts", id="late_payer", currency_iso_code="USD", status="suspended")
    assert codes(sale(gateway, "10.00", merchant_account_id="late_payer")) == ["91514"]
    sim.order("POST", "/merchant_accounts", id="dinar", currency_iso_code="KWD")
    assert str(sold(gateway, "1.125", merchant_account_id="dinar").amount) == "1.125"
    assert gateway.merchant_account.find("shop_eur").currency_iso_code == "EUR"
    every = {each.id for each in gateway.merchant_account.all().merchant_accounts.items}
    assert {"shop_usd", "shop_eur", "shop_jpy", "late_payer"} <= every


def test_the_answer_repeats_what_the_request_said(gateway):
    made = sold(
        gateway,
        "10.00",
        "fake-paypal-one-time-nonce",
        order_id="o <&> é",
        descriptor={"name": "SHOP*ITEM", "phone": "3125551212", "url": "shop.example"},
        device_data='{"correlation_id": "c"}',
        billing={"postal_code": "60622"},
        customer={"first_name": "Zoë", "email": "z@example.com"},
        options={"paypal": {"description": "Two tickets", "custom_field": "x"}},
    )
    assert made.order_id == "o <&> é"
    assert (made.descriptor.name, made.descriptor.url) == ("SHOP*ITEM", "shop.example")
    assert (made.paypal_details.description, made.paypal_details.custom_field) == ("Two tickets", "x")
    assert made.paypal_details.payer_email == "payer@example.com"
    assert made.risk_data.device_data_captured
    assert made.billing_details.postal_code == "60622"
    assert (made.customer_details.first_name, made.customer_details.email) == ("Zoë", "z@example.com")


def test_a_sale_needs_one_payment_method(gateway):
    assert codes(sale(gateway, "10.00", None)) == ["91508"]
    assert codes(sale(gateway, "10.00", None, payment_method_token="gone")) == ["91518"]
    assert codes(sale(gateway, "10.00", None, customer_id="gone")) == ["91510"]
    assert codes(sale(gateway, "10.00", payment_method_token="t")) == ["91515"]
    assert codes(sale(gateway, "10.00", order_id="x" * 256)) == ["91501"]


def test_a_duplicate_within_30_seconds_is_rejected_and_later_is_not(sim, gateway):
    assert sale(gateway, "10.00", order_id="o-1").is_success
    again = sale(gateway, "10.00", order_id="o-1")
    assert again.transaction.gateway_rejection_reason == "duplicate"
    assert sale(gateway, "10.00", "fake-valid-mastercard-nonce", order_id="o-1").is_success
    assert sale(gateway, "10.01", order_id="o-1").is_success
    assert sale(gateway, "10.00", order_id="o-2").is_success
    sim.ahead(31)
    assert sale(gateway, "10.00", order_id="o-1").is_success


def test_a_declined_sale_is_no_duplicate(gateway):
    for _ in range(2):
        assert sale(gateway, "2000.00", order_id="o-1").transaction.status == Status.ProcessorDeclined


def test_a_nonce_from_a_page_is_good_once(sim, gateway):
    nonce = sim.order("POST", "/nonces", like="fake-valid-visa-nonce")["nonce"]
    assert sale(gateway, "10.00", nonce).is_success
    assert codes(sale(gateway, "11.00", nonce)) == ["91564"]


# 3-D Secure


@pytest.mark.parametrize(
    ("name", "status", "enrolled", "shifted"),
    [
        ("visa-full-authentication", "authenticate_successful", "Y", True),
        ("visa-failed-authentication", "authenticate_failed", "Y", False),
        ("visa-attempts-non-participating", "authenticate_attempt_successful", "Y", True),
        ("visa-not-enrolled", "lookup_not_enrolled", "N", False),
        ("two-visa-successful-step-up-authentication", "authenticate_successful", "Y", True),
    ],
)
def test_3d_secure_is_told_in_the_answer_and_can_be_required(name, status, enrolled, shifted, gateway):
    nonce = f"fake-three-d-secure-{name}-nonce"
    told = sold(gateway, "10.00", nonce).three_d_secure_info
    assert (told.status, told.enrolled, told.liability_shifted) == (status, enrolled, shifted)
    required = sale(gateway, "20.00", nonce, options={"three_d_secure": {"required": True}})
    assert required.is_success is shifted
    assert shifted or required.transaction.gateway_rejection_reason == "three_d_secure"
    assert sold(gateway, "30.00").three_d_secure_info is None
    assert (
        sold(
            gateway, "40.00", three_d_secure_authentication_id=nonce.replace("-nonce", "-id")
        ).three_d_secure_info.status
        == status
    )


def test_every_authentication_id_of_the_sdk_is_known(gateway):
    for number, (name, key) in enumerate(vars(AuthenticationIds).items()):
        if not name.startswith("_"):
            assert sold(gateway, f"{number}.50", three_d_secure_authentication_id=key).three_d_secure_info
    assert codes(sale(gateway, three_d_secure_authentication_id="other")) == ["915196"]


# Afterwards


def test_an_authorised_sale_is_settled_later_whole_or_less(gateway):
    whole, less = sold(gateway, "30.00"), sold(gateway, "31.00")
    assert gateway.transaction.submit_for_settlement(whole.id).transaction.amount == Decimal("30.00")
    result = gateway.transaction.submit_for_settlement(less.id, "25.00", {"order_id": "new"})
    assert (result.transaction.amount, result.transaction.order_id) == (Decimal("25.00"), "new")
    assert codes(gateway.transaction.submit_for_settlement(whole.id)) == ["91507"]
    assert codes(gateway.transaction.submit_for_settlement(sold(gateway, "32.00").id, "32.01")) == ["91522"]


def test_an_authorised_sale_is_settled_in_parts(sim, gateway):
    parent = sold(gateway, "30.00")
    first = gateway.transaction.submit_for_partial_settlement(parent.id, "10.00").transaction
    second = gateway.transaction.submit_for_partial_settlement(parent.id, "15.00").transaction
    assert (first.authorized_transaction_id, first.status) == (parent.id, Status.SubmittedForSettlement)
    assert codes(gateway.transaction.submit_for_partial_settlement(parent.id, "5.01")) == ["91522"]
    assert gateway.transaction.find(parent.id).partial_settlement_transaction_ids == [first.id, second.id]
    sim.settle()
    assert gateway.transaction.find(second.id).status == Status.Settled
    assert gateway.transaction.find(parent.id).status == Status.SettlementPending
    assert codes(gateway.transaction.submit_for_partial_settlement(second.id, "1.00")) == ["915103"]


def test_what_is_not_settled_can_be_voided_once(sim, gateway):
    for submit in (False, True):
        made = sold(gateway, f"{10 + submit}.00", submit=submit)
        assert gateway.transaction.void(made.id).transaction.status == Status.Voided
        assert codes(gateway.transaction.void(made.id)) == ["91504"]
    assert codes(gateway.transaction.void(settled(sim, gateway, "13.00"))) == ["91504"]
    with pytest.raises(NotFoundError):
        gateway.transaction.void("nothing")


def test_what_is_settled_can_be_refunded_in_parts_up_to_its_amount(sim, gateway):
    key = settled(sim, gateway, "30.00", order_id="o-1")
    first = gateway.transaction.refund(key, "10.00").transaction
    assert (first.type, first.amount, first.refunded_transaction_id) == ("credit", Decimal("10.00"), key)
    assert codes(gateway.transaction.refund(key, "20.01")) == ["91521"]
    assert first.order_id == gateway.transaction.find(key).order_id == "o-1"
    rest = gateway.transaction.refund(key, {"order_id": "back"}).transaction
    assert (rest.amount, rest.order_id) == (Decimal("20.00"), "back")
    assert codes(gateway.transaction.refund(key)) == ["91512"]
    assert gateway.transaction.find(key).refund_ids == [first.id, rest.id]
    assert codes(gateway.transaction.refund(first.id)) == ["91505"]
    assert codes(gateway.transaction.refund(sold(gateway, "5.00", submit=True).id)) == ["91506"]


def test_a_voided_refund_gives_its_amount_back(sim, gateway):
    key = settled(sim, gateway, "30.00")
    back = gateway.transaction.refund(key).transaction
    assert gateway.transaction.void(back.id).is_success
    assert gateway.transaction.refund(key, "30.00").is_success


def test_reverse_voids_or_refunds(sim, gateway):
    early, late = sold(gateway, "10.00", submit=True), settled(sim, gateway, "20.00")
    assert gateway.transaction.reverse(early.id).transaction.status == Status.Voided
    assert gateway.transaction.reverse(late).transaction.refunded_transaction_id == late
    assert codes(gateway.transaction.reverse(early.id)) == ["915282"]


def test_the_testing_calls_settle_as_they_say(gateway):
    for number, (call, status) in enumerate(
        [
            (gateway.testing.settle_transaction, Status.Settled),
            (gateway.testing.settlement_confirm_transaction, Status.SettlementConfirmed),
            (gateway.testing.settlement_decline_transaction, Status.SettlementDeclined),
            (gateway.testing.settlement_pending_transaction, Status.SettlementPending),
        ]
    ):
        assert call(sold(gateway, f"{number + 1}.00", submit=True).id).transaction.status == status
    assert codes(gateway.testing.settle_transaction(sold(gateway, "50.00").id)) == ["91575"]
