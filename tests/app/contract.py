"""The endpoints and requests that FastAPI and this server are both asked: declared once, with the markers of either."""

import datetime
import decimal
import enum
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import TypedDict


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Maker(BaseModel):
    name: str = Field(min_length=2)
    since: datetime.date | None = None


class Item(BaseModel):
    id: int
    name: str = Field(max_length=5)
    price: float = Field(gt=0)
    tags: list[str] = []
    maker: Maker | None = None


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int


class Renamed(BaseModel):
    item_name: str = Field(alias="itemName")


class Even(BaseModel):
    number: int
    other: int = 0

    @field_validator("number")
    @classmethod
    def is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value

    @model_validator(mode="after")
    def is_ordered(self) -> "Even":
        if self.other > self.number:
            raise ValueError("other is above number")
        return self


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    bark: str


class Secret(Maker):
    password: str = "hidden"


@dataclass
class Point:
    x: int
    y: int = 0


class Book(TypedDict):
    title: str
    pages: int


class Kit(NamedTuple):
    """The markers of one of the two libraries."""

    Path: Any
    Query: Any
    Header: Any
    Cookie: Any
    Body: Any
    Depends: Any
    HTTPError: Any


def declare(app: Any, kit: Kit) -> None:
    texts(app, kit)
    headers_and_cookies(app, kit)
    bodies(app, kit)
    results(app, kit)


def texts(app: Any, kit: Kit) -> None:
    @app.get("/items/{item_id}")
    async def item(item_id: int, q: str | None = None, short: bool = False) -> dict[str, Any]:
        return {"id": item_id, "q": q, "short": short}

    @app.get("/users/me")
    async def me() -> str:
        return "me"

    @app.get("/users/{user}")
    async def user(user: str) -> str:
        return user

    @app.delete("/users/{user}")
    async def remove(user: str) -> str:
        return user

    @app.get("/files/{place:path}")
    async def file(place: str) -> str:
        return place

    @app.get("/colours/{colour}")
    async def colour(colour: Colour, size: Size = Size.SMALL) -> dict[str, Any]:
        return {"colour": colour, "size": size}

    @app.get("/bounds/{number}")
    async def bounds(
        number: Annotated[int, kit.Path(), Field(ge=1, le=10)],
        ratio: Annotated[float, Field(lt=1)] = 0.5,
        word: Annotated[str, Field(pattern="^a+$", max_length=3)] = "a",
    ) -> list[Any]:
        return [number, ratio, word]

    @app.get("/lists")
    async def lists(
        numbers: Annotated[list[int], kit.Query()], words: Annotated[set[str] | None, kit.Query()] = None
    ) -> Any:
        return [numbers, sorted(words or ())]

    @app.get("/times")
    async def times(
        day: datetime.date | None = None,
        at: datetime.datetime | None = None,
        length: datetime.timedelta | None = None,
        hour: datetime.time | None = None,
    ) -> list[Any]:
        return [day, at, length, hour]

    @app.get("/others")
    async def others(
        id: uuid.UUID | None = None,
        amount: decimal.Decimal | None = None,
        mode: Literal["fast", "slow"] = "fast",
        number: int | str = 0,
        renamed: Annotated[int, kit.Query(alias="re-named")] = 0,
    ) -> list[Any]:
        return [id, str(amount), mode, number, renamed]

    @app.get("/needs")
    async def needs(a: int, b: bool, c: float, d: str) -> list[Any]:
        return [a, b, c, d]

    async def page(skip: int = 0, limit: Annotated[int, Field(le=100)] = 10) -> dict[str, int]:
        return {"skip": skip, "limit": limit}

    async def owner(user: str, page: Annotated[dict[str, int], kit.Depends(page)]) -> str:
        return f"{user}/{page['limit']}"

    @app.get("/owners/{user}")
    async def owned(
        owner: Annotated[str, kit.Depends(owner)], page: Annotated[dict[str, int], kit.Depends(page)], n: int
    ) -> Any:
        return [owner, page, n]


