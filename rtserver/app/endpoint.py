"""One HTTP endpoint: a function, where it stands, and how a request becomes its arguments and its result an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import msgspec
from msgspec import Raw

from rtserver.app.calling import Callee, InThread
from rtserver.app.forms import FormReader
from rtserver.app.parameters import Given, Parameter, Signature, Wanted, check_path, read_signature, way, where
from rtserver.app.patterns import Hole, matcher
from rtserver.app.schemas import sent
from rtserver.app.shapes import Invalid, NotText, Shape, as_json, check_json, is_list

JSON = "application/json"


class HTTPError(Exception):
    """Raised by an endpoint to answer with a status of its choice, 400 to 599; ``detail`` is any JSON value or model, for the
    client to read. Of a realtime function it is an error with that code."""

    def __init__(self, status: int, detail: Any = None, headers: Mapping[str, str] | None = None) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"HTTPError({status}): an error has a status from 400 to 599; else return a Response")
        check_headers(headers or {})
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        super().__init__(f"{status}: {detail}")


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that is not a JSON model: bytes of any type, any status, further headers. A list of texts gives a header
    several times (``Set-Cookie``)."""

    content: bytes = b""
    media_type: str = JSON
    status: int = 200
    headers: Mapping[str, str | Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.content, bytes):
            raise TypeError(f"the content of a Response is bytes, not {type(self.content).__name__}: encode it")
        if not 200 <= self.status <= 599:
            raise TypeError(f"a Response has a status from 200 to 599, not {self.status!r}")
        if self.headers:
            check_headers(self.headers)


FRAMING = {
    "content-type": "the media_type of a Response says it, and errors are JSON",
    "content-length": "the server counts",
    "transfer-encoding": "answers are sent as a whole",
}
"""Headers that the server writes; a second one of them means whatever the reader makes of it."""


def check_headers(headers: Mapping[str, Any]) -> None:
    """Raises TypeError for one that is not the application's to write."""
    for name in headers:
        why = FRAMING.get(name.lower())
        if why is not None:
            raise TypeError(f"leave the header {name} out: {why}")


class Incoming(Protocol):
    """A request as endpoints see it. Names of headers in any case."""

    @property
    def query(self) -> Mapping[str, list[str]]: ...

    def header(self, name: str) -> list[str]: ...

    def cookie(self, name: str) -> str | None: ...

    @property
    def body(self) -> bytes: ...

    @property
    def form(self) -> Mapping[str, list[str]] | None:
        """The fields of a body that is a form by its Content-Type; None for every other. Raises ``NotText``."""

    async def give(self, kind: type[Given]) -> Given | None:
        """What the server has of this kind for this request; None when it has none (nobody signed in...). Raises
        ``HTTPError`` when what the client sent for it is wrong."""


@dataclass(frozen=True, slots=True)
class Description:
    """What the documentation says of an endpoint. ``responses`` maps further statuses to what they mean, ``examples`` statuses
    to an example of their JSON, ``models`` statuses to the type of their JSON where that is not the one of errors.
    ``media_type``: of a result that is a ``Response`` and text. ``pages``: browsers are answered with HTML, by the endpoint
    itself."""

    summary: str = ""
    text: str = ""
    tags: tuple[str, ...] = ()
    responses: Mapping[int, str] = field(default_factory=dict)
    deprecated: bool = False
    hidden: bool = False
    examples: Mapping[int, Any] = field(default_factory=dict)
    models: Mapping[int, Any] = field(default_factory=dict)
    media_type: str = ""
    pages: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """``body_size`` in bytes, ``seconds`` until the work is given up (504). Without ``checks_type`` a JSON body may come under
    any Content-Type, as ``curl -d`` sends it. ``takes_form``: the body may also be an HTML form, which is read as an object of
    texts. Pages of any origin can send forms: an endpoint that goes by cookies must see for itself who sent one."""

    body_size: int = 1_048_576
    seconds: float = 30.0
    checks_type: bool = True
    takes_form: bool = False

    def __post_init__(self) -> None:
        check_seconds(self.seconds)
        if self.body_size < 0:
            raise ValueError(f"Limits(body_size={self.body_size}): it is a number of bytes")


