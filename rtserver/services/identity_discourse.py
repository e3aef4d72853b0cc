"""Signing in with a forum of Discourse (DiscourseConnect, the forum being the provider).

The forum signs with a secret that both know (HMAC-SHA256), and repeats a value of ours that only the session of the browser
knows that has begun.
"""

from __future__ import annotations

from typing import Any

from social_core.backends.discourse import DiscourseAuth


class BoundDiscourse(DiscourseAuth[Any]):
    """Stands before the class of the library, which keeps the value in a table too, in a way that it has given up itself: it
    asks a class for values by ``get`` and ``delete``. Here it is in the session alone, and whoever takes it out goes on."""

    def auth_url(self) -> str:
        self.redirect_uri = self.strategy.absolute_uri(self.redirect_uri)
        return super().auth_url()

    def add_nonce(self, nonce: str) -> None:
        """The library puts it into the session as well."""

    def get_nonce(self, nonce: str) -> Any:
        return self.strategy.session_pop(f"{self.name}_nonce")

    def delete_nonce(self, nonce: str) -> None:
        """It was taken out."""
