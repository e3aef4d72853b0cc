"""The gateway's routes, whatever comes; its bounds; keys; searches."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver.simulator.gateway import Call
from rtserver.simulator.refusals import CODES, Full, NotOffered, Refused
from rtserver.simulator.request_keys import Answer, RequestKeys
from rtserver.simulator.routes import TABLE, find_route
from rtserver.simulator.searching import TRANSACTION, search
from rtserver.simulator.shelf import Shelf
from tests.simulator.house import ask, call, codes, make_gateway, sale, sold

NAMES = (
    "amount", "type", "order_id", "payment_method_nonce", "payment_method_token", "customer_id", "options",
    "customer", "id", "email", "submit_for_settlement", "store_in_vault", "plan_id", "price", "token", "billing",
    "descriptor", "subscription_id", "comments", "merchant_account_id", "first_billing_date", "api_request_key",
    "document_upload_id", "is", "min", "status", "credit_card", "three_d_secure", "required", "paypal",
    "default_payment_method_token", "number", "verify_card",
)  # fmt: skip
VALUES = st.sampled_from(
    ("10.00", "2000.00", "sale", "fake-valid-nonce", "u_1", "t_1", "monthly", "", "x", "shop_eur", "a@b.c", "k")
) | st.sampled_from((None, True, 7, ["a"], [{"id": "x"}]))
BODY = st.recursive(VALUES, lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=6), max_leaves=20)
ROOTS = (
    "transaction", "customer", "payment_method", "subscription", "search", "client_token", "evidence", "credit_card",
)  # fmt: skip
PATHS = [(verb, pattern.pattern) for verb, pattern, _ in TABLE]


def path_of(pattern, key):
    plain = pattern.replace("([A-Za-z0-9_-]+)", key).replace("(?:any|credit_card|paypal_account)", "any")
    return plain.replace("(settle|settlement_confirm|settlement_decline|settlement_pending)", "settle").replace(
        "/?", "/"
    )


@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(ROOTS), BODY, st.integers(0, 3)), max_size=8))
@settings(max_examples=300, deadline=None)
def test_whatever_a_body_says_there_is_an_answer_and_never_a_failure(requests):
    gateway = make_gateway()
    ask(gateway, "POST", "/customers", "customer", {"id": "u_1"})
    vault = {"customer_id": "u_1", "payment_method_nonce": "fake-valid-nonce", "token": "t_1"}
    ask(gateway, "POST", "/payment_methods", "payment_method", vault)
    ids = ["u_1", "t_1", sold(gateway, submit=True)["id"], "nothing"]
    for (verb, pattern), root, body, which in requests:
        status, answer = ask(gateway, verb, path_of(pattern, ids[which]), root, body)
        assert status in (200, 201, 404, 422, 501), answer


def test_no_route_is_shadowed_by_another():
    for verb, pattern, handler in TABLE:
        path = path_of(pattern.pattern, "x1")
        matching = [other for wanted, each, other in TABLE if wanted == verb and each.fullmatch(path)]
        assert matching == [handler], path


def test_a_path_that_is_not_offered_says_so():
    with pytest.raises(NotOffered):
        find_route(Call("GET", "/add_ons"))
    assert ask(make_gateway(), "GET", "/add_ons") == (501, "the simulator does not offer GET /add_ons")


def test_every_code_is_told_as_the_sdk_reads_it():
    gateway = make_gateway()
    status, answer = sale(gateway, amount="1.00", payment_method_nonce="fake-luhn-invalid-nonce")
    error = answer["api_error_response"]["errors"]["transaction"]["credit_card"]["errors"][0]
    assert (status, error) == (422, {"code": "81715", "attribute": "number", "message": CODES["81715"][1]})
    assert answer["api_error_response"]["errors"]["errors"] == []
    assert answer["api_error_response"]["params"]["transaction"]["amount"] == "1.00"


def test_a_failure_of_our_own_is_an_answer_and_frees_the_key(logged_failures):
    gateway = make_gateway()
    gateway.sales = None
    request = call("POST", "/transactions", "transaction", {"api_request_key": "k"})
    assert gateway.admit(request) is None
    assert gateway.work(request).status == 500
    assert codes(ask(gateway, "POST", "/transactions", "transaction", {"api_request_key": "k"})[1]) == ["915234"]
    assert len(logged_failures) == 1
    logged_failures.clear()


def test_a_full_shelf_takes_nothing_more_and_loses_nothing():
    shelf = Shelf("things", 2)
    for key in ("a", "b"):
        shelf.put(key, key)
    shelf.put("a", "changed")
    with pytest.raises(Full, match="2 things"):
        shelf.put("c", "c")
    assert list(shelf) == ["changed", "b"]


def test_a_full_gateway_answers_503_before_anything_is_done():
    gateway = make_gateway()
    gateway.transactions.shelf._limit = 1
    nonce = gateway.nonces.make(gateway.nonces.look("fake-valid-nonce"))
    sold(gateway)
    status, why = sale(gateway, "11.00", payment_method_nonce=nonce)
    assert (status, "reset" in why) == (503, True)
    assert gateway.nonces.look(nonce) is not None


def test_filling_anew_forgets_everything():
    gateway = make_gateway()
    sold(gateway)
    gateway.change(duplicate_seconds=0.0)
    gateway.world.ahead = timedelta(days=1)
    gateway.fill()
    assert len(gateway.transactions.shelf) == 0
    assert (gateway.settings.duplicate_seconds, gateway.world.ahead) == (30.0, timedelta(0))


# Request keys


@pytest.fixture
def keys():
    return RequestKeys(make_gateway().world)


def test_a_key_goes_from_in_flight_to_its_answer(keys):
    assert keys.claim("k", "POST", "/transactions", b"body") is None
    with pytest.raises(Refused, match="915233"):
        keys.claim("k", "POST", "/transactions", b"body")
    with pytest.raises(Refused, match="915232"):
        keys.claim("k", "POST", "/transactions", b"other")
    answer = Answer(201, b"<transaction/>", made=True)
    keys.settle("k", answer)
    assert keys.claim("k", "POST", "/transactions", b"body") is answer
    with pytest.raises(Refused, match="915232"):
        keys.claim("k", "PUT", "/transactions", b"body")


def test_keys_are_bounded(keys, monkeypatch):
    monkeypatch.setattr("rtserver.simulator.request_keys.MAX_KEYS", 2)
    for key in "ab":
        keys.claim(key, "POST", "/", b"")
    with pytest.raises(Full):
        keys.claim("c", "POST", "/", b"")


# Nonces and searches


def test_a_refused_sale_leaves_the_nonce_and_a_declined_one_uses_it():
    gateway = make_gateway()
    nonce = gateway.nonces.make(gateway.nonces.look("fake-valid-nonce"))
    assert codes(sale(gateway, "bad", payment_method_nonce=nonce)[1]) == ["81503"]
    assert sale(gateway, "2000.00", payment_method_nonce=nonce)[0] == 422
    assert codes(sale(gateway, "10.00", payment_method_nonce=nonce)[1]) == ["91564"]


def test_a_sale_that_cannot_save_its_card_is_not_made():
    gateway = make_gateway()
    options = {"submit_for_settlement": True, "store_in_vault": True}
    for more in ({"customer": {"email": "nonsense"}}, {"credit_card": {"token": "not fit"}}):
        assert sale(gateway, "10.00", options=options, **more)[0] == 422
    assert Counter(each.status for each in gateway.transactions.shelf) == Counter()
    assert len(gateway.vault.customers) == len(gateway.vault.methods) == 0


def test_a_search_by_something_unknown_is_refused_not_answered():
    gateway = make_gateway()
    sold(gateway)
    for criteria in ({"shoe_size": {"is": "9"}}, {"order_id": {"sounds_like": "o"}}, {"amount": {"min": "much"}}):
        status, why = ask(gateway, "POST", "/transactions/advanced_search_ids", "search", criteria)
        assert status == 501 or (criteria.get("order_id") and status == 200), why


def test_a_search_finds_nothing_by_what_is_not_there_but_what_it_is_not():
    gateway = make_gateway()
    sold(gateway)
    shelf = gateway.transactions.shelf
    assert search(shelf, TRANSACTION, {"order_id": {"is": "None"}}) == []
    assert len(search(shelf, TRANSACTION, {"order_id": {"is_not": "o-1"}})) == 1
    assert len(search(shelf, TRANSACTION, "")) == 1