def headers_and_cookies(app: Any, kit: Kit) -> None:
    @app.get("/headers")
    async def headers(
        x_token: Annotated[str, kit.Header()],
        x_count: Annotated[int | None, kit.Header()] = None,
        x_many: Annotated[list[str] | None, kit.Header()] = None,
        odd: Annotated[str, kit.Header(alias="X_Odd")] = "",
    ) -> list[Any]:
        return [x_token, x_count, x_many, odd]

    @app.get("/cookies")
    async def cookies(
        session: Annotated[str, kit.Cookie()], visits: Annotated[int, kit.Cookie(alias="n-visits")] = 0
    ) -> list[Any]:
        return [session, visits]


def bodies(app: Any, kit: Kit) -> None:
    @app.post("/items", **created(app))
    async def add(item: Item) -> Item:
        return item

    @app.put("/items/{item_id}")
    async def change(item_id: int, item: Item, dry: bool = False) -> list[Any]:
        return [item_id, item, dry]

    @app.post("/strict")
    async def strict(item: Strict) -> Strict:
        return item

    @app.post("/renamed")
    async def renamed(item: Renamed) -> Renamed:
        return item

    @app.post("/even")
    async def even(even: Even) -> Even:
        return even

    @app.post("/optional")
    async def optional(item: Strict | None = None) -> Any:
        return item

    @app.post("/two")
    async def two(item: Strict, maker: Maker, note: Annotated[str, kit.Body()] = "none") -> list[Any]:
        return [item, maker, note]

    @app.post("/scalar")
    async def scalar(number: Annotated[int, kit.Body()]) -> int:
        return number

    @app.post("/point")
    async def point(point: Point) -> Point:
        return point

    @app.post("/points")
    async def points(points: list[Point]) -> list[Point]:
        return points

    @app.post("/book")
    async def book(book: Book) -> Book:
        return book

    @app.post("/counts")
    async def counts(counts: dict[str, int]) -> dict[str, int]:
        return counts

    @app.post("/numbers")
    async def numbers(numbers: list[int]) -> list[int]:
        return numbers

    @app.post("/pets")
    async def pet(pet: Annotated[Cat | Dog, Field(discriminator="kind")]) -> Any:
        return pet

    @app.post("/unions")
    async def union(pet: Cat | Point) -> Any:
        return pet

    async def maker(maker: Maker) -> str:
        return maker.name

    @app.post("/provided")
    async def provided(item: Strict, name: Annotated[str, kit.Depends(maker)]) -> list[Any]:
        return [item, name]


def created(app: Any) -> dict[str, int]:
    """The two libraries name the status differently."""
    return {"status": 201} if type(app).__module__.startswith("rtserver") else {"status_code": 201}


def results(app: Any, kit: Kit) -> None:
    @app.get("/leak")
    async def leak() -> Maker:
        return Secret(name="Ada")

    @app.get("/leaks")
    async def leaks() -> list[Maker]:
        return [Secret(name="Ada"), Secret(name="Eve")]

    @app.get("/result/alias")
    async def alias() -> Renamed:
        return Renamed(itemName="x")

    @app.get("/result/dictionary")
    async def dictionary() -> Maker:
        return {"name": "Ada", "password": "hidden"}  # type: ignore[return-value]

    @app.get("/result/none")
    async def none() -> None:
        return None

    @app.get("/result/any")
    async def anything():  # type: ignore[no-untyped-def]
        return {"colour": Colour.RED, "at": datetime.datetime(2026, 1, 2, 3, 4, 5), "point": Point(1), "ö": "é"}

    @app.get("/result/union")
    async def union(dog: bool) -> Cat | Dog:
        return Dog(kind="dog", bark="wuff") if dog else Cat(kind="cat", lives=9)

    @app.get("/result/refused")
    async def refused() -> None:
        raise kit.HTTPError(418, {"why": "a teapot"}, {"X-Pot": "tea"})

    @app.get("/result/refused/plainly")
    async def refused_plainly() -> None:
        raise kit.HTTPError(404, "no such thing")


