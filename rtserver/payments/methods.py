"""The table ``rt_pay_methods``: saved payment methods, as far as people need to tell them apart.

The row of a method that is about to be saved has no kind yet: it is written before the gateway is asked, so that a lost answer
is found again.
"""

from __future__ import annotations

from dataclasses import dataclass

from rtserver.core.ports import Row
from rtserver.core.rows import Runs, is_id
from rtserver.payments.records import SavedMethod

MOST = 50
"""Methods of one person."""

_COLUMNS = "token, user_id, kind, brand, last4, expires, is_default, created_at, removed_at"

_BEGIN = "insert into rt_pay_methods (token, user_id, kind, created_at) values (?, ?, '', ?)"
_SAVE = """
    insert into rt_pay_methods (token, user_id, kind, brand, last4, expires, is_default, created_at)
    values (?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (token) do update set
        kind = excluded.kind, brand = excluded.brand, last4 = excluded.last4, expires = excluded.expires,
        is_default = excluded.is_default
    where rt_pay_methods.user_id = excluded.user_id
"""
_DEFAULT = "update rt_pay_methods set is_default = case when token = ? then 1 else 0 end where user_id = ?"
_ABANDON = "delete from rt_pay_methods where token = ? and kind = ''"
_REMOVE = "update rt_pay_methods set removed_at = ?, is_default = 0 where token = ? and removed_at is null"


@dataclass(frozen=True, slots=True)
class KeptMethod:
    """``created_at`` and ``removed_at`` (0: it is there) in milliseconds since 1970."""

    user_id: str
    method: SavedMethod
    created_at: int
    removed_at: int

    @property
    def is_saved(self) -> bool:
        """Whether the gateway is known to have it."""
        return bool(self.method.kind)

    @property
    def is_usable(self) -> bool:
        return self.is_saved and not self.removed_at


async def begin(runs: Runs, token: str, user_id: str, now: int) -> None:
    """It is about to be saved. Raises ``Conflict`` when this was begun before."""
    await runs.run(_BEGIN, (token, user_id, now))


async def abandon(runs: Runs, token: str) -> None:
    """It was not saved after all."""
    await runs.run(_ABANDON, (token,))


async def save(runs: Runs, user_id: str, method: SavedMethod, now: int) -> None:
    """As the gateway has it. The method of somebody else stays as it is."""
    facts = (method.kind or "other", method.brand, method.last4, method.expires, method.is_default)
    await runs.run(_SAVE, (method.token, user_id, *facts, now))


async def choose(runs: Runs, user_id: str, token: str) -> None:
    """From now on this is the default one, and no other."""
    await runs.run(_DEFAULT, (token, user_id))


async def remove(runs: Runs, token: str, now: int) -> None:
    await runs.run(_REMOVE, (now, token))


async def find(runs: Runs, token: str) -> KeptMethod | None:
    if not is_id(token):
        return None
    rows = await runs.run(f"select {_COLUMNS} from rt_pay_methods where token = ?", (token,))
    return _kept(rows[0]) if rows else None


async def of_user(runs: Runs, user_id: str) -> list[KeptMethod]:
    """Those that were not removed, also those that are about to be saved; the default one first, then the latest."""
    sql = f"""
        select {_COLUMNS} from rt_pay_methods where user_id = ? and removed_at is null
        order by is_default desc, created_at desc, token limit {MOST * 2}
    """
    return [_kept(row) for row in await runs.run(sql, (user_id,))]


def _kept(row: Row) -> KeptMethod:
    token, user_id, kind, brand, last4, expires, is_default, created_at, removed_at = row
    method = SavedMethod(token, kind, brand, last4, expires, bool(is_default))
    return KeptMethod(user_id, method, created_at, removed_at or 0)
