"""The application of the benchmark inside rtserver."""

from __future__ import annotations

from bench.http_apps import models
from bench.http_apps.models import Item, Order
from rtserver import App

app = App("bench")


@app.get("/items/{item_id}")
async def item(item_id: int) -> Item:
    return models.item(item_id)


@app.post("/orders")
async def order(order: Order) -> Order:
    return order


@app.rpc("orders.add")
async def add(order: Order) -> Order:
    return order
