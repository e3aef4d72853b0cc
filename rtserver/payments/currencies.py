"""Whether items are priced in the currency of the merchant account that they are paid into.

A merchant account has one currency, and the gateway takes the number of a price as an amount of it, whatever was meant
(https://developer.paypal.com/braintree/docs/reference/request/transaction/sale, ``merchant_account_id``). A payment of another
currency than that of its item is undone, so such an item can never be bought.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rtserver.core.errors import RtError
from rtserver.payments import items
from rtserver.payments.errors import GatewayAway, GatewayRefused, PaymentRefused
from rtserver.payments.parts import Parts
from rtserver.payments.records import MerchantAccount, SaleItem

_log = Logger()

EVERY = 3600.0
"""Seconds from one look at all items to the next: SQL changes them too, and the gateway's accounts change."""
AGAIN = 60.0
"""Seconds after a look that could not be had; twice as many after each further one in a row."""
MOST_NAMED = 10
"""Accounts that one sentence names."""


class Mistake(NamedTuple):
    """``field`` is what is wrong of the item; the sentence says what to change."""

    code: str
    field: str
    sentence: str


class Currencies:
    """Looks at all items that are on sale from ``start`` to ``stop``, in the background, and warns once of each mistake. Every
    node does, and says it in its own log."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._is_open = False
        self._going: Deferred[None] | None = None
        self._told: set[tuple[str, Mistake]] = set()
        self._failures = 0
        self._trouble = ""

    async def start(self) -> None:
        """Waits for nothing."""
        self._is_open = True
        self._going = Deferred.fromCoroutine(self._go())
        self._going.addErrback(_ended)

    async def stop(self) -> None:
        self._is_open = False
        if self._going is not None:
            self._going.cancel()
            await self._going

    async def check(self, item: SaleItem) -> None:
        """Raises ``PaymentRefused`` for an item that could not be bought. While the gateway is away nothing is refused: a later
        look tells."""
        if not item.is_active:
            return
        try:
            accounts = await self._parts.gateway.merchant_accounts()
        except (GatewayAway, GatewayRefused) as error:
            self._tell(error)
            return
        mistake = self._mistake(item, accounts)
        if mistake is not None:
            raise PaymentRefused(mistake.code, mistake.sentence, mistake.field, 422)

    async def look(self) -> float:
        """Look once. Returns the seconds until the next time."""
        try:
            accounts = await self._parts.gateway.merchant_accounts()
            found = await items.listed(self._parts.database)
        except RtError as error:
            self._tell(error)
            self._failures += 1
            return min(EVERY, AGAIN * 2.0 ** min(self._failures - 1, 10))
        self._failures, self._trouble = 0, ""
        mistakes = {(each.id, mistake) for each in found if (mistake := self._mistake(each, accounts))}
        for item, mistake in sorted(mistakes - self._told):
            _log.warn("item {item} cannot be bought: {why}", item=item, why=mistake.sentence)
        self._told = mistakes
        return EVERY

    async def _go(self) -> None:
        seconds = await self.look()
        while self._is_open:
            await deferLater(self._parts.reactor, seconds)
            seconds = await self.look()

    def _tell(self, error: RtError) -> None:
        """Once for each trouble, until a look is had."""
        if self._trouble != str(error):
            self._trouble = str(error)
            _log.info("the currencies of merchant accounts cannot be learned now: {why}", why=str(error))

    def _mistake(self, item: SaleItem, accounts: Sequence[MerchantAccount]) -> Mistake | None:
        """None also when that cannot be said."""
        name = item.merchant_account or self._parts.options.merchant_account
        account = next((each for each in accounts if (each.id == name if name else each.is_default)), None)
        if account is None:
            return _unknown(name, accounts) if name and accounts else None
        if account.currency == item.price.currency:
            return None
        return _other_currency(item, account, accounts)


def _unknown(name: str, accounts: Sequence[MerchantAccount]) -> Mistake:
    known = ", ".join(f"{each.id} ({each.currency})" for each in accounts[:MOST_NAMED])
    sentence = f"The gateway has no merchant account {name}: take one that it has, such as {known}."
    return Mistake("no_merchant_account", "merchant_account", sentence)


def _other_currency(item: SaleItem, account: MerchantAccount, accounts: Sequence[MerchantAccount]) -> Mistake:
    asked = item.price.currency
    fitting = " or ".join([each.id for each in accounts if each.currency == asked][:MOST_NAMED])
    into = f"pay it into {fitting}" if fitting else f"have Braintree open a merchant account for {asked}"
    sentence = (
        f"Its merchant account {account.id} takes {account.currency}, not {asked}: price it in {account.currency}"
    )
    return Mistake("other_currency", "currency", f"{sentence}, or {into}.")


def _ended(failure: Any) -> None:
    if not failure.check(CancelledError):
        _log.failure("looking at the currencies of items ended", failure)