class Asked(NamedTuple):
    """One request. ``body`` is sent as it is; with one, ``type`` is its content type."""

    method: str
    path: str
    body: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    type: str = "application/json"

    @property
    def name(self) -> str:
        body = "" if self.body is None else f" {self.body}"
        kind = f" as {self.type}" if self.type != "application/json" else ""
        return f"{self.method} {self.path}{body}{kind}" + "".join(f" {name}: {value}" for name, value in self.headers)


def got(*paths: str) -> list[Asked]:
    return [Asked("GET", path) for path in paths]


def posted(path: str, *bodies: str) -> list[Asked]:
    return [Asked("POST", path, body) for body in bodies]


ITEM = '{"id": 1, "name": "cup", "price": 2.5}'

REQUESTS = [
    *got("/items/7", "/items/7?q=a+b&short=yes", "/items/7?q=&short=on", "/items/7?short=1", "/items/7?short=maybe"),
    *got("/items/x", "/items/1.0", "/items/1.5", "/items/-3", "/items/%37", "/items/x?short=&q=1", "/items/1_000"),
    *got("/items/7?q=1&q=2", "/items/7?q=%C3%A9%26", "/items/7?q=%ff", "/items/7?Q=1", "/items/7?&&q=1&", "/items/7?q"),
    *got("/items/99999999999999999999", "/items/" + "9" * 5000, "/items/%20", "/items/7?q=a%00b"),
    *got("/users/me", "/users/you", "/users/a%20b%3F", "/users/caf%C3%A9", "/users/caf%c3%a9", "/users/%2525", "/"),
    *got("/users", "/nowhere", "/USERS/me", "/users/a/b"),
    *got("/files/a/b/c.txt", "/files/a//b", "/files/a%20b/c"),
    Asked("DELETE", "/users/me"),
    Asked("PUT", "/users/me", "{}"),
    Asked("PATCH", "/items", "{}"),
    *got("/colours/red", "/colours/blue?size=2", "/colours/green", "/colours/red?size=3", "/colours/RED"),
    *got(
        "/bounds/1", "/bounds/0", "/bounds/11?ratio=1&word=b", "/bounds/x?ratio=nan&word=aaaa", "/bounds/2?ratio=1e-3"
    ),
    *got("/lists?numbers=1&numbers=2", "/lists?numbers=1&numbers=x&numbers=y", "/lists", "/lists?numbers="),
    *got("/lists?numbers=1,2", "/lists?numbers=1&words=b&words=a&words=b"),
    *got("/times?day=2026-01-02", "/times?day=2026-13-01", "/times?at=2026-01-02T03:04:05Z", "/times?at=1700000000"),
    *got("/times?length=PT1H", "/times?length=x&hour=25:00&at=x&day=x", "/times?hour=10:11:12.5", "/times?day="),
    *got("/others?id=12345678-1234-5678-1234-567812345678", "/others?id=x&amount=x&mode=medium&re-named=x"),
    *got("/others?amount=1.10&mode=slow&number=5", "/others?number=abc&re-named=3", "/others?renamed=3"),
    *got("/needs", "/needs?a=x&b=x&c=x", "/needs?a=1&b=0&c=inf&d=", "/needs?a=1&b=T&c=1&d=x"),
    *got("/owners/ada?n=1", "/owners/ada?n=1&limit=5", "/owners/ada?n=x&limit=500&skip=x"),
    Asked("GET", "/headers"),
    Asked("GET", "/headers", None, (("X-Token", "t"), ("x-count", "5"))),
    Asked("GET", "/headers", None, (("x-token", ""), ("X-COUNT", "five"))),
    Asked("GET", "/headers", None, (("x-token", "a"), ("x-token", "b"), ("x-many", "1"), ("x-many", "2, 3"))),
    Asked("GET", "/headers", None, (("x_token", "t"), ("x_odd", "o"))),
    Asked("GET", "/headers", None, (("x-token", "t"), ("x_odd", "o"))),
    Asked("GET", "/cookies"),
    Asked("GET", "/cookies", None, (("cookie", "session=abc; n-visits=3"),)),
    Asked("GET", "/cookies", None, (("cookie", 'session="a b";n-visits=x'),)),
    Asked("GET", "/cookies", None, (("cookie", "odd[]=1; {json: 1}; session=a=b"),)),
    Asked("GET", "/cookies", None, (("cookie", "session=a; session=b"),)),
    Asked("GET", "/cookies", None, (("cookie", "session="),)),
    *posted("/items", ITEM, "{}", "[]", "1", '"x"', "null", "", "  ", '{"id": 1, "name": "toolong", "price": 0}'),
    *posted("/items", '{"id": "1", "name": "a", "price": "2"}', '{"id": 1.5, "name": 5, "price": "x", "tags": "a"}'),
    *posted("/items", '{"id": 1, "name": "a", "price": 1, "tags": [1, "b", null]}'),
    *posted("/items", '{"id": 1, "name": "a", "price": 1, "maker": {"name": "A"}}'),
    *posted("/items", '{"id": 1, "name": "a", "price": 1, "maker": {"since": "yesterday"}, "more": true}'),
    *posted("/items", '{"id": 1, "name": "a", "price": 1, "maker": {"name": "Ada", "since": "2026-01-02"}}'),
    *posted("/items", '{"id": 123456789012345678901234567890, "name": 123456789012345678901234567890, "price": 1}'),
    *posted("/items", '{"id": 1, "name": "\\u00e9", "price": 1}', '{"id": true, "name": "a", "price": 1e400}'),
    *posted("/items", "{", "not json", '{"id": 1,}', "{'id': 1}", ITEM + "x", "NaN", '{"id": 1} {"id": 2}'),
    Asked("POST", "/items", ITEM, type="text/plain"),
    Asked("POST", "/items", "id=1&name=cup&price=1", type="application/x-www-form-urlencoded"),
    Asked("POST", "/items", ITEM, type="application/vnd.shop+json"),
    Asked("POST", "/items", ITEM, type="Application/JSON; charset=utf-8"),
    Asked("POST", "/items", ITEM, type=""),
    Asked("PUT", "/items/x?dry=x", '{"name": "a"}'),
    Asked("PUT", "/items/1", ITEM),
    *posted("/strict", '{"a": 1}', '{"a": 1, "b": 2}', '{"b": 2}'),
    *posted("/renamed", '{"itemName": "x"}', '{"item_name": "x"}'),
    *posted("/even", '{"number": 2}', '{"number": 3}', '{"number": 2, "other": 3}'),
    *posted("/optional", "", "null", '{"a": 1}', '{"a": "x"}'),
    *posted("/two", '{"item": {"a": 1}, "maker": {"name": "Ada"}}', "{}", "[]", "", "null", '{"item": {"a": "x"}}'),
    *posted(
        "/two", '{"item": null, "maker": [], "note": 5}', '{"item": {"a": 1}, "maker": {"name": "A"}, "note": "n"}'
    ),
    *posted("/scalar", "5", '"5"', '"x"', "", "null", '{"number": 5}'),
    *posted("/point", '{"x": 1}', '{"x": 1, "y": "2"}', "{}", '{"x": 1, "z": 1}', "[1, 2]"),
    *posted("/points", '[{"x": 1}, {"x": 2}]', '[{"x": 1}, {}, {"x": "a"}]', "{}", "[]"),
    *posted("/book", '{"title": "a", "pages": 3}', '{"title": 1}', '{"title": "a", "pages": 3, "more": 1}'),
    *posted("/counts", '{"a": 1, "b": "2"}', '{"a": "x", "b": null}', "[]"),
    *posted("/numbers", "[1, 2]", '[1, "x", null]', "5", "{}"),
    *posted("/pets", '{"kind": "cat", "lives": 9}', '{"kind": "cow"}', '{"kind": "dog"}', "{}", "5"),
    *posted("/unions", '{"kind": "cat", "lives": 9}', '{"x": 5}', '{"kind": "cat"}'),
    *posted(
        "/provided", '{"item": {"a": 1}, "maker": {"name": "Ada"}}', '{"item": {"a": "x"}, "maker": {"name": "A"}}'
    ),
    *got("/leak", "/leaks", "/result/alias", "/result/dictionary", "/result/none", "/result/any"),
    *got("/result/union?dog=1", "/result/union?dog=0", "/result/refused", "/result/refused/plainly"),
]
