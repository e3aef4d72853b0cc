"""Asking for the proof of an address: the row that waits, and the letter that goes out with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any

from rtserver.accounts import proofs, users
from rtserver.accounts.codes import NONCE, Codes, make_codes, same_codes
from rtserver.accounts.errors import AccountRefused, NeedsSignIn
from rtserver.accounts.parts import Asker, Parts
from rtserver.accounts.proofs import NewProof
from rtserver.accounts.records import Account, Proof, ProofState, Purpose
from rtserver.accounts.rows import hashed
from rtserver.core.accounts import LETTER, LETTER_DAY, LETTER_REMOTE, Address, BadAddress, network, parse_address
from rtserver.core.rows import Runs, ms

SIGN_IN_PATH = "/auth/sign-in"
LINK_PATH = "/auth/c/"

NOT_SENT = "reset"
"""The letter that nobody gets when nobody has the address: the only kind of which that is so."""
_SENT_NOTHING = "update rt_proofs set sends = 0 where id = ?"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be proven, for what, and for which browser (``Asker.browser``). ``letter`` is a kind of ``ports.LETTERS``, ""
    for none; ``values`` are what it says beside its link: ``username``, ``provider``, ``handle``. ``data`` is what the
    confirmation needs (see ``records.Purpose``). ``to`` is where the letter goes, "" for ``address``; windows show ``address``,
    as it was typed."""

    purpose: Purpose
    address: Address
    letter: str
    browser: str = field(default="", repr=False)
    target: str = ""
    user_id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    to: str = field(default="", repr=False)


def address_of(text: str, field: str = "email") -> Address:
    """``parse_address`` for a form."""
    try:
        return parse_address(text)
    except BadAddress as error:
        raise AccountRefused("bad_address", str(error), field) from error


async def count_letter(parts: Parts, address: Address, remote: str) -> None:
    """To be called before every letter that somebody unknown asks for, outside of transactions. Raises ``RateLimited``."""
    if remote:
        await parts.rates.spend(LETTER_REMOTE, network(remote))
    await parts.rates.spend(LETTER, address.norm)
    await parts.rates.spend(LETTER_DAY, address.norm)


async def ask(parts: Parts, runs: Runs, wanted: Wanted) -> Proof:
    """Store the proof and its letter. Two statements and a letter that is written in any case: nobody can tell by the time
    which one it is, or that none goes out."""
    now, id, nonce = ms(parts.unix()), parts.new_id(), parts.token(NONCE)
    codes = make_codes(parts.options.secret_key, id, nonce)
    about: dict[str, Any] = {"nonce": nonce, "key": codes.key, "letter": wanted.letter, "values": dict(wanted.values)}
    about["to"] = wanted.to or wanted.address.typed
    new = NewProof(
        id=id,
        purpose=wanted.purpose,
        code=codes.code,
        digits=codes.digits_seal,
        email=wanted.address.typed,
        email_norm=wanted.address.norm,
        expires_at=now + ms(parts.options.proof_ttl),
        user_id=wanted.user_id,
        data={**wanted.data, **about},
        browser_hash=browser_hash(wanted.browser),
        target=wanted.target,
    )
    proof = await proofs.create(runs, new, now)
    await _send(parts, runs, proof, codes)
    return proof


async def ask_again(parts: Parts, runs: Runs, proof: Proof) -> None:
    """The same letter with the same link and digits. Raises ``AccountRefused`` when the proof waits for nothing any more."""
    codes = codes_of(parts, proof)
    if codes is None or not await proofs.resend(runs, proof.id, ms(parts.unix())):
        raise AccountRefused("link_expired", "This letter is too old to be sent again: begin anew.", status=410)
    await _send(parts, runs, proof, codes)


async def _send(parts: Parts, runs: Runs, proof: Proof, codes: Codes) -> None:
    letter, to = proof.data["letter"], proof.data["to"]
    values: dict[str, object] = {**proof.data["values"]}
    if letter and proof.purpose is Purpose.NONE:
        values["link"] = _url(parts, SIGN_IN_PATH)
    else:
        values["link"] = _url(parts, LINK_PATH + parts.signer.sign(codes.code))
        values["digits"] = codes.digits
        values["minutes"] = max(1, (proof.expires_at - ms(parts.unix())) // 60_000)
    if letter:
        await parts.post.enqueue(runs, letter, to, values)
    else:
        parts.post.rehearse(NOT_SENT, to, values)
        await runs.run(_SENT_NOTHING, (proof.id,))


def codes_of(parts: Parts, proof: Proof) -> Codes | None:
    """None when the secret key that they were made by was taken out of the configuration: its links are void too."""
    keys = (parts.options.secret_key, *parts.options.old_secret_keys)
    return same_codes(keys, proof.id, proof.data["nonce"], proof.data["key"])


def _url(parts: Parts, path: str) -> str:
    return parts.options.base_url.rstrip("/") + path


# The browser that began


def browser_hash(browser: str) -> str:
    return hashed(browser) if browser else ""


def is_own(proof: Proof, browser: str) -> bool:
    """Whether this is the browser that asked for the letter."""
    return bool(browser and proof.browser_hash) and compare_digest(hashed(browser), proof.browser_hash)


# Confirmation, within its transaction


async def use(parts: Parts, runs: Runs, proof: Proof) -> None:
    """Use the proof up. Raises ``AccountRefused`` when somebody else did, or it is too late."""
    if not await proofs.use(runs, proof.id, ms(parts.unix())):
        raise refusal(await proofs.find(runs, proof.id), ms(parts.unix()))


def refusal(proof: Proof | None, now: int) -> AccountRefused:
    """Why a proof cannot be confirmed. Says of one for NONE what it says of all others."""
    state = proof.state(now) if proof else ProofState.WAITING
    if state is ProofState.WAITING:
        return AccountRefused("bad_link", "This link is not good: open it again from the letter.", status=404)
    if state is ProofState.EXPIRED:
        return AccountRefused("link_expired", "This letter is too old: ask for a new one.", status=410)
    return AccountRefused("link_used", "This letter was answered already: there is nothing left to do.", status=409)


async def guard(runs: Runs, proof: Proof, asker: Asker) -> Account | None:
    """The account that has the address already, which a provider's identity is to be joined to.

    Whoever reads a mailbox has not agreed that a stranger's identity opens the account: the browser must be signed in as this
    account, or be the one that began. Raises ``NeedsSignIn`` else.
    """
    existing = await users.by_address(runs, parse_address(proof.email).norm)
    if existing is None or existing.id == asker.user_id or is_own(proof, asker.browser):
        return existing
    raise NeedsSignIn(existing.username)


async def guard_owner(runs: Runs, proof: Proof, asker: Asker) -> Account | None:
    """The account that is to get another address.

    A mistyped address has a reader too, who would have the account by pressing the button: the browser must be signed in as
    this account, or be the one that began. Raises ``NeedsSignIn`` else.
    """
    owner = await users.find(runs, proof.user_id)
    if owner is None or owner.id == asker.user_id or is_own(proof, asker.browser):
        return owner
    raise NeedsSignIn(owner.username)
