"""The state machine of transactions, every state against every call; money never comes from nowhere."""

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver.simulator.processor import Status
from rtserver.simulator.transactions import DEAD, NEXT
from tests.simulator.house import ask, codes, make_gateway, sold

CALLS = {
    "void": ("PUT", "void"),
    "submit": ("PUT", "submit_for_settlement"),
    "part": ("POST", "submit_for_partial_settlement"),
    "refund": ("POST", "refund"),
    "reverse": ("POST", "reverse"),
    "settle": ("PUT", "settle"),
}
ALLOWED = {
    "void": {Status.AUTHORIZED, Status.SUBMITTED},
    "submit": {Status.AUTHORIZED},
    "part": {Status.AUTHORIZED},
    "refund": {Status.SETTLED, Status.SETTLING},
    "reverse": {Status.AUTHORIZED, Status.SUBMITTED, Status.SETTLED, Status.SETTLING},
    "settle": {Status.SUBMITTED, Status.SETTLING, Status.SETTLEMENT_PENDING, Status.SETTLEMENT_CONFIRMED},
}
REFUSED_WITH = {
    "void": "91504",
    "submit": "91507",
    "part": "915103",
    "refund": "91506",
    "reverse": "915282",
    "settle": "91575",
}


def do(gateway, key, name, **params):
    verb, action = CALLS[name]
    return ask(gateway, verb, f"/transactions/{key}/{action}", "transaction", params or {"amount": ""})


@pytest.mark.parametrize(("status", "name"), list(product(Status, CALLS)), ids=lambda each: str(each))
def test_a_call_is_taken_in_the_states_that_allow_it_and_in_no_other(status, name):
    gateway = make_gateway()
    key = sold(gateway)["id"]
    transaction = gateway.transactions.find(key)
    transaction.status = status
    code, answer = do(gateway, key, name)
    if status in ALLOWED[name]:
        assert code in (200, 201), answer
    else:
        assert (code, codes(answer)) == (422, [REFUSED_WITH[name]])
        assert transaction.status is status


def test_every_state_leads_somewhere_or_is_an_end():
    reached = {Status.AUTHORIZED, Status.DECLINED, Status.FAILED, Status.REJECTED}.union(*NEXT.values())
    assert reached == set(Status)
    assert set(Status) - set(NEXT) == DEAD | {Status.SETTLED}


def test_the_history_tells_every_state_and_its_amount():
    gateway = make_gateway()
    key = sold(gateway, "30.00")["id"]
    gateway.clock.advance(60)
    do(gateway, key, "submit", amount="25.00")
    gateway.transactions.advance()
    gateway.transactions.advance(key)
    _, answer = ask(gateway, "GET", f"/transactions/{key}")
    history = [(event["status"], event["amount"]) for event in answer["transaction"]["status_history"]]
    assert history == [
        ("authorized", "30.00"),
        ("submitted_for_settlement", "25.00"),
        ("settling", "25.00"),
        ("settled", "25.00"),
    ]
    assert answer["transaction"]["updated_at"] > answer["transaction"]["created_at"]


def test_advancing_again_changes_nothing():
    gateway = make_gateway()
    sold(gateway, submit=True)
    moved = [len(gateway.transactions.advance()) for _ in range(4)]
    assert moved == [1, 1, 0, 0]


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(CALLS)), st.integers(0, 5), st.decimals("0.01", "40", places=2)), max_size=25
    )
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_done_no_more_is_settled_or_paid_back_than_was_authorised(steps):
    gateway = make_gateway()
    first = sold(gateway, "30.00")["id"]
    for name, which, amount in steps:
        everything = [each.id for each in gateway.transactions.shelf]
        status, _ = do(gateway, everything[which % len(everything)], name, amount=str(amount))
        assert status in (200, 201, 422)
        gateway.transactions.advance()
    parts = [each for each in gateway.transactions.shelf if each.authorized_transaction_id == first]
    assert sum((each.amount for each in parts if each.status not in DEAD), Decimal(0)) <= Decimal("30.00")
    for each in gateway.transactions.shelf:
        back = [other for other in gateway.transactions.shelf if other.refunded_transaction_id == each.id]
        assert sum((other.amount for other in back if other.status not in DEAD), Decimal(0)) <= each.amount
        assert [event.status for event in each.history][-1] is each.status
