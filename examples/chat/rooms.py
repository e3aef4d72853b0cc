"""The rooms, and what is said in them. They live in this process and end with it; a database would stand here."""

from __future__ import annotations

from collections import deque
from itertools import count

from pydantic import BaseModel, ConfigDict, Field

MOST_ROOMS = 30
MINUTE = 60.0
COLOURS = 8


class Hello(BaseModel):
    """What a client says of itself when it connects."""

    model_config = ConfigDict(str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=24)

    @property
    def colour(self) -> int:
        """The number of the colour that a name is shown in, the same for everybody."""
        return sum(self.name.encode()) % COLOURS


class Draft(BaseModel):
    """A message as a client sends it. Anything more is refused."""

    model_config = ConfigDict(str_strip_whitespace=True, extra="forbid")

    text: str = Field(min_length=1, max_length=1000)


class Message(BaseModel):
    """A message as everybody receives it. ``at`` in Unix seconds."""

    id: int
    text: str
    author: str
    colour: int
    at: float


class NewRoom(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True)

    name: str = Field(pattern="^[a-z0-9-]{2,20}$", description="Small letters, digits and -, 2 to 20 of them.")
    topic: str = Field("", max_length=80)


class Room(BaseModel):
    """``people`` counts users, not browser tabs."""

    name: str
    topic: str
    people: int = 0
    messages: int = 0


class RoomExists(Exception):
    """There is a room of this name."""


class TooManyRooms(Exception):
    """There are as many rooms as there may be."""


class Rooms:
    """All rooms by name, and how lively it was in the last minute."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}
        self._ids = count(1)
        self._recent: deque[float] = deque(maxlen=10_000)

    def __contains__(self, name: str) -> bool:
        return name in self._rooms

    def all(self) -> list[Room]:
        return list(self._rooms.values())

    def create(self, new: NewRoom) -> Room:
        if new.name in self._rooms:
            raise RoomExists(new.name)
        if len(self._rooms) >= MOST_ROOMS:
            raise TooManyRooms
        room = self._rooms[new.name] = Room(name=new.name, topic=new.topic)
        return room

    def say(self, name: str, draft: Draft, author: Hello, now: float) -> Message:
        self._rooms[name].messages += 1
        self._recent.append(now)
        return Message(id=next(self._ids), text=draft.text, author=author.name, colour=author.colour, at=now)

    def last_minute(self, now: float) -> int:
        """How many messages there were in all rooms."""
        while self._recent and self._recent[0] < now - MINUTE:
            self._recent.popleft()
        return len(self._recent)
