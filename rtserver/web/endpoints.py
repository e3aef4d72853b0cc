"""Runs typed endpoints on twisted.web: find, read, call, answer. The only place where an HTTP request meets a function."""

from __future__ import annotations

import enum
import re
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from rtserver.app.calling import InThread, TooBusy, go_on
from rtserver.app.endpoint import JSON, Endpoint, HTTPError, Response
from rtserver.app.events import Refuse
from rtserver.app.forms import FORM, read_form
from rtserver.app.parameters import Given, where
from rtserver.app.routes import Match, Routes
from rtserver.app.shapes import Invalid, NotText, Unfit, as_json
from rtserver.core.errors import BrokerUnavailable, StoreUnavailable
from rtserver.node import Log

Giver = Callable[["TwistedIncoming"], Given | None | Awaitable[Given | None]]
"""Makes what a function asks for by type, for one request."""


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
        """Whatever browsers send (RFC 6265, section 5.2), which is more than what servers may set. Around names are blanks and
        tabs: with some other space in front of it, a cookie of another host could pass as one whose prefix keeps those out."""
        pairs = [part.partition("=") for line in self.header("cookie") for part in line.split(";")]
        return {name.strip(" \t"): _unquoted(value.strip(" \t")) for name, equals, value in pairs if equals}

    def cookie(self, name: str) -> str | None:
        return self._cookies.get(name)

    @cached_property
    def body(self) -> bytes:
        content: bytes = self.request.content.read()
        return content

    @cached_property
    def form(self) -> Mapping[str, list[str]] | None:
        return read_form(self.body) if is_form(self.request.getHeader(b"content-type") or b"") else None

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


AWAY = (BrokerUnavailable, StoreUnavailable)
"""What an endpoint may leave to the server when it cannot reach something: the client is asked to come again."""


class EndpointsResource(Resource):
    """Answers every path that has an endpoint; 404 for the rest. Raises TypeError for an endpoint that wants something that
    nobody gives."""

    isLeaf = True

    def __init__(self, routes: Routes, surroundings: Surroundings) -> None:
        super().__init__()
        self._routes = routes
        self._around = surroundings
        self._quiet_until = 0.0
        self.waiting = 0
        """Requests that are not answered yet."""
        for endpoint in routes.endpoints:
            self._check(endpoint)

    def leave(self, paths: Collection[str]) -> None:
        """``paths`` are answered by others before. Raises TypeError for an endpoint that would never be reached."""
        for endpoint in self._routes.endpoints:
            if endpoint.path in paths:
                raise TypeError(
                    f"{where(endpoint.function)}: {endpoint.path} is a page of the server itself: take another path, or "
                    "switch that off (demo.enabled, docs.enabled)"
                )

    def _check(self, endpoint: Endpoint) -> None:
        for each in endpoint.signature.all_wanted():
            if each.kind not in self._around.givers:
                known = ", ".join(sorted(kind.__name__ for kind in self._around.givers))
                name = where(endpoint.function)
                raise TypeError(f"{name}: {each.name}: endpoints are given {known}, but no {each.kind.__name__}")

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
        for name, value in match.endpoint.headers:
            request.responseHeaders.setRawHeaders(name, [value])
        incoming = TwistedIncoming(request, self._around.givers)
        work, context = self._run(incoming, match), copy_context()
        try:
            waited = context.run(work.send, None)
        except StopIteration as done:
            self.end(done.value, incoming, match.endpoint)
        except BaseException:
            self.end(Failure(), incoming, match.endpoint)
        else:
            Waiting(self, incoming, match.endpoint, Deferred.fromCoroutine(go_on(work, waited, context)))

    async def _run(self, incoming: TwistedIncoming, match: Match) -> Response:
        """Raises what is no answer to the client: the application's mistakes."""
        endpoint = match.endpoint
        refusal = _unfit_body(endpoint, incoming) if endpoint.takes_body else None
        if refusal is not None:
            return refusal
        try:
            return await endpoint.respond(incoming, match.path, self._around.in_thread)
        except Invalid as error:
            return _refusal(422, error.mistakes)
        except NotText as error:
            return _refusal(400, f"The body is not JSON: {error}")
        except HTTPError as error:
            return _refusal(error.status, error.detail, error.headers)
        except Refuse as error:
            return _refusal(_STATUS.get(error.code, error.code if 400 <= error.code <= 599 else 403), error.message)
        except (TooBusy, *AWAY) as error:
            self._log_seldom(str(error))
            return _refusal(503, "The server cannot do this now, try again", {"retry-after": "1"})

    def late(self, incoming: TwistedIncoming, endpoint: Endpoint) -> None:
        """The time of an endpoint is over."""
        seconds = endpoint.limits.seconds
        text = f"{where(endpoint.function)} took longer than its {seconds:g} s and was given up"
        self._around.log("warn", text, request=incoming.id)
        _send(incoming.request, _refusal(504, f"no answer within {seconds:g} s", {"x-request-id": incoming.id}))

    def end(self, outcome: Response | Failure, incoming: TwistedIncoming, endpoint: Endpoint) -> None:
        response = self.broken(outcome, incoming, endpoint) if isinstance(outcome, Failure) else outcome
        try:
            _send(incoming.request, response)
        except Exception:  # such as a header with a name that is none
            _send(incoming.request, self.broken(Failure(), incoming, endpoint))

    @property
    def clock(self) -> IReactorTime:
        return self._around.clock

    def broken(self, failure: Failure, incoming: TwistedIncoming, endpoint: Endpoint) -> Response:
        """The client gets a name for what happened, the log what it was."""
        what = "its result does not fit the declared type" if failure.check(Unfit) else "it failed"
        self._around.log("error", f"{where(endpoint.function)}: {what}", failure.value, request=incoming.id)
        return endpoint.failure(incoming, incoming.id)

    def _log_seldom(self, text: str) -> None:
        """Once a second at most: a line for each would make it worse."""
        now = self.clock.seconds()
        if now >= self._quiet_until:
            self._quiet_until = now + 1.0
            self._around.log("warn", text)


