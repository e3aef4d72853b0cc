"""What every flow of payments is made of, and who asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from rtserver.core.ports import Database, Transaction
from rtserver.core.rows import ms
from rtserver.payments.options import PaymentsOptions
from rtserver.payments.ports import Gateway

MARGIN = 2.0
"""Seconds that a call may take beyond the time limits of its connection, until its outcome counts as unknown."""


@dataclass(frozen=True, slots=True)
class Parts:
    """``reactor`` gives timers, ``unix`` seconds since 1970. ``token(n)`` is a text made of ``n`` random bytes
    (``secrets.token_urlsafe``), ``new_id()`` the id of a new row. ``key`` makes digests that nobody can try out.
    ``publish(transaction, channel, json)`` publishes when the transaction commits, and only then."""

    database: Database
    gateway: Gateway
    options: PaymentsOptions
    reactor: Any
    unix: Callable[[], float]
    token: Callable[[int], str]
    new_id: Callable[[], str]
    key: bytes = field(repr=False)
    publish: Callable[[Transaction, str, str], Awaitable[None]]

    @property
    def now(self) -> int:
        return ms(self.unix())

    @property
    def deadline(self) -> float:
        """Seconds for one call that moves money."""
        return self.options.connect_timeout + self.options.timeout + MARGIN


@dataclass(frozen=True, slots=True)
class Payer:
    """Who asks: a person of ours."""

    id: str
    email: str = ""
    name: str = ""
    is_staff: bool = False


class Customers(Protocol):
    """People in the vault of the gateway, as far as paying needs them."""

    async def customer(self, payer: Payer) -> str:
        """The id of this person's customer; made at the gateway when there is none. Raises ``GatewayAway`` or
        ``GatewayRefused``."""

    async def refresh(self, user_id: str) -> None:
        """The gateway may have saved a payment method of this person while it was used: read them anew."""
