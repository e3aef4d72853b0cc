"""What the server gives to functions that ask for it by type.

``User``, ``Connection``, ``Request`` and ``Payment`` are facts of the call; ``Publisher`` acts on channels and connections.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

from rtserver.app.endpoint import HTTPError
from rtserver.app.parameters import Given, Scheme

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class User(Given):
    """Who calls. Over HTTP: the user of the connection token in ``Authorization: Bearer``; a function that takes ``User``
    answers 401 without one, a function that takes ``User | None`` does not. ``info`` is the token's, as Python values."""

    id: str
    info: Any = None

    security: ClassVar[Scheme] = (
        "bearer",
        {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The connection token that realtime clients connect with.",
        },
    )

    @staticmethod
    def absent() -> HTTPError:
        return HTTPError(401, "Not authenticated", {"www-authenticate": "Bearer"})


@dataclass(frozen=True, slots=True)
class Connection(Given):
    """The realtime connection that a handler is called for. ``headers`` are those of its handshake, lower-case."""

    client: str
    user: str
    transport: str
    protocol: str
    remote: str = ""
    name: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    info: Any = None
    meta: Any = None


@dataclass(frozen=True, slots=True)
class Request(Given):
    """The HTTP request. ``id`` stands in the log beside what went wrong."""

    id: str
    method: str
    path: str
    remote: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Payment(Given):
    """News of a payment. ``id`` is the same when it comes again. ``kind`` is "payment.<state of the order>",
    "subscription.<status>" or "dispute.<status>"; ``user`` who pays, ``order`` the id of the order ("" for what has none),
    ``record`` what the pages see of it, ``created_at`` milliseconds since 1970."""

    id: str
    kind: str
    user: str
    order: str
    record: Mapping[str, Any]
    created_at: int


class Clock(Given, ABC):
    """Time, for streams and whoever has to wait (``asyncio.sleep`` does not work in this server)."""

    @abstractmethod
    def now(self) -> float:
        """Unix seconds."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Raises ValueError below 0."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a publication went; offset 0 in channels without history."""

    offset: int
    epoch: str


class Transaction(Protocol):
    """Statements that happen together or not at all."""

    async def run(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """One statement. One at a time: await it before the next."""


class Database(Given, ABC):
    """The server's database, SQLite or PostgreSQL (docs/database.md). SQL with ``?`` for each value: int, float, str, bytes,
    bool or None. Raises ``core.errors.Conflict`` for a unique value that exists, ``StoreUnavailable`` when it cannot be done
    now, ``StoreError`` for everything else."""

    @abstractmethod
    async def run(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """One statement by itself, and its rows."""

    @abstractmethod
    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Call ``work`` in a transaction: its return commits, any exception undoes. It may be called again when the data were
        changed meanwhile, so let it do nothing but this."""


class Publisher(Given, ABC):
    """Channels and connections of this server. Every call raises ``core.errors.RtError`` when it cannot be done."""

    @abstractmethod
    async def publish(
        self,
        channel: str,
        data: Any,
        *,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str = "",
        skip_history: bool = False,
    ) -> Position:
        """``data`` is any JSON value or model."""

    @abstractmethod
    async def presence(self, channel: str) -> dict[str, str]:
        """Client ids and their users."""

    @abstractmethod
    async def history(self, channel: str, limit: int = 100, *, reverse: bool = False) -> list[Any]:
        """The data of publications, oldest first unless ``reverse``; what is no JSON as bytes."""

    @abstractmethod
    async def disconnect(self, user: str, code: int = 4500, reason: str = "force disconnect") -> None:
        """End every connection of a user, on every node."""

    @abstractmethod
    async def unsubscribe(self, user: str, channel: str) -> None: ...
