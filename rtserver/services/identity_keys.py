"""The keys that a provider of OpenID Connect signs with, when it has changed them.

The library keeps the keys of a provider for a day. It asks for them again when a token names a key that is not among them; but
a provider with a single key need not name it (OpenID Connect Core 1.0, section 10.1), and some classes do not look at the name.
Nobody could sign in there for the rest of the day.
"""

from __future__ import annotations

from typing import Any

from social_core.backends.open_id_connect import OpenIdConnectAuth


class FreshKeys(OpenIdConnectAuth[Any]):
    """Stands before a class of the library. What no kept key has signed is tried once more with the keys of now."""

    are_keys_fresh = False
    """Whether the provider was asked for them in this request."""

    def get_remote_jwks_keys(self, uri: str | None = None) -> list[dict[str, Any]]:
        keys: list[dict[str, Any]] = super().get_remote_jwks_keys(uri)
        self.are_keys_fresh = True
        return keys

    def find_valid_key(self, id_token: str) -> dict[str, Any] | None:
        key: dict[str, Any] | None = super().find_valid_key(id_token)  # type: ignore[no-untyped-call]
        if key is None and not self.are_keys_fresh:
            self.get_jwks_keys_for_uri.refresh(self, self.jwks_uri())
            key = super().find_valid_key(id_token)  # type: ignore[no-untyped-call]
        return key
