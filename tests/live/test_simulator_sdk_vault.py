"""The simulator and the real SDK over HTTP: customers, saved payment methods, subscriptions and disputes."""

import io
from datetime import date, timedelta
from decimal import Decimal

import braintree
import pytest
from braintree.exceptions.not_found_error import NotFoundError

from rtserver.simulator.nonces import FAKE
from tests.live.simulator_process import OrderRefused

VAULTED = sorted(
    name
    for name, nonce in FAKE.items()
    if not nonce.vault
    and nonce.instrument.vaultable
    and nonce.instrument.names.in_vault
    and not nonce.instrument.outcome
)


@pytest.fixture
def token(gateway):
    gateway.customer.create({"id": "u_1", "email": "one@example.com"})
    return save(gateway).payment_method.token


def save(gateway, nonce="fake-valid-visa-nonce", customer="u_1", **more):
    return gateway.payment_method.create({"customer_id": customer, "payment_method_nonce": nonce, **more})


def subscribe(gateway, token, key="s_1", plan="monthly", **more):
    return gateway.subscription.create({"id": key, "payment_method_token": token, "plan_id": plan, **more})


def codes(result):
    assert not result.is_success
    return [error.code for error in result.errors.deep_errors]


# Customers


def test_a_customer_of_ones_own_id_is_created_found_changed_and_deleted(gateway):
    made = gateway.customer.create({"id": "u_7", "first_name": "Zoë & <co>", "email": "a@b.c"}).customer
    assert (made.id, made.first_name, made.payment_methods) == ("u_7", "Zoë & <co>", [])
    assert gateway.customer.update("u_7", {"last_name": "Ng"}).customer.last_name == "Ng"
    found = gateway.customer.find("u_7")
    assert (found.first_name, found.last_name, found.email) == ("Zoë & <co>", "Ng", "a@b.c")
    assert gateway.customer.delete("u_7").is_success
    for call in (gateway.customer.find, gateway.customer.delete, gateway.customer.update):
        with pytest.raises(NotFoundError):
            call("u_7")


def test_an_id_is_taken_once_and_must_fit_into_a_path(gateway):
    assert gateway.customer.create({"id": "u_7"}).is_success
    assert codes(gateway.customer.create({"id": "u_7"})) == ["91609"]
    assert codes(gateway.customer.create({"id": "a/b"})) == ["91610"]
    assert codes(gateway.customer.create({"id": "x" * 37})) == ["91612"]
    assert codes(gateway.customer.create({"email": "nonsense"})) == ["81604"]
    assert gateway.customer.create({}).customer.id


def test_a_customer_may_come_with_a_card_and_get_another_id(gateway):
    made = gateway.customer.create({"id": "u_7", "payment_method_nonce": "fake-valid-amex-nonce"}).customer
    card = made.credit_cards[0]
    assert (card.card_type, card.default) == ("American Express", True)
    assert gateway.customer.update("u_7", {"id": "u_8"}).customer.id == "u_8"
    assert gateway.payment_method.find(card.token).customer_id == "u_8"
    assert codes(gateway.customer.create({"id": "u_9", "payment_method_nonce": "fake-consumed-nonce"})) == ["91731"]
    with pytest.raises(NotFoundError):
        gateway.customer.find("u_9")


def test_customers_are_searched(gateway):
    for number in range(3):
        gateway.customer.create({"id": f"u_{number}", "email": f"{number}@example.com"})
    search = braintree.CustomerSearch
    assert [each.id for each in gateway.customer.search(search.email == "1@example.com")] == ["u_1"]
    assert {each.id for each in gateway.customer.search(search.id.starts_with("u_"))} == {"u_0", "u_1", "u_2"}
    assert len(gateway.customer.all().ids) == 3


# Payment methods


@pytest.mark.parametrize("nonce", VAULTED)
def test_every_kind_of_payment_method_can_be_saved_found_and_charged(nonce, gateway):
    gateway.customer.create({"id": "u_1"})
    result = save(gateway, nonce, token="own_token")
    assert result.is_success
    found = gateway.payment_method.find("own_token")
    assert (type(found), found.token, found.customer_id) == (type(result.payment_method), "own_token", "u_1")
    listed = [each.token for each in gateway.customer.find("u_1").payment_methods]
    assert listed == (["own_token"] if FAKE[nonce].instrument.names.in_customer else [])
    assert gateway.transaction.sale({"amount": "10.00", "payment_method_token": "own_token"}).is_success


