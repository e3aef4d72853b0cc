"""One request of somebody who signs in with a provider, as social-auth-core wants it.

Runs in a thread, from the snapshot of the request that a ``Visit`` is. What the library answers by an address is noted in
``course``: where the person goes is decided outside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from social_core.backends.base import BaseAuth
from social_core.storage import BaseStorage, CodeMixin, PartialMixin
from social_core.store import OpenIdSessionWrapper
from social_core.strategy import BaseStrategy
from social_core.utils import (
    PARTIAL_TOKEN_PENDING_SESSION_NAME,
    PARTIAL_TOKEN_SESSION_NAME,
    setting_name,
)

from rtserver.accounts.joining import Joining, Waiting
from rtserver.accounts.records import Proof
from rtserver.accounts.rows import hashed
from rtserver.accounts.sessions import Sessions
from rtserver.accounts.social import Visit
from rtserver.app.waiting import wait
from rtserver.core.accounts import Address, BadAddress, parse_address
from rtserver.services.identity_backends import Provider
from rtserver.services.identity_storage import Person

ERROR_URL = "/auth/error"
"""Where the library sends people when a sign-in cannot go on."""

OWNED = "partial:"
"""Begins the names of session items that say which waiting sign-ins are of this session."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the library sees as an HTTP response. It must be true, and no dict."""

    url: str


class Items(Protocol):
    """What a session carries. Values are such as JSON has."""

    def get(self, name: str) -> Any: ...

    def set(self, name: str, value: Any) -> None: ...

    def pop(self, name: str) -> Any: ...


class StoredItems:
    """Each is a row, so that two tabs that sign in at the same time lose nothing."""

    def __init__(self, sessions: Sessions, sid_hash: str) -> None:
        self._sessions = sessions
        self._sid_hash = sid_hash

    def get(self, name: str) -> Any:
        return _read(wait(self._sessions.get_item(self._sid_hash, name)))

    def set(self, name: str, value: Any) -> None:
        wait(self._sessions.set_item(self._sid_hash, name, json.dumps(value)))

    def pop(self, name: str) -> Any:
        return _read(wait(self._sessions.pop_item(self._sid_hash, name)))


class HeldItems:
    """Those of a request that needs no session: whoever opens a letter may have none."""

    def __init__(self, items: Mapping[str, Any]) -> None:
        self._items = dict(items)

    def get(self, name: str) -> Any:
        return self._items.get(name)

    def set(self, name: str, value: Any) -> None:
        self._items[name] = value

    def pop(self, name: str) -> Any:
        return self._items.pop(name, None)


def _read(text: str | None) -> Any:
    return None if text is None else json.loads(text)


@dataclass(frozen=True, slots=True)
class Tools:
    """What all requests share. ``settings`` by the full names that the library asks for."""

    base_url: str
    storage: type[BaseStorage]
    settings: Mapping[str, Any]
    providers: Mapping[str, Provider]
    joining: Joining


@dataclass(slots=True)
class Course:
    """What has come of the request."""

    token: str = field(default="", repr=False)
    """The sign-in waits for an address."""
    proof: Proof | None = None
    """It waits for an answer to this letter."""
    person: Person | None = None
    """Who has signed in."""


