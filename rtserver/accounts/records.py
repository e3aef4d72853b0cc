"""What the tables of accounts hold. Times are integer milliseconds since 1970; 0 or None where nothing happened yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Purpose(StrEnum):
    """What the proof of an address is for."""

    SIGN_UP = "sign_up"
    """A new account with a password. ``data``: username, password_hash."""
    PROVIDER = "provider"
    """A provider's identity whose address is to be proven. ``data``: partial, backend, title, handle."""
    RESET = "reset"
    """A forgotten password of ``user_id``."""
    ADDRESS = "address"
    """A new address for ``user_id``."""
    NONE = "none"
    """Nothing: the answer to somebody who must not learn whether an account exists. It can never be confirmed."""


class ProofState(StrEnum):
    WAITING = "waiting"
    CONFIRMED = "confirmed"
    """Confirmed; the browser that began has not gone on yet."""
    REDEEMED = "redeemed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Account:
    """A person. ``email`` is proven."""

    id: str
    username: str
    email: str
    has_password: bool
    is_active: bool
    is_staff: bool
    created_at: int


@dataclass(frozen=True, slots=True)
class NewAccount:
    id: str
    username: str
    email: str
    password_hash: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a provider knows a person by. ``handle`` is the name that it shows."""

    id: str
    user_id: str
    provider: str
    id_key: str
    uid: str
    handle: str
    extra: Mapping[str, Any] = field(repr=False)
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """A browser. ``sid_hash`` is the SHA-256 of its cookie, ``id`` what people see of it. ``user_id`` "": not signed in."""

    sid_hash: str = field(repr=False)
    id: str
    user_id: str
    csrf: str = field(repr=False)
    agent: str
    remote: str
    created_at: int
    seen_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Proof:
    """A letter that was asked for. ``browser_hash`` is the SHA-256 of the key of the browser that began; ``outcome_user``
    the account that was made or opened by it. ``target`` is where the browser wanted to go."""

    id: str
    purpose: Purpose
    email: str
    user_id: str
    data: Mapping[str, Any] = field(repr=False)
    browser_hash: str = field(repr=False)
    target: str
    created_at: int
    expires_at: int
    tries: int
    sends: int
    sent_at: int
    used_at: int
    outcome_user: str
    redeemed_at: int

    def state(self, now: int) -> ProofState:
        if self.redeemed_at:
            return ProofState.REDEEMED
        if self.used_at:
            return ProofState.CONFIRMED
        return ProofState.WAITING if now < self.expires_at else ProofState.EXPIRED
