"""Accounts by what other sites know of people: signing in, linking, and what a person has linked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

from rtserver.accounts import identities, users
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.parts import Asker, Parts
from rtserver.accounts.proving import address_of
from rtserver.accounts.records import Account, Identity, Proof
from rtserver.accounts.rows import hashed
from rtserver.accounts.social import Offer, Outcome, SignedIn, Social, Visit
from rtserver.core.accounts import USUAL_TARGET, Rate, network
from rtserver.core.ports import Transaction

BEGIN_REMOTE = Rate("provider_remote", 60, 600)
"""Sign-ins with providers that one address of the network begins."""

LOST = "session_context_missing"
"""The session knows nothing of what the browser comes back from."""

TARGET_ITEM = "target:"
STATES = ("state", "redirect_state", "oauth_token")
"""What brings a browser back to the sign-in that it began: OAuth 2 with and without a parameter of its own (and OpenID 2.0),
OAuth 1."""


class Providers:
    def __init__(self, parts: Parts, social: Social) -> None:
        self._parts = parts
        self._social = social

    @property
    def offers(self) -> tuple[Offer, ...]:
        return self._social.offers

    # Signing in

    async def begin(self, name: str, asker: Asker, target: str, link: bool = False) -> str:
        """Where to send the browser. Only ever after a POST. ``target`` went through ``safe_target``. With ``link`` the
        identity is joined to the account of the person who is signed in."""
        if asker.session is None:
            raise AccountRefused(
                "session_missing", "Your browser sent no cookie: allow cookies of this site, and begin again."
            )
        if bool(asker.user_id) is not link:
            raise _wrong_way(link)
        if asker.remote:
            await self._parts.rates.spend(BEGIN_REMOTE, network(asker.remote))
        url = await self._social.begin(name, Visit(asker, await self._account(asker)))
        await self._parts.sessions.set_item(asker.session.sid_hash, _target_item(_query(url)), json.dumps(target))
        return url

    async def complete(self, name: str, values: Mapping[str, str], asker: Asker) -> Outcome:
        """The browser is back. ``values`` are those of the query and the form."""
        if asker.session is None:
            raise AccountRefused(LOST, "This sign-in was begun in another browser, or too long ago: begin again.")
        kept = await self._parts.sessions.pop_item(asker.session.sid_hash, _target_item(values))
        target = json.loads(kept) if kept else USUAL_TARGET
        try:
            return await self._social.complete(name, Visit(asker, await self._account(asker), values, target))
        except AccountRefused as error:
            if error.code == LOST and asker.user_id:
                # Another tab was faster, and what this one had begun ended with the session of that time.
                raise _wrong_way(False) from error
            raise

    async def give_address(self, token: str, email: str, asker: Asker) -> Outcome:
        """For who got ``NeedsAddress``."""
        address = address_of(email)
        visit = Visit(asker, await self._account(asker), {"email": address.typed})
        return await self._social.with_address(token, visit)

    async def resume(self, proof: Proof, asker: Asker) -> Account:
        """Somebody has confirmed the letter of a sign-in: make or open the account. Uses the proof up, or leaves all as it
        was and raises ``AccountRefused``, which is ``NeedsSignIn`` when the address has an account already."""
        outcome = await self._social.resume(proof, Visit(asker))
        if not isinstance(outcome, SignedIn):
            raise AccountRefused("login_out_of_date", "This sign-in cannot go on: begin again.", status=410)
        return outcome.account

    # What a person has linked

    async def identities(self, account: Account) -> Sequence[Identity]:
        """The oldest first."""
        return await identities.of_user(self._parts.database, account.id)

    async def unlink(self, account: Account, id: str) -> None:
        """Raises ``AccountRefused`` for the last way to sign in."""
        await self._parts.database.transact(lambda tx: self._unlink(tx, account.id, id))

    async def _unlink(self, tx: Transaction, user_id: str, id: str) -> None:
        owned = await identities.of_user(tx, user_id)
        if all(each.id != id for each in owned):
            raise AccountRefused("identity_unknown", "This is not linked to your account any more.", status=404)
        offered = {each.name for each in self._social.offers}
        has_other = any(each.id != id and each.provider in offered for each in owned)
        has_password = self._parts.options.passwords and await users.password_of(tx, user_id) is not None
        if not (has_other or has_password):
            raise AccountRefused(
                "last_way_in", "You could not sign in any more: set a password, or link another one first.", status=409
            )
        await identities.remove(tx, user_id, id)

    async def _account(self, asker: Asker) -> Account | None:
        return await users.find(self._parts.database, asker.user_id) if asker.user_id else None


def _wrong_way(link: bool) -> AccountRefused:
    if link:
        return AccountRefused("not_signed_in", "Sign in first, then link.", status=401)
    return AccountRefused("already_signed_in", "You are signed in already: sign out first.", status=409)


def _query(url: str) -> dict[str, str]:
    """With that of the way back, where OpenID 2.0 has the state."""
    found = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
    back = found.get("openid.return_to")
    return {**_query(back), **found} if back else found


def _target_item(values: Mapping[str, str]) -> str:
    """Where a sign-in leads, each tab by itself."""
    state = next((values[key] for key in STATES if values.get(key)), "")
    return TARGET_ITEM + hashed(state)[:32]
