"""The first commands on every connection to Redis: who we are, which database, whether it is the right server."""

from __future__ import annotations

from typing import Any

from rtserver.core.errors import BrokerError
from rtserver.services.redis_commands import Ask, Greeting
from rtserver.services.redis_errors import FunctionMissing, reply_error
from rtserver.services.redis_library import Library
from rtserver.services.redis_options import Address

OLDEST_REDIS = 7


async def greet(ask: Ask, address: Address, name: str) -> None:
    """Log in, select the database, give the connection a name for CLIENT LIST; behind Sentinel make sure of the role.

    Raises ``BrokerError``.
    """
    if address.password:
        await ask("AUTH", *([address.username] if address.username else []), address.password)
    if address.db:
        await ask("SELECT", address.db)
    await ask("CLIENT", "SETNAME", name)
    if address.sentinels:
        role = await ask("ROLE")
        if role[0] != b"master":
            raise reply_error("NOTMASTER the Sentinels still name a server that is no master")


async def load_library(ask: Ask, library: Library) -> None:
    """Make sure that Redis has our functions in this very version. Raises ``BrokerError``."""
    if await _loaded_version(ask, library) != library.version.encode():
        await ask("FUNCTION", "LOAD", "REPLACE", library.source)


async def _loaded_version(ask: Ask, library: Library) -> bytes:
    """b"" when Redis is new to us, or was flushed."""
    try:
        return bytes(await ask("FCALL", library.function("version"), 0))
    except FunctionMissing:
        return b""
    except BrokerError as error:
        if "unknown command" in str(error):
            raise BrokerError(f"this Redis has no functions: use Redis {OLDEST_REDIS} or later") from error
        raise


def command_greeting(address: Address, name: str, library: Library | None = None) -> Greeting:
    async def greeting(ask: Any) -> None:
        await greet(ask, address, name)
        if library is not None:
            await load_library(ask, library)

    return greeting
