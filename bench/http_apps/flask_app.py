"""The application of the benchmark on Flask, its models checked with pydantic by hand. Runs in the peers' environment."""

from __future__ import annotations

from flask import Flask, Response, request

from bench.http_apps import models
from bench.http_apps.models import Order

app = Flask("bench")


@app.get("/items/<int:item_id>")
def item(item_id: int) -> Response:
    return Response(models.item(item_id).model_dump_json(), mimetype="application/json")


@app.post("/orders")
def order() -> Response:
    order = Order.model_validate_json(request.get_data())
    return Response(order.model_dump_json(), mimetype="application/json")
