"""The two cookies of accounts: the session, and the key by which a browser is known that asked for a letter."""

from __future__ import annotations

from dataclasses import dataclass

SESSION = "rt_session"
BROWSER = "rt_browser"

HOST = "__Host-"
"""Browsers take a cookie of such a name from its own host only, and never over plain HTTP (RFC 6265bis, section 4.1.3.2)."""


@dataclass(frozen=True, slots=True)
class Cookies:
    """``is_secure``: the server is reached by https. Both cookies are Lax, for the ways back from providers and from letters
    are links on pages of others, and they must be known then."""

    is_secure: bool

    @property
    def session(self) -> str:
        return self._prefix + SESSION

    @property
    def browser(self) -> str:
        return self._prefix + BROWSER

    def kept(self, name: str, value: str, seconds: int | None = None) -> str:
        """A ``Set-Cookie``. Without ``seconds`` it lasts as long as the browser runs."""
        age = "" if seconds is None else f"; Max-Age={seconds}"
        return f"{name}={value}; Path=/; HttpOnly; SameSite=Lax{'; Secure' if self.is_secure else ''}{age}"

    def dropped(self, name: str) -> str:
        return self.kept(name, "", 0)

    @property
    def _prefix(self) -> str:
        return HOST if self.is_secure else ""
