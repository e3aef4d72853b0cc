"""Realtime functions: what they are called for, how a payload becomes their arguments, and what they may answer."""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Raw
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from rtserver.app.calling import Callee, InThread
from rtserver.app.endpoint import Description, check_seconds, result_of
from rtserver.app.parameters import (
    REQUIRED,
    Given,
    Parameter,
    Signature,
    Wanted,
    check_path,
    read_signature,
    way,
    where,
)
from rtserver.app.patterns import Pattern
from rtserver.app.shapes import Invalid, Mistake, NotText, Shape, shape

LIMIT = 30.0
"""Seconds until a realtime function is given up, unless it says otherwise."""


class Event(enum.Enum):
    """What a function is called for."""

    CONNECT = "connect"
    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    RPC = "rpc"
    DISCONNECT = "disconnect"
    PAYMENT = "payment"


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


_STRICT = ConfigDict(extra="forbid")

LATEST = 2**32 - 1
"""The last Unix second that ``expire_at`` can mean (in 2106). Above it, it was hardly meant in seconds."""

Expiry = Annotated[int, Field(ge=0, le=LATEST)]
ChannelName = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, slots=True, config=_STRICT)
class Accept:
    """The answer of ``on_connect``: who it is and what it is given. ``expire_at`` in Unix seconds, 0: never."""

    user: str = ""
    info: Any = None
    data: Any = None
    channels: tuple[ChannelName, ...] = ()
    expire_at: Expiry = 0
    meta: Any = None


@dataclass(frozen=True, slots=True, config=_STRICT)
class Allow:
    """The answer of ``on_subscribe`` that adds something: ``info`` others see beside the client, ``data`` in the reply."""

    info: Any = None
    data: Any = None
    expire_at: Expiry = 0


@dataclass(frozen=True, slots=True, config=_STRICT)
class Publish:
    """The answer of ``on_publish`` that changes more than the data. ``data`` None: what the client sent."""

    data: Any = None
    tags: Mapping[str, str] = field(default_factory=dict)
    skip_history: bool = False
    idempotency_key: str = ""


ANSWERS = (Accept, Allow, Publish)

OWN: Mapping[Event, type | None] = {
    Event.CONNECT: Accept,
    Event.SUBSCRIBE: Allow,
    Event.PUBLISH: Publish,
    Event.RPC: None,
    Event.DISCONNECT: None,
    Event.PAYMENT: None,
}
"""The answer of its own that a function for an event may give."""

TAKES_VALUE = (Event.SUBSCRIBE, Event.PUBLISH, Event.RPC)
"""Events whose functions may answer with a value: the data of the reply, of the publication, of the result."""

NAMED: Mapping[Event, tuple[str, ...]] = {
    Event.CONNECT: (),
    Event.SUBSCRIBE: ("channel",),
    Event.PUBLISH: ("channel",),
    Event.RPC: ("method",),
    Event.DISCONNECT: ("code", "reason"),
    Event.PAYMENT: ("kind",),
}
"""What functions may take by name, besides the parts of their pattern."""

SUBJECTS: Mapping[Event, str] = {Event.RPC: "method", Event.PAYMENT: "kind"}
"""What patterns are of, where not of channels."""


class EventFunction:
    """One realtime function. ``pattern`` is of channels, of methods for ``Event.RPC``, of kinds for ``Event.PAYMENT``.

    Its parameters are parts of the pattern and ``channel`` (or ``method``), what the server gives, and the payload: as a
    whole for one model, else by keys. Raises TypeError for a function whose parameters cannot be filled."""

    def __init__(
        self,
        event: Event,
        pattern: str,
        function: Callable[..., Any],
        description: Description | None = None,
        seconds: float = LIMIT,
    ) -> None:
        check_seconds(seconds)
        self.event = event
        self.pattern = Pattern(pattern)
        self.function = function
        self.subject = SUBJECTS.get(event, "channel")
        self.seconds = seconds
        self.description = description or Description()
        names = frozenset((*self.pattern.names, *NAMED[event]))
        self.signature: Signature = read_signature(function, names)
        check_path(function, self.signature, names)
        _check_places(function, self.signature)
        parameters = self.signature.all_parameters()
        self.payload = tuple(each for each in parameters if each.place in ("body", "query"))
        self.named = tuple(each for each in self.signature.parameters if each.place == "path")
        first = self.payload[0] if len({each.alias for each in self.payload}) == 1 else None
        self.is_whole = first is not None and first.place == "body" and not first.marker.alias
        self._callee = Callee(function, self.signature, way(function))
        self.result = result_of(function, self.signature, ANSWERS)
        self._check_answer()

    def _check_answer(self) -> None:
        """A function that says True or False to allow or refuse would allow everything."""
        event, returns = self.event, self.signature.returns
        if event is Event.DISCONNECT and self.payload:
            raise TypeError(f"{where(self.function)}: a client that has left sends no {self.payload[0].name}")
        if returns is REQUIRED:
            return
        kinds = set(get_args(returns) if get_origin(returns) in (Union, types.UnionType) else (returns,))
        is_foreign = bool(kinds & ({*ANSWERS} - {OWN[event]}))
        is_value = self.result is not None and event not in TAKES_VALUE
        if is_foreign or is_value or (bool in kinds and event is not Event.RPC):
            raise TypeError(f"{where(self.function)}: {self._advice()}")

    def _advice(self) -> str:
        own = OWN[self.event]
        return (
            f"a function for {self.event.value} returns {'None' if own is None else f'None or {own.__name__}(...)'}"
            + ("; to refuse, raise Refuse()" if own is not None else "")
        )

    async def call(self, source: EventSource, in_thread: InThread) -> Any:
        """The answer: None, the event's own, or the ``Raw`` of a value. Raises ``Invalid`` with every mistake, ``Refuse`` and
        ``Disconnect`` as the function does, TypeError for an answer that means nothing."""
        return await self._callee.call(source, in_thread, self._answer)

    def _answer(self, answer: Any) -> Any:
        own = OWN[self.event]
        if answer is None and self.event is not Event.RPC or (own is not None and isinstance(answer, own)):
            return answer
        if self.event is Event.RPC and self.result is None:
            return Raw(b"null")
        is_value = self.event in TAKES_VALUE and not isinstance(answer, ANSWERS)
        if not is_value or self.result is None or (isinstance(answer, bool) and self.event is not Event.RPC):
            raise TypeError(f"it answered with a {type(answer).__name__}: {self._advice()}")
        return Raw(self.result.dump(answer))


