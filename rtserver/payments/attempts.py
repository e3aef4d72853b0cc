"""The table ``rt_pay_attempts``: every call that moves money, written down before it is made.

There is at most one attempt at a time to pay an order that is under way, unknown or approved: an index of the table sees to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from rtserver.core.payments import Money
from rtserver.core.ports import Row
from rtserver.core.rows import Runs, as_json, is_id, of_json, places
from rtserver.payments.records import Attempt, AttemptState, FieldError, Op, Outcome

MOST_ERRORS = 50
LONGEST = 500
"""Characters of a sentence of the gateway that are kept."""

FARTHEST = 1_200_000
"""Milliseconds: no look is put off for longer."""

OPEN = (AttemptState.SENDING, AttemptState.UNKNOWN)

_COLUMNS = """
    id, order_id, op, api_request_key, amount, currency, target, is_part, state, gateway_id, code, sentence, is_soft, errors,
    sent_at, answered_at, checks, empties, next_check_at
"""
_INSERT = """
    insert into rt_pay_attempts (
        id, order_id, op, api_request_key, request_key, body_sha256, amount, currency, target, is_part, state, sent_at,
        next_check_at
    ) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'sending', ?, ?)
"""
_OUTCOME = f"""
    update rt_pay_attempts set state = ?, gateway_id = ?, code = ?, sentence = ?, is_soft = ?, errors = ?, answered_at = ?,
        next_check_at = ?
    where id = ? returning {_COLUMNS}
"""
_LOOKED = """
    update rt_pay_attempts set checks = checks + 1, empties = ?, next_check_at = ?
    where id = ? and state in ('sending', 'unknown')
"""
_LATEST = f"""
    select {_COLUMNS} from rt_pay_attempts where op = 'sale' and order_id in ({{}}) order by sent_at, checks desc
"""
_REFUSED = """
    select count(*) from rt_pay_attempts as attempt join rt_pay_orders as paid on paid.id = attempt.order_id
    where paid.user_id = ? and attempt.sent_at > ? and attempt.op = 'sale'
        and attempt.state in ('declined', 'rejected', 'invalid', 'failed')
"""


async def begin(runs: Runs, attempt: Attempt, request: tuple[str, str] = ("", "")) -> None:
    """``request`` is the digest of a key ("": none) by which a repeated request finds it, and that of what was asked. Raises
    ``Conflict`` when another attempt to pay the order is under way or was approved, or has this key."""
    key, digest = request
    amount = attempt.amount
    values = (attempt.id, attempt.order_id or None, attempt.op.value, attempt.api_request_key, key or None, digest)
    rest = (amount.minor, amount.currency, attempt.target, attempt.is_part, attempt.sent_at, attempt.next_check_at)
    await runs.run(_INSERT, values + rest)


async def find(runs: Runs, id: str) -> Attempt | None:
    if not is_id(id):
        return None
    rows = await runs.run(f"select {_COLUMNS} from rt_pay_attempts where id = ?", (id,))
    return _attempt(rows[0]) if rows else None


async def by_request(runs: Runs, key: str) -> tuple[Attempt, str] | None:
    """With the digest of what was asked."""
    rows = await runs.run(f"select {_COLUMNS}, body_sha256 from rt_pay_attempts where request_key = ?", (key,))
    return (_attempt(rows[0][:-1]), rows[0][-1]) if rows else None


async def release(runs: Runs, id: str) -> None:
    """From now on another attempt may have the key of this one."""
    await runs.run("update rt_pay_attempts set request_key = null where id = ?", (id,))


async def refused_since(runs: Runs, user_id: str, since: int) -> int:
    """How many payments of a person were refused, for whatever reason that the payer could know."""
    rows = await runs.run(_REFUSED, (user_id, since))
    return int(rows[0][0])


async def of_order(runs: Runs, order_id: str) -> list[Attempt]:
    sql = f"select {_COLUMNS} from rt_pay_attempts where order_id = ? order by sent_at, id"
    return [_attempt(row) for row in await runs.run(sql, (order_id,))]


async def latest_sales(runs: Runs, order_ids: Sequence[str]) -> dict[str, Attempt]:
    """The latest attempt to pay each of these orders, by the id of the order."""
    if not order_ids:
        return {}
    rows = await runs.run(_LATEST.format(places(order_ids)), tuple(order_ids))
    return {sale.order_id: sale for sale in map(_attempt, rows)}


async def sent_between(runs: Runs, start: int, end: int) -> list[Attempt]:
    sql = f"select {_COLUMNS} from rt_pay_attempts where sent_at >= ? and sent_at < ? order by sent_at, id"
    return [_attempt(row) for row in await runs.run(sql, (start, end))]


async def due(runs: Runs, now: int, limit: int) -> list[Attempt]:
    """Those whose outcome is to be looked for; also those whose time is so far ahead that the clock was set back."""
    sql = f"""
        select {_COLUMNS} from rt_pay_attempts where next_check_at <= ? or next_check_at > ?
        order by next_check_at, id limit ?
    """
    return [_attempt(row) for row in await runs.run(sql, (now, now + FARTHEST, limit))]


async def conclude(runs: Runs, attempt: Attempt, outcome: Outcome, now: int, next_check_at: int = 0) -> Attempt:
    """Write down what became of it. ``next_check_at`` 0: this is known for good."""
    errors = [[each.attribute, each.code, each.message[:LONGEST]] for each in outcome.errors[:MOST_ERRORS]]
    gateway_id = outcome.transaction.id if outcome.transaction else attempt.gateway_id
    words = (outcome.code, outcome.sentence[:LONGEST], outcome.is_soft, as_json(errors))
    values = (outcome.state.value, gateway_id, *words, now, next_check_at or None, attempt.id)
    return _attempt((await runs.run(_OUTCOME, values))[0])


async def looked(runs: Runs, id: str, empties: int, next_check_at: int) -> None:
    """Its outcome was looked for and not found."""
    await runs.run(_LOOKED, (empties, next_check_at, id))


def _attempt(row: Row) -> Attempt:
    id, order_id, op, key, amount, currency, target, is_part, state, gateway_id, code, sentence, is_soft = row[:13]
    errors, sent_at, answered_at, checks, empties, next_check_at = row[13:]
    return Attempt(
        id=id,
        order_id=order_id or "",
        op=Op(op),
        api_request_key=key,
        amount=Money(amount, currency),
        target=target,
        state=AttemptState(state),
        gateway_id=gateway_id,
        code=code,
        sentence=sentence,
        sent_at=sent_at,
        answered_at=answered_at or 0,
        checks=checks,
        next_check_at=next_check_at or 0,
        is_part=bool(is_part),
        empties=empties,
        is_soft=bool(is_soft),
        errors=tuple(FieldError(*each) for each in of_json(errors)),
    )
