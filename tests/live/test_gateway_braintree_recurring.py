"""The gateway of the server and what the simulator alone can do: subscriptions, disputes, webhooks, spoiled and well signed."""

from dataclasses import replace

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from rtserver.core.payments import Money
from rtserver.payments.errors import GatewayRefused
from rtserver.payments.records import AttemptState, Op
from tests.deadline import deadline
from tests.live.gateway_calls import Gateways, attempt, sale

APPROVED, UNKNOWN = AttemptState.APPROVED, AttemptState.UNKNOWN
MONTHLY = Money(999, "USD")


@pytest_twisted.async_yield_fixture
async def make(simulator):
    gateways = Gateways(simulator.url())
    yield gateways
    await gateways.stop()


@pytest_twisted.async_yield_fixture
async def subscriber(sim, make):
    gateway = await make(timeout=2)
    await gateway.make_customer("u_1", "pat@example.com", "Pat")
    await gateway.save_method("u_1", "fake-valid-nonce", "tok_1", True)
    yield gateway


@deadline(60)
async def test_a_subscription_is_made_changed_and_cancelled(sim, subscriber):
    outcome = await subscriber.subscribe("s_1", "monthly", "tok_1", MONTHLY, "")
    assert (outcome.state, outcome.transaction.amount) == (APPROVED, MONTHLY)
    assert outcome.transaction.subscription_id == "s_1"
    found = await subscriber.subscription("s_1")
    assert (found.plan, found.status, found.price, len(found.transactions)) == ("monthly", "Active", MONTHLY, 1)
    assert found.paid_through
    changed = await subscriber.change_subscription("s_1", "yearly", "", Money(9900, "USD"))
    assert (changed.plan, changed.price) == ("yearly", Money(9900, "USD"))
    assert (await subscriber.cancel_subscription("s_1")).status == "Canceled"
    with pytest.raises(GatewayRefused, match="81905"):
        await subscriber.cancel_subscription("s_1")
    with pytest.raises(GatewayRefused, match="81901"):
        await subscriber.change_subscription("s_1", "monthly", "", None)


@deadline(60)
async def test_a_subscription_asked_for_twice_is_one(sim, subscriber):
    sim.fault("POST /subscriptions", "work_then_drop")
    assert (await subscriber.subscribe("s_1", "monthly", "tok_1", MONTHLY, "")).state is UNKNOWN
    assert (await subscriber.subscribe("s_1", "monthly", "tok_1", MONTHLY, "")).state is APPROVED
    assert len(sim.objects("subscriptions")) == len(sim.objects("transactions")) == 1
    no_plan = await subscriber.subscribe("s_2", "no-plan", "tok_1", MONTHLY, "")
    assert (no_plan.state, no_plan.code) == (AttemptState.INVALID, "91904")
    trial = await subscriber.subscribe("s_3", "trial", "tok_1", MONTHLY, "")
    assert (trial.state, trial.transaction) == (APPROVED, None)
    assert (await subscriber.subscription("s_3")).price == MONTHLY


@deadline(60)
async def test_a_subscription_whose_first_charge_is_declined_is_not_made(sim, subscriber):
    outcome = await subscriber.subscribe("s_1", "monthly", "tok_1", Money(200100, "USD"), "")
    assert (outcome.state, outcome.code) == (AttemptState.DECLINED, "2001")
    assert await subscriber.subscription("s_1") is None


@deadline(60)
async def test_a_subscription_that_is_past_due_is_charged_once(sim, subscriber):
    await subscriber.subscribe("s_1", "monthly", "tok_1", MONTHLY, "")
    not_due = await subscriber.retry_charge(attempt(Op.RETRY, 999, "s_1"))
    assert (not_due.state, not_due.code) == (AttemptState.INVALID, "91531")
    sim.ahead(3600)
    sim.order("POST", "/subscriptions/past_due", id="s_1", days=3)
    first = sim.objects("transactions")[0]["id"]
    sent_at = (await subscriber.transaction(first)).created_at + 1_800_000
    asked = attempt(Op.RETRY, 999, "s_1", sent_at=sent_at)
    looked = await subscriber.retry_charge(replace(asked, checks=1))
    assert (looked.state, looked.code) == (UNKNOWN, "not_found")
    sim.fault("POST /transactions", "work_then_drop")
    assert (await subscriber.retry_charge(asked)).state is UNKNOWN
    again = await subscriber.retry_charge(replace(asked, state=UNKNOWN))
    assert again.state is APPROVED and again.transaction.id != first
    assert len(sim.objects("transactions")) == 2
    assert (await subscriber.subscription("s_1")).status == "Active"


@deadline(60)
async def test_disputes_are_answered(sim, make):
    gateway = await make()
    opened = []
    for minor in (1000, 1100):
        paid = (await gateway.sale(sale(attempt(minor=minor)))).transaction
        sim.settle(paid.id)
        opened.append((sim.order("POST", "/disputes", transaction_id=paid.id)["id"], paid))
    (first, paid), (second, _) = opened
    found = await gateway.dispute(first)
    assert (found.transaction_id, found.status, found.amount) == (paid.id, "open", paid.amount)
    assert found.reply_by
    assert {each.id for each in await gateway.disputes(True)} == {first, second}
    await gateway.add_evidence(first, "It was delivered.")
    await gateway.finalize_dispute(first)
    await gateway.accept_dispute(second)
    assert list(await gateway.disputes(True)) == []
    assert {each.id: each.status for each in await gateway.disputes(False)} == {first: "disputed", second: "accepted"}
    with pytest.raises(GatewayRefused, match="95704"):
        await gateway.accept_dispute(first)


@deadline(60)
async def test_disputes_are_listed_by_several_at_once(sim, make):
    gateway = await make()
    paid = (await gateway.sale(sale())).transaction.id
    sim.settle(paid)
    made = sim.order("POST", "/disputes", transaction_id=paid)["id"]
    await gateway.accept_dispute(made)
    asked = [gateway.disputes(n % 2 == 0) for n in range(24)]
    lists = await gatherResults([Deferred.fromCoroutine(each) for each in asked])
    assert [[each.id for each in found] for found in lists] == [[], [made]] * 12


@deadline(60)
async def test_webhooks_of_the_simulator_are_read_and_spoiled_ones_are_not(sim, make):
    gateway = await make()
    paid = (await gateway.sale(sale())).transaction.id
    sim.settle(paid)
    [hook] = sim.objects("webhooks")
    number = hook["number"]
    form = sim.order("GET", f"/webhooks/{number}")["form"]
    found = gateway.read_webhook(form["bt_signature"], form["bt_payload"])
    assert (found.kind, found.subject, found.subject_id) == ("transaction_settled", "transaction", paid)
    ways = ("payload", "signature", "private_key", "public_key", "three_parts", "no_signature", "not_ascii", "not_xml")
    for way in ways:
        form = sim.order("POST", "/webhooks", kind="transaction_settled", id=paid, tamper=way)["form"]
        with pytest.raises(GatewayRefused, match="bad_"):
            gateway.read_webhook(form["bt_signature"], form["bt_payload"])
