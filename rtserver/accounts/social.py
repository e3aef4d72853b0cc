"""The seam to the library that speaks with providers: what it is told of a request, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from rtserver.accounts.parts import Asker
from rtserver.accounts.records import Account, Proof


class Offer(NamedTuple):
    """A provider that people may choose."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One request. ``account`` is whose the session is: with it an identity is linked, without it somebody signs in.
    ``values`` are those of the query and the form. ``target`` is where the person wants to go."""

    asker: Asker
    account: Account | None = None
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    target: str = ""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """``is_new``: the account was made by this. ``is_link``: who was signed in already has linked an identity."""

    account: Account
    target: str
    is_new: bool = False
    is_link: bool = False


@dataclass(frozen=True, slots=True)
class NeedsAddress:
    """The provider gave no address: ask for it and hand it in with the ``token``. Only the same session can."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AwaitsProof:
    """A letter is under way."""

    proof: Proof


Outcome = SignedIn | NeedsAddress | AwaitsProof


class Social(Protocol):
    """Sign-ins with providers. Each call raises ``AccountRefused`` with a code of its own or of the library, and
    ``TooBusy`` of the threads."""

    @property
    def offers(self) -> tuple[Offer, ...]:
        """In the order of the configuration."""

    async def begin(self, name: str, visit: Visit) -> str:
        """Where to send the browser."""

    async def complete(self, name: str, visit: Visit) -> Outcome:
        """The browser came back from the provider, with its ``values``."""

    async def with_address(self, token: str, visit: Visit) -> Outcome:
        """Go on with ``values["email"]``, which the provider did not give."""

    async def resume(self, proof: Proof, visit: Visit) -> Outcome:
        """Go on with the address that ``proof`` confirms by now. The session counts for nothing but who is signed in."""
