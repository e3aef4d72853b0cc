"""Sends webhooks, to the loopback only and within bounds."""

from __future__ import annotations

from collections import deque
from io import BytesIO
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed, TimeoutError
from twisted.logger import Logger
from twisted.web.client import Agent, FileBodyProducer, PartialDownloadError, ResponseFailed, readBody
from twisted.web.http_headers import Headers

from rtserver.simulator.gateway import Gateway
from rtserver.simulator.webhooks import Webhook

log = Logger()

TIMEOUT = 10.0
"""Seconds for one webhook, all told."""
MAX_ANSWER = 64 * 1024
MAX_WAITING = 1_000


class BadTarget(Exception):
    """The address is none to send to."""


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Sender:
    """``reactor`` as Twisted's agent needs it. What happened by itself is sent one after the other, in order."""

    def __init__(self, reactor: Any, gateway: Gateway) -> None:
        self._reactor = reactor
        self._gateway = gateway
        self._agent = Agent(reactor, connectTimeout=TIMEOUT)
        self._waiting: deque[Webhook] = deque(maxlen=MAX_WAITING)
        self._busy = False
        gateway.listener = self.happened

    def check(self, url: str) -> None:
        """Raises ``BadTarget``."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
            raise BadTarget(
                "url: http:// and an address of the loopback, such as http://127.0.0.1:8000/payment/webhook/"
            )

    async def post(self, url: str, form: dict[str, str]) -> dict[str, Any]:
        """``{"status": 200, "body": "..."}``; status 0 and a sentence when there was no answer. Raises ``BadTarget``."""
        return await self._ask(b"POST", url, urlencode(form).encode("ascii"))

    async def get(self, url: str, query: dict[str, str]) -> dict[str, Any]:
        """As ``post``."""
        return await self._ask(b"GET", f"{url}?{urlencode(query)}", None)

    def happened(self, webhook: Webhook) -> None:
        """Send it by itself, when a place for that is set."""
        if self._gateway.settings.webhook_url:
            self._waiting.append(webhook)
            if not self._busy:
                self._busy = True
                Deferred.fromCoroutine(self._drain()).addErrback(
                    lambda failure: log.failure("the simulator failed at {what}", failure, what="sending webhooks")
                )

    async def _drain(self) -> None:
        try:
            while self._waiting:
                webhook = self._waiting.popleft()
                got = await self.post(self._gateway.settings.webhook_url, self._gateway.webhooks.form(webhook))
                log.info(
                    "webhook {number} {kind}: {status}", number=webhook.number, kind=webhook.kind, status=got["status"]
                )
        finally:
            self._busy = False

    async def _ask(self, verb: bytes, url: str, body: bytes | None) -> dict[str, Any]:
        self.check(url)
        headers = Headers(
            {"User-Agent": ["Braintree simulator"], "Content-Type": ["application/x-www-form-urlencoded"]}
        )
        producer = None if body is None else FileBodyProducer(BytesIO(body))
        asked = Deferred.fromCoroutine(self._exchange(verb, url, headers, producer))
        try:
            return await asked.addTimeout(TIMEOUT, self._reactor)
        except (ConnectError, ConnectionClosed, TimeoutError, ResponseFailed) as error:
            return {"status": 0, "body": type(error).__name__}

    async def _exchange(self, verb: bytes, url: str, headers: Headers, producer: Any) -> dict[str, Any]:
        response = await self._agent.request(verb, url.encode("ascii"), headers, producer)
        try:
            body = await readBody(response)
        except PartialDownloadError as partial:
            body = partial.response or b""
        return {"status": response.code, "body": body[:MAX_ANSWER].decode("utf-8", "replace")}