def test_a_card_is_verified_before_it_is_saved(gateway):
    gateway.customer.create({"id": "u_1"})
    verify = {"options": {"verify_card": True}}
    saved = save(gateway, "fake-three-d-secure-visa-full-authentication-nonce", **verify).payment_method
    assert saved.verification.status == "verified"
    assert saved.verification.three_d_secure_info.liability_shifted
    no = save(gateway, "fake-processor-declined-visa-nonce", **verify)
    assert not no.is_success
    assert no.credit_card_verification.status == "processor_declined"
    assert no.credit_card_verification.processor_response_code == "2000"
    assert len(gateway.customer.find("u_1").payment_methods) == 1


def test_a_declined_card_can_be_saved_unverified_and_is_declined_when_charged(gateway):
    gateway.customer.create({"id": "u_1"})
    token = save(gateway, "fake-processor-declined-visa-nonce").payment_method.token
    result = gateway.transaction.sale({"amount": "10.00", "payment_method_token": token})
    assert result.transaction.status == "processor_declined"


def test_what_cannot_be_saved_says_why(gateway, token):
    assert codes(save(gateway, "fake-consumed-nonce")) == ["91731"]
    assert codes(save(gateway, "nobody-knows-it")) == ["91732"]
    assert codes(save(gateway, "fake-luhn-invalid-nonce")) == ["81715"]
    assert codes(save(gateway, "fake-paypal-one-time-nonce")) == ["82902"]
    assert codes(save(gateway, customer="nobody")) == ["91705"]
    assert codes(save(gateway, token=token)) == ["91719"]
    assert codes(save(gateway, options={"fail_on_duplicate_payment_method": True})) == ["81724"]


def test_the_default_moves_and_is_charged_when_only_the_customer_is_named(gateway, token):
    other = save(gateway, "fake-valid-mastercard-nonce").payment_method
    assert (gateway.payment_method.find(token).default, other.default) == (True, False)
    changed = gateway.payment_method.update(other.token, {"options": {"make_default": True}}).payment_method
    assert changed.default
    assert not gateway.payment_method.find(token).default
    sale = gateway.transaction.sale({"amount": "10.00", "customer_id": "u_1"}).transaction
    assert (sale.credit_card_details.token, sale.customer_details.id) == (other.token, "u_1")
    assert gateway.payment_method.delete(other.token).is_success
    assert gateway.payment_method.find(token).default
    with pytest.raises(NotFoundError):
        gateway.payment_method.find(other.token)


def test_a_method_gets_another_token_and_another_card(gateway, token):
    changed = gateway.payment_method.update(token, {"token": "mine", "payment_method_nonce": "fake-valid-amex-nonce"})
    assert (changed.payment_method.token, changed.payment_method.last_4) == ("mine", "0005")
    assert [each.token for each in gateway.customer.find("u_1").payment_methods] == ["mine"]
    assert gateway.credit_card.find("mine").token == "mine"


def test_a_customer_without_a_method_and_one_who_does_not_own_it_cannot_pay(gateway, token):
    gateway.customer.create({"id": "u_2"})
    assert codes(gateway.transaction.sale({"amount": "1.00", "customer_id": "u_2"})) == ["91511"]
    theirs = {"amount": "1.00", "customer_id": "u_2", "payment_method_token": token}
    assert codes(gateway.transaction.sale(theirs)) == ["91516"]


def test_a_nonce_of_a_saved_method_pays_once_for_its_customer(gateway, token):
    nonce = gateway.payment_method_nonce.create(token).payment_method_nonce.nonce
    made = gateway.transaction.sale({"amount": "10.00", "payment_method_nonce": nonce}).transaction
    assert (made.credit_card_details.token, made.customer_details.id) == (token, "u_1")
    assert codes(gateway.transaction.sale({"amount": "11.00", "payment_method_nonce": nonce})) == ["91564"]
    with pytest.raises(NotFoundError):
        gateway.payment_method_nonce.create("nothing")


def test_a_sale_saves_its_card_on_success(gateway):
    options = {"store_in_vault_on_success": True}
    given = {"payment_method_nonce": "fake-valid-visa-nonce", "customer": {"id": "u_5"}, "options": options}
    made = gateway.transaction.sale({"amount": "10.00", **given}).transaction
    assert gateway.payment_method.find(made.credit_card_details.token).customer_id == made.customer_details.id == "u_5"
    assert codes(gateway.transaction.sale({"amount": "10.00", **given})) == ["91609"]
    given["customer"] = {"id": "u_6"}
    assert not gateway.transaction.sale({"amount": "2000.00", **given}).is_success
    with pytest.raises(NotFoundError):
        gateway.customer.find("u_6")


# Subscriptions


