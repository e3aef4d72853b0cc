"""Our steps in the pipeline of a sign-in with a provider (``accounts.pipeline``).

The library calls a step with what the earlier ones found, by name: ``details`` (what the provider says: username, email,
fullname), ``response`` (its whole answer), ``uid``, ``user`` (None for somebody new). A step returns what it found, or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from social_core.backends.base import BaseAuth
from social_core.pipeline.partial import partial
from social_core.storage import PartialMixin

from rtserver.accounts.joining import MAX_HANDLE, Claim
from rtserver.app.waiting import wait
from rtserver.core.accounts import Address, BadAddress, parse_address, username_from
from rtserver.services.identity_storage import Person, StoredIdentity
from rtserver.services.identity_strategy import Answer, IdentityStrategy

Details = dict[str, Any]

ADDRESS_URL = "/auth/address"


@partial
def require_email(
    strategy: IdentityStrategy,
    details: Details,
    current_partial: PartialMixin,
    user: Person | None = None,
    **kwargs: Any,
) -> Details | Answer | None:
    """Ask for an address when the provider gave none that letters can go to."""
    if user is not None or address_of(details) is not None:
        return None
    typed = address_of(strategy.visit.values) if strategy.with_address else None
    if typed is None:
        strategy.course.token = current_partial.token
        return strategy.redirect(ADDRESS_URL)
    return {"details": {**details, "email": typed.typed}, "email_from_person": True}


def trusted_email(
    strategy: IdentityStrategy,
    backend: BaseAuth[Any],
    details: Details,
    uid: str,
    response: object = None,
    user: Person | None = None,
    email_from_person: bool = False,
    **kwargs: Any,
) -> None:
    """Believe a provider that is configured with ``trust_email`` and calls the address verified."""
    strategy.handle = handle_of(details, uid)
    address = address_of(details)
    if user is not None or email_from_person or address is None or not strategy.provider.trust_email:
        return
    said = (response, getattr(backend, "id_token", None))
    if any(_calls_verified(each, address) for each in said if isinstance(each, Mapping)):
        strategy.trusted = address


def guard_existing_account(
    strategy: IdentityStrategy, details: Details, user: Person | None = None, **kwargs: Any
) -> None:
    """An account that has the address already is not given away by a letter alone."""
    address = strategy.proven(details.get("email"))
    if user is None and address is not None:
        wait(strategy.tools.joining.guard(strategy.proof, strategy.visit.asker))


def get_username(
    strategy: IdentityStrategy, details: Details, user: Person | None = None, **kwargs: Any
) -> Details | None:
    """A name for a new account. Whether it is free shows when the account is made."""
    if user is not None:
        return None
    named = details.get("username")
    if not (isinstance(named, str) and named.strip()):
        named = str(details.get("email") or "").partition("@")[0]
    return {"username": username_from(named)}


def open_account(
    strategy: IdentityStrategy,
    backend: BaseAuth[Any],
    details: Details,
    uid: str,
    id_key: str = "",
    user: Person | None = None,
    social: StoredIdentity | None = None,
    username: str | None = None,
    **kwargs: Any,
) -> Details | None:
    """Find or make the account, and join the identity to it, in one transaction. A known identity only gets its handle."""
    handle = handle_of(details, uid)
    if social is not None:
        social.handle = handle
        return None
    claim = Claim(
        provider=strategy.provider.name,
        id_key=id_key,
        uid=str(uid),
        handle=handle,
        username=username or "user",
        asker=strategy.visit.asker,
        address=strategy.proven(details.get("email")),
        proof=strategy.proof,
        link_to="" if user is None else user.id,
    )
    joined = wait(strategy.tools.joining.open(claim))
    person = Person(joined.account)
    identity = cast(type[StoredIdentity], strategy.storage.user)(joined.identity, person)
    return {"user": person, "social": identity, "is_new": joined.is_new, "new_association": True}


def address_of(details: Mapping[str, Any]) -> Address | None:
    email = details.get("email")
    try:
        return parse_address(email) if isinstance(email, str) else None
    except BadAddress:
        return None


def handle_of(details: Mapping[str, Any], uid: object) -> str:
    """What the provider calls the person, to be shown. It is text of strangers: short, on one line. Not the address, which
    the person may have typed."""
    named = (details.get(key) for key in ("username", "fullname"))
    text = next((each for each in named if isinstance(each, str) and each.strip()), str(uid))
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:MAX_HANDLE]


def _calls_verified(claims: Mapping[str, Any], address: Address) -> bool:
    said = address_of(claims)
    return claims.get("email_verified") is True and said is not None and said.norm == address.norm
