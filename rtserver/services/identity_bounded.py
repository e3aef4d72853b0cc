"""What providers are asked over HTTP, bounded.

The library (``BaseAuth.request`` of social-auth-core 7.0.0, through which all its classes go) bounds the wait for some bytes
only: a provider that sends one now and then would hold a thread without end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from social_core.backends.base import BaseAuth
from social_core.exceptions import (
    AuthConfigurationError,
    AuthProviderError,
    ErrorStage,
    SocialAuthBaseException,
)
from social_core.utils import http_error, redact_request_error, user_agent

from rtserver.services.http_bounded import Bounds, Failed, ask, kind_of

ANSWERS_TIME = 20.0
"""Seconds that a provider has for all that it is asked in one step of a sign-in, which is up to five requests. Less than a
browser is kept waiting for."""

LARGEST_ANSWER = 2 * 1024 * 1024
"""Bytes of one answer, unpacked."""


class Bounded(BaseAuth[Any]):
    """The last base of a class of the library, so that what that one does around ``request`` stays. There is an object for each
    step of a sign-in. The errors are those of the library."""

    @cached_property
    def bounds(self) -> Bounds:
        return Bounds(ANSWERS_TIME, LARGEST_ANSWER)

    def request(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str | bytes] | None = None,
        timeout: float | None = None,
        stage: ErrorStage = "user_info",
        **said: Any,
    ) -> Any:
        """``said``: data, json, auth or params. Gives a ``requests.Response``."""
        with self.telling(url, stage):
            response = self.asked(method, url, headers or {}, timeout, **said)
            response.raise_for_status()
        return response

    def asked(
        self, method: str, url: str, headers: Mapping[str, str | bytes], timeout: float | None = None, **said: Any
    ) -> Any:
        """Any status will do. Within ``telling``."""
        agent = {"User-Agent": self.setting("USER_AGENT") or user_agent()} if self.SEND_USER_AGENT else {}
        return ask(
            method,
            url,
            self.bounds,
            timeout or self.setting("REQUESTS_TIMEOUT"),
            headers={**agent, **headers},
            proxies=self.setting("PROXIES"),
            verify=self.setting("VERIFY_SSL", True),
            **said,
        )

    @contextmanager
    def telling(self, url: str, stage: ErrorStage) -> Iterator[None]:
        """What fails becomes an error of the library, without the address."""
        try:
            yield
        except Failed as error:
            redact_request_error(error, request_url=url)
            raise self._trouble(error, stage) from error

    def _trouble(self, error: Any, stage: ErrorStage) -> SocialAuthBaseException:
        kind = kind_of(error)
        if kind == "http_error":
            return http_error(self, error, stage=stage)
        if kind == "invalid_setting":
            return AuthConfigurationError(self, code="invalid_setting", parameter="url", stage=stage)
        return AuthProviderError(self, code=kind or None, stage=stage)
