"""The endpoints of payments and their page, all below /payment.

``Desk`` holds what they are made of. ``payment_endpoints`` are for people, ``payment_backend_endpoints`` for programs with the
API key. ``payment_givers`` belong to the givers of all endpoints, so that those of applications may ask for a ``Person`` or for
``Staff`` too. A server that speaks to the simulator writes down ``samples.put_items`` at its start.
"""

from __future__ import annotations

from functools import partial

from rtserver.app.endpoint import Endpoint, HTTPError
from rtserver.app.parameters import Given
from rtserver.core.errors import Refused
from rtserver.web.endpoints import Giver, TwistedIncoming
from rtserver.web.payments.buying import Buying
from rtserver.web.payments.desk import Desk, Flows
from rtserver.web.payments.disputes import Disputes
from rtserver.web.payments.methods import Methods
from rtserver.web.payments.news import payment_channels
from rtserver.web.payments.orders import Orders
from rtserver.web.payments.page import Page
from rtserver.web.payments.people import Asked, Person, Staff
from rtserver.web.payments.reports import Reconciling
from rtserver.web.payments.stock import Stock
from rtserver.web.payments.subscriptions import Subscriptions
from rtserver.web.payments.templates import PaymentPages
from rtserver.web.payments.webhooks import WebhookDoor

__all__ = [
    "Desk",
    "Flows",
    "PaymentPages",
    "Person",
    "Staff",
    "payment_backend_endpoints",
    "payment_channels",
    "payment_endpoints",
    "payment_givers",
]

NOUNS = (Buying, Orders, Methods, Subscriptions, Disputes, Stock, Reconciling, WebhookDoor, Page)
"""In the order of the documentation."""


def payment_endpoints(desk: Desk) -> list[Endpoint]:
    return [endpoint for noun in NOUNS for endpoint in noun(desk).endpoints()]


def payment_backend_endpoints(desk: Desk) -> list[Endpoint]:
    return Reconciling(desk).backend_endpoints()


def payment_givers(desk: Desk) -> dict[type[Given], Giver]:
    """For endpoints of applications: ``Person | None`` is None when nobody is signed in."""

    async def give(kind: type[Given], incoming: TwistedIncoming) -> Given | None:
        try:
            return await Asked(incoming, desk).give(kind)
        except Refused as error:
            if error.status == 401:
                return None
            raise HTTPError(error.status, error.sentence) from error

    return {kind: partial(give, kind) for kind in (Person, Staff)}
