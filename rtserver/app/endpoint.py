"""One HTTP endpoint: a function, where it stands, and how a request becomes its arguments and its result an answer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import msgspec
from msgspec import Raw

from rtserver.app.parameters import REQUIRED, Given, Parameter, Provided, Signature, Wanted, read_signature, where
from rtserver.app.shapes import Invalid, Mistake, NotText, Shape, shape

JSON = "application/json"


class HTTPError(Exception):
    """Raised by an endpoint to answer with a status of its choice; ``detail`` is any JSON value, for the client to read."""

    def __init__(self, status: int, detail: Any = None, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        super().__init__(f"{status}: {detail}")


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that is not a JSON model: bytes of any type, any status, further headers."""

    content: bytes = b""
    media_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Incoming(Protocol):
    """A request as endpoints see it. Names of headers are lower-case."""

    @property
    def query(self) -> Mapping[str, list[str]]: ...

    def header(self, name: str) -> list[str]: ...

    def cookie(self, name: str) -> str | None: ...

    @property
    def body(self) -> bytes: ...

    async def give(self, kind: type[Given]) -> Given | None:
        """What the server has of this kind for this request; None when it has none (nobody signed in...). Raises
        ``HTTPError`` when what the client sent for it is wrong."""


@dataclass(frozen=True, slots=True)
class Description:
    """What the documentation says of an endpoint. ``responses`` maps further statuses to what they mean."""

    summary: str = ""
    text: str = ""
    tags: tuple[str, ...] = ()
    responses: Mapping[int, str] = field(default_factory=dict)
    deprecated: bool = False
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """``body_size`` in bytes, ``seconds`` until the work is given up (504). Without ``checks_type`` a JSON body may come under
    any Content-Type, as ``curl -d`` sends it."""

    body_size: int = 1_048_576
    seconds: float = 30.0
    checks_type: bool = True


class Endpoint:
    """``path`` may hold ``{name}`` for one part and ``{name:path}`` for all the rest. Raises TypeError for a function whose
    parameters or result cannot be handled."""

    def __init__(
        self,
        method: str,
        path: str,
        function: Callable[..., Any],
        status: int = 200,
        description: Description | None = None,
        limits: Limits | None = None,
    ) -> None:
        if not path.startswith("/"):
            raise TypeError(f"{where(function)}: the path {path!r} must begin with /")
        self.method = method
        self.path = path
        self.function = function
        self.status = status
        self.limits = limits or Limits()
        self.is_async = inspect.iscoroutinefunction(function)
        self.names = tuple(re.findall(r"\{(\w+)(?::path)?\}", path))
        self.signature = read_signature(function, frozenset(self.names))
        self.description = description or Description()
        self.result = self._result_shape()
        self.bodies = tuple(each for each in self.signature.all_parameters() if each.place == "body")
        self._texts = tuple(each for each in self.signature.parameters if each.place != "body")
        self._own_bodies = tuple(each for each in self.signature.parameters if each.place == "body")
        self._wanted = self.signature.all_wanted()
        self.body_is_whole = len(self.bodies) == 1 and not self.bodies[0].marker.alias

    def _result_shape(self) -> Shape | None:
        returns = self.signature.returns
        if returns is Response or returns is None or returns is type(None):
            return None
        return shape(Any if returns is REQUIRED else returns)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        parts = re.split(r"\{(\w+)(:path)?\}", self.path)
        text = "".join(
            re.escape(literal) + (f"(?P<{name}>{'.+' if rest else '[^/]+'})" if name else "")
            for literal, name, rest in _threes(parts)
        )
        return re.compile(text)

    @property
    def takes_body(self) -> bool:
        return bool(self.bodies)

    # From a request to arguments

    async def arguments(self, incoming: Incoming, path: Mapping[str, str]) -> dict[str, Any]:
        """Everything the function wants. Raises ``Invalid`` with every mistake, or ``NotText`` for a body without JSON."""
        reading = _Reading(incoming, path)
        if self._wanted:
            await reading.take_given(self._wanted)
        values = reading.texts(self._texts)
        if self.bodies:
            reading.read_bodies(self.bodies, self.body_is_whole)
            values |= {each.name: reading.bodies[each.name] for each in self._own_bodies if each.name in reading.bodies}
        if self.signature.wanted or self.signature.provided:
            await reading.fill(self.signature, values)
        if reading.mistakes:
            raise Invalid(reading.mistakes)
        return values

    # From a result to an answer

    def answer(self, result: Any) -> Response:
        """Raises ``shapes.Unfit`` when the result is not what the function promised."""
        if isinstance(result, Response):
            return result
        if self.result is None or self.status == 204:
            return Response(b"" if self.status == 204 else b"null", status=self.status)
        return Response(self.result.dump(result), status=self.status)