def check_seconds(seconds: float) -> None:
    """Raises ValueError for a time limit that is none."""
    if not (isinstance(seconds, int | float) and seconds > 0):
        raise ValueError(f"a time limit of {seconds!r} seconds: give a number above 0 (math.inf is without end)")


class Endpoint:
    """``path`` may hold ``{name}`` for one part and ``{name:path}`` for all the rest. Raises TypeError for a function whose
    parameters or result cannot be handled."""

    headers: Sequence[tuple[str, str]] = ()
    """What every answer has, also a refusal that the function never saw."""

    def __init__(
        self,
        method: str,
        path: str,
        function: Callable[..., Any],
        status: int = 200,
        description: Description | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.method = method.upper()
        self.path = path
        self.function = function
        self.status = status
        self.limits = limits or Limits()
        self.names = read_path(function, path)
        if not (isinstance(status, int) and 200 <= status <= 399):
            raise TypeError(f"{where(function)}: status={status!r}: the status of a result is a number from 200 to 399")
        self.signature = read_signature(function, frozenset(self.names))
        self._check_names()
        self.description = description or Description()
        self._callee = Callee(function, self.signature, way(function))
        self.result = result_of(function, self.signature, (Response,))
        self.bodies = tuple(each for each in self.signature.all_parameters() if each.place == "body")
        self.body_is_whole = len({each.alias for each in self.bodies}) == 1 and not self.bodies[0].marker.alias
        self.form_reader = FormReader(self.bodies[0].shape.annotation) if self.takes_form else None

    def _check_names(self) -> None:
        check_path(self.function, self.signature, frozenset(self.names))
        missing = {*self.names} - {each.alias for each in self.signature.all_parameters() if each.place == "path"}
        if missing:
            text = ", ".join(sorted(missing))
            raise TypeError(f"{where(self.function)}: the path has {text}, the function does not take it")

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Of decoded paths."""
        holes = [Hole(".", 0, name) if rest else Hole("[^/]", 1, name) for name, rest in _PART.findall(self.path)]
        try:
            return matcher(_PART.split(self.path)[::3], holes)
        except TypeError as error:
            raise TypeError(f"{where(self.function)}: the path {self.path!r}: {error}") from error

    @property
    def takes_body(self) -> bool:
        return bool(self.bodies)

    @property
    def takes_form(self) -> bool:
        return self.limits.takes_form and self.takes_body

    async def respond(self, incoming: Incoming, path: Mapping[str, str], in_thread: InThread) -> Response:
        """Raises ``Invalid`` with every mistake, ``NotText`` for a body without JSON, ``shapes.Unfit``, and what the function
        raises."""
        return await self._callee.call(RequestSource(self, incoming, path), in_thread, self.answer)

    def answer(self, result: Any) -> Response:
        """Raises ``shapes.Unfit`` when the result is not what the function promised."""
        if isinstance(result, Response):
            return result
        if self.result is None or self.status == 204:
            return Response(b"" if self.status == 204 else b"null", status=self.status)
        return Response(self.result.dump(result), status=self.status)

    def failure(self, incoming: Incoming, request_id: str) -> Response:
        """The answer when the function failed: a name for what happened, the log has what it was."""
        body = as_json({"detail": "Internal Server Error", "request_id": request_id})
        return Response(body, status=500, headers={"x-request-id": request_id})


_PART = re.compile(r"\{(\w+)(:path)?\}")


def read_path(function: Callable[..., Any], path: str) -> tuple[str, ...]:
    """The names in a path. Raises TypeError when it is none."""
    names = tuple(name for name, _ in _PART.findall(path))
    rest = _PART.sub("", path)
    if not path.startswith("/"):
        raise TypeError(f"{where(function)}: the path {path!r} must begin with /")
    if "?" in path or "#" in path:
        raise TypeError(f"{where(function)}: the path {path!r} ends before ? and #; parameters make the query")
    if "{" in rest or "}" in rest or not all(name.isidentifier() for name in names):
        raise TypeError(
            f"{where(function)}: in the path {path!r}, write {{name}} or {{name:path}}; types are annotations"
        )
    if len(set(names)) < len(names):
        raise TypeError(f"{where(function)}: the path {path!r} has a name twice")
    return names


def result_of(function: Callable[..., Any], signature: Signature, orders: Sequence[Any]) -> Shape | None:
    """The shape of what a function returns, without ``orders``, its answers that are no result; None when nothing is left."""
    try:
        return sent(signature.returns, orders)
    except TypeError as error:
        raise TypeError(f"{where(function)}: its result: {error}") from error


class RequestSource:
    """One request, as the values of a call. Implements ``calling.Source``."""

    __slots__ = ("_endpoint", "_incoming", "_path", "_keys", "_has_mistake")

    def __init__(self, endpoint: Endpoint, incoming: Incoming, path: Mapping[str, str]) -> None:
        self._endpoint = endpoint
        self._incoming = incoming
        self._path = path
        self._keys: dict[str, Raw] | None = None
        self._has_mistake = False

    def read(self, parameter: Parameter) -> Any:
        return _READERS[parameter.place](self, parameter)

    async def give(self, wanted: Wanted) -> Given | None:
        given = await self._incoming.give(wanted.kind)
        if given is None and not wanted.optional:
            raise _absent(wanted.kind)
        return given

    def _from_path(self, each: Parameter) -> Any:
        return each.shape.parse(self._path[each.alias], each.location)

    def _from_query(self, each: Parameter) -> Any:
        found = self._incoming.query.get(each.alias)
        if not found:
            return each.absent(each.location)
        return each.shape.parse(found if each.many else found[-1], each.location)

    def _from_header(self, each: Parameter) -> Any:
        found = self._incoming.header(each.alias)
        if not found:
            return each.absent(each.location)
        return each.shape.parse(found if each.many else found[0], each.location)

    def _from_cookie(self, each: Parameter) -> Any:
        found = self._incoming.cookie(each.alias)
        return each.absent(each.location) if found is None else each.shape.parse(found, each.location)

    def _from_body(self, each: Parameter) -> Any:
        """The body as the one model that is wanted, or by keys when there are several."""
        if self._endpoint.form_reader is not None:
            form = self._incoming.form
            if form is not None:
                return self._from_form(each, self._endpoint.form_reader, form)
        if self._endpoint.body_is_whole:
            text, location = self._incoming.body, _WHOLE
        else:
            text, location = bytes(self._read_keys().get(each.alias, _NOTHING)), each.location
        return each.shape.parse_json(text, location) if text else each.absent(location)

    def _from_form(self, each: Parameter, reader: FormReader, form: Mapping[str, list[str]]) -> Any:
        if self._endpoint.body_is_whole:
            return each.shape.parse_texts(reader.read(form), _WHOLE)
        found = form.get(each.alias)
        if found is None:
            return each.absent(each.location)
        return each.shape.parse_texts(found if is_list(each.shape.annotation) else found[-1], each.location)

    def _read_keys(self) -> dict[str, Raw]:
        if self._has_mistake:
            raise Invalid([])
        if self._keys is None:
            body = self._incoming.body
            try:
                self._keys = msgspec.json.decode(body, type=dict[str, Raw]) if body else {}
            except msgspec.ValidationError:
                self._has_mistake = True
                text = "Input should be an object with the keys " + ", ".join(
                    each.alias for each in self._endpoint.bodies
                )
                check_json(body)
                raise Invalid([{"type": "model_type", "loc": ["body"], "msg": text, "input": None}]) from None
            except (msgspec.DecodeError, RecursionError) as error:
                raise NotText(str(error)) from None
        return self._keys


_WHOLE: tuple[str, ...] = ("body",)
_NOTHING = Raw(b"")

_READERS: dict[str, Callable[[RequestSource, Parameter], Any]] = {
    "path": RequestSource._from_path,
    "query": RequestSource._from_query,
    "header": RequestSource._from_header,
    "cookie": RequestSource._from_cookie,
    "body": RequestSource._from_body,
}


def _absent(kind: type[Given]) -> HTTPError:
    refusal = getattr(kind, "absent", None)
    return refusal() if refusal else HTTPError(500, "this endpoint wants something that this server does not have")
