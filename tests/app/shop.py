"""A small shop that uses everything an application can declare. Documents are made of it, and a server runs it."""

import enum
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, computed_field

from rtserver.app import (
    Allow,
    App,
    Body,
    Clock,
    Connection,
    Cookie,
    Depends,
    Header,
    HTTPError,
    Path,
    Publisher,
    Query,
    Refuse,
    Response,
    User,
)

app = App(
    "Shop",
    version="2.1",
    description="Things to buy, and who looks at them right now.",
    prefix="/shop",
)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class NewItem(BaseModel):
    """What somebody wants to sell."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Teapot", "price": "12.50", "colour": "blue"}]})

    name: str = Field(min_length=1, max_length=80)
    price: Decimal = Field(gt=0, decimal_places=2, description="In euros.")
    colour: Colour = Colour.RED
    tags: list[str] = Field(default_factory=list, max_length=10)


class Item(NewItem):
    """Something to buy."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 7,
                    "name": "Teapot",
                    "price": "12.50",
                    "colour": "blue",
                    "tags": ["old"],
                    "added": "2026-01-02T00:00:00",
                    "slug": "7-teapot",
                }
            ]
        }
    )

    id: int
    added: datetime

    @computed_field
    @property
    def slug(self) -> str:
        return f"{self.id}-{self.name.lower()}"


class Tick(msgspec.Struct):
    """One price at one time."""

    item: int
    price: float
    at: float


class ChatMessage(BaseModel):
    """What a visitor says."""

    text: str = Field(min_length=1, max_length=500, examples=["Is the teapot still there?"])


class ChatLine(ChatMessage):
    """What everybody in the room reads."""

    user: str
    channel: str


class Review(BaseModel):
    """What a customer thinks, and what others think of that."""

    text: str
    stars: tuple[int, Literal["of"], int] = (5, "of", 5)
    replies: list["Review"] = []


class Card(BaseModel):
    kind: Literal["card"]
    number: str


class Cash(BaseModel):
    kind: Literal["cash"]


class Cart(BaseModel):
    """What a visitor is about to buy."""

    items: dict[int, int] = Field(description="How many of each item.", examples=[{7: 2}])
    total: Decimal


class Page(BaseModel):
    offset: int
    limit: int


SHELF: dict[int, Item] = {}


def page(
    offset: Annotated[int, Query(description="How many to leave out."), Field(ge=0)] = 0,
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
) -> Page:
    return Page(offset=offset, limit=limit)


def item_of(item_id: Annotated[int, Path(description="The number of the item.", example=7)]) -> Item:
    if item_id not in SHELF:
        raise HTTPError(404, f"there is no item {item_id}")
    return SHELF[item_id]


# HTTP


@app.get("/items", tags=["items"])
async def list_items(
    page: Annotated[Page, Depends(page)],
    colour: Colour | None = None,
    tag: Annotated[list[str], Query(description="Only items with all of these tags.", example=["old", "nice"])] = [],  # noqa: B006
) -> list[Item]:
    """Everything on the shelf.

    Newest *last*. Filters add up.
    """
    found = [each for each in SHELF.values() if colour in (None, each.colour) and set(tag) <= set(each.tags)]
    return found[page.offset :][: page.limit]


@app.post("/items", status=201, tags=["items"], responses={409: "There is one of this name"})
async def add_item(item: NewItem, user: User, publisher: Publisher) -> Item:
    """Put something on the shelf."""
    if any(each.name == item.name for each in SHELF.values()):
        raise HTTPError(409, f"there is a {item.name} already")
    number = len(SHELF) + 1
    SHELF[number] = Item(**item.model_dump(), id=number, added=datetime(2026, 1, 2))
    return SHELF[number]


@app.get("/items/{item_id}", tags=["items"], responses={404: "There is no such item"})
async def read_item(item: Annotated[Item, Depends(item_of)]) -> Item:
    """One item."""
    return item


@app.delete("/items/{item_id}", status=204, tags=["items"], responses={404: "There is no such item"})
async def remove_item(item: Annotated[Item, Depends(item_of)], user: User) -> None:
    """Take it from the shelf."""
    del SHELF[item.id]


@app.post("/checkout", tags=["money"])
def checkout(
    payment: Annotated[Card | Cash, Field(discriminator="kind")],
    note: Annotated[str, Body(description="For the courier.", example="second floor")] = "",
    session: Annotated[str, Cookie()] = "",
    x_request_id: Annotated[str, Header(description="Comes back in the answer.")] = "",
    user: User | None = None,
) -> Tick:
    """Pay for what is in the cart."""
    return Tick(1, 2.0, 3.0)


@app.get("/files/{name:path}", tags=["files"])
async def download(name: str) -> Response:
    """A picture, a receipt."""
    return Response(name.encode(), "text/plain")


@app.get("/legacy", deprecated=True)
async def legacy() -> None: ...


@app.get("/secret", hidden=True)
async def secret() -> str:
    return "not in the documents"


# Realtime


@app.on_subscribe("chat:{room}")
async def enter(room: str, connection: Connection) -> Allow | None:
    """Everybody may listen, but in the cellar."""
    if room == "cellar":
        raise Refuse()
    return None


@app.on_publish("chat:{room}")
async def say(message: ChatMessage, room: str, channel: str, connection: Connection) -> ChatLine:
    """A line of the chat: the server adds who says it."""
    return ChatLine(text=message.text, user=connection.user or "guest", channel=channel)


@app.on_subscribe("likes:*")
async def watch_likes(channel: str, since: Annotated[int, Field(ge=0)] = 0) -> None:
    """How often something is liked."""


@app.rpc("cart.add")
async def add_to_cart(item: Annotated[int, Body(example=7)], count: Annotated[int, Field(ge=1, le=9)] = 1) -> Cart:
    """Put something into the cart."""
    return Cart(items={item: count}, total=Decimal("12.50") * count)


@app.rpc("echo")
async def echo(message: ChatMessage) -> ChatMessage:
    """Gives back what it gets.

    For trying out whether the connection works.
    """
    return message


@app.rpc("reviews.best")
async def best_review(payment: Annotated[Card | Cash, Field(discriminator="kind")] | None = None) -> Review | None:
    """The review that most found useful, if there is one."""
    return None


@app.stream("prices")
async def prices(clock: Clock) -> AsyncIterator[Tick]:
    """The price of the teapot, once a second, while somebody listens."""
    while True:
        yield Tick(1, 12.5, clock.now())
        await clock.sleep(1.0)
