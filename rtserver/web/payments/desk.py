"""What the endpoints and the page of payments are made of."""

from __future__ import annotations

from dataclasses import dataclass

from rtserver.payments.changes import Changes
from rtserver.payments.checkout import Checkout
from rtserver.payments.currencies import Currencies
from rtserver.payments.disputes import Disputes
from rtserver.payments.options import PaymentsOptions
from rtserver.payments.parts import Parts
from rtserver.payments.reports import Reports
from rtserver.payments.subscribing import Subscribing
from rtserver.payments.subscriptions import Subscriptions
from rtserver.payments.vault import Vault
from rtserver.payments.webhooks import Webhooks
from rtserver.web.accounts.desk import Desk as Accounts
from rtserver.web.payments.templates import PaymentPages


@dataclass(frozen=True, slots=True)
class Flows:
    """What payments can do."""

    checkout: Checkout
    changes: Changes
    vault: Vault
    subscriptions: Subscriptions
    subscribing: Subscribing
    disputes: Disputes
    webhooks: Webhooks
    reports: Reports
    currencies: Currencies


@dataclass(frozen=True, slots=True)
class Desk:
    """``accounts`` knows who is signed in, guards what browsers send, and logs."""

    accounts: Accounts
    parts: Parts
    flows: Flows
    pages: PaymentPages

    @property
    def options(self) -> PaymentsOptions:
        return self.parts.options

    @property
    def seconds(self) -> float:
        """For an endpoint that asks the gateway: a call that moves money, and two before it at most (the vault)."""
        return 3 * self.parts.deadline + 5.0
