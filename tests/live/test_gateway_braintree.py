"""The gateway of the server, by the real SDK over HTTP: against the simulator, and against Braintree's own sandbox where
there are keys of it."""

from dataclasses import replace
from uuid import uuid4

import pytest
import pytest_twisted
from braintree.test.nonces import Nonces
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from rtserver.core.payments import parse_money
from rtserver.payments.errors import GatewayRefused
from rtserver.payments.options import PaymentsOptions
from rtserver.payments.records import AttemptState, Op, Sale
from rtserver.services.gateway_braintree import BraintreeGateway
from rtserver.services.gateway_braintree_config import link_of
from tests.deadline import deadline
from tests.live import sandbox
from tests.live.gateway_calls import attempt
from tests.live.simulator_process import MERCHANT, PRIVATE_KEY, PUBLIC_KEY

APPROVED, DECLINED, UNKNOWN = AttemptState.APPROVED, AttemptState.DECLINED, AttemptState.UNKNOWN

SEARCH_LAG = 90.0
"""Seconds that a search may be behind."""


def options(simulator):
    return PaymentsOptions(
        simulator_url=simulator.url(), merchant_id=MERCHANT, public_key=PUBLIC_KEY, private_key=PRIVATE_KEY
    )


class Target:
    """A gateway of the server, and the SDK beside it for what only banks do."""

    def __init__(self, given):
        self.gateway = BraintreeGateway(given, reactor)
        self.link = link_of(given)
        self.run = uuid4().hex[:10]

    def attempt(self, op=Op.SALE, text="10.00", target=""):
        return attempt(op, parse_money(text, "USD").minor, target)

    async def pay(self, nonce=Nonces.TransactableVisa, text="10.00", is_held=False, **more):
        return await self.gateway.sale(Sale(self.attempt(text=text), is_held, nonce=nonce, **more))

    def bank_settles(self, id):
        """What the SDK offers for tests; neither in production nor over our gateway."""
        self.link.door.begin(1)
        assert self.link.sdk.testing.settle_transaction(id).is_success


@pytest_twisted.async_yield_fixture(params=sandbox.TARGETS)
async def target(request):
    if request.param == "simulator":
        made = Target(options(request.getfixturevalue("sim")))
    else:
        made = Target(sandbox.options())
    await made.gateway.start()
    yield made
    await made.gateway.stop()


@deadline(60)
async def test_a_page_gets_a_client_token(target):
    assert len(await target.gateway.client_token("", "")) > 100


@deadline(60)
async def test_the_currency_of_what_is_paid_is_that_of_the_default_merchant_account(target):
    (account,) = [each for each in await target.gateway.merchant_accounts() if each.is_default]
    assert account.currency == (await target.pay()).transaction.amount.currency


@deadline(60)
async def test_a_sale_is_approved_and_found(target):
    outcome = await target.pay(device_data="")
    assert (outcome.state, outcome.code) == (APPROVED, "approved")
    made = outcome.transaction
    assert (made.kind, made.status, str(made.amount)) == ("sale", "submitted_for_settlement", "10.00 USD")
    assert made.instrument == "Visa ending in 1881"
    found = await target.gateway.transaction(made.id)
    assert (found.id, found.amount, found.order_id, found.created_at) == (
        made.id,
        made.amount,
        made.order_id,
        made.created_at,
    )
    assert await target.gateway.transaction("nosuch1") is None


@deadline(60)
async def test_a_decline_a_failure_and_a_rejection_are_told_apart(target):
    declined = await target.pay(text="2001.00")
    assert (declined.state, declined.code, declined.is_soft) == (DECLINED, "2001", True)
    assert declined.transaction.status == "processor_declined"
    assert "enough money" in declined.sentence
    hard = await target.pay(text="2004.00")
    assert (hard.state, hard.code, hard.is_soft) == (DECLINED, "2004", False)
    failed = await target.pay(text="3000.00")
    assert (failed.state, failed.code) == (AttemptState.FAILED, "3000")
    fraud = await target.pay(nonce=Nonces.GatewayRejectedFraud)
    assert (fraud.state, fraud.code) == (AttemptState.REJECTED, "fraud")
    incomplete = await target.pay(text="5001.00")
    assert (incomplete.state, incomplete.code) == (AttemptState.REJECTED, "application_incomplete")


