"""What accounts refuse.

AccountRefused     a person asked for what cannot be; the sentence is for this person
 └── RateLimited   too often; may be tried again after ``retry_after``
"""

from __future__ import annotations

from rtserver.core.errors import RtError


class AccountRefused(RtError):
    """``code`` is stable and for programs, ``field`` the field of the form that is to be changed ("" for none), ``sentence``
    says what to do and holds nothing secret. ``status`` is that of HTTP."""

    def __init__(self, code: str, sentence: str, field: str = "", status: int = 400) -> None:
        self.code = code
        self.field = field
        self.sentence = sentence
        self.status = status
        super().__init__(f"{code}: {sentence}")


class RateLimited(AccountRefused):
    """``retry_after`` in whole seconds, at least 1."""

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__("too_many_attempts", f"That was too often: try again in {_span(retry_after)}.", status=429)


def _span(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds" if seconds != 1 else "1 second"
    return f"{-(-seconds // 60)} minutes"
