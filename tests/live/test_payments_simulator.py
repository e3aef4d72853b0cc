"""Orders, attempts and changes by the real SDK, with a server that forgets everything in between: against the simulator, and
what needs no faults of it against Braintree's own sandbox where there are keys of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import braintree
import pytest
import pytest_twisted
from twisted.internet import reactor

from rtserver.core.options import Seconds
from rtserver.payments.options import PaymentsOptions
from rtserver.payments.records import Order, OrderState
from rtserver.services.gateway_braintree import BraintreeGateway
from rtserver.services.gateway_braintree_config import link_of
from rtserver.services.store_options import DatabaseOptions
from rtserver.services.store_sqlite import SqliteStore
from tests.deadline import deadline
from tests.live import sandbox
from tests.live.simulator_process import MERCHANT, PRIVATE_KEY, PUBLIC_KEY, Simulator
from tests.payments.shop import KEEPER, Shop

LOST = (
    ("work_then_silence", "POST /transactions"),
    ("work_then_drop", "POST /transactions"),
    ("work_then_status", "POST /transactions"),
    ("bad_xml", "POST /transactions"),
    ("silence_before_work", "POST /transactions"),
    ("drop_before_work", "POST /transactions"),
)


@asynccontextmanager
async def shop_of(simulator: Simulator, place: Path) -> AsyncIterator[Shop]:
    simulator.reset()
    async with shop_with(options_of(simulator), place) as shop:
        yield shop


def options_of(simulator: Simulator) -> PaymentsOptions:
    return PaymentsOptions(
        enabled=True,
        simulator_url=simulator.url(),
        merchant_id=MERCHANT,
        public_key=PUBLIC_KEY,
        private_key=PRIVATE_KEY,
        timeout=Seconds(1),
    )


@asynccontextmanager
async def shop_with(options: PaymentsOptions, place: Path) -> AsyncIterator[Shop]:
    store = SqliteStore(DatabaseOptions(url=f"sqlite:{place}/shop.db"), reactor)
    gateway = BraintreeGateway(options, reactor)
    await store.start()
    await gateway.start()
    try:
        shop = await Shop(store).open()
        shop.parts = replace(shop.parts, gateway=gateway, options=options)
        shop.restart()
        gateway.late = lambda attempt, outcome: shop.calls.late(attempt, outcome)
        yield shop
        await shop.quiet()
    finally:
        await gateway.stop()
        await store.stop()


@pytest_twisted.async_yield_fixture(params=sandbox.TARGETS)
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    """Of both. Its names are new in every run: the sandbox remembers those of the last one."""
    if request.param == "simulator":
        simulator = request.getfixturevalue("simulator")
        simulator.reset()
        options = options_of(simulator)
    else:
        options = sandbox.options()
    async with shop_with(options, tmp_path) as opened:
        opened.parts = replace(
            opened.parts, new_id=lambda: uuid4().hex, token=lambda size: uuid4().hex.ljust(size, "0")
        )
        opened.restart()
        yield opened


async def bank_settles(shop: Shop, order: Order) -> None:
    """By what the SDK offers for tests."""
    link = link_of(shop.parts.options)
    for id in {each.gateway_id for each in await shop.attempts(order)} - {""}:
        link.door.begin(2)
        if link.sdk.transaction.find(id).status == braintree.Transaction.Status.SubmittedForSettlement:
            assert link.sdk.testing.settle_transaction(id).is_success


def made(simulator: Simulator, kind: str = "sale") -> list[dict[str, Any]]:
    return [each for each in simulator.objects("transactions") if each["type"] == kind]


# Both


@deadline(120)
async def test_each_nonce_gets_its_own_answer(shop: Shop) -> None:
    for nonce, status, result, code in (
        ("fake-valid-nonce", 200, "done", "approved"),
        ("fake-processor-declined-visa-nonce", 402, "declined", "2000"),
        ("fake-gateway-rejected-fraud-nonce", 402, "rejected", "fraud"),
        ("fake-processor-failure-jcb-nonce", 402, "failed", "3000"),
        ("fake-luhn-invalid-nonce", 422, "invalid", "81715"),
        ("fake-consumed-nonce", 422, "invalid", "91564"),
        ("no-such-nonce", 422, "invalid", "91565"),
    ):
        answer = await shop.pay(nonce=nonce)
        assert (answer.status, answer.result, answer.code) == (status, result, code), answer
        assert answer.message and nonce not in await shop.everything()


@deadline(120)
async def test_what_is_held_is_settled_in_parts_and_given_back(shop: Shop) -> None:
    await shop.database.run("update rt_sale_items set merchant_account = '', currency = 'USD' where id = 'room'")
    order = await shop.paid(item="room", nonce="fake-valid-nonce")
    first = await shop.changes.settle(KEEPER, order.id, "60.00", more=True)
    assert first.result == "done" and first.order["captured"] == "60.00", first
    second = await shop.changes.settle(KEEPER, order.id)
    assert second.result == "done" and second.order["captured"] == "90.00", second
    await bank_settles(shop, order)
    answer = await shop.changes.refund(KEEPER, order.id, "70.00")
    assert answer.result == "done" and answer.order["refunded"] == "70.00", answer
    assert (await shop.changes.refund(KEEPER, order.id)).order["state"] == "refunded"


@deadline(120)
async def test_what_is_not_settled_yet_is_released_and_what_is_settled_is_given_back(shop: Shop) -> None:
    released, paid = await shop.paid(nonce="fake-valid-nonce"), await shop.paid(nonce="fake-valid-visa-nonce")
    answer = await shop.changes.void(KEEPER, released.id)
    assert (answer.result, answer.order["state"]) == ("done", "voided"), answer
    await bank_settles(shop, paid)
    answer = await shop.changes.refund(KEEPER, paid.id, "4.00")
    assert (answer.result, answer.order["state"]) == ("done", "partly_refunded"), answer


# What needs faults


@pytest.mark.parametrize("keeps_nonce", [True, False], ids=["same server", "after a restart"])
@pytest.mark.parametrize(("fault", "match"), LOST, ids=[fault for fault, _ in LOST])
@deadline(60)
async def test_a_payment_whose_answer_is_lost_is_charged_once_at_most(
    simulator: Simulator, tmp_path: Path, fault: str, match: str, keeps_nonce: bool
) -> None:
    async with shop_of(simulator, tmp_path) as shop:
        simulator.fault(match, fault)
        answer = await shop.pay(nonce="fake-valid-nonce")
        assert (answer.status, answer.result) == (202, "unknown"), answer
        if not keeps_nonce:
            shop.restart()
        await shop.later(60)
        has_worked = "before" not in fault
        state = (await shop.order(answer)).state
        assert state is (OrderState.PAID if has_worked or keeps_nonce else OrderState.CHECKING)
        if state is OrderState.CHECKING:
            await shop.later(800)
            assert (await shop.order(answer)).state is OrderState.OPEN and made(simulator) == []
            assert (await shop.pay(order=answer.order["order"], nonce="fake-valid-nonce")).result == "done"
        assert len(made(simulator)) == 1


@pytest.mark.parametrize("fault", ["work_then_silence", "drop_before_work"])
@deadline(60)
async def test_a_refund_whose_answer_is_lost_is_made_once(simulator: Simulator, tmp_path: Path, fault: str) -> None:
    async with shop_of(simulator, tmp_path) as shop:
        order = await shop.paid(nonce="fake-valid-nonce")
        simulator.settle()
        simulator.fault("POST /transactions/*/refund", fault)
        assert (await shop.changes.refund(KEEPER, order.id, "4.00")).result == "unknown"
        shop.restart()
        await shop.later(60)
        now = await shop.order(order.id)
        assert (now.state, now.refunded.text) == (OrderState.PARTLY_REFUNDED, "4.00")
        assert len(made(simulator, "credit")) == 1


@pytest.mark.parametrize("fault", ["work_then_silence", "drop_before_work"])
@deadline(60)
async def test_a_void_whose_answer_is_lost_is_found_out(simulator: Simulator, tmp_path: Path, fault: str) -> None:
    async with shop_of(simulator, tmp_path) as shop:
        order = await shop.paid(nonce="fake-valid-nonce")
        simulator.fault("PUT /transactions/*/void", fault)
        assert (await shop.changes.void(KEEPER, order.id)).result == "unknown"
        shop.restart()
        await shop.later(60)
        assert (await shop.order(order.id)).state is OrderState.VOIDED


@pytest.mark.parametrize("fault", ["work_then_silence", "drop_before_work"])
@deadline(60)
async def test_a_merchant_without_request_keys_is_charged_for_once_though_searches_lag(
    simulator: Simulator, tmp_path: Path, fault: str
) -> None:
    async with shop_of(simulator, tmp_path) as shop:
        simulator.settings(api_request_keys=False, search_lag_seconds=3600.0)
        try:
            await _pay_without_keys(simulator, shop, fault)
        finally:
            simulator.settings(api_request_keys=True, search_lag_seconds=0.0)


async def _pay_without_keys(simulator: Simulator, shop: Shop, fault: str) -> None:
    assert (await shop.pay(nonce="fake-valid-nonce")).result == "done"
    simulator.fault("POST /transactions", fault)
    answer = await shop.pay(nonce="fake-valid-visa-nonce")
    assert answer.result == "unknown"
    await shop.later(300)
    assert (await shop.order(answer)).state is OrderState.CHECKING
    simulator.ahead(7200)
    await shop.later(700)
    has_worked = "before" not in fault
    assert (await shop.order(answer)).state is (OrderState.PAID if has_worked else OrderState.OPEN)
    assert len(made(simulator)) == 1 + has_worked
    order = (await shop.order(answer)).id if has_worked else ""
    if order:
        simulator.settle()
        simulator.fault("POST /transactions/*/refund", fault)
        assert (await shop.changes.refund(KEEPER, order, "4.00")).result == "unknown"
        simulator.ahead(7200)
        await shop.later(60)
        assert len(made(simulator, "credit")) == 1
