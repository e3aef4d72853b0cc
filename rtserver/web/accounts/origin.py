"""Which pages may send something here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rtserver.accounts.errors import AccountRefused


@dataclass(frozen=True, slots=True)
class Origins:
    """``own`` is the origin of the server as browsers write it, ``allows`` judges those of others."""

    own: str
    allows: Callable[[str], bool]

    def check(self, found: list[str]) -> None:
        """``found``: the Origin headers of a request. None is well: browsers send one with every POST (Fetch, section 3.1),
        so there is no page behind it. Raises ``AccountRefused``."""
        for origin in found:
            if origin != self.own and not self.allows(origin):
                raise AccountRefused(
                    "bad_origin",
                    f"Pages of {origin[:200]} may not send this: use {self.own}, or add the origin to client.allowed_origins.",
                    status=403,
                )
