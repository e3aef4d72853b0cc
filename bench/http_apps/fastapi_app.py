"""The application of the benchmark on FastAPI. Runs in the peers' environment."""

from __future__ import annotations

from fastapi import FastAPI

from bench.http_apps import models
from bench.http_apps.models import Item, Order

app = FastAPI()


@app.get("/items/{item_id}")
async def item(item_id: int) -> Item:
    return models.item(item_id)


@app.post("/orders")
async def order(order: Order) -> Order:
    return order
