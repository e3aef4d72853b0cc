"""The table ``rt_users``. Each function takes a database or a transaction; ``norm`` is what is compared of name or address."""

from __future__ import annotations

from typing import NamedTuple

from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.records import Account, NewAccount
from rtserver.core.accounts import MAX_USERNAME, username_norm
from rtserver.core.ports import Row
from rtserver.core.rows import Runs, is_id

NUMBERS = (range(2, 20), range(20, 120), range(1_000, 1_100), range(100_000, 100_100))
"""Numbers that are tried for a name that is taken, a range at a time: few statements even for the thousandth "info"."""

_COLUMNS = "id, username, email, length(coalesce(password_hash, '')), is_active, is_staff, created_at"
"""Not ``password_hash is null``: SQLite 3.40 finds no column of RETURNING to be null."""

_INSERT = f"""
    insert into rt_users (id, username, username_norm, email, email_norm, password_hash, created_at)
    values (?, ?, ?, ?, ?, ?, ?) on conflict (username_norm) do nothing returning {_COLUMNS}
"""


class Norms(NamedTuple):
    """What is compared of the name and the address of a new account."""

    username: str
    email: str


async def find(runs: Runs, id: str) -> Account | None:
    return await _one(runs, "id", id) if is_id(id) else None


async def by_address(runs: Runs, norm: str) -> Account | None:
    return await _one(runs, "email_norm", norm)


async def by_username(runs: Runs, norm: str) -> Account | None:
    return await _one(runs, "username_norm", norm)


async def password_of(runs: Runs, id: str) -> str | None:
    """The hash; None when there is no such account or it has no password."""
    rows = await runs.run("select password_hash from rt_users where id = ?", (id,))
    return rows[0][0] if rows else None


async def create(runs: Runs, new: NewAccount, norms: Norms, now: int) -> Account:
    """A name that is taken gets a number. Raises ``Conflict`` with ``rt_users.email_norm`` when the address has an account,
    and ``AccountRefused`` when even the numbers of the name are taken."""
    username, norm = new.username, norms.username
    while True:
        values = (new.id, username, norm, new.email, norms.email, new.password_hash, now)
        rows = await runs.run(_INSERT, values)
        if rows:
            return _account(rows[0])
        username = await free_username(runs, new.username)
        norm = username_norm(username)


async def free_username(runs: Runs, wanted: str) -> str:
    """``wanted``, or with the first free number: "ada", "ada-2". It is free now, and may be taken by the time of an insert.
    Raises ``AccountRefused`` when there is none."""
    if await by_username(runs, username_norm(wanted)) is None:
        return wanted
    for numbers in NUMBERS:
        names = [_numbered(wanted, number) for number in numbers]
        norms = [username_norm(name) for name in names]
        places = ", ".join("?" * len(norms))
        rows = await runs.run(f"select username_norm from rt_users where username_norm in ({places})", norms)
        taken = {norm for (norm,) in rows}
        for name, norm in zip(names, norms, strict=True):
            if norm not in taken:
                return name
    raise AccountRefused("username_taken", "This name is taken: choose another one.", "username")


async def set_password(runs: Runs, id: str, hash: str) -> None:
    await runs.run("update rt_users set password_hash = ? where id = ?", (hash, id))


async def set_address(runs: Runs, id: str, email: str, norm: str) -> None:
    """Raises ``Conflict`` with ``rt_users.email_norm`` when another account has the address."""
    await runs.run("update rt_users set email = ?, email_norm = ? where id = ?", (email, norm, id))


async def set_staff(runs: Runs, id: str, is_staff: bool) -> None:
    await runs.run("update rt_users set is_staff = ? where id = ?", (is_staff, id))


async def set_active(runs: Runs, id: str, is_active: bool) -> None:
    """The sessions of somebody who is not active are no good from now on; the next sweep drops them."""
    await runs.run("update rt_users set is_active = ? where id = ?", (is_active, id))


def _numbered(name: str, number: int) -> str:
    suffix = f"-{number}"
    return name[: MAX_USERNAME - len(suffix)].rstrip("._-") + suffix


async def _one(runs: Runs, column: str, value: str) -> Account | None:
    if not value.isprintable():
        return None
    rows = await runs.run(f"select {_COLUMNS} from rt_users where {column} = ?", (value,))
    return _account(rows[0]) if rows else None


def _account(row: Row) -> Account:
    id, username, email, has_password, is_active, is_staff, created_at = row
    return Account(id, username, email, bool(has_password), bool(is_active), bool(is_staff), created_at)