class Phase(enum.Enum):
    RUNNING = "running"
    ENDED = "ended"
    LATE = "late"
    GONE = "gone"


class Waiting:
    """A request whose endpoint is not done yet. It is answered when it is, or when its time is over; it is given up then, and
    when the client has left."""

    def __init__(
        self, resource: EndpointsResource, incoming: TwistedIncoming, endpoint: Endpoint, work: Deferred[Response]
    ) -> None:
        self._resource = resource
        self._incoming = incoming
        self._endpoint = endpoint
        self._work = work
        self._phase = Phase.RUNNING
        resource.waiting += 1
        self._timer = resource.clock.callLater(endpoint.limits.seconds, self._late)
        incoming.request.notifyFinish().addErrback(self._gone)
        work.addBoth(self._ended)

    def _late(self) -> None:
        self._phase = Phase.LATE
        self._resource.late(self._incoming, self._endpoint)
        self._work.cancel()

    def _gone(self, reason: Failure) -> None:
        if self._phase is Phase.RUNNING:
            self._phase = Phase.GONE
            self._timer.cancel()
            self._work.cancel()

    def _ended(self, outcome: Response | Failure) -> None:
        self._resource.waiting -= 1
        if self._phase is Phase.RUNNING:
            self._phase = Phase.ENDED
            self._timer.cancel()
            self._resource.end(outcome, self._incoming, self._endpoint)
        elif isinstance(outcome, Failure) and not outcome.check(CancelledError):
            self._resource.broken(outcome, self._incoming, self._endpoint)


_STATUS = {101: 401, 102: 404, 103: 403, 104: 404, 106: 429, 107: 400, 111: 429}
"""HTTP status of the protocol's errors, for what refuses calls of both kinds."""


def _unquoted(value: str) -> str:
    """The value of a cookie without its quotes."""
    if len(value) < 2 or not value[0] == value[-1] == '"':
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1])


def _unfit_body(endpoint: Endpoint, incoming: TwistedIncoming) -> Response | None:
    request = incoming.request
    if len(incoming.body) > endpoint.limits.body_size:
        return _refusal(413, f"the body is larger than {endpoint.limits.body_size} bytes")
    if not is_utf8(incoming.body):
        return _refusal(400, "The body is not UTF-8")
    if request.getHeader(b"content-encoding") not in (None, b"identity"):
        return _refusal(415, "send the body without a Content-Encoding")
    if endpoint.form_reader is not None and is_form(request.getHeader(b"content-type") or b""):
        return _unfit_form(incoming)
    if incoming.body and endpoint.limits.checks_type and not _is_json(request.getHeader(b"content-type") or b""):
        return _refusal(415, f"send the body as {JSON}" + (f" or {FORM}" if endpoint.takes_form else ""))
    return None


def _unfit_form(incoming: TwistedIncoming) -> Response | None:
    try:
        return None if incoming.form is not None else _refusal(400, "The body is no form")
    except NotText as error:
        return _refusal(400, f"The body is no form: {error}")


def is_form(kind: bytes) -> bool:
    return kind.partition(b";")[0].strip().lower() == FORM.encode()


def _is_json(kind: bytes) -> bool:
    """Pages of other origins may send bodies of three other types, and of none, without asking first (CORS)."""
    kind = kind.partition(b";")[0].strip().lower()
    return kind == b"application/json" or kind.endswith(b"+json")


def is_utf8(body: bytes) -> bool:
    """The decoders look into the texts that they need only; payloads go on as they are."""
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False


def _refusal(status: int, detail: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(as_json({"detail": detail}), status=status, headers=headers or {})


_PHRASES = {each.value: each.phrase.encode() for each in HTTPStatus if each.value not in RESPONSES}
"""Of statuses that Twisted has no words for, 422 among them."""


def _send(request: Request, response: Response) -> None:
    """One write with its length; a HEAD request gets the head alone, and a client that has left nothing."""
    if request.channel is None:
        return
    request.setResponseCode(response.status, _PHRASES.get(response.status))
    headers = request.responseHeaders
    for name, value in response.headers.items():
        for each in (value,) if isinstance(value, str) else value:
            headers.addRawHeader(name, each)
    if response.status in (204, 304):
        request.answer(b"")
        return
    length = len(response.content)
    if response.media_type == JSON:
        head = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % length
    else:
        headers.setRawHeaders(b"content-type", [response.media_type])
        head = b"Content-Length: %d\r\n" % length
    request.answer(b"" if request.method == b"HEAD" else response.content, head)
