"""Answers to letters: by the link, from any browser, or by the digits, from the browser that began. And how that browser goes
on afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from rtserver.accounts import proofs, users
from rtserver.accounts.ending import end_sessions
from rtserver.accounts.errors import AccountRefused, NeedsSignIn, RateLimited
from rtserver.accounts.lasting import to_its_end
from rtserver.accounts.opening import address_taken, is_address_taken, open_account
from rtserver.accounts.parts import Asker, Parts
from rtserver.accounts.passwords import checked_password, password_mark
from rtserver.accounts.proving import ask_again, codes_of, count_letter, guard, guard_owner, is_own, refusal, use
from rtserver.accounts.records import Account, Proof, ProofState, Purpose
from rtserver.accounts.staff import staff_norms
from rtserver.core.accounts import DIGIT_TRIES, DIGITS, RESEND, parse_address, same_digits
from rtserver.core.errors import Conflict
from rtserver.core.ports import Transaction
from rtserver.core.rows import ms

SIGNS_IN = frozenset((Purpose.SIGN_UP, Purpose.PROVIDER))
"""Confirmations after which the browser that began is signed in."""

Resume = Callable[[Proof, Asker], Awaitable[Account]]
"""Goes on with a sign-in with a provider whose address is proven by this. It finds or makes the account in one transaction, in
which it also uses the proof up (``proving.use``), asks ``proving.guard`` again and sets the outcome of the proof. When it
raises, the proof is as good as before."""

GUARDS = {Purpose.PROVIDER: guard, Purpose.ADDRESS: guard_owner}
"""Who may confirm these."""

TABS = 60_000
"""Milliseconds in which a waiting window may still go on after its browser was signed in by the confirmation in another tab:
it hears of that before the cookie is there."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a link would do, for the page with the button. ``username`` is whose account it makes, opens or changes ("": not
    known yet), ``existing`` that account when there is one. ``provider`` and ``handle`` (of PROVIDER) are whom it lets in."""

    proof: Proof
    state: ProofState
    existing: Account | None
    username: str
    provider: str
    handle: str
    needs_sign_in: bool
    """Whether the button would be refused here until one is signed in as ``existing``."""
    is_own_browser: bool

    @property
    def needs_password(self) -> bool:
        return self.proof.purpose is Purpose.RESET


@dataclass(frozen=True, slots=True)
class Confirmed:
    """``account``: sign this browser in as it (the proof is redeemed by that), None: do not. ``link`` not "": nothing is
    confirmed yet, the new password is to be typed at this signed code."""

    proof: Proof
    account: Account | None
    is_own_browser: bool
    link: str = field(default="", repr=False)


class Confirming:
    def __init__(self, parts: Parts, resume: Resume) -> None:
        self._parts = parts
        self._resume = resume
        self._steps = {
            Purpose.SIGN_UP: self._sign_up,
            Purpose.RESET: self._reset,
            Purpose.ADDRESS: self._address,
        }

    # By the link

    async def look(self, signed: str, asker: Asker) -> Look:
        """Changes nothing. Raises ``AccountRefused`` (``bad_link``)."""
        proof = await self._of_link(signed)
        existing = await self._existing(proof)
        waits = await self._is_guarded(proof, asker)
        named = str(proof.data.get("username", ""))
        return Look(
            proof=proof,
            state=proof.state(self._now()),
            existing=existing,
            username=existing.username if existing else named,
            provider=str(proof.data.get("title", "")),
            handle=str(proof.data.get("handle", "")),
            needs_sign_in=waits,
            is_own_browser=is_own(proof, asker.browser),
        )

    async def confirm(self, signed: str, asker: Asker, password: str = "") -> Confirmed:
        """Use the proof up, once, and do what it is for. Raises ``AccountRefused`` (``bad_link``, ``link_used``,
        ``link_expired``, ``address_taken``, ``bad_password``) or ``NeedsSignIn``; the proof is then as good as before."""
        proof = await self._of_link(signed)
        return await to_its_end(self._confirm(proof, asker, password))

    async def redeem_by_code(self, signed: str) -> Account:
        """Sign in with a link that was confirmed before, once and soon, because the window that began is gone."""
        proof = await self._of_link(signed)
        code = self._parts.signer.read(signed) or ""
        user_id = await proofs.redeem_by_code(self._parts.database, code, self._now())
        return await self._account_of(user_id, proof)

    # In the browser that began

    async def waiting(self, proof_id: str, browser: str) -> Proof:
        """The proof, to the browser that asked for it. Do not show the purpose of one that waits: NONE would tell that there is
        an account, or none. Raises ``AccountRefused`` (``unknown_proof``)."""
        proof = await proofs.find(self._parts.database, proof_id)
        if proof is None or not is_own(proof, browser):
            raise AccountRefused(
                "unknown_proof",
                "This letter was asked for in another browser: go on there, or begin again.",
                status=404,
            )
        return proof

    async def by_digits(self, proof_id: str, digits: str, asker: Asker, password: str = "") -> Confirmed:
        """As ``confirm``, with the digits of the letter. For RESET without a password see ``Confirmed.link``."""
        proof = await self.waiting(proof_id, asker.browser)
        self._check_waits(proof)
        await self._count_try(proof)
        codes = codes_of(self._parts, proof)
        if codes is None or not same_digits(digits, codes.digits) or proof.purpose is Purpose.NONE:
            raise AccountRefused(
                "wrong_digits", "These are not the digits of the newest letter: type them again.", "digits"
            )
        if proof.purpose is Purpose.RESET and not password:
            return Confirmed(proof, None, True, self._parts.signer.sign(codes.code))
        return await to_its_end(self._confirm(proof, asker, password))

    async def resend(self, proof_id: str, browser: str, remote: str = "") -> Proof:
        """The same letter again, so that all of them are good."""
        proof = await self.waiting(proof_id, browser)
        self._check_waits(proof)
        await self._parts.rates.spend(RESEND, proof.id)
        await count_letter(self._parts, parse_address(proof.email), remote)
        await self._parts.database.transact(lambda tx: ask_again(self._parts, tx, proof))
        return await self.waiting(proof_id, browser)

    async def redeem(self, proof_id: str, browser: str, user_id: str = "") -> Account:
        """Who to sign this browser in as, once. ``user_id`` is who is signed in: with the outcome, another tab was faster,
        and that is no error."""
        proof = await self.waiting(proof_id, browser)
        if proof.redeemed_at and (user_id == proof.outcome_user or self._is_tab_of_confirmed(proof)):
            return await self._account_of(proof.outcome_user, proof)
        # Never the very moment of the confirmation: see _redeemed.
        now = max(self._now(), proof.used_at + 1)
        redeemed = await proofs.redeem(self._parts.database, proof.id, proof.browser_hash, now)
        return await self._account_of(redeemed, proof)

    # Parts of these

    def _now(self) -> int:
        return ms(self._parts.unix())

    def _check_waits(self, proof: Proof) -> None:
        if proof.state(self._now()) is not ProofState.WAITING:
            raise refusal(proof, self._now())

    async def _count_try(self, proof: Proof) -> None:
        """Before the digits are looked at: those who try in parallel have no more tries than others."""
        use_link = AccountRefused(
            "use_the_link", "These were too many tries: open the link in the letter instead.", "digits", 429
        )
        try:
            await self._parts.rates.spend(DIGITS, parse_address(proof.email).norm)
        except RateLimited as error:
            raise use_link from error
        if await proofs.count_try(self._parts.database, proof.id) > DIGIT_TRIES:
            raise use_link

    async def _of_link(self, signed: str) -> Proof:
        code = self._parts.signer.read(signed)
        proof = await proofs.by_code(self._parts.database, code) if code else None
        if proof is None or proof.purpose is Purpose.NONE:
            raise refusal(None, self._now())
        return proof

    async def _existing(self, proof: Proof) -> Account | None:
        if proof.user_id or proof.outcome_user:
            return await users.find(self._parts.database, proof.user_id or proof.outcome_user)
        return await users.by_address(self._parts.database, parse_address(proof.email).norm)

    async def _is_guarded(self, proof: Proof, asker: Asker) -> bool:
        if proof.state(self._now()) is not ProofState.WAITING:
            return False
        try:
            await self._guard(proof, asker)
        except NeedsSignIn:
            return True
        return False

    async def _guard(self, proof: Proof, asker: Asker) -> None:
        """Raises ``NeedsSignIn`` where reading the mailbox is not enough."""
        if proof.purpose in GUARDS:
            await GUARDS[proof.purpose](self._parts.database, proof, asker)

    async def _account_of(self, user_id: str, proof: Proof) -> Account:
        account = await users.find(self._parts.database, user_id) if user_id else None
        if account is None:
            raise _no_redemption(proof, self._now())
        if not account.is_active:
            raise account_closed()
        return account

    async def _confirm(self, proof: Proof, asker: Asker, password: str) -> Confirmed:
        self._check_waits(proof)
        try:
            await self._guard(proof, asker)
            account = await self._confirmed(proof, asker, password)
        except NeedsSignIn:
            # Who pressed the button twice meets the account that the first press has made.
            self._check_waits(await proofs.find(self._parts.database, proof.id) or proof)
            raise
        if proof.purpose is Purpose.RESET:
            await end_sessions(self._parts, account.id, everywhere=True)
        done = await proofs.find(self._parts.database, proof.id) or proof
        own = is_own(proof, asker.browser)
        signs_in = own and await self._redeemed(done)
        await self._parts.notices.confirmed(done)
        return Confirmed(done, account if signs_in else None, own)

    async def _confirmed(self, proof: Proof, asker: Asker, password: str) -> Account:
        if proof.purpose is Purpose.PROVIDER:
            return await self._resume(proof, asker)
        return await self._by_itself(proof, password)

    async def _redeemed(self, proof: Proof) -> bool:
        """Whether this browser goes on at once; its other window may have been faster. The time of the confirmation tells that
        it was by the confirmation itself."""
        return bool(await proofs.redeem(self._parts.database, proof.id, proof.browser_hash, proof.used_at))

    def _is_tab_of_confirmed(self, proof: Proof) -> bool:
        return proof.redeemed_at == proof.used_at and self._now() - proof.used_at < TABS

    async def _by_itself(self, proof: Proof, password: str) -> Account:
        hash = ""
        if proof.purpose is Purpose.RESET:
            hash = await self._parts.hasher.hash(checked_password(password))
        step = self._steps[proof.purpose]

        async def work(tx: Transaction) -> Account:
            await use(self._parts, tx, proof)
            account = await step(tx, proof, hash)
            await proofs.set_outcome(tx, proof.id, account.id)
            return account

        try:
            return await self._parts.database.transact(work)
        except Conflict as error:
            if is_address_taken(error):
                raise address_taken() from error
            raise

    async def _sign_up(self, tx: Transaction, proof: Proof, _: str) -> Account:
        address = parse_address(proof.email)
        return await open_account(self._parts, tx, address, proof.data["username"], proof.data["password_hash"])

    async def _reset(self, tx: Transaction, proof: Proof, hash: str) -> Account:
        account = await _owner(tx, proof)
        if parse_address(account.email).norm != parse_address(proof.email).norm:
            raise _outdated()
        await users.set_password(tx, account.id, hash)
        await self._parts.sessions.end_all(account.id, runs=tx)
        await self._parts.post.enqueue(tx, "password_changed", account.email, {"username": account.username})
        return account

    async def _address(self, tx: Transaction, proof: Proof, _: str) -> Account:
        account = await _owner(tx, proof)
        address = parse_address(proof.email)
        is_staff = address.norm in staff_norms(self._parts.options)
        await users.set_address(tx, account.id, address.typed, address.norm)
        await users.set_staff(tx, account.id, is_staff)
        await self._parts.post.enqueue(tx, "address_changed", account.email, {"username": account.username})
        return replace(account, email=address.typed, is_staff=is_staff)


async def _owner(tx: Transaction, proof: Proof) -> Account:
    """Of RESET and ADDRESS. A password that was changed meanwhile makes these letters void: whoever changed it because a
    stranger was in is rid of what the stranger asked for."""
    account = await users.find(tx, proof.user_id)
    if account is None or not account.is_active:
        raise account_closed()
    if password_mark(await users.password_of(tx, account.id)) != proof.data["password_mark"]:
        raise _outdated()
    return account


def _outdated() -> AccountRefused:
    return AccountRefused(
        "link_used",
        "The password or the address was changed since this letter was sent: ask for a new one.",
        status=409,
    )


def account_closed() -> AccountRefused:
    return AccountRefused("account_inactive", "This account is closed: ask who runs this site.", status=403)


def _no_redemption(proof: Proof, now: int) -> AccountRefused:
    """Why nobody can be signed in by a proof."""
    state = proof.state(now)
    if state is ProofState.WAITING:
        return AccountRefused("not_confirmed", "The letter is not answered yet: open its link first.", status=409)
    if state is ProofState.EXPIRED:
        return AccountRefused("link_expired", "This letter is too old: begin again.", status=410)
    return AccountRefused("sign_in_needed", "That is done already: sign in to go on.", "", 409)
