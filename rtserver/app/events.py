"""Realtime functions: what they are called for, how a payload becomes their arguments, and what they may answer."""

from __future__ import annotations

import enum
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw

from rtserver.app.endpoint import Description
from rtserver.app.parameters import REQUIRED, Parameter, Signature, read_signature, where
from rtserver.app.patterns import Pattern
from rtserver.app.shapes import Invalid, Mistake, Shape, shape


class Event(enum.Enum):
    """What a function is called for."""

    CONNECT = "connect"
    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    RPC = "rpc"
    DISCONNECT = "disconnect"


class Refuse(Exception):
    """Raised by a realtime function to answer with an error. ``code`` is one of the protocol's (103 permission denied, ...)
    or the application's own, 400 to 1999; ``temporary``: the client may try again."""

    def __init__(self, code: int = 103, message: str = "permission denied", *, temporary: bool = False) -> None:
        if not (100 <= code <= 113 or 400 <= code <= 1999):
            raise ValueError(f"error code {code}: take one of the protocol's (100 to 113) or your own (400 to 1999)")
        self.code = code
        self.message = message or "refused"
        self.temporary = temporary
        super().__init__(f"{code}: {message}")


class Disconnect(Exception):
    """Raised by a realtime function to end the connection. Clients come back after codes 4000 to 4499, not after 4500 to
    4999."""

    def __init__(self, code: int = 4500, reason: str = "disconnected") -> None:
        if not 4000 <= code <= 4999:
            raise ValueError(f"close code {code}: applications may use 4000 to 4999")
        if len(reason.encode()) > 123 or not reason:
            raise ValueError("a close reason has 1 to 123 bytes")
        self.code = code
        self.reason = reason
        super().__init__(f"{code}: {reason}")


@dataclass(frozen=True, slots=True)
class Accept:
    """The answer of ``on_connect``: who it is and what it is given. ``expire_at`` in Unix seconds, 0: never."""

    user: str = ""
    info: Any = None
    data: Any = None
    channels: tuple[str, ...] = ()
    expire_at: int = 0
    meta: Any = None


@dataclass(frozen=True, slots=True)
class Allow:
    """The answer of ``on_subscribe`` that adds something: ``info`` others see beside the client, ``data`` in the reply."""

    info: Any = None
    data: Any = None
    expire_at: int = 0


@dataclass(frozen=True, slots=True)
class Publish:
    """The answer of ``on_publish`` that changes more than the data. ``data`` None: what the client sent."""

    data: Any = None
    tags: Mapping[str, str] = field(default_factory=dict)
    skip_history: bool = False
    idempotency_key: str = ""


ANSWERS = (Accept, Allow, Publish)


class EventFunction:
    """One realtime function. ``pattern`` is of channels, or of methods for ``Event.RPC``.

    Its parameters are parts of the pattern and ``channel`` (or ``method``), what the server gives, and the payload: as a
    whole for one model, else by keys. Raises TypeError for a function whose parameters cannot be filled."""

    def __init__(
        self, event: Event, pattern: str, function: Callable[..., Any], description: Description | None = None
    ) -> None:
        self.event = event
        self.pattern = Pattern(pattern)
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function)
        self.description = description or Description()
        taken = inspect.signature(function).parameters
        subject = "method" if event is Event.RPC else "channel"
        names = [name for name in (*self.pattern.names, subject) if name in taken]
        self.subject = subject
        self.signature: Signature = read_signature(function, frozenset(names))
        self.payload = tuple(each for each in self.signature.all_parameters() if each.place in ("body", "query"))
        self.named = tuple(each for each in self.signature.parameters if each.place == "path")
        for each in self.signature.all_parameters():
            if each.place in ("header", "cookie"):
                raise TypeError(f"{where(function)}: parameter {each.name}: realtime functions take no {each.place}")
        self.is_whole = len(self.payload) == 1 and self.payload[0].place == "body"
        self.result = self._result_shape()

    def _result_shape(self) -> Shape | None:
        returns = self.signature.returns
        if returns in (REQUIRED, None, type(None), *ANSWERS):
            return None if returns is not REQUIRED else shape(Any)
        return shape(returns)

    def arguments(self, payload: bytes, name: str, captures: Mapping[str, str]) -> dict[str, Any]:
        """The values of the pattern and of the payload. Raises ``Invalid`` with every mistake, also for what is no JSON."""
        mistakes: list[Mistake] = []
        values: dict[str, Any] = {}
        for each in self.named:
            text = name if each.alias == self.subject else captures[each.alias]
            self._parse(each, text, values, mistakes)
        if self.is_whole:
            self._parse_json(self.payload[0], payload or None, ("data",), values, mistakes)
        elif self.payload:
            self._by_keys(payload, values, mistakes)
        if mistakes:
            raise Invalid(mistakes)
        return values

    def _by_keys(self, payload: bytes, values: dict[str, Any], mistakes: list[Mistake]) -> None:
        try:
            keys = msgspec.json.decode(payload, type=dict[str, Raw]) if payload else {}
        except (msgspec.DecodeError, RecursionError):
            names = ", ".join(each.alias for each in self.payload)
            text = f"Input should be an object with the keys {names}"
            mistakes.append({"type": "model_attributes_type", "loc": ["data"], "msg": text, "input": None})
            return
        for each in self.payload:
            part = keys.get(each.alias)
            self._parse_json(each, None if part is None else bytes(part), ("data", each.alias), values, mistakes)

    def _parse(self, each: Parameter, text: str, values: dict[str, Any], mistakes: list[Mistake]) -> None:
        try:
            values[each.name] = each.shape.parse(text, (self.subject, each.alias))
        except Invalid as error:
            mistakes += error.mistakes

    def _parse_json(
        self,
        each: Parameter,
        text: bytes | None,
        location: tuple[str, ...],
        values: dict[str, Any],
        mistakes: list[Mistake],
    ) -> None:
        if text is None:
            if each.default is REQUIRED:
                mistakes.append({"type": "missing", "loc": list(location), "msg": "Field required", "input": None})
            else:
                values[each.name] = each.default
            return
        try:
            values[each.name] = each.shape.parse_json(text, location)
        except Invalid as error:
            mistakes += error.mistakes


@dataclass(frozen=True, slots=True)
class Stream:
    """An async generator whose values are published on ``channel`` while it has subscribers."""

    channel: str
    function: Callable[..., AsyncIterator[Any]]
    signature: Signature
    result: Shape
    description: Description


def read_stream(channel: str, function: Callable[..., Any], description: Description) -> Stream:
    """Raises TypeError when ``function`` is no async generator, or wants something that a stream has not."""
    if not inspect.isasyncgenfunction(function):
        raise TypeError(f"{where(function)}: a stream is an async generator: async def with yield")
    signature = read_signature(function)
    if signature.parameters:
        raise TypeError(
            f"{where(function)}: a stream has no request, so nothing can fill {signature.parameters[0].name}"
        )
    inner = getattr(signature.returns, "__args__", (Any,))
    return Stream(
        channel, function, signature, shape(inner[0] if signature.returns is not REQUIRED else Any), description
    )


def sentence(mistakes: list[Mistake], limit: int = 1000) -> str:
    """Mistakes as one line for the message of a protocol error."""
    text = "; ".join(f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in mistakes)
    return text if len(text) <= limit else text[: limit - 3] + "..."
