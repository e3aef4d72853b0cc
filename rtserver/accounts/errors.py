"""What accounts refuse.

AccountRefused     what ``Refused`` says, about accounts
 ├── RateLimited   too often; may be tried again after ``retry_after``
 └── NeedsSignIn   the same may be asked again, signed in
"""

from __future__ import annotations

from rtserver.core.errors import Refused


class AccountRefused(Refused):
    """Who somebody is, or how they prove it, stands against it."""


class RateLimited(AccountRefused):
    """``retry_after`` in whole seconds, at least 1."""

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__("too_many_attempts", f"That was too often: try again in {_span(retry_after)}.", status=429)


class NeedsSignIn(AccountRefused):
    """``username`` is whom to sign in as. Nothing was changed: the link stays good."""

    def __init__(self, username: str) -> None:
        self.username = username
        super().__init__(
            "needs_sign_in",
            f"This is for the account {username}: sign in to it, then open the link again.",
            status=403,
        )


def _span(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds" if seconds != 1 else "1 second"
    return f"{-(-seconds // 60)} minutes"
