"""What the flows of accounts need from outside: hashing, signing, letters and news to connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from rtserver.accounts.records import Proof

if TYPE_CHECKING:
    from rtserver.core.rows import Runs

LETTERS = (
    "confirm_sign_up",
    "confirm_provider",
    "confirm_address",
    "reset",
    "already_registered",
    "password_changed",
    "address_changed",
)
"""The kinds of letters. ``address_changed`` goes to the old address."""


class PasswordHasher(Protocol):
    """Slow on purpose. Both calls raise ``app.calling.TooBusy`` (503) instead of queueing without end."""

    async def hash(self, text: str) -> str:
        """A salted hash of a normalised password, to be stored as it is."""

    async def verify(self, hashed: str | None, text: str) -> bool:
        """Whether ``text`` is the password. With None it does the same work and says no: nobody can tell by the time that
        there is no account, or none with a password."""

    def needs_rehash(self, hashed: str) -> bool:
        """Whether a hash was made with other costs than those of today."""


class LinkSigner(Protocol):
    """Puts a signature to a code that goes out in a link, so that guessed links never reach the database."""

    def sign(self, code: str) -> str:
        """The code with its signature, fit for a URL path."""

    def read(self, text: str) -> str | None:
        """The code, or None when the signature is not ours."""


class Post(Protocol):
    """Letters that wait in the database until they are sent."""

    async def enqueue(self, runs: Runs, letter_kind: str, to: str, values: Mapping[str, object]) -> None:
        """Insert a letter of ``LETTERS`` with ``runs``, so within the transaction of the caller: the letter exists when
        what it speaks of does. ``values`` (never HTML), as far as the kind has them: ``link``, ``digits``, ``minutes`` (how
        long the link is good), ``provider`` (its title), ``handle`` (the name there), ``username``."""

    def rehearse(self, letter_kind: str, to: str, values: Mapping[str, object]) -> None:
        """Write the letter and throw it away: nobody can tell by the time that none goes out."""


class Notices(Protocol):
    """News to open connections. Called after what they tell was committed; none may fail."""

    async def confirmed(self, proof: Proof) -> None:
        """Tell the window that asked for the letter (channel ``rt_auth:{proof.id}``)."""

    async def signed_out(self, user_id: str, everywhere: bool) -> None:
        """End the connections of a person: all of them, or without ``everywhere`` those whose session is gone."""
