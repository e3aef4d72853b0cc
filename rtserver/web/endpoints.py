"""Runs typed endpoints on twisted.web: find, read, call, answer. The only place where an HTTP request meets a function."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

import msgspec
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from rtserver.app.endpoint import JSON, Endpoint, HTTPError, Response
from rtserver.app.parameters import Given, where
from rtserver.app.routes import Match, Routes
from rtserver.app.shapes import Invalid, NotText, Unfit
from rtserver.node import Log

Giver = Callable[["TwistedIncoming"], Given | None | Awaitable[Given | None]]
"""Makes what a function asks for by type, for one request."""

InThread = Callable[[Callable[..., Any], dict[str, Any]], Awaitable[Any]]
"""Runs a plain function in a thread of a bounded pool."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all endpoints share. ``allows`` judges an Origin header (the same list as for WebSocket)."""

    clock: IReactorTime
    log: Log
    in_thread: InThread
    allows: Callable[[str], bool]
    givers: Mapping[type[Given], Giver] = field(default_factory=dict)


class TwistedIncoming:
    """Implements ``app.endpoint.Incoming`` over a request; everything is read when it is asked for."""

    def __init__(self, request: Request, givers: Mapping[type[Given], Giver]) -> None:
        self.request = request
        self._givers = givers

    @cached_property
    def query(self) -> Mapping[str, list[str]]:
        text = self.request.uri.partition(b"?")[2]
        return parse_qs(text.decode("latin-1"), keep_blank_values=True) if text else {}

    def header(self, name: str) -> list[str]:
        return [value.decode("latin-1") for value in self.request.requestHeaders.getRawHeaders(name.encode(), [])]

    @cached_property
    def _cookies(self) -> Mapping[str, str]:
        cookies: SimpleCookie = SimpleCookie()
        for line in self.header("cookie"):
            try:
                cookies.load(line)
            except CookieError:
                continue  # a cookie that is none is not there; the parameter then is missing
        return {name: morsel.value for name, morsel in cookies.items()}

    def cookie(self, name: str) -> str | None:
        return self._cookies.get(name)

    @cached_property
    def body(self) -> bytes:
        content: bytes = self.request.content.read()
        return content

    @cached_property
    def id(self) -> str:
        """What the client called the request, if that is short and plain, else a new name."""
        given = (self.header("x-request-id") or [""])[0]
        return given if 0 < len(given) <= 64 and given.isascii() and given.isprintable() else uuid.uuid4().hex

    async def give(self, kind: type[Given]) -> Given | None:
        giver = self._givers.get(kind)
        if giver is None:
            return None
        given = giver(self)
        return await given if isinstance(given, Awaitable) else given