class IdentityStrategy(BaseStrategy[Answer]):
    """``proof`` is the letter whose address is confirmed by this request, ``with_address`` whether it hands in an address."""

    def __init__(self, tools: Tools, provider: Provider, visit: Visit, items: Items) -> None:
        super().__init__(tools.storage)
        self.tools = tools
        self.provider = provider
        self.visit = visit
        self.proof: Proof | None = None
        self.with_address = False
        self.course = Course()
        self.handle = ""
        self.trusted: Address | None = None
        """An address that a trusted provider calls verified, so that it needs no letter."""
        self._items = items
        self._openid = OpenIdSessionWrapper()
        self._target = visit.target

    # Settings

    def get_setting(self, name: str) -> Any:
        if self.trusted is not None and name == setting_name("FORCE_EMAIL_VALIDATION"):
            return False
        return self.provider.settings[name] if name in self.provider.settings else self.tools.settings[name]

    def get_backend_class(self, name: str) -> type[BaseAuth[Answer]]:
        """From our own table: that of the library keeps what is not configured any more."""
        return self.tools.providers[name].backend

    # The request

    def get_request_data(self, merge: bool = True) -> dict[str, Any]:
        return dict(self.visit.values)

    def request_get(self) -> dict[str, Any]:
        return dict(self.visit.values)

    def request_post(self) -> dict[str, Any]:
        return dict(self.visit.values)

    def request_host(self) -> str:
        """Never from a header of the request."""
        return urlsplit(self.tools.base_url).netloc

    def request_port(self) -> int:
        parts = urlsplit(self.tools.base_url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    def request_is_secure(self) -> bool:
        return self.tools.base_url.startswith("https:")

    def request_path(self) -> str:
        return f"/auth/complete/{self.provider.name}"

    def build_absolute_uri(self, path: str | None = None) -> str:
        if path and not path.startswith("/"):
            return path
        return self.tools.base_url.rstrip("/") + (path or "")

    def redirect(self, url: str) -> Answer:
        return Answer(url)

    def clean_authenticate_args(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """What the sign-in began with comes back when it goes on."""
        self._target = str(kwargs.get("target") or self._target)
        return args, kwargs

    # The session

    def session_get(self, name: str, default: Any = None) -> Any:
        """The library knows one waiting sign-in of a session. Here each has an item of its own, and only the one that the
        request names goes on: not that of another tab, nor an old one in the place of a new."""
        if name == PARTIAL_TOKEN_SESSION_NAME:
            token = self.visit.values.get("partial_token", "")
            return token if token and self._items.get(_owned(token)) is not None else default
        found = self._items.get(name)
        return default if found is None else found

    def session_set(self, name: str, value: Any) -> None:
        if name == PARTIAL_TOKEN_SESSION_NAME:
            self._items.set(_owned(value), 1)
        else:
            self._items.set(name, value)

    def session_pop(self, name: str) -> Any:
        if name == PARTIAL_TOKEN_SESSION_NAME:
            return self._items.pop(_owned(self.visit.values.get("partial_token", "")))
        return self._items.pop(name)

    def openid_session_dict(self, name: str) -> OpenIdSessionWrapper:
        """Of this request: ``FixedOpenId`` keeps it with the state of each sign-in, where the library has one for all."""
        return self._openid

    # Letters

    def send_email_validation(
        self, backend: BaseAuth[object], email: str, partial_token: str | None = None
    ) -> CodeMixin:
        """The sign-in is stored after this, so the letter is only put into the database."""
        waiting = Waiting(
            provider=self.provider.name,
            title=self.provider.title,
            handle=self.handle,
            address=parse_address(email),
            partial=partial_token or "",
            asker=self.visit.asker,
            target=self._target,
        )
        self.course.proof = wait(self.tools.joining.ask(waiting))
        return NoCode()

    def validate_email(self, email: str, code: str) -> bool:
        """The letter itself is used up by ``Joining.open``, with what it is for."""
        return self.proof is not None and code == self.proof.id and same_address(email, self.proof.email)

    def partial_pipeline_external_resume_confirmed(
        self, backend: BaseAuth[object], request_data: dict[str, Any]
    ) -> bool:
        """Only for the letter that somebody has confirmed on our own page: without it nothing that waits for an answer to a
        letter ever goes on."""
        return self.proof is not None and request_data.get("partial_token") == self.proof.data.get("partial")

    def partial_pipeline_external_resume_confirmation(
        self, backend: BaseAuth[object], partial: PartialMixin, request_data: dict[str, Any]
    ) -> None:
        """The library has no page of its own here."""

    # Results

    def proven(self, email: object) -> Address | None:
        """The address, when it is proven."""
        for known in (self.proof.email if self.proof else None, self.trusted.typed if self.trusted else None):
            if known is not None and isinstance(email, str) and same_address(email, known):
                return parse_address(known)
        return None

    def login(self, backend: BaseAuth[object], user: Person, social_user: object) -> None:
        """Called by the library; the session is made outside."""
        self.course.person = user

    @property
    def target(self) -> str:
        return self._target


class NoCode(CodeMixin):
    """Our letters have codes of their own."""

    def save(self) -> None:
        """There is nothing to store."""


def pending(proof: Proof) -> dict[str, Any]:
    """The items by which the library goes on after a letter."""
    return {PARTIAL_TOKEN_PENDING_SESSION_NAME: proof.data.get("partial")}


def same_address(one: str, other: str) -> bool:
    try:
        return parse_address(one).norm == parse_address(other).norm
    except BadAddress:
        return False


def _owned(token: str) -> str:
    return OWNED + hashed(token)[:32]