def test_plans_are_listed(sim, gateway):
    sim.order("POST", "/plans", id="weekly_pack", price="4.50", name="Pack")
    plans = {plan.id: plan for plan in gateway.plan.all()}
    assert {"monthly", "yearly", "monthly_eur", "weekly_pack"} <= set(plans)
    assert (plans["monthly"].price, plans["monthly"].currency_iso_code) == ("9.99", "USD")
    assert gateway.plan.find("weekly_pack").name == "Pack"


def test_a_subscription_charges_at_once(gateway, token):
    made = subscribe(gateway, token).subscription
    assert (made.id, made.status, made.price, made.balance) == ("s_1", "Active", Decimal("9.99"), Decimal("0.00"))
    paid = made.transactions[0]
    assert (paid.amount, paid.status, paid.subscription_id) == (Decimal("9.99"), "submitted_for_settlement", "s_1")
    assert gateway.transaction.find(paid.id).plan_id == "monthly"
    assert made.paid_through_date > date.today()
    assert gateway.subscription.find("s_1").status == "Active"
    assert [each.id for each in gateway.payment_method.find(token).subscriptions] == ["s_1"]
    assert gateway.subscription.search(braintree.SubscriptionSearch.plan_id == "monthly").first.id == "s_1"


def test_what_cannot_be_subscribed_says_why(gateway, token):
    assert subscribe(gateway, token).is_success
    assert codes(subscribe(gateway, token)) == ["81902"]
    assert codes(subscribe(gateway, token, "s_2", "unknown")) == ["91904"]
    assert codes(subscribe(gateway, "gone", "s_2")) == ["91903"]
    assert codes(subscribe(gateway, token, "s_2", "monthly_eur")) == ["91923"]
    assert subscribe(gateway, token, "s_2", "monthly_eur", merchant_account_id="shop_eur").is_success
    declined = subscribe(gateway, token, "s_3", price="2001.00")
    assert declined.transaction.processor_response_code == "2001"
    with pytest.raises(NotFoundError):
        gateway.subscription.find("s_3")


def test_a_subscription_changes_and_is_cancelled_once(gateway, token):
    subscribe(gateway, token)
    assert gateway.subscription.update("s_1", {"price": "12.00"}).subscription.price == Decimal("12.00")
    assert gateway.subscription.update("s_1", {"plan_id": "yearly"}).subscription.price == Decimal("99.00")
    assert gateway.subscription.cancel("s_1").subscription.status == "Canceled"
    assert codes(gateway.subscription.cancel("s_1")) == ["81905"]
    assert codes(gateway.subscription.update("s_1", {"price": "1.00"})) == ["81901"]
    with pytest.raises(NotFoundError):
        gateway.subscription.cancel("nothing")


def test_a_subscription_with_a_trial_or_a_later_start_is_charged_later(gateway, token):
    trial = subscribe(gateway, token, plan="trial").subscription
    assert (trial.status, trial.transactions) == ("Active", [])
    later = subscribe(gateway, token, "s_2", first_billing_date=date.today() + timedelta(days=3)).subscription
    assert (later.status, later.transactions) == ("Pending", [])


def test_the_next_billing_day_charges_and_a_failure_makes_it_past_due(sim, gateway, token):
    subscribe(gateway, token)
    sim.order("POST", "/subscriptions/charge")
    assert gateway.subscription.find("s_1").current_billing_cycle == 2
    gateway.subscription.update("s_1", {"price": "2000.00"})
    sim.order("POST", "/subscriptions/charge", id="s_1")
    found = gateway.subscription.find("s_1")
    assert (found.status, found.balance) == ("Past Due", Decimal("2000.00"))
    assert found.transactions[0].status == "processor_declined"


def test_what_is_past_due_can_be_retried(gateway, token):
    subscribe(gateway, token)
    assert codes(gateway.subscription.retry_charge("s_1")) == ["91531"]
    gateway.testing.make_past_due("s_1", 3)
    found = gateway.subscription.find("s_1")
    assert (found.status, found.days_past_due, found.balance) == ("Past Due", 3, Decimal("9.99"))
    paid = gateway.subscription.retry_charge("s_1", "9.99", True).transaction
    assert (paid.amount, paid.status) == (Decimal("9.99"), "submitted_for_settlement")
    assert gateway.subscription.find("s_1").status == "Active"
    assert codes(gateway.subscription.retry_charge("nothing")) == ["91528"]


def test_a_subscription_of_so_many_cycles_expires(sim, gateway, token):
    subscribe(gateway, token, plan="three_times")
    for _ in range(2):
        sim.order("POST", "/subscriptions/charge", id="s_1")
    assert gateway.subscription.find("s_1").status == "Expired"
    with pytest.raises(OrderRefused):
        sim.order("POST", "/subscriptions/charge", id="s_1")


