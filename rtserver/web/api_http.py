"""The HTTP API as typed endpoints: ``POST /api/<method>``, ``/api/batch`` and the old ``POST /api`` (section 9.1).

A refusal of a method is HTTP 200 with an error object, because the official libraries read it there; error mode "transport"
turns it into a status.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Raw, Struct
from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults

from rtserver.app.application import docstring
from rtserver.app.endpoint import Description, Endpoint, HTTPError, Limits, Response
from rtserver.app.parameters import Body, Given, Header
from rtserver.core import errors
from rtserver.core.errors import BrokerError, CommandError
from rtserver.core.messages import Error
from rtserver.node import Log
from rtserver.web.api import METHODS, NOT_FOUND, Api, BadApiRequest, decoders, error_of
from rtserver.web.api_examples import EXAMPLES
from rtserver.web.endpoints import TwistedIncoming, is_utf8

BATCH_LIMIT = 1024
"""Commands of one batch, and lines of one old-style request."""

TRANSPORT_STATUS = {100: 500, 102: 404, 104: 404, 107: 400, 108: 400, 112: 416, 113: 409}
"""HTTP status of an error code in error mode "transport"; others are 500."""

TAGS = ("server API",)


class ApiKey(Given):
    """The caller holds the API key."""

    security = ("apiKey", {"type": "apiKey", "in": "header", "name": "X-API-Key"})

    @staticmethod
    def absent() -> HTTPError:
        return HTTPError(401, "The API key is missing or wrong: send it as X-API-Key")


@dataclass(frozen=True, slots=True)
class Text(Given):
    """A body as it came, for what is not one JSON value."""

    content: bytes


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """Who may call. ``key`` "" without ``insecure``: nobody."""

    key: str = field(default="", repr=False)
    insecure: bool = False
    error_mode: str = ""

    def admit(self, incoming: TwistedIncoming) -> ApiKey | None:
        """The key in ``X-API-Key``, else ``Authorization: apikey``, else the query."""
        if self.insecure:
            return ApiKey()
        given = next(iter(incoming.header("x-api-key")), None)
        if given is None:
            kind, _, value = next(iter(incoming.header("authorization")), "").partition(" ")
            given = value.strip() if kind.lower() == "apikey" else None
        if given is None:
            given = next(iter(incoming.query.get("api_key", [])), "")
            return ApiKey() if self._is_key(given.encode()) else None
        return ApiKey() if self._is_key(given.encode("latin-1")) else None

    def _is_key(self, given: bytes) -> bool:
        return bool(self.key) and hmac.compare_digest(given, self.key.encode())


class OldCommand(Struct, omit_defaults=True):
    method: str
    params: Raw = Raw(b"{}")
    id: int = 0


class BatchBody(Struct):
    """``commands``: objects with one key, the method, and its request. One after the other unless ``parallel``."""

    commands: Annotated[list[dict[str, Raw]], msgspec.Meta(max_length=BATCH_LIMIT)] = []
    parallel: bool = False


class BatchReply(Struct):
    """In the order of the commands: ``{<method>: result}`` or ``{"error": error}``."""

    replies: list[dict[str, Any]]


class Calls:
    """Runs methods of the API by name."""

    def __init__(self, api: Api, access: ApiAccess, log: Log) -> None:
        self.api = api
        self.access = access
        self._log = log

    async def call(self, method: str, body: Struct) -> Struct | Error:
        """The result, or the error that the method is refused with."""
        try:
            return await METHODS[method][1](self.api, body)
        except (CommandError, BadApiRequest) as refusal:
            return error_of(refusal)
        except BrokerError as failure:
            self._log("warn", f"API {method}: {failure}")
            return error_of(failure)
        except CancelledError:
            raise
        except Exception as failure:
            self._log("error", f"API {method} failed", failure)
            return errors.INTERNAL

    async def item(self, command: dict[str, Raw]) -> dict[str, Any]:
        """One command of a batch."""
        method = next((name for name in command if name in METHODS), None)
        if method is None:
            return {"error": NOT_FOUND}
        try:
            body = decoders[method].decode(command[method])
        except (msgspec.DecodeError, RecursionError) as error:
            return {"error": Error(errors.BAD_REQUEST.code, f"{errors.BAD_REQUEST.message}: {error}")}
        outcome = await self.call(method, body)
        return {"error": outcome} if isinstance(outcome, Error) else {method: outcome}

    def answer(self, outcome: Struct | Error, error_mode: str) -> Response:
        if not isinstance(outcome, Error):
            return _json({"result": outcome})
        if "transport" in (self.access.error_mode, error_mode):
            return _json(outcome, TRANSPORT_STATUS.get(outcome.code, 500))
        return _json({"error": outcome})


def api_endpoints(calls: Calls) -> list[Endpoint]:
    """All of the API, in the order of the documentation."""
    methods = [
        Endpoint("POST", f"/api/{name}", _method(calls, name), description=_describe(METHODS[name][1]), limits=_LIMITS)
        for name in METHODS
    ]
    batch = Endpoint(
        "POST", "/api/batch", _batch(calls), description=Description("Several at once", tags=TAGS), limits=_LIMITS
    )
    old = Endpoint("POST", "/api", _old(calls), description=Description(hidden=True), limits=_LIMITS)
    return [*methods, batch, old]


_LIMITS = Limits(body_size=64 * 1024 * 1024, checks_type=False)
"""The port's own limit of size (``limits.api_body_size``) is what counts; the type of a body is not looked at (section 9.1)."""


