"""Saved methods, subscriptions, disputes, webhooks and reports by the real SDK, against the simulator."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from rtserver.core.options import Seconds
from rtserver.core.payments import Money
from rtserver.payments.errors import GatewayRefused
from rtserver.payments.options import PaymentsOptions
from rtserver.payments.records import OrderState
from rtserver.payments.report import Report
from rtserver.payments.subscriptions import SubscriptionChange
from rtserver.services.gateway_braintree import BraintreeGateway
from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_sqlite import SqliteStore
from tests.deadline import deadline
from tests.live.simulator_process import MERCHANT, PRIVATE_KEY, PUBLIC_KEY, Simulator, running
from tests.payments.market import Market
from tests.payments.shop import ADA, KEEPER

HOUR = 3_600_000
CARD = "fake-valid-visa-nonce"


class LiveMarket(Market):
    """Its clock is the real one, and goes ahead of it when a test says so."""

    sim: Simulator

    def unix(self) -> float:
        return time.time() + self.clock.seconds()

    async def pay_with(self, nonce: str = "fake-valid-nonce") -> tuple[str, str]:
        """The ids of an order and of its transaction."""
        answer = await self.pay(nonce=nonce)
        assert answer.result == "done", answer
        return answer.order["order"], answer.order["transaction"]

    async def receive(self, form: dict[str, str]) -> bool:
        return await self.webhooks.receive(form["bt_signature"], form["bt_payload"])

    def webhook(self, kind: str, id: str, **said: Any) -> dict[str, str]:
        form: dict[str, str] = self.sim.order("POST", "/webhooks", kind=kind, id=id, **said)["form"]
        return form

    def sent(self) -> list[dict[str, str]]:
        """What the simulator has told so far, the oldest first."""
        return [self.sim.order("GET", f"/webhooks/{each['number']}")["form"] for each in self.sim.objects("webhooks")]

    async def hear(self) -> None:
        for form in self.sent():
            await self.receive(form)
        await self.work()

    async def compared(self) -> Report:
        now = int(time.time() * 1000)
        return await self.reports.reconcile(now - HOUR, now + HOUR)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running(tmp_path_factory.mktemp("simulator")) as started:
        yield started


@asynccontextmanager
async def market_of(simulator: Simulator, place: Path) -> AsyncIterator[LiveMarket]:
    simulator.reset()
    options = PaymentsOptions(
        enabled=True,
        simulator_url=simulator.url(),
        merchant_id=MERCHANT,
        public_key=PUBLIC_KEY,
        private_key=PRIVATE_KEY,
        timeout=Seconds(1),
    )
    store = SqliteStore(DatabaseOptions(url=f"sqlite:{place}/market.db"), reactor)
    gateway = BraintreeGateway(options, reactor)
    await store.start()
    await gateway.start()
    try:
        market = LiveMarket(store)
        market.sim = simulator
        market.parts = replace(market.parts, gateway=gateway, options=options)
        market.restart()
        await market.open()
        gateway.late = lambda attempt, outcome: market.calls.late(attempt, outcome)
        yield market
        await market.quiet()
    finally:
        await gateway.stop()
        await store.stop()


# Saved methods


@deadline(60)
async def test_a_card_is_saved_chosen_and_deleted(simulator: Simulator, tmp_path: Path) -> None:
    async with market_of(simulator, tmp_path) as market:
        visa = await market.vault.save(ADA, CARD)
        amex = await market.vault.save(ADA, "fake-valid-amex-nonce", is_default=True)
        assert (visa.brand, visa.last4, amex.brand, amex.is_default) == ("Visa", "1881", "American Express", True)
        await market.vault.choose(ADA, visa.token)
        await market.vault.delete(ADA, amex.token)
        await market.vault.refresh(ADA.id)
        assert [each.token for each in await market.vault.methods(ADA)] == [visa.token]
        assert (await market.pay(method=visa.token, key="k1")).result == "done"
        with pytest.raises(GatewayRefused):
            await market.vault.save(ADA, "fake-consumed-nonce")


@pytest.mark.parametrize("fault", ["work_then_silence", "work_then_drop", "work_then_status", "bad_xml"])
@deadline(60)
async def test_a_card_whose_saving_got_no_answer_is_there(simulator: Simulator, tmp_path: Path, fault: str) -> None:
    async with market_of(simulator, tmp_path) as market:
        await market.vault.customer(ADA)
        simulator.fault("POST /payment_methods", fault)
        saved = await market.vault.save(ADA, CARD)
        assert await market.vault.methods(ADA) == [saved]


@deadline(60)
async def test_a_customer_who_was_deleted_in_the_control_panel_can_save_a_card(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with market_of(simulator, tmp_path) as market:
        simulator.gateway().customer.delete(await market.vault.customer(ADA))
        assert (await market.vault.save(ADA, CARD)).last4 == "1881"


# Subscriptions


@deadline(60)
async def test_a_subscription_is_begun_changed_paid_again_and_ended(simulator: Simulator, tmp_path: Path) -> None:
    async with market_of(simulator, tmp_path) as market:
        simulator.order("POST", "/plans", id="golden", price="19.00", name="Golden")
        row = await market.subscribed(nonce=CARD)
        assert (row.status, row.price) == ("active", Money(700, "USD")) and row.paid_through
        other = (await market.vault.save(ADA, "fake-valid-amex-nonce")).token
        changed = await market.subscriptions.change(ADA, row.id, SubscriptionChange("golden", other))
        assert (changed.plan, changed.method, changed.price) == ("golden", other, Money(1900, "USD"))
        simulator.order("POST", "/subscriptions/past_due", id=row.id, days=3)
        await market.hear()
        assert (await market.subscription(row.id)).status == "past_due"
        assert (await market.subscribing.retry(ADA, row.id)).order["state"] == "active"
        for _ in range(2):
            assert (await market.subscriptions.cancel(ADA, row.id)).status == "canceled"
        await market.hear()
        assert (await market.subscription(row.id)).status == "canceled"


LOST = ("work_then_silence", "work_then_drop", "silence_before_work", "drop_before_work")


@pytest.mark.parametrize("fault", LOST)
@deadline(60)
async def test_a_subscription_whose_answer_was_lost_is_begun_once(
    simulator: Simulator, tmp_path: Path, fault: str
) -> None:
    async with market_of(simulator, tmp_path) as market:
        simulator.fault("POST /subscriptions", fault)
        answer = await market.subscribe(nonce=CARD)
        assert answer.result == "unknown"
        await market.later(60)
        assert (await market.subscription(answer)).status == "active"
        assert len(simulator.objects("subscriptions")) == len(simulator.objects("transactions")) == 1


@pytest.mark.parametrize("fault", ["work_then_silence", "drop_before_work"])
@deadline(60)
async def test_a_retry_whose_answer_was_lost_is_charged_once_at_most(
    simulator: Simulator, tmp_path: Path, fault: str
) -> None:
    async with market_of(simulator, tmp_path) as market:
        row = await market.subscribed(nonce=CARD)
        simulator.order("POST", "/subscriptions/past_due", id=row.id, days=3)
        simulator.fault("POST /transactions", fault)
        assert (await market.subscribing.retry(ADA, row.id)).result == "unknown"
        await market.later(2400)
        assert await market.open_attempts() == 0
        is_charged = fault == "work_then_silence"
        assert len(simulator.objects("transactions")) == 1 + is_charged
        assert (await market.subscription(row.id)).status == ("active" if is_charged else "past_due")


@deadline(60)
async def test_a_card_that_is_declined_begins_no_subscription(simulator: Simulator, tmp_path: Path) -> None:
    async with market_of(simulator, tmp_path) as market:
        with pytest.raises(GatewayRefused) as refused:
            await market.subscribe(nonce="fake-processor-declined-visa-nonce")
        assert refused.value.code == "2000"
        assert (await market.subscribe(item="gold", nonce=CARD)).result == "invalid"
        assert simulator.objects("subscriptions") == []


# Webhooks


@deadline(60)
async def test_a_settlement_is_told_by_webhook_twice_and_counts_once(simulator: Simulator, tmp_path: Path) -> None:
    async with market_of(simulator, tmp_path) as market:
        order, id = await market.pay_with()
        simulator.settle(id)
        await market.hear()
        await market.hear()
        assert (await market.order(order)).state is OrderState.SETTLED
        assert (await market.news()).count("payment.settled") == 1


@deadline(60)
async def test_a_life_that_is_told_backwards_ends_where_the_gateway_is(simulator: Simulator, tmp_path: Path) -> None:
    async with market_of(simulator, tmp_path) as market:
        row = await market.subscribed(nonce=CARD)
        simulator.order("POST", "/subscriptions/charge", id=row.id)
        simulator.order("POST", "/subscriptions/past_due", id=row.id, days=3)
        await market.subscriptions.cancel(ADA, row.id)
        for form in reversed(market.sent()):
            assert await market.receive(form)
            await market.work()
        assert (await market.subscription(row.id)).status == "canceled"
        assert len(await market.webhook_states()) == 5 and set(await market.webhook_states()) == {"done"}
        assert (await market.news())[-1] == "subscription.canceled"


SPOILED = (
    "payload",
    "signature",
    "private_key",
    "public_key",
    "three_parts",
    "no_signature",
    "not_ascii",
    "not_xml",
    "10_mb",
)


@pytest.mark.parametrize("tamper", SPOILED)
@deadline(60)
async def test_a_spoiled_webhook_changes_nothing(simulator: Simulator, tmp_path: Path, tamper: str) -> None:
    async with market_of(simulator, tmp_path) as market:
        order, id = await market.pay_with()
        simulator.settle(id)
        with pytest.raises(GatewayRefused):
            await market.receive(market.webhook("transaction_settled", id, tamper=tamper))
        await market.work()
        assert await market.webhook_states() == []
        assert (await market.order(order)).state is OrderState.PAID


@deadline(60)
async def test_the_test_webhook_of_the_control_panel_is_ignored(simulator: Simulator, tmp_path: Path) -> None:
    async with market_of(simulator, tmp_path) as market:
        assert await market.receive(market.webhook("check", ""))
        assert await market.webhook_states() == ["ignored"]
        assert market.webhooks.challenge("20f9f8ed05f77439fe955c977e4c8a53").startswith(f"{PUBLIC_KEY}|")


# Disputes


@deadline(60)
async def test_a_dispute_is_answered_and_won(simulator: Simulator, tmp_path: Path) -> None:
    async with market_of(simulator, tmp_path) as market:
        order, id = await market.pay_with()
        simulator.settle(id)
        dispute = simulator.order("POST", "/disputes", transaction_id=id)["id"]
        await market.hear()
        assert (await market.order(order)).state is OrderState.DISPUTED
        (record,) = await market.disputes.listed(KEEPER, is_open=True)
        assert (record["dispute"], record["order"], record["amount"]) == (dispute, order, "10.00")
        await market.disputes.add_evidence(KEEPER, dispute, "It was delivered.")
        for _ in range(2):
            assert (await market.disputes.finalize(KEEPER, dispute))["state"] == "disputed"
        simulator.order("POST", f"/disputes/{dispute}", status="won")
        await market.hear()
        assert (await market.order(order)).state is OrderState.SETTLED


@deadline(60)
async def test_an_accepted_dispute_leaves_the_order_disputed(simulator: Simulator, tmp_path: Path) -> None:
    async with market_of(simulator, tmp_path) as market:
        order, id = await market.pay_with()
        simulator.settle(id)
        dispute = simulator.order("POST", "/disputes", transaction_id=id)["id"]
        await market.disputes.refresh(KEEPER)
        for _ in range(2):
            assert (await market.disputes.accept(KEEPER, dispute))["state"] == "accepted"
        await market.hear()
        assert (await market.order(order)).state is OrderState.DISPUTED


# Reports


@deadline(60)
async def test_a_report_finds_what_differs_both_ways(simulator: Simulator, tmp_path: Path) -> None:
    async with market_of(simulator, tmp_path) as market:
        order, id = await market.pay_with()
        await market.subscribed(nonce=CARD)
        assert (await market.compared()).is_clean
        simulator.settle(id)
        by_hand = {"amount": "5.00", "payment_method_nonce": "fake-valid-nonce"}
        foreign = simulator.gateway().transaction.sale(by_hand).transaction
        report = await market.compared()
        assert [(each.difference, each.transaction) for each in report.findings] == [("missing_here", foreign.id)]
        assert report.caught_up == 1 and (await market.order(order)).state is OrderState.SETTLED
        simulator.reset()
        report = await market.compared()
        assert {each.difference for each in report.findings} == {"missing_there"} and report.there == 0
