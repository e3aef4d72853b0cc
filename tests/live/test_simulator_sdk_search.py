"""The simulator and the real SDK over HTTP: searches for transactions, and what is not offered."""

from datetime import UTC, datetime, timedelta

import braintree
import pytest

Search = braintree.TransactionSearch
Status = braintree.Transaction.Status


def sold(gateway, amount, nonce="fake-valid-nonce", submit=False, **more):
    given = {"payment_method_nonce": nonce} if nonce else {}
    result = gateway.transaction.sale({"amount": amount, "options": {"submit_for_settlement": submit}, **given, **more})
    assert result.is_success, result.message
    return result.transaction


def test_a_search_finds_by_each_field_and_by_several(sim, gateway):
    gateway.customer.create({"id": "u_1", "email": "one@example.com"})
    token = gateway.payment_method.create(
        {"customer_id": "u_1", "payment_method_nonce": "fake-valid-nonce"}
    ).payment_method.token
    one = sold(gateway, "10.00", None, customer_id="u_1", order_id="o-1")
    two = sold(gateway, "20.00", order_id="o-2", submit=True)

    def found(*query):
        return {each.id for each in gateway.transaction.search(*query)}

    now = datetime.now(UTC).replace(tzinfo=None)
    hour = timedelta(hours=1)
    assert found(Search.order_id == "o-1") == {one.id}
    assert found(Search.order_id.starts_with("o-")) == {one.id, two.id}
    assert found(Search.order_id != "o-1") == {two.id}
    assert found(Search.status == Status.SubmittedForSettlement) == {two.id}
    assert found(Search.amount.between("15.00", "20.00")) == {two.id}
    assert found(Search.amount == "10.00") == {one.id}
    assert found(Search.customer_id == "u_1") == {one.id}
    assert found(Search.customer_email.contains("@example")) == {one.id}
    assert found(Search.payment_method_token == token) == {one.id}
    assert found(Search.created_at.between(now - hour, now + hour)) == {one.id, two.id}
    assert found(Search.created_at >= now + hour) == set()
    assert found([Search.order_id == "o-2", Search.amount <= "5.00"]) == set()
    assert found(Search.ids.in_list([one.id, "other"])) == {one.id}
    assert found(Search.refund == True) == set()  # noqa: E712
    assert gateway.transaction.search(Search.order_id == "o-2").first.id == two.id


def test_a_search_of_more_than_a_page_is_whole(gateway):
    ids = {sold(gateway, f"{number}.00").id for number in range(1, 61)}
    result = gateway.transaction.search(Search.amount >= "1.00")
    assert result.maximum_size == 60
    assert {each.id for each in result.items} == ids


def test_a_search_may_lag_behind(sim, gateway):
    sim.settings(search_lag_seconds=60)
    made = sold(gateway, "10.00", order_id="o-1")
    assert gateway.transaction.search(Search.order_id == "o-1").ids == []
    assert gateway.transaction.find(made.id).id == made.id
    sim.ahead(61)
    assert gateway.transaction.search(Search.order_id == "o-1").ids == [made.id]


def test_what_is_not_offered_is_no_answer_about_money(gateway):
    with pytest.raises(braintree.exceptions.unexpected_error.UnexpectedError, match="501"):
        gateway.transaction.search(Search.shipping_locality == "Here")
    with pytest.raises(braintree.exceptions.unexpected_error.UnexpectedError, match="501"):
        gateway.transaction.adjust_authorization("x", "1.00")
