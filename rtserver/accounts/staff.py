"""Who is staff: the accounts whose addresses ``accounts.staff`` names, and nobody else."""

from __future__ import annotations

from rtserver.accounts import users
from rtserver.accounts.options import AccountsOptions
from rtserver.core.accounts import parse_address
from rtserver.core.ports import Database, Transaction


def staff_norms(options: AccountsOptions) -> frozenset[str]:
    """Raises ``BadAddress`` for what is no address."""
    return frozenset(parse_address(each).norm for each in options.staff)


async def appoint(database: Database, options: AccountsOptions) -> list[str]:
    """Bring the accounts to what the options say now. Returns the ids of those who are no longer staff."""
    norms = staff_norms(options)

    async def work(transaction: Transaction) -> list[str]:
        for norm in sorted(norms):
            await transaction.run("update rt_users set is_staff = 1 where email_norm = ?", (norm,))
        found = await transaction.run("select id, email_norm from rt_users where is_staff = 1")
        gone = [user_id for user_id, norm in found if norm not in norms]
        for user_id in gone:
            await users.set_staff(transaction, user_id, False)
        return gone

    return await database.transact(work)
