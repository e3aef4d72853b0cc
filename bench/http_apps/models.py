"""What all applications of the HTTP benchmark take and give: an item for GET, an order of 500 bytes for POST."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Item(BaseModel):
    id: int
    name: str
    price: float
    in_stock: bool


class Line(BaseModel):
    sku: str = Field(min_length=3, max_length=20)
    quantity: int = Field(ge=1)
    price: float = Field(gt=0)


class Order(BaseModel):
    customer: str
    reference: str
    address: list[str]
    lines: list[Line] = Field(min_length=1)
    note: str = ""


def item(number: int) -> Item:
    return Item(id=number, name=f"item {number}", price=9.5, in_stock=True)
