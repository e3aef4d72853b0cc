"""Attempts and sales of tests that speak to a gateway."""

from dataclasses import replace
from uuid import uuid4

from twisted.internet import reactor

from rtserver.core.payments import Money
from rtserver.payments.options import PaymentsOptions
from rtserver.payments.records import Attempt, AttemptState, Op, Sale
from rtserver.services.gateway_braintree import BraintreeGateway
from tests.live.simulator_process import MERCHANT, PRIVATE_KEY, PUBLIC_KEY

OPTIONS = PaymentsOptions(merchant_id=MERCHANT, public_key=PUBLIC_KEY, private_key=PRIVATE_KEY, connect_timeout=2)


def attempt(op=Op.SALE, minor=1000, target="", **more):
    key = uuid4().hex
    known = dict(state=AttemptState.SENDING, gateway_id="", code="", sentence="", sent_at=0, answered_at=0, checks=0)
    known |= {"next_check_at": 0, **more}
    amount = Money(minor, "USD")
    return Attempt(id=f"t-{key}", order_id="o", op=op, api_request_key=key, amount=amount, target=target, **known)


def sale(made=None, is_held=False, **more):
    return Sale(made or attempt(), is_held, **{"nonce": "fake-valid-nonce", **more})


def repeated(given):
    """As the reconciler asks: the identical call, of an attempt that was looked for."""
    return replace(given, attempt=replace(given.attempt, state=AttemptState.UNKNOWN, checks=1))


class Gateways:
    """Gateways of one test, all of them stopped at its end."""

    def __init__(self, url):
        self._url = url
        self._made = []

    async def __call__(self, environment=None, **changes):
        options = replace(OPTIONS, **{"simulator_url": self._url, **changes})
        self._made.append(BraintreeGateway(options, reactor, environment))
        await self._made[-1].start()
        return self._made[-1]

    async def stop(self):
        for gateway in self._made:
            await gateway.stop()
