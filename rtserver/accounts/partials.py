"""The table ``rt_auth_partials``: sign-ins with a provider that wait in the middle of the pipeline, by the hash of a token."""

from __future__ import annotations

from dataclasses import dataclass, field

from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.rows import hashed
from rtserver.core.rows import Runs

LARGEST = 256 * 1024
"""Characters of ``data``. It holds what the provider answered."""

_SAVE = """
    insert into rt_auth_partials (token_hash, backend, next_step, data, pipeline, created_at, expires_at)
    values (?, ?, ?, ?, ?, ?, ?)
    on conflict (token_hash) do update set backend = excluded.backend, next_step = excluded.next_step,
        data = excluded.data, pipeline = excluded.pipeline, expires_at = excluded.expires_at
"""
_LOAD = """
    select backend, next_step, data, pipeline, expires_at from rt_auth_partials
    where token_hash = ? and pipeline = ? and expires_at > ?
"""


@dataclass(frozen=True, slots=True)
class Partial:
    """``next_step`` is an index into the pipeline whose version is ``pipeline``; ``data`` is JSON."""

    backend: str
    next_step: int
    data: str = field(repr=False)
    pipeline: str
    expires_at: int


async def save(runs: Runs, token: str, partial: Partial, now: int) -> None:
    """Keep it, or what became of it. Raises ``AccountRefused`` when it is larger than ``LARGEST``."""
    if len(partial.data) > LARGEST:
        raise AccountRefused(
            "provider_answer_too_large", "The other site says more about you than fits: choose another way to sign in."
        )
    values = (partial.backend, partial.next_step, partial.data, partial.pipeline, now, partial.expires_at)
    await runs.run(_SAVE, (hashed(token), *values))


async def load(runs: Runs, token: str, pipeline: str, now: int) -> Partial | None:
    """None when there is none, it is too old, or the pipeline is another one by now: then ``next_step`` would be the index
    of another step, and one that proves an address could be left out."""
    rows = await runs.run(_LOAD, (hashed(token), pipeline, now))
    return Partial(*rows[0]) if rows else None


async def backend_of(runs: Runs, token: str, now: int) -> str:
    """The name of the provider, for the page that asks on; "" when nothing waits."""
    sql = "select backend from rt_auth_partials where token_hash = ? and expires_at > ?"
    rows = await runs.run(sql, (hashed(token), now))
    return str(rows[0][0]) if rows else ""


async def remove(runs: Runs, token: str) -> bool:
    """Whether it was there. Of all who ask, one hears True."""
    return bool(
        await runs.run("delete from rt_auth_partials where token_hash = ? returning token_hash", (hashed(token),))
    )