class EndpointsResource(Resource):
    """Answers every path that has an endpoint; 404 for the rest."""

    isLeaf = True

    def __init__(self, routes: Routes, surroundings: Surroundings) -> None:
        super().__init__()
        self._routes = routes
        self._around = surroundings

    def render(self, request: Request) -> bytes | int:
        origin = request.getHeader(b"origin")
        if origin is not None:
            self._allow_origin(request, origin.decode("latin-1"))
        match = self._routes.find(request.method.decode("latin-1"), request.path.decode("latin-1"))
        if isinstance(match, Match):
            self._begin(request, match)
        else:
            _send(request, self._unmatched(request, match))
        return NOT_DONE_YET

    def _unmatched(self, request: Request, methods: tuple[str, ...] | None) -> Response:
        if methods is None:
            return _refusal(404, "Not Found")
        allow = ", ".join((*methods, "OPTIONS"))
        if request.method == b"OPTIONS":
            request.setHeader(b"access-control-allow-methods", allow.encode())
            request.setHeader(b"access-control-max-age", b"300")
            return Response(b"", status=204, headers={"allow": allow})
        return _refusal(405, "Method Not Allowed", {"allow": allow})

    def _allow_origin(self, request: Request, origin: str) -> None:
        """CORS; a page of another origin gets no permission to read what it is answered."""
        request.setHeader(b"vary", b"origin")
        if not self._around.allows(origin):
            return
        request.setHeader("access-control-allow-origin", origin)
        request.setHeader("access-control-allow-credentials", "true")
        asked = request.getHeader("access-control-request-headers")
        if asked:
            request.setHeader("access-control-allow-headers", asked)

    def _begin(self, request: Request, match: Match) -> None:
        """Most endpoints are done before this returns: only the others need a time limit and an eye on the client."""
        work = Deferred.fromCoroutine(self._run(request, match))
        if not work.called:
            work.addTimeout(match.endpoint.limits.seconds, self._around.clock)
            request.notifyFinish().addErrback(lambda gone: work.cancel())
        work.addCallbacks(
            lambda response: _send(request, response), lambda failure: self._failed(request, match, failure)
        )
        work.addErrback(lambda failure: self._around.log("error", "an answer could not be sent", failure.value))

    async def _run(self, request: Request, match: Match) -> Response:
        endpoint = match.endpoint
        incoming = TwistedIncoming(request, self._around.givers)
        refusal = _unfit_body(request, endpoint, incoming) if endpoint.takes_body else None
        if refusal is not None:
            return refusal
        try:
            values = await endpoint.arguments(incoming, match.path)
            if endpoint.is_async:
                result = await endpoint.function(**values)
            else:
                result = await self._around.in_thread(endpoint.function, values)
            return endpoint.answer(result)
        except Invalid as error:
            return _refusal(422, error.mistakes)
        except NotText as error:
            return _refusal(400, f"The body is not JSON: {error}")
        except HTTPError as error:
            return _refusal(error.status, error.detail, error.headers)
        except (CancelledError, TimeoutError):
            raise
        except Exception as error:
            return self._broken(incoming, endpoint, error)

    def _broken(self, incoming: TwistedIncoming, endpoint: Endpoint, error: Exception) -> Response:
        """The client gets a name for what happened, the log what it was."""
        what = "its result does not fit the declared type" if isinstance(error, Unfit) else "it failed"
        self._around.log("error", f"{where(endpoint.function)}: {what}", error, request=incoming.id)
        body = msgspec.json.encode({"detail": "Internal Server Error", "request_id": incoming.id})
        return Response(body, status=500, headers={"x-request-id": incoming.id})

    def _failed(self, request: Request, match: Match, failure: Any) -> None:
        if failure.check(CancelledError):
            return
        seconds = match.endpoint.limits.seconds
        self._around.log(
            "warn", f"{where(match.endpoint.function)} took longer than its {seconds:g} s and was given up"
        )
        _send(request, _refusal(504, f"no answer within {seconds:g} s"))


def _unfit_body(request: Request, endpoint: Endpoint, incoming: TwistedIncoming) -> Response | None:
    kind = (request.getHeader("content-type") or JSON).partition(";")[0].strip().lower()
    if len(incoming.body) > endpoint.limits.body_size:
        return _refusal(413, f"the body is larger than {endpoint.limits.body_size} bytes")
    if not is_utf8(incoming.body):
        return _refusal(400, "The body is not UTF-8")
    if incoming.body and endpoint.limits.checks_type and kind != JSON and not kind.endswith("+json"):
        return _refusal(415, f"send the body as {JSON}")
    return None


def is_utf8(body: bytes) -> bool:
    """The decoders look into the texts that they need only; payloads go on as they are."""
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False


def _refusal(status: int, detail: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode({"detail": detail}), status=status, headers=headers or {})


def _send(request: Request, response: Response) -> None:
    """One write with its length; a HEAD request gets the head alone, and a client that has left nothing."""
    if request.channel is None:
        return
    request.setResponseCode(response.status)
    headers = request.responseHeaders
    for name, value in response.headers.items():
        headers.setRawHeaders(name, [value])
    if response.status not in (204, 304):
        headers.setRawHeaders(b"content-type", [response.media_type.encode()])
        headers.setRawHeaders(b"content-length", [b"%d" % len(response.content)])
    request.answer(b"" if request.method == b"HEAD" else response.content)
