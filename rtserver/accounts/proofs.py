"""The table ``rt_proofs``: letters that were asked for, and what happens when their readers answer.

The link of a letter holds a code, which is stored as SHA-256; its digits are stored as SHA-256 with the id, and are safe
because they count in one browser only and for a few tries.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rtserver.accounts.records import Proof, Purpose
from rtserver.accounts.rows import hashed
from rtserver.core.ports import Row, Value
from rtserver.core.rows import Runs, as_json, is_id, of_json

REDEEM_WITHIN = 3_600_000
"""Milliseconds after a confirmation in which the browser that began may go on with it."""

_COLUMNS = """
    id, purpose, email, coalesce(user_id, ''), data, browser_hash, target, created_at, expires_at, tries, sends, sent_at,
    coalesce(used_at, 0), coalesce(outcome_user, ''), coalesce(redeemed_at, 0)
"""
_INSERT = f"""
    insert into rt_proofs (id, purpose, code_hash, digits_hash, email, email_norm, user_id, data, browser_hash, target,
        created_at, expires_at, sent_at)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning {_COLUMNS}
"""
_USE = """
    update rt_proofs set used_at = ?
    where id = ? and used_at is null and expires_at > ? and purpose <> 'none' returning id
"""
_REDEEM = """
    update rt_proofs set redeemed_at = ?
    where {whose} and redeemed_at is null and used_at > ? and outcome_user is not null
        and purpose in ('sign_up', 'provider')
    returning outcome_user
"""


@dataclass(frozen=True, slots=True)
class NewProof:
    """``code`` is what the link of the letter holds, ``digits`` what a person may type instead; neither is stored as it is.
    ``browser_hash`` is the SHA-256 of the key of the browser."""

    id: str
    purpose: Purpose
    code: str = field(repr=False)
    digits: str = field(repr=False)
    email: str
    email_norm: str
    expires_at: int
    user_id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    browser_hash: str = field(default="", repr=False)
    target: str = ""


async def create(runs: Runs, new: NewProof, now: int) -> Proof:
    values: tuple[Value, ...] = (
        new.id,
        new.purpose.value,
        hashed(new.code),
        _digits_hash(new.id, new.digits),
        new.email,
        new.email_norm,
        new.user_id or None,
        as_json(new.data),
        new.browser_hash,
        new.target,
        now,
        new.expires_at,
        now,
    )
    (row,) = await runs.run(_INSERT, values)
    return _proof(row)


async def find(runs: Runs, id: str) -> Proof | None:
    return await _one(runs, "id", id) if is_id(id) else None


async def by_code(runs: Runs, code: str) -> Proof | None:
    """Used and expired ones too: see ``Proof.state``."""
    return await _one(runs, "code_hash", hashed(code))


async def use(runs: Runs, id: str, now: int) -> bool:
    """Whether the proof was waiting until now. Of all who ask, one hears True, if its transaction comes to its end."""
    return bool(await runs.run(_USE, (now, id, now)))


async def set_outcome(runs: Runs, id: str, user_id: str) -> None:
    """Whom it confirmed."""
    await runs.run("update rt_proofs set outcome_user = ? where id = ?", (user_id, id))


async def redeem(runs: Runs, id: str, browser_hash: str, now: int) -> str:
    """The id of the account that the browser that began goes on as, exactly once within ``REDEEM_WITHIN``; else ""."""
    if not browser_hash or not is_id(id):
        return ""
    sql = _REDEEM.format(whose="id = ? and browser_hash = ?")
    return _outcome(await runs.run(sql, (now, id, browser_hash, now - REDEEM_WITHIN)))


async def redeem_by_code(runs: Runs, code: str, now: int) -> str:
    """The same for somebody who has the letter, whatever the browser."""
    sql = _REDEEM.format(whose="code_hash = ?")
    return _outcome(await runs.run(sql, (now, hashed(code), now - REDEEM_WITHIN)))


async def drop_redemptions(runs: Runs, user_id: str, now: int) -> None:
    """Windows that have not gone on yet as this person have to sign in."""
    # A redemption by the confirmation itself is one for other tabs of its browser too, as long as it has the same time.
    sql = """
        update rt_proofs set redeemed_at = ?
        where outcome_user = ? and used_at > ? and coalesce(redeemed_at, used_at) = used_at
    """
    await runs.run(sql, (now + 1, user_id, now - REDEEM_WITHIN))


async def drop_address_changes(runs: Runs, user_id: str, now: int) -> None:
    """Letters about another address of this person that wait for an answer are too old from now on."""
    sql = """
        update rt_proofs set expires_at = ?
        where user_id = ? and purpose = 'address' and used_at is null and expires_at > ?
    """
    await runs.run(sql, (now, user_id, now))


async def count_try(runs: Runs, id: str) -> int:
    """Count a try with digits, before they are looked at: its number, from 1; 0 when there is no such proof."""
    rows = await runs.run("update rt_proofs set tries = tries + 1 where id = ? returning tries", (id,))
    return rows[0][0] if rows else 0


async def has_digits(runs: Runs, id: str, digits: str) -> bool:
    """Whether these are the digits of the letter. Takes the same time for all that are wrong."""
    rows = await runs.run("select digits_hash from rt_proofs where id = ?", (id,))
    return bool(rows) and hmac.compare_digest(rows[0][0], _digits_hash(id, digits))


async def resend(runs: Runs, id: str, now: int) -> int:
    """Count that the letter goes out again: the number of times, from 2; 0 when the proof waits for nothing any more."""
    sql = """
        update rt_proofs set sends = sends + 1, sent_at = ? where id = ? and used_at is null and expires_at > ?
        returning sends
    """
    rows = await runs.run(sql, (now, id, now))
    return rows[0][0] if rows else 0


async def _one(runs: Runs, column: str, value: str) -> Proof | None:
    rows = await runs.run(f"select {_COLUMNS} from rt_proofs where {column} = ?", (value,))
    return _proof(rows[0]) if rows else None


def _digits_hash(id: str, digits: str) -> str:
    return hashed(f"{id}:{digits}")


def _outcome(rows: list[Row]) -> str:
    return rows[0][0] if rows else ""


def _proof(row: Row) -> Proof:
    id, purpose, email, user_id, data, *rest = row
    return Proof(id, Purpose(purpose), email, user_id, of_json(data), *rest)
