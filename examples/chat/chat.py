"""The chat: who may come in, who may go where, what becomes of a message. `twistd rtserver` runs it (etc/rtserver.toml)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from page import add_page
from pydantic import BaseModel
from rooms import Draft, Hello, Message, NewRoom, Room, RoomExists, Rooms, TooManyRooms

from rtserver import Accept, Allow, App, Clock, Connection, Publisher, Refuse

app = App("Chat", description="Rooms, presence, history: one module that runs inside rtserver.")
add_page(app)

rooms = Rooms()
rooms.create(NewRoom(name="lobby", topic="Where everybody begins"))
rooms.create(NewRoom(name="music", topic="What are you listening to?"))
rooms.create(NewRoom(name="kitchen", topic="Recipes, and what became of them"))

PULSE_SECONDS = 1.0


class Pulse(BaseModel):
    """How the whole chat is doing. ``at`` in Unix seconds."""

    at: float
    people: int
    last_minute: int
    rooms: list[Room]


@app.on_connect
async def come_in(hello: Hello) -> Accept:
    """Everybody may come in under any name; a real chat would ask for more. The name is the user, its colour is shown."""
    return Accept(user=hello.name, info={"colour": hello.colour})


@app.on_subscribe("chat:{room}")
async def enter(room: str) -> Allow:
    """Rooms that exist are open to all. Others see since when somebody is in the room."""
    if room not in rooms:
        raise Refuse(404, f"there is no room {room}")
    return Allow(info={"since": time.time()})


@app.on_publish("chat:{room}")
async def say(room: str, draft: Draft, connection: Connection) -> Message:
    """The message is stamped here: nobody can write in another's name, or at another time."""
    if room not in rooms:
        raise Refuse(404, f"there is no room {room}")
    return rooms.say(room, draft, Hello(name=connection.user), time.time())


@app.rpc("rooms.create")
async def create(room: NewRoom, publisher: Publisher) -> Room:
    """Opens a room. Everybody sees it at once in the next pulse."""
    try:
        made = rooms.create(room)
    except RoomExists:
        raise Refuse(409, f"there is a room {room.name} already") from None
    except TooManyRooms:
        raise Refuse(429, "there are rooms enough: meet in one of them") from None
    await publisher.publish("live:pulse", await pulse(publisher))
    return made


@app.get("/rooms", tags=["rooms"])
async def all_rooms(publisher: Publisher) -> list[Room]:
    """The rooms, and how many people are in each."""
    return (await pulse(publisher)).rooms


@app.stream("live:pulse")
async def pulses(publisher: Publisher, clock: Clock) -> AsyncIterator[Pulse]:
    """Runs while somebody has the page open."""
    while True:
        yield await pulse(publisher)
        await clock.sleep(PULSE_SECONDS)


async def pulse(publisher: Publisher) -> Pulse:
    everybody: set[str] = set()
    found = []
    for room in rooms.all():
        people = set((await publisher.presence(f"chat:{room.name}")).values())
        everybody |= people
        found.append(room.model_copy(update={"people": len(people)}))
    now = time.time()
    return Pulse(at=now, people=len(everybody), last_minute=rooms.last_minute(now), rooms=found)
