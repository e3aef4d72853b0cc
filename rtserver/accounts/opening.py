"""Opening an account for an address that is proven."""

from __future__ import annotations

from dataclasses import replace

from rtserver.accounts import users
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.parts import Parts
from rtserver.accounts.records import Account, NewAccount
from rtserver.accounts.staff import staff_norms
from rtserver.core.accounts import Address, username_from, username_norm
from rtserver.core.errors import Conflict
from rtserver.core.rows import Runs, ms

EMAIL_TAKEN = "rt_users.email_norm"


async def open_account(
    parts: Parts, runs: Runs, address: Address, username: str = "", password_hash: str | None = None
) -> Account:
    """Within a transaction. ``username`` "" makes one of the address; one that is taken gets a number. Raises ``Conflict``
    (see ``is_address_taken``) when the address has an account."""
    name = username or username_from(address.typed.partition("@")[0])
    new = NewAccount(parts.new_id(), name, address.typed, password_hash)
    norms = users.Norms(username_norm(name), address.norm)
    account = await users.create(runs, new, norms, ms(parts.unix()))
    if address.norm not in staff_norms(parts.options):
        return account
    await users.set_staff(runs, account.id, True)
    return replace(account, is_staff=True)


def address_taken() -> AccountRefused:
    return AccountRefused(
        "address_taken",
        "This address has an account already: sign in, or let us send you a letter for a new password.",
        "email",
        409,
    )


def is_address_taken(error: Conflict) -> bool:
    return error.constraint == EMAIL_TAKEN
