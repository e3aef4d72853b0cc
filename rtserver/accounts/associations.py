"""The table ``rt_auth_associations``: what was agreed with a provider for a while, such as the ``nonce`` of an ID token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rtserver.core.ports import Value
from rtserver.core.rows import Runs

MOST = 1000
"""Associations that one question gives."""

_COLUMNS = "id, server_url, handle, secret, issued, lifetime, assoc_type"
_STORE = f"""
    insert into rt_auth_associations ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?)
    on conflict (server_url, handle) do update set secret = excluded.secret, issued = excluded.issued,
        lifetime = excluded.lifetime, assoc_type = excluded.assoc_type
"""


@dataclass(frozen=True, slots=True)
class Association:
    """``secret`` in Base64. ``issued`` is in seconds since 1970, ``lifetime`` in seconds."""

    id: str
    server_url: str
    handle: str
    secret: str = field(repr=False)
    issued: int
    lifetime: int
    assoc_type: str


async def store(runs: Runs, new: Association) -> None:
    """One with the same server and handle is replaced, and keeps its id."""
    values = (new.id, new.server_url, new.handle, new.secret, new.issued, new.lifetime, new.assoc_type)
    await runs.run(_STORE, values)


async def get(runs: Runs, server_url: str | None = None, handle: str | None = None) -> list[Association]:
    """Those of a server and with a handle; None is any. The newest first, expired ones too."""
    wanted = {"server_url": server_url, "handle": handle}
    given: dict[str, Value] = {name: value for name, value in wanted.items() if value is not None}
    where = " and ".join(f"{name} = ?" for name in given) or "1 = 1"
    sql = f"select {_COLUMNS} from rt_auth_associations where {where} order by issued desc, id limit {MOST}"
    return [Association(*row) for row in await runs.run(sql, tuple(given.values()))]


async def remove(runs: Runs, ids: Sequence[str]) -> None:
    for id in ids:
        await runs.run("delete from rt_auth_associations where id = ?", (id,))