class _Reading:
    """One request on its way into arguments. What the server gives comes first: who may not call at all must not learn what
    a body should look like."""

    __slots__ = ("incoming", "path", "mistakes", "bodies", "given", "made")

    def __init__(self, incoming: Incoming, path: Mapping[str, str]) -> None:
        self.incoming = incoming
        self.path = path
        self.mistakes: list[Mistake] = []
        self.bodies: dict[str, Any] = {}
        self.given: dict[type[Given], Given | None] = {}
        self.made: dict[Callable[..., Any], Any] = {}

    async def take_given(self, wanted: tuple[Wanted, ...]) -> None:
        for each in wanted:
            if each.kind not in self.given:
                self.given[each.kind] = await self.incoming.give(each.kind)
            if self.given[each.kind] is None and not each.optional:
                raise _absent(each.kind)

    def texts(self, parameters: tuple[Parameter, ...]) -> dict[str, Any]:
        """Path, query, header and cookie parameters."""
        values: dict[str, Any] = {}
        for each in parameters:
            found = _SOURCES[each.place](self.incoming, self.path, each)
            if found is None:
                _missing(each, values, self.mistakes)
                continue
            try:
                values[each.name] = each.shape.parse(found, (each.place, each.alias))
            except Invalid as error:
                self.mistakes += error.mistakes
        return values

    def read_bodies(self, wanted: tuple[Parameter, ...], whole: bool) -> None:
        """The body as the one model that is wanted, or by keys when there are several."""
        body = self.incoming.body
        if whole:
            self._parse_body(wanted[0], body or None, ("body",))
            return
        keys: dict[str, Raw] = {}
        if body:
            try:
                keys = msgspec.json.decode(body, type=dict[str, Raw])
            except msgspec.ValidationError:
                text = "Input should be a valid object"
                self.mistakes.append({"type": "model_attributes_type", "loc": ["body"], "msg": text, "input": None})
                return
            except (msgspec.DecodeError, RecursionError) as error:
                raise NotText(str(error)) from None
        for each in wanted:
            part = keys.get(each.alias)
            self._parse_body(each, None if part is None else bytes(part), ("body", each.alias))

    def _parse_body(self, parameter: Parameter, text: bytes | None, location: tuple[str, ...]) -> None:
        if text is None:
            _missing(parameter, self.bodies, self.mistakes, location)
            return
        try:
            self.bodies[parameter.name] = parameter.shape.parse_json(text, location)
        except Invalid as error:
            self.mistakes += error.mistakes

    async def fill(self, signature: Signature, values: dict[str, Any]) -> None:
        """What was given and what providers make; a provider is called once per request, and not after a mistake."""
        for wanted in signature.wanted:
            values[wanted.name] = self.given[wanted.kind]
        for item in signature.provided:
            if item.provider not in self.made:
                parameters = item.signature.parameters
                inner = self.texts(tuple(each for each in parameters if each.place != "body"))
                inner |= {each.name: self.bodies[each.name] for each in parameters if each.name in self.bodies}
                await self.fill(item.signature, inner)
                if self.mistakes:
                    continue
                self.made[item.provider] = await _provide(item, inner)
            values[item.name] = self.made[item.provider]


def _absent(kind: type[Given]) -> HTTPError:
    refusal = getattr(kind, "absent", None)
    return refusal() if refusal else HTTPError(500, "this endpoint wants something that this server does not have")


def _missing(
    parameter: Parameter, values: dict[str, Any], mistakes: list[Mistake], location: tuple[str, ...] | None = None
) -> None:
    if parameter.default is not REQUIRED:
        values[parameter.name] = parameter.default
        return
    place = list(location or (parameter.place, parameter.alias))
    mistakes.append({"type": "missing", "loc": place, "msg": "Field required", "input": None})


def _from_query(incoming: Incoming, path: Mapping[str, str], each: Parameter) -> Any:
    found = incoming.query.get(each.alias)
    return found if each.many or not found else found[-1]


def _from_header(incoming: Incoming, path: Mapping[str, str], each: Parameter) -> Any:
    found = incoming.header(each.alias.lower())
    return found or None if each.many else (found[-1] if found else None)


_SOURCES: dict[str, Callable[[Incoming, Mapping[str, str], Parameter], Any]] = {
    "path": lambda incoming, path, each: path.get(each.alias),
    "query": _from_query,
    "header": _from_header,
    "cookie": lambda incoming, path, each: incoming.cookie(each.alias),
}


async def _provide(item: Provided, values: dict[str, Any]) -> Any:
    made = item.provider(**values)
    return await made if isinstance(made, Awaitable) else made


def _threes(parts: list[str]) -> list[tuple[str, str, str]]:
    """``re.split`` with two groups gives literal, name, rest, literal, name, rest, ..., literal."""
    padded = [*parts, "", ""]
    return [(padded[i], padded[i + 1] or "", padded[i + 2] or "") for i in range(0, len(parts), 3)]
