"""Whatever goes wrong, in whatever order: in the end the books are those of the gateway, and nobody has paid twice."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from rtserver.payments.errors import GatewayAway, PaymentRefused
from rtserver.payments.moves import is_open
from rtserver.payments.records import AttemptState, Op, Order, OrderState
from tests.payments.fake_gateway import (
    OVER,
    Way,
    approves,
    breaks,
    is_busy,
    is_lost_on_the_way,
    refuses,
    works,
    works_then_loses_the_answer,
)
from tests.payments.shop import ADA, KEEPER, Check, Shop, refusal

STEPS = 12
ORDERS = 6

WAYS: tuple[Way, ...] = (
    works,
    works,
    works_then_loses_the_answer,
    works_then_loses_the_answer,
    is_lost_on_the_way,
    is_busy,
    breaks,
    refuses(AttemptState.ERROR, "not_connected"),
    refuses(AttemptState.INVALID, "915231"),
)
SALE_WAYS = (*WAYS, approves(300), refuses(AttemptState.DECLINED, "2000"), refuses(AttemptState.REJECTED, "fraud"))

LATER = {"authorized": "voided", "submitted_for_settlement": "settled", "settled": "settled"}
"""What the gateway does to a sale by itself."""


class Fate:
    """One order and what happens to it, by the numbers of ``chance``."""

    def __init__(self, shop: Shop, order: Order, chance: random.Random) -> None:
        self._shop = shop
        self._order = order
        self._chance = chance

    async def live(self) -> None:
        steps: tuple[Callable[[], Awaitable[object]], ...] = (
            self._pay, self._pay, self._pay, self._settle, self._void, self._refund, self._refund,
            self._reverse, self._wait, self._wait, self._restart, self._move, self._repeat,
        )  # fmt: skip
        for _ in range(STEPS):
            gateway = self._shop.gateway
            gateway.blind = self._chance.choice((0, 0, 1, 3))
            gateway.is_away = self._chance.random() < 0.1
            for op in (Op.SETTLE, Op.VOID, Op.REFUND):
                gateway.will(op, self._chance.choice(WAYS))
            gateway.will(Op.SALE, self._chance.choice(SALE_WAYS))
            try:
                await self._chance.choice(steps)()
            except (PaymentRefused, GatewayAway):
                continue

    async def _pay(self) -> object:
        return await self._shop.pay(order=self._order.id)

    async def _settle(self) -> object:
        amount, more = self._chance.choice((("", False), ("30.00", True), ("30.00", False)))
        return await self._shop.changes.settle(KEEPER, self._order.id, amount, more)

    async def _void(self) -> object:
        return await self._shop.changes.void(KEEPER, self._order.id)

    async def _refund(self) -> object:
        return await self._shop.changes.refund(KEEPER, self._order.id, self._chance.choice(("", "4.00", "7.00")))

    async def _reverse(self) -> object:
        return await self._shop.changes.reverse(KEEPER, self._order.id)

    async def _wait(self) -> None:
        await self._shop.later(self._chance.choice((1, 20, 100, 700)))

    async def _restart(self) -> None:
        await self._shop.quiet()
        self._shop.restart()

    async def _move(self) -> None:
        """The gateway goes on by itself, and says so, sometimes twice, or not at all."""
        sales = [each for each in self._shop.gateway.charged() if each.status in LATER]
        if sales:
            sale = self._chance.choice(sales)
            seen = self._shop.gateway.set_status(sale.id, LATER[sale.status])
            for _ in range(self._chance.choice((0, 1, 2))):
                await self._shop.calls.observe(seen)

    async def _repeat(self) -> None:
        """Old word of the gateway comes again."""
        known = list(self._shop.gateway.transactions.values())
        if known:
            await self._shop.calls.observe(self._chance.choice(known))


async def _in_the_end(shop: Shop) -> None:
    shop.gateway.ways.clear()
    shop.gateway.blind, shop.gateway.is_away = 0, False
    for _ in range(3):
        await shop.later(3000)
        for each in list(shop.gateway.transactions.values()):
            await shop.calls.observe(each)
        await shop.quiet()


async def _compare(shop: Shop, order_id: str) -> None:
    order = await shop.order(order_id)
    tried = await shop.attempts(order)
    assert not any(is_open(each) for each in tried)
    ids = {each.id for each in tried}
    known = [each for each in shop.gateway.transactions.values() if each.order_id in ids]
    parents = {each.parent for each in known if each.kind == "sale"}
    live = [each for each in known if each.status not in OVER and each.id not in parents]
    sales = sum(each.amount.minor for each in live if each.kind == "sale")
    credits = sum(each.amount.minor for each in live if each.kind == "credit")
    assert order.refunded.minor <= order.captured.minor <= order.price.minor
    kept = order.price.minor if order.state is OrderState.AUTHORIZED else order.captured.minor - order.refunded.minor
    assert sales - credits == kept, (order, known)
    if order.state is OrderState.OPEN:
        assert (await shop.pay(order=order.id)).result == "done"
    else:
        over = {OrderState.VOIDED, OrderState.REFUNDED, OrderState.FAILED}
        sales_before = shop.gateway.count(Op.SALE)
        if order.state in over:
            await refusal(shop.pay(order=order.id))
        else:
            assert (await shop.pay(order=order.id)).result == "done"
        assert shop.gateway.count(Op.SALE) == sales_before


def _fate(seed: int) -> Check:
    async def check(shop: Shop) -> None:
        chance = random.Random(seed)
        orders = [await shop.checkout.start_order(ADA, chance.choice(("book", "room"))) for _ in range(ORDERS)]
        for order in orders:
            await Fate(shop, order, chance).live()
        await _in_the_end(shop)
        for order in orders:
            await _compare(shop, order.id)

    check.__name__ = f"check_the_books_are_right_in_the_end_{seed}"
    return check


FATES_CHECKS = [_fate(seed) for seed in range(8)]
