"""The HTTP side: who may call, how much, and what goes wrong on demand."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from binascii import Error as BadBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from rtserver.simulator.control import Desk, obey
from rtserver.simulator.faults import MAX_WAIT, Fault, Reply
from rtserver.simulator.gateway import Call, Upload, said
from rtserver.simulator.request_keys import Answer
from rtserver.simulator.sender import is_loopback
from rtserver.simulator.xml_wire import BadXml, read

log = Logger()

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a file, with its form."""
MAX_XML = 64 * 1024
MAX_HELD = 500
"""Requests that wait for something at once."""
API_VERSION = "6"
PATH = re.compile(r"/merchants/([A-Za-z0-9_-]+)(/.*)")
HIDDEN = re.compile("(/payment_method_nonces/).*")
"""Nonces do not belong in a log."""
FILE_NAME = re.compile(rb'name="file"; filename="([^"\r\n]{0,200})"')
BAD_XML = b"<transaction><id>broken</amount>"


class BoundedRequest(Request):
    """A body of unknown or too great length is not read."""

    def gotLength(self, length: int | None) -> None:
        if length is None or length > MAX_BODY:
            transport: Any = self.channel.transport
            transport.write(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.channel.loseConnection()
            length = 0
        super().gotLength(length)  # type: ignore[no-untyped-call]


@dataclass(slots=True)
class Exchange:
    """A request on its way. ``gone``: the client has left."""

    request: Request
    fault: Fault | None = None
    gone: bool = False

    def reply(self, status: int, body: bytes, content_type: str = "application/xml; charset=utf-8") -> None:
        if self.gone:
            return
        self.request.setResponseCode(status)
        self.request.setHeader(b"content-type", content_type.encode())
        self.request.setHeader(b"content-length", b"%d" % len(body))
        self.request.write(body)
        self.request.finish()

    def drop(self) -> None:
        """Cut the connection, so that the client sees it."""
        if not self.gone and self.request.transport is not None:
            self.request.transport.abortConnection()


class Entrance(Resource):
    """``/merchants/ID/...`` is the gateway, ``/_sim/...`` are orders."""

    isLeaf = True

    def __init__(self, desk: Desk, clock: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._desk = desk
        self._clock = clock
        self._held = 0

    def render(self, request: Request) -> Any:
        path = request.path.decode("ascii", "replace")
        if not _for_loopback(request):
            return _refuse(request, 421, b"the simulator answers to names of the loopback only\n")
        if path == "/_sim" or path.startswith("/_sim/"):
            return self._order(request, path.removeprefix("/_sim"))
        found = PATH.fullmatch(path)
        keys = self._desk.gateway.setup.keys
        if not _knows(request, f"{keys.public_key}:{keys.private_key}".encode()):
            return _refuse(request, 401, b"unknown public or private key\n")
        if found is None or found[1] != keys.merchant_id:
            return _refuse(request, 403, b"the keys are not of that merchant\n")
        if request.getHeader("x-apiversion") != API_VERSION:
            return _refuse(request, 426, b"X-ApiVersion: 6 is spoken here\n")
        if self._held >= MAX_HELD:
            return _refuse(request, 503, b"too many requests wait\n")
        try:
            call = _call(request, found[2])
        except BadXml as error:
            return _refuse(request, 400, f"{error}\n".encode())
        self._serve(request, call)
        return NOT_DONE_YET

    # The gateway

    def _serve(self, request: Request, call: Call) -> None:
        gateway, fault = self._desk.gateway, self._desk.faults.take(call.verb, call.path)
        exchange = Exchange(request, fault)
        self._held += 1
        request.notifyFinish().addBoth(self._ended, exchange)
        works = fault is None or fault.plan.works
        early = gateway.admit(call) if works else None
        generation = gateway.generation

        def work() -> Answer | None:
            """None when it is not to be done: by the fault, or because everything was emptied meanwhile."""
            if not works or gateway.generation != generation:
                return None
            return early or gateway.work(call)

        if fault is not None and fault.ms:
            self._clock.callLater(fault.ms / 1000, self._perform, exchange, call, work)
        else:
            self._perform(exchange, call, work)

    def _perform(self, exchange: Exchange, call: Call, work: Callable[[], Answer | None]) -> None:
        answer = work()
        fault = exchange.fault
        log.info(
            "{verb} {path}: {status}{fault}",
            verb=call.verb,
            path=HIDDEN.sub(r"\1...", call.path),
            status=answer.status if answer else "not done",
            fault=f", {fault.kind}" if fault else "",
        )
        REPLIES[fault.plan.reply if fault else Reply.ANSWER](self, exchange, answer or said(500, "not done"))

    def _answer(self, exchange: Exchange, answer: Answer) -> None:
        exchange.reply(answer.status, answer.body)

    def _silence(self, exchange: Exchange, _answer: Answer) -> None:
        self._clock.callLater(MAX_WAIT, exchange.drop)

    def _drop(self, exchange: Exchange, _answer: Answer) -> None:
        exchange.drop()

    def _status(self, exchange: Exchange, _answer: Answer) -> None:
        exchange.reply(exchange.fault.status if exchange.fault else 500, b"")

    def _bad_xml(self, exchange: Exchange, answer: Answer) -> None:
        exchange.reply(answer.status, BAD_XML)

    def _empty(self, exchange: Exchange, answer: Answer) -> None:
        exchange.reply(answer.status, b"")

    def _ended(self, _reason: object, exchange: Exchange) -> None:
        exchange.gone = True
        self._held -= 1

    # Orders

    def _order(self, request: Request, path: str) -> Any:
        verb = request.method.decode("ascii", "replace")
        try:
            told = _told(request, verb)
        except ValueError as error:
            return _refuse(request, 400, f"{error}\n".encode())
        exchange = Exchange(request)
        request.notifyFinish().addErrback(lambda _reason: setattr(exchange, "gone", True))
        asked = Deferred.fromCoroutine(obey(self._desk, verb, path, told))
        asked.addCallback(lambda got: exchange.reply(got[0], json.dumps(got[1]).encode() + b"\n", "application/json"))
        asked.addErrback(self._failed, exchange)
        return NOT_DONE_YET

    def _failed(self, failure: Any, exchange: Exchange) -> None:
        log.failure("the simulator failed at {what}", failure, what="an order")
        exchange.reply(500, b"{}")


REPLIES: Mapping[Reply, Callable[[Entrance, Exchange, Answer], None]] = {
    Reply.ANSWER: Entrance._answer,
    Reply.SILENCE: Entrance._silence,
    Reply.DROP: Entrance._drop,
    Reply.STATUS: Entrance._status,
    Reply.BAD_XML: Entrance._bad_xml,
    Reply.EMPTY: Entrance._empty,
}


def _refuse(request: Request, status: int, why: bytes) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    return why


def _for_loopback(request: Request) -> bool:
    """A page of a foreign site that has its name point here is turned away."""
    return is_loopback(urlsplit(f"//{request.getHeader('host') or ''}").hostname or "")


def _knows(request: Request, secret: bytes) -> bool:
    scheme, _, text = (request.getHeader("authorization") or "").partition(" ")
    try:
        given = b64decode(text.encode("ascii"), validate=True)
    except (BadBase64, UnicodeEncodeError):
        return False
    return scheme == "Basic" and compare_digest(given, secret)


def _call(request: Request, path: str) -> Call:
    """Raises ``BadXml``."""
    query = dict(parse_qsl(urlsplit(request.uri.decode("ascii", "replace")).query)[:20])
    verb = request.method.decode("ascii", "replace")
    body = _body(request)
    if (request.getHeader("content-type") or "").startswith("multipart/form-data"):
        return Call(verb, path, query=query, upload=_upload(request, body))
    if len(body) > MAX_XML:
        raise BadXml(f"more than {MAX_XML} bytes")
    return Call(verb, path, read(body), query, body)


def _body(request: Request) -> bytes:
    content: Any = request.content
    body: bytes = content.read()
    return body


def _upload(request: Request, body: bytes) -> Upload:
    form = request.args or {}
    named = FILE_NAME.search(body)
    kind = form.get(b"document_upload[kind]", [b""])[0].decode("utf-8", "replace")
    return Upload(kind, named[1].decode("utf-8", "replace") if named else "", form.get(b"file", [b""])[0])


def _told(request: Request, verb: str) -> Mapping[str, Any]:
    """An order's body, or its query. Raises ``ValueError``.

    JSON must be called so: a page of another site cannot send that type without asking first.
    """
    if verb == "GET":
        return dict(parse_qsl(urlsplit(request.uri.decode("ascii", "replace")).query)[:20])
    body = _body(request)
    if body and not (request.getHeader("content-type") or "").startswith("application/json"):
        raise ValueError("send JSON, with Content-Type: application/json")
    told = json.loads(body or b"{}")
    if not isinstance(told, dict):
        raise ValueError("send a JSON object")
    return told


class QuietSite(Site):
    """Without a log line of its own for each request: there is one already, with what the gateway did."""

    def log(self, request: Any) -> None:
        pass


def make_site(desk: Desk, clock: Any) -> Any:
    site: Any = QuietSite(Entrance(desk, clock), requestFactory=BoundedRequest, timeout=MAX_WAIT + 10)  # type: ignore[no-untyped-call]
    site.displayTracebacks = False
    site.noisy = False
    return site
