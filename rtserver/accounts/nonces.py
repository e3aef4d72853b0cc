"""The table ``rt_auth_nonces``: values that are good once, such as the ``state`` of OAuth 2 (RFC 6749 section 10.12)."""

from __future__ import annotations

from rtserver.core.rows import Runs

_USE = "insert into rt_auth_nonces (scope, stamp, salt, created_at) values (?, ?, ?, ?) on conflict do nothing returning salt"
_CONSUME = "delete from rt_auth_nonces where scope = ? and stamp = ? and salt = ? returning salt"


async def use(runs: Runs, scope: str, stamp: int, salt: str, now: int) -> bool:
    """Keep it. False when it is there already."""
    return bool(await runs.run(_USE, (scope, stamp, salt, now)))


async def consume(runs: Runs, scope: str, stamp: int, salt: str) -> bool:
    """Take it away. Of all who ask, one hears True."""
    return bool(await runs.run(_CONSUME, (scope, stamp, salt)))
