"""The merchant: its keys, and its merchant accounts, each with one currency."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rtserver.simulator.refusals import TRANSACTION, Refused
from rtserver.simulator.shelf import Shelf
from rtserver.simulator.xml_wire import Value

MAX_ACCOUNTS = 1_000


@dataclass(frozen=True, slots=True)
class Keys:
    """Who may call. The private key is never shown."""

    merchant_id: str
    public_key: str
    private_key: str

    def __repr__(self) -> str:
        return f"Keys({self.merchant_id!r}, {self.public_key!r}, ...)"


@dataclass(frozen=True, slots=True)
class MerchantAccount:
    """Where money goes, in one currency. ``status`` is active, pending or suspended."""

    id: str
    currency: str
    default: bool = False
    status: str = "active"

    def view(self) -> dict[str, Value]:
        return {"id": self.id, "currency_iso_code": self.currency, "default": self.default, "status": self.status}


class MerchantAccounts:
    """The first one is the default."""

    def __init__(self, accounts: Iterable[tuple[str, str]]) -> None:
        self.shelf: Shelf[MerchantAccount] = Shelf("merchant accounts", MAX_ACCOUNTS)
        for number, (name, currency) in enumerate(accounts):
            self.shelf.put(name, MerchantAccount(name, currency, default=number == 0))

    @property
    def default(self) -> MerchantAccount:
        return next(iter(self.shelf))

    def choose(self, name: Value, code: str = "91513", place: tuple[str, ...] = TRANSACTION) -> MerchantAccount:
        """The account of that name, the default one without. Raises ``Refused``."""
        found = self.shelf.find(name) if name else self.default
        if found is None:
            raise Refused(code, place)
        if found.status == "suspended":
            raise Refused("91514", place)
        return found
