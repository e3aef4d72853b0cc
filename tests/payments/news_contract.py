"""What pages and applications are told, on every database."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred

from rtserver.payments import events
from rtserver.payments.events import EventDelivery, PaymentEvent
from rtserver.payments.records import AttemptState, Op
from tests.payments.fake_gateway import refuses, works_then_loses_the_answer
from tests.payments.shop import ADA, KEEPER, Shop, checks_of


class App:
    """Keeps what it is told. ``fails``: so many calls raise."""

    def __init__(self, fails: int = 0) -> None:
        self.told: list[PaymentEvent] = []
        self.fails = fails
        self.calls = 0

    async def __call__(self, event: PaymentEvent) -> None:
        self.calls += 1
        if self.fails:
            self.fails -= 1
            raise RuntimeError("the application is away")
        self.told.append(event)

    @property
    def kinds(self) -> list[str]:
        return [each.kind for each in self.told]


async def delivering(shop: Shop, *functions: Callable[[PaymentEvent], Awaitable[None]]) -> EventDelivery:
    delivery = EventDelivery(shop.parts, functions)
    await delivery.start()
    return delivery


async def states(shop: Shop) -> list[str]:
    rows = await shop.database.run("select state from rt_pay_events order by number")
    return [state for (state,) in rows]


async def until_states(shop: Shop, *wanted: str, step: float = 1.0) -> None:
    while await states(shop) != list(wanted):
        await shop.turn()
        shop.clock.advance(step)


async def check_the_application_is_told_of_a_payment_with_its_record(shop: Shop) -> None:
    app = App()
    delivery = await delivering(shop, app)
    answer = await shop.pay()
    await until_states(shop, "done")
    await delivery.stop()
    (event,) = app.told
    assert (event.kind, event.user_id, event.order_id) == ("payment.paid", ADA.id, answer.order["order"])
    assert event.record == answer.order and event.created_at == 1_800_000_000_000


async def check_pages_of_the_payer_and_of_staff_are_told_the_same(shop: Shop) -> None:
    await shop.pay()
    rows = await shop.database.run("select channel, data from rt_outbox order by id")
    (own, to_payer), (staff, to_staff) = ((channel, json.loads(data)) for channel, data in rows)
    assert (own, staff) == ("user:u-ada", "staff:payments")
    assert to_staff.pop("user") == "u-ada" and to_staff == to_payer
    assert to_payer["record"]["state"] == "paid" and to_payer["kind"] == "payment.paid"


async def check_what_fails_is_told_again_until_it_succeeds(shop: Shop) -> None:
    app = App(fails=3)
    delivery = await delivering(shop, app)
    await shop.pay()
    await until_states(shop, "done")
    await delivery.stop()
    assert app.kinds == ["payment.paid"] and app.calls == 4
    assert shop.clock.seconds() >= 5 + 10 + 20


async def check_an_order_is_told_in_order_while_others_go_on(shop: Shop) -> None:
    shop.gateway.will(Op.SALE, refuses(AttemptState.DECLINED, "2000"))
    first = await shop.pay()
    await shop.pay(order=first.order["order"])
    await shop.pay(item="room")
    app = App(fails=1)
    delivery = await delivering(shop, app)
    await until_states(shop, "done", "done", "done")
    await delivery.stop()
    assert app.kinds == ["payment.authorized", "payment.open", "payment.paid"]


async def check_every_function_is_told_and_one_that_fails_does_not_silence_the_others(shop: Shop) -> None:
    good, bad = App(), App(fails=2)
    delivery = await delivering(shop, good, bad)
    await shop.pay()
    await until_states(shop, "done")
    await delivery.stop()
    assert bad.kinds == ["payment.paid"] and good.kinds == ["payment.paid"] * 3
    assert len({each.id for each in good.told}) == 1


async def check_an_event_is_given_up_after_days(shop: Shop) -> None:
    app = App(fails=10**6)
    delivery = await delivering(shop, app)
    await shop.pay()
    await until_states(shop, "failed", step=600.0)
    await delivery.stop()
    assert app.calls == events.TRIES and shop.clock.seconds() > 3 * 86_400


async def check_a_function_that_hangs_is_tried_again(shop: Shop) -> None:
    hung: Deferred[None] = Deferred()
    calls: list[str] = []

    async def hangs(event: PaymentEvent) -> None:
        calls.append(event.kind)
        if len(calls) == 1:
            await hung

    delivery = await delivering(shop, hangs)
    await shop.pay()
    await until_states(shop, "done", step=10.0)
    await delivery.stop()
    assert calls == ["payment.paid"] * 2


async def check_an_order_whose_function_never_ends_keeps_no_other_order_waiting(shop: Shop) -> None:
    """Neither now nor at the end: a plain function in a thread cannot be cancelled."""
    first = await shop.pay()
    told: list[str] = []

    class Thread(Deferred[None]):
        def cancel(self) -> None:
            """It goes on."""

    async def hangs(event: PaymentEvent) -> None:
        if event.order_id == first.order["order"]:
            await Thread()
        told.append(event.order_id)

    delivery = await delivering(shop, hangs)
    for _ in range(3):
        second = await shop.pay()
        while second.order["order"] not in told:
            await shop.turn()
            shop.clock.advance(0.1)
    assert shop.clock.seconds() < events.TIME_LIMIT
    stopping = Deferred.fromCoroutine(delivery.stop())
    while not stopping.called:
        await shop.turn()
        shop.clock.advance(1.0)
    assert (await states(shop))[0] == "new"


async def check_what_was_not_told_before_the_end_is_told_after_the_next_start(shop: Shop) -> None:
    first = App(fails=1)
    delivery = await delivering(shop, first)
    shop.gateway.will(Op.SALE, works_then_loses_the_answer)
    await shop.pay()
    await shop.until(lambda: first.calls == 1)
    await delivery.stop()
    second = App()
    shop.restart()
    await shop.later(30)
    delivery = await delivering(shop, second)
    await until_states(shop, "done", "done")
    await delivery.stop()
    assert second.kinds == ["payment.checking", "payment.paid"]


async def check_without_an_application_nothing_piles_up(shop: Shop) -> None:
    for _ in range(3):
        await shop.pay()
    delivery = await delivering(shop)
    await until_states(shop, "done", "done", "done")
    shop.clock.advance(91 * 86_400)
    while await states(shop):
        await shop.turn()
        shop.clock.advance(1.0)
    await delivery.stop()


async def check_a_refund_that_is_refused_is_no_news(shop: Shop) -> None:
    order = await shop.settled()
    shop.gateway.will(Op.REFUND, refuses(AttemptState.INVALID, "91506"))
    await shop.changes.refund(KEEPER, order.id)
    assert await shop.news() == ["payment.paid", "payment.settled"]


NEWS_CHECKS = checks_of(globals())
