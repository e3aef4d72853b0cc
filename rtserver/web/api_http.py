"""How API requests come in and go out: ``POST /api/<method>``, ``/api/batch`` and the old ``POST /api`` (section 9.1)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw, Struct
from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from rtserver.core import errors
from rtserver.core.errors import BrokerError, CommandError
from rtserver.core.messages import Error
from rtserver.node import Log
from rtserver.web.api import METHODS, NOT_FOUND, Api, BadApiRequest, decoders, error_of

BATCH_LIMIT = 1024
"""Commands of one batch, and lines of one old-style request."""

TRANSPORT_STATUS = {100: 500, 102: 404, 104: 404, 107: 400, 108: 400, 112: 416, 113: 409}
"""HTTP status of an error code in error mode "transport"; others are 500."""


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """Who may call. ``key`` "" without ``insecure``: nobody."""

    key: str = field(default="", repr=False)
    insecure: bool = False
    error_mode: str = ""

    def admits(self, request: Request) -> bool:
        if self.insecure:
            return True
        given = request.getHeader(b"x-api-key")
        if given is None:
            kind, _, value = (request.getHeader(b"authorization") or b"").partition(b" ")
            given = value.strip() if kind.lower() == b"apikey" else None
        if given is None:
            given = (request.args.get(b"api_key") or [b""])[0]
        return bool(self.key) and hmac.compare_digest(given, self.key.encode())


class OldCommand(Struct, omit_defaults=True):
    method: str
    params: Raw = Raw(b"{}")
    id: int = 0


class BatchBody(Struct):
    commands: list[dict[str, Raw]] = []
    parallel: bool = False


class ApiResource(Resource):
    """Everything below ``/api`` and ``/api`` itself."""

    isLeaf = True

    def __init__(self, api: Api, access: ApiAccess, log: Log) -> None:
        super().__init__()
        self._api = api
        self._access = access
        self._log = log

    def render(self, request: Request) -> bytes | int:
        if request.method != b"POST":
            request.setHeader(b"allow", b"POST")
            return _text(request, 405, "the API takes POST")
        if not self._access.admits(request):
            return _text(request, 401, "")
        method = b"/".join(request.postpath).decode("utf-8", "replace") if request.postpath else ""
        answer = self._choose(method)
        if answer is None:
            return _text(request, 404, "no such API method")
        body = request.content.read()
        if not _is_utf8(body):
            return _text(request, 400, "Bad Request: the body is not UTF-8")
        work = Deferred.fromCoroutine(answer(request, body))
        request.notifyFinish().addErrback(lambda gone: work.cancel())
        work.addErrback(self._failed, request)
        return NOT_DONE_YET

    def _choose(self, method: str) -> Callable[[Request, bytes], Coroutine[Deferred[Any], Any, None]] | None:
        if method == "":
            return self._old
        if method == "batch":
            return self._batch
        if method in METHODS:
            return lambda request, body: self._one(method, request, body)
        return None

    async def _one(self, method: str, request: Request, body: bytes) -> None:
        outcome = await self.call(method, body)
        if isinstance(outcome, BadBody):
            _finish(request, _text(request, 400, f"Bad Request: {outcome.why}"))
            return
        transport_mode = "transport" in (self._access.error_mode, _error_mode(request))
        if isinstance(outcome, Error) and transport_mode:
            request.setResponseCode(TRANSPORT_STATUS.get(outcome.code, 500))
            _finish(request, _json(request, outcome))
        else:
            _finish(request, _json(request, _wrapped(outcome)))

    async def call(self, method: str, body: bytes | Raw) -> Struct | Error | BadBody:
        """Run one method: its result, the error it is refused with, or what is wrong with the body."""
        try:
            wanted = decoders[method].decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            return BadBody(str(error))
        try:
            return await METHODS[method][1](self._api, wanted)
        except (CommandError, BadApiRequest) as refusal:
            return error_of(refusal)
        except BrokerError as failure:
            self._log("warn", f"API {method}: {failure}")
            return error_of(failure)

    async def _batch(self, request: Request, body: bytes) -> None:
        try:
            batch = msgspec.json.decode(body, type=BatchBody)
        except (msgspec.DecodeError, RecursionError) as error:
            _finish(request, _text(request, 400, f"Bad Request: {error}"))
            return
        if len(batch.commands) > BATCH_LIMIT:
            _finish(request, _text(request, 400, f"Bad Request: more than {BATCH_LIMIT} commands"))
            return
        if batch.parallel:
            work = [Deferred.fromCoroutine(self._item(item)) for item in batch.commands]
            replies = await _all(work)
        else:
            replies = [await self._item(item) for item in batch.commands]
        _finish(request, _json(request, {"replies": replies}))

    async def _item(self, item: dict[str, Raw]) -> dict[str, object]:
        method = next((name for name in item if name in METHODS), None)
        if method is None:
            return {"error": NOT_FOUND}
        outcome = await self.call(method, item[method])
        if isinstance(outcome, BadBody):
            return {"error": Error(errors.BAD_REQUEST.code, f"{errors.BAD_REQUEST.message}: {outcome.why}")}
        return {"error": outcome} if isinstance(outcome, Error) else {method: outcome}

    async def _old(self, request: Request, body: bytes) -> None:
        """Newline separated ``{"id", "method", "params"}`` objects, as clients of the old API send them."""
        lines = body.strip().split(b"\n")
        if len(lines) > BATCH_LIMIT:
            _finish(request, _text(request, 400, f"Bad Request: more than {BATCH_LIMIT} commands"))
            return
        answers = []
        for line in lines:
            try:
                item = msgspec.json.decode(line, type=OldCommand)
            except (msgspec.DecodeError, RecursionError) as error:
                _finish(request, _text(request, 400, f"Bad Request: {error}"))
                return
            reply = await self._item({item.method: item.params})
            named = {"result": reply[item.method]} if item.method in reply else reply
            answer = msgspec.json.encode({"id": item.id, **named} if item.id else named)
            answers.append(answer.translate(None, b"\r\n"))
        request.setHeader(b"content-type", b"application/json")
        _finish(request, b"\n".join(answers))

    def _failed(self, failure: Failure, request: Request) -> None:
        if failure.check(CancelledError):
            return
        self._log("error", "an API request failed", failure.value)
        _finish(request, _json(request, {"error": errors.INTERNAL}))


class BadBody(Struct):
    """What is wrong with a request body, as a sentence."""

    why: str


def _is_utf8(body: bytes) -> bool:
    """The decoders look into the texts that they need only; payloads go on as they are."""
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False


def _error_mode(request: Request) -> str:
    return (request.getHeader(b"x-centrifugo-error-mode") or b"").decode("latin-1")


async def _all(work: list[Deferred[Any]]) -> list[Any]:
    """The results in order. The first failure is raised as itself, and the others are taken note of."""
    try:
        return await gatherResults(work, consumeErrors=True)
    except FirstError as first:
        first.subFailure.raiseException()
        raise


def _wrapped(outcome: Struct | Error) -> dict[str, object]:
    return {"error": outcome} if isinstance(outcome, Error) else {"result": outcome}


def _json(request: Request, value: object) -> bytes:
    request.setHeader(b"content-type", b"application/json")
    return msgspec.json.encode(value)


def _text(request: Request, status: int, text: str) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    return text.encode()


def _finish(request: Request, body: bytes) -> None:
    """One write with its length: twisted.web would send chunks otherwise. Nothing when the client has left meanwhile."""
    if request.channel is None:
        return
    request.setHeader(b"content-length", b"%d" % len(body))
    request.write(body)
    request.finish()
