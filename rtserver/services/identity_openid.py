"""Providers of OpenID 2.0 that have one address, as Steam.

What the browser brings back names addresses, and python3-openid asks there before it looks at a signature (OpenID
Authentication 2.0, section 11.2). So nothing is asked, and nobody is believed, but at the origin of the class's own address;
and nothing is asked before it is known that this browser has begun the sign-in.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import urljoin, urlsplit

from openid import fetchers
from openid.message import OPENID2_NS, Message
from social_core.backends.open_id import OpenIdAuth
from social_core.exceptions import AuthProviderError, AuthResponseError, AuthSessionError, ErrorStage
from social_core.store import OpenIdSessionWrapper

from rtserver.services.identity_bounded import Bounded

STATE_LIFETIME = 1800
"""Seconds that somebody may be at the provider, as the library has it for OAuth 2."""

MOST_REDIRECTS = 5

ADDRESSES = ("op_endpoint", "claimed_id", "identity")
"""What of an answer is an address."""

# It logs whole answers, with what they say about people.
logging.getLogger("openid").addHandler(logging.NullHandler())
logging.getLogger("openid").propagate = False

_step: ContextVar[FixedOpenId | None] = ContextVar("openid_step", default=None)


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def has_address(base: type[OpenIdAuth[Any]]) -> bool:
    return base._is_https_url(base.URL) and base.openid_url is OpenIdAuth.openid_url


class FixedOpenId(OpenIdAuth[Any], Bounded):
    """Stands before a class of the library that has a ``URL``. There is an object for each step of a sign-in."""

    stage: ErrorStage = "begin"

    def uses_redirect(self) -> bool:
        """The library would make a form that sends itself, which needs scripts, and would look for the provider twice."""
        return True

    def is_own(self, url: object) -> bool:
        """Compared as text: of what stands before the first slash programs understand different things."""
        origin = origin_of(str(self.URL))
        return isinstance(url, str) and (url == origin or url.startswith(f"{origin}/"))

    # To the provider

    def _begin_openid_request(self, provider_url: str, params: dict[str, str] | None) -> Any:
        with self._asking("begin"):
            request = super()._begin_openid_request(provider_url, params)
        # Version 1 has no name for who answers, and what is no "OP Identifier" is the address of one person.
        if not (request.endpoint.isOPIdentifier() and self.is_own(request.endpoint.server_url)):
            raise AuthProviderError(self, code="malformed_response", claim="op_endpoint", stage="begin")
        return request

    def create_state(self) -> str:
        """With it is kept what was found out about the provider, so that each tab has its own."""
        state = self.strategy.random_string(32)
        found = self.strategy.openid_session_dict("").snapshot()
        self.strategy.session_set(self._item(state), {"at": int(time.time()), "found": found})
        return state

    # Back from the provider

    def auth_complete(self, *args: Any, **kwargs: Any) -> Any:
        self._take_state()
        if self.data.get("openid.mode") == "id_res":
            self._check_addresses()
        with self._asking("callback"):
            return super().auth_complete(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _take_state(self) -> None:
        """Of all who come with a state, one goes on, in the session that has it. The library sees to it that the provider has
        signed the address with the state in it."""
        state = self.data.get("redirect_state")
        kept = self.strategy.session_pop(self._item(state)) if state else None
        if kept is None:
            raise AuthSessionError(self, "state", code="session_context_missing", stage="callback")
        if not 0 <= time.time() - kept["at"] <= STATE_LIFETIME:
            raise AuthSessionError(self, code="state_mismatch", stage="callback")
        self.strategy.openid_session_dict("").update(OpenIdSessionWrapper(kept["found"]))

    def validate_state(self) -> None:
        """It was taken before anything was asked."""

    def _check_addresses(self) -> None:
        try:
            message = Message.fromPostArgs(dict(self.data.items()))
        except (ValueError, KeyError, AssertionError) as error:
            raise AuthResponseError(self, code="malformed_response", stage="callback") from error
        named = {name: message.getArg(OPENID2_NS, name) for name in ADDRESSES}
        strange = next((name for name, url in named.items() if not self.is_own(url)), None)
        if strange is not None:
            raise AuthResponseError(self, code="invalid_claim", claim=strange, stage="callback")

    def _item(self, state: str) -> str:
        return f"{self.name}_openid_state_{state}"

    # What is asked

    @contextmanager
    def _asking(self, stage: ErrorStage) -> Iterator[None]:
        self.stage = stage
        if not isinstance(fetchers.getDefaultFetcher(), Fetcher):
            fetchers.setDefaultFetcher(Fetcher(fetchers.getDefaultFetcher()), wrap_exceptions=False)
        token = _step.set(self)
        try:
            yield
        finally:
            _step.reset(token)

    def fetch(self, url: str, body: str | None, headers: Mapping[str, str]) -> fetchers.HTTPResponse:
        """Errors are those of the library, not of python3-openid, which would hide what went wrong."""
        form = {} if body is None else {"Content-Type": "application/x-www-form-urlencoded"}
        for _ in range(1 + MOST_REDIRECTS):
            if not self.is_own(url):
                break
            method = "GET" if body is None else "POST"
            with self.telling(url, self.stage):
                response = self.asked(method, url, {**headers, **form}, data=body, allow_redirects=False)
            if not response.is_redirect:
                said = {name.lower(): value for name, value in response.headers.items()}
                return fetchers.HTTPResponse(
                    url, response.status_code, said, response.content.decode("utf-8", "replace")
                )
            url, body, form = urljoin(url, response.headers["Location"]), None, {}
        raise AuthProviderError(self, code="malformed_response", parameter="url", stage=self.stage)


class Fetcher:
    """python3-openid has one for the whole process. What is not asked for a provider of ours goes where it went ``before``."""

    def __init__(self, before: Any) -> None:
        self._before = before

    def fetch(
        self, url: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> fetchers.HTTPResponse:
        step = _step.get()
        return self._before.fetch(url, body, headers) if step is None else step.fetch(url, body, headers or {})
