"""How an identity of a provider comes to its account: the letter that proves its address, and the one transaction in which
the account is made or found and the identity joined to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from rtserver.accounts import identities, proofs, users
from rtserver.accounts.errors import AccountRefused
from rtserver.accounts.opening import open_account
from rtserver.accounts.parts import Asker, Parts
from rtserver.accounts.proving import Wanted, ask, count_letter, guard, is_own, use
from rtserver.accounts.records import Account, Identity, Proof, Purpose
from rtserver.core.accounts import Address
from rtserver.core.errors import Conflict
from rtserver.core.ports import Transaction
from rtserver.core.rows import ms

ATTEMPTS = 5
"""Times that the transaction is tried when others take names, addresses or identities at the same moment."""

MAX_HANDLE = 64


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sign-in that waits for the proof of ``address``. ``partial`` is its token, ``provider`` the name and ``title`` what
    people call it, ``handle`` what it calls the person."""

    provider: str
    title: str
    handle: str
    address: Address
    partial: str = field(repr=False)
    asker: Asker
    target: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """An identity that wants an account.

    ``address`` None: nothing is proven. ``proof``: the letter that proves it and is used up by this; None when the provider
    is trusted with it. ``link_to`` is the account of a person who is signed in and links the identity, "" for nobody.
    """

    provider: str
    id_key: str
    uid: str
    handle: str
    username: str
    asker: Asker
    address: Address | None = None
    proof: Proof | None = None
    link_to: str = ""


@dataclass(frozen=True, slots=True)
class Joined:
    """``is_new``: the account was made by this."""

    account: Account
    identity: Identity
    is_new: bool


class Joining:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def ask(self, waiting: Waiting) -> Proof:
        """Store the letter that asks for the proof. It names the provider, the person there, and the account that would be
        opened by it. Raises ``RateLimited``."""
        await count_letter(self._parts, waiting.address, waiting.asker.remote)
        return await self._parts.database.transact(lambda tx: self._ask(tx, waiting))

    async def _ask(self, tx: Transaction, waiting: Waiting) -> Proof:
        existing = await users.by_address(tx, waiting.address.norm)
        who = {"provider": waiting.title, "handle": waiting.handle}
        wanted = Wanted(
            Purpose.PROVIDER,
            waiting.address,
            "confirm_provider",
            waiting.asker.browser,
            waiting.target,
            data={
                "partial": waiting.partial,
                "backend": waiting.provider,
                "title": waiting.title,
                "handle": waiting.handle,
            },
            values=who if existing is None else {**who, "username": existing.username},
        )
        return await ask(self._parts, tx, wanted)

    async def guard(self, proof: Proof | None, asker: Asker) -> None:
        """Refuse as ``open`` would, before it."""
        if proof is not None:
            await guard(self._parts.database, proof, asker)

    async def open(self, claim: Claim) -> Joined:
        """One transaction: the proof is used up, the account found or made, the identity joined. Raises ``AccountRefused``;
        then nothing was changed and the proof is still good."""
        for _ in range(ATTEMPTS):
            try:
                return await self._parts.database.transact(lambda tx: self._open(tx, claim))
            except Conflict:
                # Somebody was faster: the next round finds what there is now.
                continue
        raise AccountRefused("try_again", "Many people do the same at this moment: try again.", status=503)

    async def _open(self, tx: Transaction, claim: Claim) -> Joined:
        if claim.proof is not None:
            await use(self._parts, tx, claim.proof)
        joined = await self._known(tx, claim) or await self._joined(tx, claim)
        if not joined.account.is_active:
            raise inactive()
        if claim.proof is not None:
            await proofs.set_outcome(tx, claim.proof.id, joined.account.id)
        return joined

    async def _known(self, tx: Transaction, claim: Claim) -> Joined | None:
        """When the identity has got an account by now. That may have another address, so a letter must not open it for
        whoever reads it."""
        identity = await identities.find(tx, claim.provider, claim.id_key, claim.uid)
        if identity is None:
            return None
        if claim.link_to and identity.user_id != claim.link_to:
            raise identity_in_use()
        proof, asker = claim.proof, claim.asker
        if proof is not None and identity.user_id != asker.user_id and not is_own(proof, asker.browser):
            raise AccountRefused("identity_known", "This has an account by now: sign in with it again.", status=409)
        return Joined(await self._account_of(tx, identity.user_id), identity, False)

    async def _joined(self, tx: Transaction, claim: Claim) -> Joined:
        account, is_new = await self._account(tx, claim)
        now = ms(self._parts.unix())
        identity = Identity(
            self._parts.new_id(), account.id, claim.provider, claim.id_key, claim.uid, claim.handle, {}, now
        )
        await identities.create(tx, identity)
        return Joined(account, identity, is_new)

    async def _account(self, tx: Transaction, claim: Claim) -> tuple[Account, bool]:
        """The account, and whether it was made now."""
        if claim.link_to:
            await self._check_session(tx, claim)
            return await self._account_of(tx, claim.link_to), False
        if claim.address is None:
            raise AccountRefused("address_unproven", "Your address is not confirmed yet: begin again.", status=403)
        if claim.proof is not None:
            existing = await guard(tx, claim.proof, claim.asker)
        else:
            existing = await users.by_address(tx, claim.address.norm)
        if existing is not None:
            return existing, False
        if not self._parts.options.sign_up:
            raise AccountRefused(
                "sign_up_closed", "New accounts are not made here: ask who runs this site.", status=403
            )
        return await open_account(self._parts, tx, claim.address, claim.username), True

    async def _check_session(self, tx: Transaction, claim: Claim) -> None:
        """The provider takes its time: whoever was signed out meanwhile links nothing any more."""
        session = claim.asker.session
        if session is None or not await self._parts.sessions.lives(session.id, claim.link_to, tx):
            raise AccountRefused("not_signed_in", "Sign in first, then link.", status=401)

    async def _account_of(self, tx: Transaction, id: str) -> Account:
        account = await users.find(tx, id)
        if account is None:
            raise AccountRefused("account_gone", "The account was deleted meanwhile: begin again.", status=409)
        return account


def inactive() -> AccountRefused:
    return AccountRefused("account_inactive", "This account is closed: ask who runs this site.", status=403)


def identity_in_use() -> AccountRefused:
    return AccountRefused(
        "identity_in_use",
        "This opens another account here: sign in to that one, and take it off there first.",
        status=409,
    )
