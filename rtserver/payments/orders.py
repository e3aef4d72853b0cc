"""The table ``rt_pay_orders``. Each function takes a database or a transaction."""

from __future__ import annotations

from rtserver.core.payments import Money
from rtserver.core.ports import Row, Value
from rtserver.core.rows import Runs, is_id
from rtserver.payments.records import Order, OrderState, SaleItem

MOST = 200
"""Orders that are listed at once."""

_COLUMNS = "id, user_id, item_id, amount, currency, state, captured, refunded, created_at, changed_at"

_INSERT = f"""
    insert into rt_pay_orders (
        id, user_id, item_id, amount, currency, state, request_key, request_sha256, created_at, changed_at
    ) values (?, ?, ?, ?, ?, 'open', ?, ?, ?, ?) returning {_COLUMNS}
"""
_MOVE = f"""
    update rt_pay_orders set state = ?, captured = ?, refunded = ?, changed_at = ? where id = ? returning {_COLUMNS}
"""


async def create(
    runs: Runs, id: str, user_id: str, item: SaleItem, now: int, request: tuple[str, str] = ("", "")
) -> Order:
    """At the price that the item has now. ``request`` is the digest of a key ("": none) by which a repeated request finds the
    order, and that of what was asked. Raises ``Conflict`` when there is an order with this key."""
    key, digest = request
    values = (id, user_id, item.id, item.price.minor, item.price.currency, key or None, digest, now, now)
    return _order((await runs.run(_INSERT, values))[0])


async def find(runs: Runs, id: str) -> Order | None:
    if not is_id(id):
        return None
    rows = await runs.run(f"select {_COLUMNS} from rt_pay_orders where id = ?", (id,))
    return _order(rows[0]) if rows else None


async def by_request(runs: Runs, user_id: str, key: str) -> tuple[Order, str] | None:
    """With the digest of what was asked."""
    sql = f"select {_COLUMNS}, request_sha256 from rt_pay_orders where user_id = ? and request_key = ?"
    rows = await runs.run(sql, (user_id, key))
    return (_order(rows[0][:-1]), rows[0][-1]) if rows else None


async def listed(
    runs: Runs, *, user_id: str = "", state: OrderState | None = None, before: int = 0, limit: int = 50
) -> list[Order]:
    """The latest first, of one person or (``user_id`` "") of all, made before ``before`` (milliseconds; 0 is now)."""
    conditions, values = ["1 = 1"], list[Value]()
    for condition, value in (
        ("user_id = ?", user_id),
        ("state = ?", state and state.value),
        ("created_at < ?", before),
    ):
        if value:
            conditions.append(condition)
            values.append(value)
    where = " and ".join(conditions)
    sql = f"select {_COLUMNS} from rt_pay_orders where {where} order by created_at desc, id limit ?"
    return [_order(row) for row in await runs.run(sql, (*values, max(1, min(limit, MOST))))]


async def changed_between(runs: Runs, start: int, end: int) -> list[Order]:
    sql = f"select {_COLUMNS} from rt_pay_orders where changed_at >= ? and changed_at < ? order by changed_at, id"
    return [_order(row) for row in await runs.run(sql, (start, end))]


async def move(runs: Runs, order: Order, now: int) -> Order:
    """Write down state and sums of this order."""
    values = (order.state.value, order.captured.minor, order.refunded.minor, now, order.id)
    return _order((await runs.run(_MOVE, values))[0])


def _order(row: Row) -> Order:
    id, user_id, item_id, amount, currency, state, captured, refunded, created_at, changed_at = row
    sums = (Money(captured, currency), Money(refunded, currency))
    return Order(id, user_id, item_id, Money(amount, currency), OrderState(state), *sums, created_at, changed_at)
