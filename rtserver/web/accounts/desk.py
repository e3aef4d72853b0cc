"""What the pages and endpoints of accounts are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from rtserver.accounts.confirming import Confirming
from rtserver.accounts.hooks import origin_of
from rtserver.accounts.options import AccountsOptions
from rtserver.accounts.parts import Parts
from rtserver.accounts.passwords import Passwords
from rtserver.accounts.providers import Providers
from rtserver.accounts.tokens import ConnectionTokens
from rtserver.core.accounts import USUAL_TARGET, safe_target
from rtserver.core.rows import ms
from rtserver.node import Log
from rtserver.web.accounts.cookies import Cookies
from rtserver.web.accounts.origin import Origins
from rtserver.web.endpoints import TwistedIncoming


class Pages(Protocol):
    """Pages by name; ``templates`` says which there are and what each gets."""

    def render(self, name: str, **values: Any) -> bytes: ...

    def static(self, name: str) -> tuple[bytes, str]:
        """The bytes of a file and their media type."""


@dataclass(frozen=True, slots=True)
class Flows:
    """What accounts can do."""

    passwords: Passwords
    confirming: Confirming
    providers: Providers
    tokens: ConnectionTokens


def nobody(origin: str) -> bool:
    """No page of another origin may send anything."""
    return False


def client_address(incoming: TwistedIncoming) -> str:
    """Of the other end of the connection; "" for one that has none."""
    return getattr(incoming.request.getClientAddress(), "host", "") or ""


@dataclass(frozen=True)
class Desk:
    """``allows`` judges the origins of pages beside our own. ``websocket`` is the path where pages connect. ``remote`` tells
    the network address of a client."""

    parts: Parts
    flows: Flows
    pages: Pages
    log: Log
    allows: Callable[[str], bool] = nobody
    websocket: str = "/connection/websocket"
    remote: Callable[[TwistedIncoming], str] = client_address
    _quiet: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    @property
    def options(self) -> AccountsOptions:
        return self.parts.options

    @cached_property
    def origins(self) -> Origins:
        return Origins(origin_of(self.options.base_url), self.allows)

    @cached_property
    def cookies(self) -> Cookies:
        return Cookies(self.options.base_url.startswith("https:"))

    @cached_property
    def titles(self) -> Mapping[str, str]:
        """The providers by name."""
        return {each.name: each.title for each in self.flows.providers.offers}

    def now(self) -> int:
        return ms(self.parts.unix())

    def target(self, text: str) -> str:
        """Where to go on to: ``text`` if it leads to a place of ours, else the profile."""
        return safe_target(text, self.origins.own, self.options.allowed_targets) if text else USUAL_TARGET

    def log_seldom(self, text: str) -> None:
        """Once a second at most, however many are turned away."""
        now = self.parts.unix()
        if now >= self._quiet.get("until", 0.0):
            self._quiet["until"] = now + 1.0
            self.log("warn", text)