@deadline(60)
async def test_mistakes_are_told_with_their_codes(target):
    used = await target.pay(nonce=Nonces.Consumed)
    assert (used.state, used.code) == (AttemptState.INVALID, "91564")
    assert used.errors[0].attribute == "payment_method_nonce"
    assert used.sentence == "This form was sent before. Fill it in again."
    unknown = await target.pay(nonce="no-such-nonce")
    assert (unknown.state, unknown.code) == (AttemptState.INVALID, "91565")
    luhn = await target.pay(nonce=Nonces.LuhnInvalid)
    assert "81715" in {each.code for each in luhn.errors}
    account = await target.pay(merchant_account="no-such-account")
    assert (account.state, account.code) == (AttemptState.INVALID, "91513")


@deadline(60)
async def test_a_held_payment_is_settled_or_released(target):
    held = await target.pay(is_held=True, text="20.00")
    assert held.transaction.status == "authorized"
    settled = await target.gateway.settle(target.attempt(Op.SETTLE, "15.00", held.transaction.id), False)
    assert (settled.state, settled.transaction.id) == (APPROVED, held.transaction.id)
    assert (settled.transaction.status, settled.transaction.amount.text) == ("submitted_for_settlement", "15.00")
    again = await target.gateway.settle(target.attempt(Op.SETTLE, "15.00", held.transaction.id), False)
    assert (again.state, again.code) == (AttemptState.INVALID, "91507")
    other = await target.pay(is_held=True, text="21.00")
    too_much = await target.gateway.settle(target.attempt(Op.SETTLE, "21.01", other.transaction.id), False)
    assert (too_much.state, too_much.code) == (AttemptState.INVALID, "91522")
    voided = await target.gateway.void(target.attempt(Op.VOID, "21.00", other.transaction.id))
    assert (voided.state, voided.transaction.status) == (APPROVED, "voided")
    assert (await target.gateway.void(target.attempt(Op.VOID, "21.00", other.transaction.id))).code == "91504"
    nothing = await target.gateway.void(target.attempt(Op.VOID, "1.00", "nosuch1"))
    assert (nothing.state, nothing.code) == (AttemptState.ERROR, "not_found")


@deadline(60)
async def test_money_goes_back_in_parts_and_never_more_than_was_paid(target):
    paid = (await target.pay(text="30.00")).transaction
    early = await target.gateway.refund(target.attempt(Op.REFUND, "1.00", paid.id))
    assert (early.state, early.code) == (AttemptState.INVALID, "91506")
    target.bank_settles(paid.id)
    back = await target.gateway.refund(target.attempt(Op.REFUND, "12.50", paid.id))
    assert (back.state, back.transaction.kind, back.transaction.parent) == (APPROVED, "credit", paid.id)
    assert back.transaction.amount.text == "12.50"
    too_much = await target.gateway.refund(target.attempt(Op.REFUND, "17.51", paid.id))
    assert (too_much.state, too_much.code) == (AttemptState.INVALID, "91521")
    rest = await target.gateway.refund(target.attempt(Op.REFUND, "17.50", paid.id))
    assert rest.state is APPROVED
    assert (await target.gateway.refund(target.attempt(Op.REFUND, "1.00", paid.id))).code == "91512"
    found = await target.gateway.transaction(paid.id)
    assert set(found.refund_ids) == {back.transaction.id, rest.transaction.id}


@deadline(60)
async def test_the_same_attempt_asked_for_twice_is_paid_once(target):
    made = target.attempt(text="40.00")
    first = await target.gateway.sale(Sale(made, False, nonce=Nonces.TransactableVisa))
    again = await target.gateway.sale(Sale(replace(made, checks=1), False, nonce=Nonces.TransactableVisa))
    assert first.state is APPROVED
    # With request keys it is the same transaction; a merchant without them is not asked again.
    assert (again.state, again.code) == (UNKNOWN, "915231") or again.transaction.id == first.transaction.id


@deadline(150)
async def test_an_attempt_is_found_by_its_id(target):
    paid = (await target.pay(text="41.00")).transaction
    waited = 0.0
    while not (found := await target.gateway.transactions_of(paid.order_id)):
        assert waited < SEARCH_LAG
        waited += 2.0
        await deferLater(reactor, 2.0)
    assert [each.id for each in found] == [paid.id]
    span = await target.gateway.transactions_between(paid.created_at, paid.created_at + 1000)
    assert paid.id in {each.id for each in span}
    assert list(await target.gateway.transactions_of(f"t-{uuid4().hex}")) == []


