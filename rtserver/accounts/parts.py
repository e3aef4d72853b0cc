"""What every flow of accounts is made of, and who asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtserver.accounts.options import AccountsOptions
from rtserver.accounts.ports import LinkSigner, Notices, PasswordHasher, Post
from rtserver.accounts.records import Session
from rtserver.core.ports import Database

if TYPE_CHECKING:
    from rtserver.accounts.rates import Rates
    from rtserver.accounts.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Parts:
    """``unix`` gives seconds since 1970. ``token(n)`` is a text made of ``n`` random bytes (``secrets.token_urlsafe``),
    ``new_id()`` the id of a new row."""

    database: Database
    options: AccountsOptions
    hasher: PasswordHasher
    signer: LinkSigner
    post: Post
    notices: Notices
    sessions: Sessions
    rates: Rates
    unix: Callable[[], float]
    token: Callable[[int], str]
    new_id: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Asker:
    """The browser that asks. ``session`` None: it has none. ``user_id`` "": nobody is signed in. ``browser`` is its browser
    key ("": none), as its cookie has it, ``remote`` its address of the network."""

    session: Session | None = None
    user_id: str = ""
    browser: str = field(default="", repr=False)
    remote: str = ""
