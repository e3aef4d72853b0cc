"""The table ``rt_pay_customers``: which customer of the gateway's vault a person of ours is."""

from __future__ import annotations

from rtserver.payments.rows import Runs

_KEEP = "insert into rt_pay_customers (user_id, gateway_id, created_at) values (?, ?, ?) on conflict do nothing"


async def find(runs: Runs, user_id: str) -> str:
    """The id at the gateway, "" for none."""
    rows = await runs.run("select gateway_id from rt_pay_customers where user_id = ?", (user_id,))
    return str(rows[0][0]) if rows else ""


async def keep(runs: Runs, user_id: str, gateway_id: str, now: int) -> None:
    """What is known already stays."""
    await runs.run(_KEEP, (user_id, gateway_id, now))
