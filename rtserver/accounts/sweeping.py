"""What is over leaves the tables of accounts."""

from __future__ import annotations

from rtserver.core.ports import Row, Value
from rtserver.core.rows import Runs

BATCH = 1000
"""Rows that one statement deletes, so that none holds the database for long."""
BATCHES = 50
"""Statements on one table in one sweep. What is left waits for the next one."""

PROOFS_STAY = 86_400_000
"""Milliseconds that a proof stays after its end: whoever opens an old link is told that it is too old."""
NONCES_STAY = 12 * 3_600_000
"""OpenID 2 takes a stamp that is off by 5 hours either way (the skew of python3-openid), and it must not be good twice."""
LETTERS_STAY = 30 * 86_400_000

_SESSIONS = f"""
    delete from rt_sessions where sid_hash in (
        select sid_hash from rt_sessions
        where expires_at <= ? or user_id in (select id from rt_users where is_active = 0)
        limit {BATCH}
    ) returning user_id
"""


def _over(table: str, key: str, condition: str) -> str:
    chosen = f"select {key} from {table} where {condition} limit {BATCH}"
    return f"delete from {table} where ({key}) in ({chosen}) returning 1"


async def sweep(runs: Runs, now: int) -> list[str]:
    """The ids of the people of whom a session ended by this, each once. ``now`` in milliseconds."""
    ended = await _deleted(runs, _SESSIONS, now)
    tables: dict[str, Value] = {
        _over("rt_proofs", "id", "expires_at <= ?"): now - PROOFS_STAY,
        _over("rt_auth_partials", "token_hash", "expires_at <= ?"): now,
        _over("rt_auth_nonces", "scope, stamp, salt", "created_at <= ?"): now - NONCES_STAY,
        _over("rt_auth_associations", "id", "issued + lifetime <= ?"): now // 1000,
        _over("rt_attempts", "name, window_start", "expires_at <= ?"): now,
        _over("rt_letters", "id", "ended_at <= ?"): now - LETTERS_STAY,
    }
    for sql, before in tables.items():
        await _deleted(runs, sql, before)
    return sorted({user_id for (user_id,) in ended if user_id})


async def _deleted(runs: Runs, sql: str, before: Value) -> list[Row]:
    rows: list[Row] = []
    for _ in range(BATCHES):
        found = await runs.run(sql, (before,))
        rows += found
        if len(found) < BATCH:
            break
    return rows