def _check_places(function: Callable[..., Any], signature: Signature) -> None:
    for each in signature.all_parameters():
        if each.place in ("header", "cookie"):
            raise TypeError(f"{where(function)}: parameter {each.name}: realtime functions take no {each.place}")


class EventSource:
    """One event, as the values of a call. ``named`` are the parts of the pattern and what the event names. Implements
    ``calling.Source``."""

    __slots__ = ("_function", "_payload", "_named", "_give", "_keys", "_has_mistake")

    def __init__(
        self,
        function: EventFunction,
        payload: bytes,
        named: Mapping[str, str],
        give: Callable[[Wanted], Given | None | Awaitable[Given | None]],
    ) -> None:
        self._function = function
        self._payload = payload
        self._named = named
        self._give = give
        self._keys: dict[str, Raw] | None = None
        self._has_mistake = False

    async def give(self, wanted: Wanted) -> Given | None:
        given = self._give(wanted)
        return await given if isinstance(given, Awaitable) else given

    def read(self, parameter: Parameter) -> Any:
        if parameter.place == "path":
            return parameter.shape.parse(self._named[parameter.alias], (self._function.subject, parameter.alias))
        if self._function.is_whole:
            text, location = self._payload, _WHOLE
        else:
            text, location = bytes(self._read_keys().get(parameter.alias, _NOTHING)), ("data", parameter.alias)
        if not text:
            return parameter.absent(location)
        try:
            return parameter.shape.parse_json(text, location)
        except NotText as error:
            raise Invalid([_mistake(location, str(error))]) from None

    def _read_keys(self) -> dict[str, Raw]:
        if self._has_mistake:
            raise Invalid([])
        if self._keys is None:
            try:
                self._keys = msgspec.json.decode(self._payload, type=dict[str, Raw]) if self._payload else {}
            except (msgspec.DecodeError, RecursionError):
                self._has_mistake = True
                names = ", ".join(each.alias for each in self._function.payload)
                raise Invalid([_mistake(_WHOLE, f"Input should be an object with the keys {names}")]) from None
        return self._keys


_WHOLE: tuple[str, ...] = ("data",)
_NOTHING = Raw(b"")


def _mistake(location: tuple[str, ...], text: str) -> Mistake:
    return {"type": "model_type", "loc": list(location), "msg": text, "input": None}


@plain_dataclass(frozen=True, slots=True)
class Stream:
    """An async generator whose values are published on a channel of ``pattern`` while it has subscribers."""

    channel: str
    function: Callable[..., AsyncIterator[Any]]
    signature: Signature
    result: Shape
    description: Description
    pattern: Pattern


def read_stream(channel: str, function: Callable[..., Any], description: Description) -> Stream:
    """Raises TypeError when ``function`` is no async generator, or wants something that a stream has not."""
    if not inspect.isasyncgenfunction(function):
        raise TypeError(f"{where(function)}: a stream is an async generator: async def with yield")
    pattern = Pattern(channel)
    names = frozenset((*pattern.names, "channel"))
    signature = read_signature(function, names)
    check_path(function, signature, names)
    for each in signature.all_parameters():
        if each.place != "path":
            raise TypeError(f"{where(function)}: a stream has no request, so nothing can fill {each.name}")
    return Stream(channel, function, signature, _shape_of_values(function, signature.returns), description, pattern)


GENERATORS = (AsyncIterator, AsyncIterable, AsyncGenerator)


def _shape_of_values(function: Callable[..., Any], returns: Any) -> Shape:
    """Of the values of a stream; nothing is left of other annotations, and whatever it yields would leave."""
    if returns is REQUIRED:
        return shape(Any)
    if returns not in GENERATORS and get_origin(returns) not in GENERATORS:
        raise TypeError(f"{where(function)}: a stream of such values returns AsyncIterator[{_name(returns)}]")
    return shape((get_args(returns) or (Any,))[0])


def _name(annotation: Any) -> str:
    return str(getattr(annotation, "__name__", annotation))


def sentence(mistakes: list[Mistake], limit: int = 1000) -> str:
    """Mistakes as one line for the message of a protocol error."""
    text = "; ".join(f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in mistakes)
    return text if len(text) <= limit else text[: limit - 3] + "..."
