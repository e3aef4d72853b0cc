"""The payments of the server, put together: a part of ``tap``."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from rtserver.app.endpoint import Endpoint
from rtserver.app.parameters import Given
from rtserver.config import Config
from rtserver.core.errors import CannotStart, RtError
from rtserver.core.ports import Database, Transaction
from rtserver.payments.calls import Calls
from rtserver.payments.changes import Changes
from rtserver.payments.checkout import Checkout
from rtserver.payments.currencies import Currencies
from rtserver.payments.disputes import Disputes
from rtserver.payments.events import EventDelivery, OnPayment
from rtserver.payments.ledger import Ledger
from rtserver.payments.parts import Parts
from rtserver.payments.reconciler import Reconciler
from rtserver.payments.reports import Reports
from rtserver.payments.subscribing import Subscribing
from rtserver.payments.subscriptions import Subscriptions
from rtserver.payments.vault import Vault
from rtserver.payments.webhooks import Webhooks
from rtserver.services import GATEWAYS
from rtserver.services.outbox import put
from rtserver.services.simulator_process import SimulatorProcess
from rtserver.web.accounts.desk import Desk as AccountsDesk
from rtserver.web.endpoints import Giver
from rtserver.web.payments import (
    Desk,
    Flows,
    PaymentPages,
    payment_backend_endpoints,
    payment_channels,
    payment_endpoints,
    payment_givers,
)
from rtserver.web.payments.samples import put_items


async def publish(transaction: Transaction, channel: str, data: str) -> None:
    await put(transaction, channel, data)


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


class Payments:
    """``functions`` of applications are told of everything. Raises ``CannotStart``."""

    def __init__(
        self, reactor: Any, config: Config, database: Database, accounts: AccountsDesk, functions: Sequence[OnPayment]
    ) -> None:
        options = config.payments
        runs_simulator = options.mode == "simulator" and options.start_simulator
        if runs_simulator:
            options = replace(options, simulator_url=f"http://127.0.0.1:{free_port()}")
        module, _, name = GATEWAYS["braintree"].partition(":")
        try:
            self.gateway = getattr(import_module(module), name)(options, reactor)
            pages = PaymentPages(config.accounts.templates)
        except (RtError, ValueError) as error:
            raise CannotStart(str(error)) from error
        parts = self.parts = Parts(
            database=database,
            gateway=self.gateway,
            options=options,
            reactor=reactor,
            unix=time.time,
            token=secrets.token_urlsafe,
            new_id=lambda: uuid.uuid4().hex,
            key=hmac.new(config.accounts.secret_key.encode(), b"payments", hashlib.sha256).digest(),
            publish=publish,
        )
        self._calls = calls = Calls(parts, Ledger(parts))
        self.gateway.late = calls.late
        vault = Vault(parts)
        subscriptions, disputes = Subscriptions(parts, vault), Disputes(parts, calls)
        subscribing = Subscribing(parts, calls, vault, subscriptions)
        self._webhooks = Webhooks(parts, calls, subscriptions, disputes)
        self._reports = Reports(parts, calls)
        self._reconciler = Reconciler(parts, calls, subscribing.looks)
        self._events = EventDelivery(parts, functions)
        self._currencies = Currencies(parts)
        flows = Flows(
            checkout=Checkout(parts, calls, vault),
            changes=Changes(parts, calls),
            vault=vault,
            subscriptions=subscriptions,
            subscribing=subscribing,
            disputes=disputes,
            webhooks=self._webhooks,
            reports=self._reports,
            currencies=self._currencies,
        )
        self.desk = Desk(accounts, parts, flows, pages)
        self.channels = payment_channels(options)
        self._simulator = SimulatorProcess(options.simulator_url, reactor) if runs_simulator else None

    def endpoints(self) -> list[Endpoint]:
        """For people."""
        return payment_endpoints(self.desk)

    def backend_endpoints(self) -> list[Endpoint]:
        """For programs with the API key."""
        return payment_backend_endpoints(self.desk)

    def givers(self) -> dict[type[Given], Giver]:
        return payment_givers(self.desk)

    # Running

    async def start(self) -> None:
        if self._simulator is not None:
            await self._simulator.start()
        if self.parts.options.mode == "simulator":
            await put_items(self.parts.database, self.parts.now)
        await self.gateway.start()
        for each in self._workers:
            await each.start()

    async def stop(self) -> None:
        """What moves money comes to its end first."""
        for each in self._workers:
            await each.stop()
        await self._calls.stop()
        await self.gateway.stop()
        if self._simulator is not None:
            await self._simulator.stop()

    @property
    def _workers(self) -> Sequence[Any]:
        return (self._reconciler, self._webhooks, self._events, self._reports, self._currencies)
