"""The table ``rt_identities``: by what providers know the people of ``rt_users``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtserver.accounts.records import Identity
from rtserver.accounts.rows import printable
from rtserver.core.ports import Row
from rtserver.core.rows import Runs, as_json, is_id, of_json

LONGEST_HANDLE = 200

_COLUMNS = "id, user_id, provider, id_key, uid, handle, extra, created_at"


async def find(runs: Runs, provider: str, id_key: str | None, uid: str) -> Identity | None:
    """``id_key`` "" means an identity without a key, None whatever key; then several may fit, and there is no telling which
    person is meant: that is none."""
    sql = f"select {_COLUMNS} from rt_identities where provider = ? and uid = ?"
    if id_key is None:
        rows = await runs.run(f"{sql} limit 2", (provider, uid))
    else:
        rows = await runs.run(f"{sql} and id_key = ?", (provider, uid, id_key))
    return _identity(rows[0]) if len(rows) == 1 else None


async def of_user(runs: Runs, user_id: str) -> list[Identity]:
    """The oldest first."""
    sql = f"select {_COLUMNS} from rt_identities where user_id = ? order by created_at, id"
    return [_identity(row) for row in await runs.run(sql, (user_id,))]


async def count(runs: Runs, user_id: str) -> int:
    ((number,),) = await runs.run("select count(*) from rt_identities where user_id = ?", (user_id,))
    return int(number)


async def create(runs: Runs, new: Identity) -> None:
    """Raises ``Conflict`` with ``rt_identities.provider,id_key,uid`` when the identity belongs to an account already."""
    handle, extra = printable(new.handle, LONGEST_HANDLE), as_json(new.extra)
    await runs.run(
        f"insert into rt_identities ({_COLUMNS}, modified_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (new.id, new.user_id, new.provider, new.id_key, new.uid, handle, extra, new.created_at, new.created_at),
    )


async def set_extra(runs: Runs, id: str, extra: Mapping[str, Any], handle: str, now: int) -> None:
    await runs.run(
        "update rt_identities set extra = ?, handle = ?, modified_at = ? where id = ?",
        (as_json(extra), printable(handle, LONGEST_HANDLE), now, id),
    )


async def move(runs: Runs, id: str, id_key: str, uid: str, now: int) -> bool:
    """A provider calls the same person by something else now. False when there is no such identity. Raises ``Conflict`` as
    ``create``."""
    sql = "update rt_identities set id_key = ?, uid = ?, modified_at = ? where id = ? returning id"
    return bool(await runs.run(sql, (id_key, uid, now, id)))


async def remove(runs: Runs, user_id: str, id: str) -> bool:
    """False when this person has no such identity."""
    if not is_id(id):
        return False
    return bool(await runs.run("delete from rt_identities where id = ? and user_id = ? returning id", (id, user_id)))


def _identity(row: Row) -> Identity:
    id, user_id, provider, id_key, uid, handle, extra, created_at = row
    return Identity(id, user_id, provider, id_key, uid, handle, of_json(extra), created_at)