def _method(calls: Calls, name: str) -> Callable[..., Awaitable[Response]]:
    body_type, function = METHODS[name]

    async def call(body: Any, key: ApiKey, x_centrifugo_error_mode: str = "") -> Response:
        return calls.answer(await calls.call(name, body), x_centrifugo_error_mode)

    call.__name__ = call.__qualname__ = name
    call.__annotations__ = {
        "body": Annotated[body_type, Body(example=EXAMPLES[name])],
        "key": ApiKey,
        "x_centrifugo_error_mode": Annotated[str, Header()],
        "return": _reply_type(name, function),
    }
    return call


def _reply_type(name: str, function: Callable[..., Any]) -> type[Struct]:
    """``{"result": ...}`` or ``{"error": ...}``, as a type for the documentation."""
    result = get_type_hints(function)["return"]
    title = "".join(part.capitalize() for part in name.split("_"))
    fields: list[Any] = [("result", result | None, None), ("error", Error | None, None)]
    return msgspec.defstruct(f"{title}Reply", fields, omit_defaults=True, module=__name__)


def _describe(function: Callable[..., Any]) -> Description:
    first, text = docstring(function)
    return Description(first, text, TAGS)


def _batch(calls: Calls) -> Callable[..., Awaitable[BatchReply]]:
    async def batch(body: Annotated[BatchBody, Body(example=EXAMPLES["batch"])], key: ApiKey) -> BatchReply:
        if not body.parallel:
            return BatchReply([await calls.item(command) for command in body.commands])
        return BatchReply(await _all([Deferred.fromCoroutine(calls.item(command)) for command in body.commands]))

    return batch


def _old(calls: Calls) -> Callable[..., Awaitable[Response]]:
    """Newline separated ``{"id", "method", "params"}`` objects, as clients of the old API send them."""

    async def old(text: Text, key: ApiKey) -> Response:
        if not is_utf8(text.content):
            raise HTTPError(400, "The body is not UTF-8")
        lines = text.content.strip().split(b"\n")
        if len(lines) > BATCH_LIMIT:
            raise HTTPError(400, f"more than {BATCH_LIMIT} commands")
        return Response(b"\n".join([await _old_line(calls, line) for line in lines]))

    return old


async def _old_line(calls: Calls, line: bytes) -> bytes:
    try:
        command = msgspec.json.decode(line, type=OldCommand)
    except (msgspec.DecodeError, RecursionError) as error:
        raise HTTPError(400, f"a line is no command: {error}") from None
    reply = await calls.item({command.method: command.params})
    named = {"result": reply[command.method]} if command.method in reply else reply
    return msgspec.json.encode({"id": command.id, **named} if command.id else named).translate(None, b"\r\n")


async def _all(work: list[Deferred[Any]]) -> list[Any]:
    """The results in order. The first failure is raised as itself, and the others are taken note of."""
    try:
        return await gatherResults(work, consumeErrors=True)
    except FirstError as first:
        first.subFailure.raiseException()
        raise


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status=status)
