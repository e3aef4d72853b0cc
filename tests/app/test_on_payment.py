"""What applications do when a payment moves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel
from twisted.internet.defer import Deferred

from rtserver.app import App, Clock, Connection, Payment, Publisher
from rtserver.app.shapes import Invalid
from rtserver.payments.events import OnPayment, PaymentEvent
from tests.app_house import AppHouse

RECORD = {"order": "o1", "item": "book", "amount": "10.00", "currency": "EUR", "state": "paid"}


class Order(BaseModel):
    order: str
    amount: Decimal


def news(kind: str = "payment.paid", **record: Any) -> PaymentEvent:
    return PaymentEvent("e1", kind, "u7", "o1", {**RECORD, **record}, 1_800_000_000_000)


def tell(app: App, event: PaymentEvent) -> None:
    """Raises what the functions raise."""
    functions: list[OnPayment] = [*AppHouse(app).applications.payment_functions()]
    for function in functions:
        done(function(event))


def done(work: Awaitable[None]) -> None:
    failures: list[Any] = []
    Deferred.fromCoroutine(work).addErrback(failures.append)  # type: ignore[arg-type]
    if failures:
        failures[0].raiseException()


def test_every_function_whose_pattern_fits_is_called_with_the_payment() -> None:
    app, heard = App(), list[tuple[str, Payment]]()

    def hearing(pattern: str) -> None:
        @app.on_payment(pattern)
        async def hear(payment: Payment) -> None:
            heard.append((pattern, payment))

    for pattern in ("payment.paid", "payment.*", "*", "payment.refunded", "subscription.*"):
        hearing(pattern)
    tell(app, news())
    assert [pattern for pattern, _ in heard] == ["payment.paid", "payment.*", "*"]
    assert heard[0][1] == Payment("e1", "payment.paid", "u7", "o1", RECORD, 1_800_000_000_000)


def test_keys_of_the_record_and_parts_of_the_kind_are_parameters() -> None:
    app, heard = App(), list[Any]()

    @app.on_payment("payment.{state}")
    async def hear(kind: str, state: str, item: str, amount: Decimal, code: str = "none") -> None:
        heard.append((kind, state, item, amount, code))

    tell(app, news())
    assert heard == [("payment.paid", "paid", "book", Decimal("10.00"), "none")]


def test_the_record_as_a_whole_is_a_model() -> None:
    app, heard = App(), list[Any]()

    @app.on_payment("*")
    async def hear(order: Order) -> None:
        heard.append(order)

    tell(app, news())
    assert heard == [Order(order="o1", amount=Decimal(10))]


def test_a_plain_function_has_a_thread() -> None:
    app, heard = App(), list[str]()

    @app.on_payment("payment.*")
    def hear(payment: Payment) -> None:
        heard.append(payment.id)

    house = AppHouse(app)
    for function in house.applications.payment_functions():
        done(function(news()))
    assert heard == ["e1"] and len(house.threads.functions) == 1


def test_publisher_and_clock_are_given() -> None:
    app, heard = App(), list[Any]()

    @app.on_payment("*")
    async def hear(publisher: Publisher, clock: Clock) -> None:
        await publisher.publish("news", {"paid": True})
        heard.append(clock.now())

    tell(app, news())
    assert len(heard) == 1


def test_what_a_function_raises_and_a_record_that_does_not_fit_go_to_the_delivery_which_tries_again() -> None:
    app = App()

    @app.on_payment("payment.paid")
    async def break_down() -> None:
        raise OSError("no disk")

    @app.on_payment("payment.refunded")
    async def count(refunded: int) -> None: ...

    with pytest.raises(OSError):
        tell(app, news())
    with pytest.raises(Invalid):
        tell(app, news("payment.refunded"))


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda app: app.on_payment("{state}")(_with_connection), "no Connection"),
        (lambda app: app.on_payment("payment.*")(_with_answer), "returns None"),
        (lambda app: app.on_payment("payment.{a b}")(_plain), "write {name}"),
    ],
)
def test_a_function_that_cannot_be_called_is_refused_at_the_start(declare: Callable[[App], Any], words: str) -> None:
    app = App()
    with pytest.raises(TypeError, match=words):
        declare(app)
        AppHouse(app)


async def _with_connection(connection: Connection) -> None: ...


async def _with_answer(payment: Payment) -> int:
    return 1


async def _plain(payment: Payment) -> None: ...
