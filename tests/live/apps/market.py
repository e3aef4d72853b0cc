"""A market stall: an application that live tests run inside a server. Every kind of function, some of them slow or broken."""

import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, Field
from twisted.internet.defer import CancelledError

from rtserver import (
    Accept,
    Allow,
    App,
    Clock,
    Connection,
    Database,
    Depends,
    Header,
    HTTPError,
    Limits,
    Publish,
    Publisher,
    Query,
    Refuse,
    Request,
    Response,
    Transaction,
    User,
    wait,
)

app = App("market", version="1.2", description="Fruit and fish.", prefix="/market")
notes: list[str] = []


class Fruit(BaseModel):
    """Something to eat."""

    name: str = Field(min_length=1, max_length=20)
    price: float = Field(gt=0, le=1_000_000)
    tags: list[Annotated[str, Field(max_length=10)]] = Field(default=[], max_length=5)


class Stored(Fruit):
    id: int


class Bid(BaseModel):
    amount: int = Field(ge=1, le=1000)


class Said(Bid):
    user: str


def note(text: str) -> None:
    del notes[:-100]
    notes.append(text)


async def session() -> AsyncIterator[str]:
    note("session opened")
    try:
        yield "session"
    except CancelledError:
        note("session undone")
        raise
    finally:
        note("session closed")


def plain_session() -> Iterator[int]:
    yield threading.get_ident()
    note("plain session closed")


# HTTP


@app.get("/fruit/{fruit_id}", tags=["fruit"], responses={404: "There is no such fruit"})
async def fruit(fruit_id: Annotated[int, Field(ge=0)], detail: bool = False) -> Stored:
    """One fruit."""
    if fruit_id > 1000:
        raise HTTPError(404, f"no fruit {fruit_id}")
    return Stored(id=fruit_id, name="pear" if detail else "apple", price=1.5)


@app.post("/fruit", status=201, tags=["fruit"])
async def add(fruit: Fruit, request: Request) -> Stored:
    """Put one on the stall."""
    return Stored(id=len(fruit.name), **fruit.model_dump())


@app.get("/search", tags=["fruit"])
async def search(
    tag: Annotated[list[Annotated[str, Field(max_length=10)]], Query()] = [],  # noqa: B006
    below: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None,
    x_market: Annotated[str, Header()] = "",
) -> dict[str, Any]:
    """What was asked for."""
    return {"tag": tag, "below": below, "market": x_market}


@app.get("/me")
async def me(user: User) -> dict[str, Any]:
    """Who asks."""
    return {"id": user.id, "info": user.info}


@app.post("/shout/{channel}", hidden=True)
async def shout(channel: str, text: Annotated[str, Query()], publisher: Publisher) -> int:
    return (await publisher.publish(channel, {"text": text})).offset


@app.post("/shout-plainly/{channel}", hidden=True)
def shout_plainly(channel: str, text: Annotated[str, Query()], publisher: Publisher) -> int:
    return wait(publisher.publish(channel, {"text": text})).offset


@app.get("/slow", hidden=True)
def slow(seconds: float, session: Annotated[int, Depends(plain_session)]) -> bool:
    """Whether the thread is not the server's."""
    time.sleep(seconds)
    return threading.current_thread() is not threading.main_thread() and session != 0


@app.get("/wait", hidden=True, limits=Limits(seconds=0.5))
async def waits(seconds: float, clock: Clock, session: Annotated[str, Depends(session)]) -> str:
    try:
        await clock.sleep(seconds)
    except CancelledError:
        note("wait given up")
        raise
    return session


@app.get("/notes", hidden=True)
async def read_notes() -> list[str]:
    return notes


@app.delete("/notes", hidden=True, status=204)
async def forget_notes() -> None:
    notes.clear()


@app.get("/broken", hidden=True)
async def broken() -> Fruit:
    raise LookupError("the till is empty")


@app.get("/unfit", hidden=True)
async def unfit() -> Fruit:
    return {"name": "", "price": -1}  # type: ignore[return-value]


@app.get("/picture/{name:path}", hidden=True)
async def picture(name: str) -> Response:
    return Response(name.encode(), "image/x-fruit", headers={"Cache-Control": "max-age=60"})


@app.post("/large", hidden=True, limits=Limits(body_size=100))
async def large(fruit: Fruit) -> None: ...


@app.post("/count/{name}", hidden=True)
async def count(name: str, database: Database) -> int:
    """How often this was asked for, also before the server was restarted."""
    await database.run("CREATE TABLE IF NOT EXISTS market_counts (name TEXT PRIMARY KEY, count INTEGER NOT NULL)")

    async def work(transaction: Transaction) -> int:
        await transaction.run("INSERT INTO market_counts VALUES (?, 0) ON CONFLICT (name) DO NOTHING", [name])
        ((found,),) = await transaction.run(
            "UPDATE market_counts SET count = count + 1 WHERE name = ? RETURNING count", [name]
        )
        return int(found)

    return await database.transact(work)


# Realtime


@app.on_connect
async def connect(user: User | None) -> Accept | None:
    return None if user is None else Accept(data={"hello": user.id})


@app.on_subscribe("stall:{name}")
async def enter(name: str, connection: Connection, amount: int = 0) -> Allow:
    """Everybody may listen, but at the closed stall."""
    if name == "closed":
        raise Refuse(1000, "the stall is closed")
    return Allow(info={"stall": name}, data={"amount": amount})


@app.on_publish("stall:{name}")
async def bid(bid: Bid, name: str, connection: Connection) -> Publish | Said:
    """Bids are told with their user."""
    if bid.amount > 900:
        raise Refuse(1001, "too much", temporary=True)
    return Said(amount=bid.amount, user=connection.user or "somebody")


@app.rpc("sum")
async def add_up(numbers: list[int]) -> int:
    """Of numbers."""
    return sum(numbers)


@app.rpc("slow")
def slow_rpc(seconds: float) -> bool:
    time.sleep(seconds)
    return threading.current_thread() is not threading.main_thread()


@app.rpc("wait", seconds=0.5)
async def wait_rpc(seconds: float, clock: Clock) -> None:
    try:
        await clock.sleep(seconds)
    except CancelledError:
        note("rpc given up")
        raise


@app.rpc("broken.*")
async def broken_rpc(method: str) -> int:
    if method == "broken.result":
        return "text"  # type: ignore[return-value]
    raise LookupError("the till is empty")


@app.on_disconnect
async def gone(connection: Connection, code: int) -> None:
    note(f"{connection.user or 'somebody'} left with {code}")


@app.stream("clock:{pace}")
async def ticks(pace: int, clock: Clock) -> AsyncIterator[dict[str, int]]:
    """Counts, so many times a second."""
    note(f"clock {pace} begins")
    try:
        n = 0
        while True:
            n += 1
            yield {"n": n}
            await clock.sleep(1 / pace)
    finally:
        note(f"clock {pace} ends")
