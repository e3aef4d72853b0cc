"""The seam to whatever carries letters out of the process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from rtserver.core.errors import RtError


@dataclass(frozen=True, slots=True)
class Mail:
    """One message for one recipient. ``raw`` is ASCII whose lines end with ``\\n``; it holds a live link."""

    id: str
    rcpt: str = field(repr=False)
    raw: bytes = field(repr=False)


class Undelivered(RtError):
    """A letter did not go out. ``code`` is that of SMTP, 0 when there was none. ``reason`` is a sentence of ours for the log:
    never what the other side said, which may repeat addresses and passwords."""

    def __init__(self, reason: str, code: int = 0) -> None:
        self.reason = reason
        self.code = code
        super().__init__(f"{reason} (SMTP {code})" if code else reason)


class MailDelayed(Undelivered):
    """Not now: try again later."""


class MailRefused(Undelivered):
    """This letter is not taken, now or later."""


class Mailer(Protocol):
    """Made as ``Class(options: MailOptions, state_dir: Path, reactor)``."""

    @property
    def deadline(self) -> float:
        """Seconds within which ``send`` has ended."""

    async def send(self, mail: Mail) -> int:
        """Deliver; returns the SMTP code, 0 without SMTP. Raises ``MailDelayed`` or ``MailRefused``. May be cancelled."""