@deadline(60)
async def test_a_person_has_saved_methods(target):
    customer, token = f"u-{target.run}", f"tok-{target.run}"
    for _ in range(2):
        await target.gateway.make_customer(customer, "pat@example.com", "Pat van Payer")
    saved = await target.gateway.save_method(customer, Nonces.TransactableVisa, token, True)
    assert (saved.token, saved.kind, saved.brand, saved.last4, saved.is_default) == (
        token,
        "card",
        "Visa",
        "1881",
        True,
    )
    assert await target.gateway.save_method(customer, Nonces.TransactableVisa, token, True) == saved
    other = await target.gateway.save_method(customer, Nonces.TransactableMasterCard, f"{token}-b", False)
    assert (other.brand, other.is_default) == ("MasterCard", False)
    await target.gateway.choose_method(other.token)
    methods = {each.token: each.is_default for each in await target.gateway.methods(customer)}
    assert methods == {token: False, other.token: True}
    assert len(await target.gateway.client_token(customer, "")) > 100
    paid = await target.gateway.sale(Sale(target.attempt(text="42.00"), False, method=token, customer_id=customer))
    assert (paid.state, paid.transaction.customer_id) == (APPROVED, customer)
    for _ in range(2):
        await target.gateway.delete_method(token)
    assert [each.token for each in await target.gateway.methods(customer)] == [other.token]
    gone = await target.gateway.sale(Sale(target.attempt(text="43.00"), False, method=token))
    assert (gone.state, gone.code) == (AttemptState.INVALID, "91518")
    with pytest.raises(GatewayRefused, match="not_found"):
        await target.gateway.choose_method(token)


@deadline(60)
async def test_a_card_that_is_not_good_is_not_saved(target):
    customer = f"u-{target.run}"
    await target.gateway.make_customer(customer, "pat@example.com", "Pat")
    with pytest.raises(GatewayRefused, match="2000"):
        await target.gateway.save_method(customer, Nonces.ProcessorDeclinedVisa, f"tok-{target.run}", False)
    with pytest.raises(GatewayRefused, match="91731"):
        await target.gateway.save_method(customer, Nonces.Consumed, f"tok-{target.run}", False)
    assert list(await target.gateway.methods(customer)) == []


@deadline(60)
async def test_a_sale_may_save_what_paid(target):
    customer = f"u-{target.run}"
    await target.gateway.make_customer(customer, "pat@example.com", "Pat")
    assert (await target.pay(text="44.00", customer_id=customer, saves_method=True)).state is APPROVED
    assert [each.last4 for each in await target.gateway.methods(customer)] == ["1881"]


@deadline(60)
async def test_three_d_secure_is_asked_for(target):
    refused = await target.pay(text="45.00", needs_3d_secure=True)
    assert (refused.state, refused.code) == (AttemptState.REJECTED, "three_d_secure")
    assert "3-D Secure" in refused.sentence


@deadline(60)
async def test_other_ways_to_pay_have_names(target):
    paypal = await target.pay(nonce=Nonces.PayPalOneTimePayment, text="46.00", paypal_description="A thing")
    assert paypal.transaction.instrument.startswith("PayPal")
    apple = await target.pay(nonce=Nonces.ApplePayVisa, text="47.00")
    assert apple.transaction.instrument.startswith("Apple Pay")
    google = await target.pay(nonce=Nonces.AndroidPayCardVisa, text="48.00")
    assert google.transaction.instrument.startswith("Google Pay")


@deadline(120)
async def test_many_payments_at_once_are_all_made(target):
    paying = [target.pay(text=f"{n + 50}.00") for n in range(30)]
    outcomes = await gatherResults([Deferred.fromCoroutine(each) for each in paying])
    assert {outcome.transaction.amount.text for outcome in outcomes} == {f"{n + 50}.00" for n in range(30)}


@deadline(60)
async def test_disputes_can_be_listed(target):
    assert isinstance(await target.gateway.disputes(True), list)
    assert await target.gateway.dispute("nosuch1") is None
    assert await target.gateway.subscription("nosuch1") is None
