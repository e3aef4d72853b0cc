"""The table ``rt_pay_customers``: which customer of the gateway's vault a person of ours is."""

from __future__ import annotations

from rtserver.core.rows import Runs

_KEEP = "insert into rt_pay_customers (user_id, gateway_id, created_at) values (?, ?, ?) on conflict do nothing"

_SAVING = "update rt_pay_customers set saving_at = ? where user_id = ?"
_SAVED = "update rt_pay_customers set saving_at = 0 where user_id = ? and saving_at = ?"
_PAYING = """
    select 1 from rt_pay_orders as bought join rt_pay_attempts as attempt on attempt.order_id = bought.id
    where bought.user_id = ? and attempt.op = 'sale' and attempt.state in ('sending', 'unknown') limit 1
"""


async def find(runs: Runs, user_id: str) -> str:
    """The id at the gateway, "" for none."""
    rows = await runs.run("select gateway_id from rt_pay_customers where user_id = ?", (user_id,))
    return str(rows[0][0]) if rows else ""


async def keep(runs: Runs, user_id: str, gateway_id: str, now: int) -> None:
    """What is known already stays."""
    await runs.run(_KEEP, (user_id, gateway_id, now))


async def saving(runs: Runs, user_id: str, now: int) -> None:
    """A payment was begun that saves its method."""
    await runs.run(_SAVING, (now, user_id))


async def saving_at(runs: Runs, user_id: str) -> int:
    """When the latest one was begun of which is not known what it saved, 0 for none."""
    rows = await runs.run("select saving_at from rt_pay_customers where user_id = ?", (user_id,))
    return int(rows[0][0]) if rows else 0


async def is_paying(runs: Runs, user_id: str) -> bool:
    """Whether a payment of this person has no outcome yet."""
    return bool(await runs.run(_PAYING, (user_id,)))


async def saved(runs: Runs, user_id: str, at: int) -> None:
    """What payments saved that were begun until ``at`` is known."""
    await runs.run(_SAVED, (user_id, at))
