"""HTTP below the SDK: bounded in time and size, followed nowhere, and counted."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from threading import local
from typing import Any
from urllib.parse import urlsplit

import requests
from braintree.util.http import Http

from rtserver.services.http_bounded import Bounds, parts

LARGEST = 16 * 1024 * 1024
"""Bytes of an answer, unpacked."""


class Wire(Http):  # type: ignore[misc]
    """What the SDK does over HTTP, and the same errors, with four differences: an answer has a size and a total time, a
    redirect is an answer like any other (the body holds nonces), the environment's proxies are not asked for the loopback, and
    the text is UTF-8 or an error."""

    def __init__(self, config: Any, environment: Any, total: float, clock: Callable[[], float]) -> None:
        super().__init__(config, environment)
        self._total = total
        self._clock = clock

    def http_do(self, http_verb: str, path: str, headers: Any, request_body: Any) -> list[Any]:
        prepared = requests.Request(http_verb, path, headers=headers, data=request_body or None).prepare()
        settings: dict[str, Any] = {"proxies": {}} if is_loopback(urlsplit(path).hostname or "") else {}
        bounds = Bounds(self.config.timeout[0] + self._total, LARGEST, self._clock)
        with self._get_session().send(
            prepared,
            verify=self.environment.ssl_certificate or True,
            timeout=self.config.timeout,
            allow_redirects=False,
            stream=True,
            **settings,
        ) as response:
            return [response.status_code, b"".join(parts(response.raw, bounds)).decode("utf-8")]


class TooManyRequests(Exception):
    """One call would take more requests than it may."""


class Door:
    """A strategy of HTTP that the SDK goes through. In each thread it counts the requests of one call, so that what failed
    before anything was sent can be told apart, and bounds them: the SDK turns pages without end."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._call = local()

    def begin(self, most: int) -> None:
        """A call begins in this thread."""
        self._call.sent = 0
        self._call.most = most

    @property
    def sent(self) -> int:
        """Requests that were begun since ``begin``."""
        return int(getattr(self._call, "sent", 0))

    def http_do(self, http_verb: str, path: str, headers: Any, request_body: Any) -> Any:
        if self.sent >= getattr(self._call, "most", 0):
            raise TooManyRequests
        self._call.sent = self.sent + 1
        return self._inner.http_do(http_verb, path, headers, request_body)

    def handle_exception(self, exception: Exception) -> None:
        if isinstance(exception, TooManyRequests):
            raise exception
        self._inner.handle_exception(exception)

    def close(self) -> None:
        self._inner.close()


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
