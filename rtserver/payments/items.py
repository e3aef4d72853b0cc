"""The table ``rt_sale_items``: what can be bought, and the only place where prices come from."""

from __future__ import annotations

from rtserver.core.payments import Money
from rtserver.core.ports import Row
from rtserver.core.rows import Runs, is_id
from rtserver.payments.records import SaleItem

MOST = 500
"""Items that are listed."""

_COLUMNS = "id, name, description, amount, currency, merchant_account, plan, is_held, is_active"

_SAVE = """
    insert into rt_sale_items (
        id, name, description, amount, currency, merchant_account, plan, is_held, is_active, created_at
    ) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (id) do update set
        name = excluded.name, description = excluded.description, amount = excluded.amount, currency = excluded.currency,
        merchant_account = excluded.merchant_account, plan = excluded.plan, is_held = excluded.is_held,
        is_active = excluded.is_active
"""


async def find(runs: Runs, id: str) -> SaleItem | None:
    if not is_id(id):
        return None
    rows = await runs.run(f"select {_COLUMNS} from rt_sale_items where id = ?", (id,))
    return _item(rows[0]) if rows else None


async def listed(runs: Runs, *, only_active: bool = True) -> list[SaleItem]:
    """By name."""
    least = 1 if only_active else 0
    sql = f"select {_COLUMNS} from rt_sale_items where is_active >= ? order by amount, id limit {MOST}"
    return [_item(row) for row in await runs.run(sql, (least,))]


async def save(runs: Runs, item: SaleItem, now: int) -> None:
    """Make it, or change what it is from now on. Orders keep the price that they were made with."""
    values = (item.id, item.name, item.description, item.price.minor, item.price.currency, item.merchant_account)
    await runs.run(_SAVE, (*values, item.plan, item.is_held, item.is_active, now))


def _item(row: Row) -> SaleItem:
    id, name, description, amount, currency, merchant_account, plan, is_held, is_active = row
    price = Money(amount, currency)
    return SaleItem(id, name, description, price, merchant_account, plan, bool(is_held), bool(is_active))