def test_a_deleted_method_or_customer_ends_its_subscriptions(gateway, token):
    subscribe(gateway, token)
    gateway.payment_method.delete(token)
    assert gateway.subscription.find("s_1").status == "Canceled"
    other = save(gateway).payment_method.token
    subscribe(gateway, other, "s_2")
    gateway.customer.delete("u_1")
    assert gateway.subscription.find("s_2").status == "Canceled"


# Disputes


@pytest.fixture
def dispute(sim, gateway):
    sale = {"amount": "40.00", "payment_method_nonce": "fake-valid-nonce", "order_id": "o-4"}
    made = gateway.transaction.sale({**sale, "options": {"submit_for_settlement": True}}).transaction
    sim.settle(made.id)
    return sim.order("POST", "/disputes", transaction_id=made.id, amount="25.00", reason="fraud")["id"]


def test_a_dispute_is_found_and_searched_and_stands_at_its_transaction(gateway, dispute):
    found = gateway.dispute.find(dispute)
    assert (found.status, found.amount, found.kind) == ("open", Decimal("25.00"), "chargeback")
    assert (found.transaction.amount, found.transaction.order_id) == (Decimal("40.00"), "o-4")
    assert gateway.transaction.find(found.transaction.id).disputes[0].id == dispute
    search = braintree.DisputeSearch
    assert [each.id for each in gateway.dispute.search(search.status == "open").disputes.items] == [dispute]
    assert list(gateway.dispute.search(search.status == "won").disputes.items) == []
    assert [each.id for each in gateway.dispute.search(search.amount_disputed >= "20.00").disputes.items] == [dispute]
    with pytest.raises(NotFoundError):
        gateway.dispute.find("nothing")


def test_an_open_dispute_is_accepted_once(gateway, dispute):
    assert gateway.dispute.accept(dispute).is_success
    assert gateway.dispute.find(dispute).status == "accepted"
    assert codes(gateway.dispute.accept(dispute)) == ["95704"]
    assert codes(gateway.dispute.finalize(dispute)) == ["95705"]
    assert codes(gateway.dispute.add_text_evidence(dispute, "late")) == ["95701"]


def test_evidence_is_added_and_removed_until_the_dispute_is_finalized(sim, gateway, dispute):
    text = gateway.dispute.add_text_evidence(
        dispute, {"content": "UPS", "category": "CARRIER_NAME", "sequence_number": 1}
    )
    assert (text.evidence.comment, text.evidence.category, text.evidence.sequence_number) == ("UPS", "CARRIER_NAME", 1)
    file = io.BytesIO(b"\x89PNG\r\n\x1a\n and so on")
    file.name = "/tmp/receipt.png"
    upload = gateway.document_upload.create({"kind": "evidence_document", "file": file}).document_upload
    assert (upload.name, upload.content_type, upload.size) == ("receipt.png", "image/png", 18)
    assert gateway.dispute.add_file_evidence(dispute, upload.id).evidence.url
    assert codes(gateway.dispute.add_file_evidence(dispute, "unknown")) == ["95703"]
    assert len(gateway.dispute.find(dispute).evidence) == 2
    assert gateway.dispute.remove_evidence(dispute, text.evidence.id).is_success
    assert gateway.dispute.finalize(dispute).is_success
    assert gateway.dispute.find(dispute).status == "disputed"
    assert codes(gateway.dispute.remove_evidence(dispute, text.evidence.id)) == ["95702"]
    sim.order("POST", f"/disputes/{dispute}", status="won")
    found = gateway.dispute.find(dispute)
    assert (found.status, found.amount_won) == ("won", Decimal("25.00"))
    assert [each.status for each in found.status_history] == ["won", "disputed", "open"]


@pytest.mark.parametrize(("content", "code"), [(b"", "84906"), (b"MZ program", "84903")])
def test_a_file_that_is_no_evidence_is_refused(content, code, gateway):
    file = io.BytesIO(content)
    file.name = "evidence.pdf"
    assert codes(gateway.document_upload.create({"kind": "evidence_document", "file": file})) == [code]


def test_many_disputes_come_in_pages(sim, gateway, dispute):
    transaction = gateway.dispute.find(dispute).transaction.id
    for _ in range(54):
        sim.order("POST", "/disputes", transaction_id=transaction, amount="0.50")
    found = gateway.dispute.search(braintree.DisputeSearch.transaction_id == transaction).disputes.items
    assert len({each.id for each in found}) == 55
