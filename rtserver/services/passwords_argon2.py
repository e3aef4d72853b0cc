"""Hashes of passwords with Argon2id, in threads of their own: two at a time, so that people who sign in leave room for
everybody else. The library releases the interpreter's lock while it works."""

from __future__ import annotations

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from rtserver.threads import Threads

TIME_COST = 2
MEMORY_COST = 19_456
PARALLELISM = 1
"""KiB of memory and passes over it: the second choice of the OWASP Password Storage Cheat Sheet, about 50 ms."""

AT_A_TIME = 2
WAITING = 200
"""Hashes that may wait: about five seconds of work."""


class Argon2Hasher:
    """Implements ``accounts.ports.PasswordHasher``. ``threads`` are its own, of ``AT_A_TIME`` and ``WAITING``; whoever made
    them starts and stops them."""

    def __init__(self, threads: Threads, costs: tuple[int, int, int] = (TIME_COST, MEMORY_COST, PARALLELISM)) -> None:
        time_cost, memory_cost, parallelism = costs
        self._argon2 = PasswordHasher(time_cost, memory_cost, parallelism, type=Type.ID)
        self._threads = threads
        self._dummy = self._argon2.hash("nobody's")

    async def hash(self, text: str) -> str:
        hashed: str = await self._threads.run(self._argon2.hash, {"password": text})
        return hashed

    async def verify(self, hashed: str | None, text: str) -> bool:
        values = {"hashed": hashed or self._dummy, "text": text}
        is_same: bool = await self._threads.run(self._verify, values)
        return is_same and hashed is not None

    def needs_rehash(self, hashed: str) -> bool:
        return self._argon2.check_needs_rehash(hashed)

    def _verify(self, hashed: str, text: str) -> bool:
        try:
            return self._argon2.verify(hashed, text)
        except (VerificationError, InvalidHashError):
            return False
