"""The table ``rt_attempts``: how often something was tried, counted by all nodes together."""

from __future__ import annotations

from collections.abc import Callable

from rtserver.accounts.errors import RateLimited
from rtserver.accounts.rows import hashed
from rtserver.core.accounts import Rate
from rtserver.core.ports import Database
from rtserver.core.rows import ms

_COUNT = """
    insert into rt_attempts (name, window_start, n, expires_at) values (?, ?, 1, ?)
    on conflict (name, window_start) do update set n = rt_attempts.n + 1 returning n
"""


class Rates:
    """Windows of a fixed length follow each other, so that somebody who waits for the end of one gets at most twice the
    number at once. ``unix`` gives seconds since 1970."""

    def __init__(self, database: Database, unix: Callable[[], float]) -> None:
        self._database = database
        self._unix = unix

    async def spend(self, rule: Rate, *names: str) -> None:
        """Count one, for all ``names`` together: ("ada", "192.0.2.1") is one counter, of its own. It stays counted whatever
        comes of it. Raises ``RateLimited`` beyond the number of the rule."""
        now = ms(self._unix())
        start = now - now % (rule.seconds * 1000)
        end = start + rule.seconds * 1000
        ((n,),) = await self._database.run(_COUNT, (_name(rule, names), start, end))
        if n > rule.n:
            raise RateLimited(-(-(end - now) // 1000))


def _name(rule: Rate, names: tuple[str, ...]) -> str:
    """Addresses of people have no place in the table."""
    return f"{rule.name}:{hashed(chr(0).join(names))}"
