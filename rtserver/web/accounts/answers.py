"""Answers of accounts: pages, ways to go on, JSON, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rtserver.accounts.errors import AccountRefused, RateLimited
from rtserver.app.calling import TooBusy
from rtserver.app.endpoint import HTTPError, Response
from rtserver.app.shapes import Invalid, NotText, as_json
from rtserver.core.errors import BrokerUnavailable, StoreUnavailable

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Scripts and styles of ours only. There is no ``form-action``: browsers apply it to where a form is led on to, which is a
provider."""

HEADERS = (
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("content-security-policy", POLICY),
)
"""Of every answer."""

QUIET = ("referrer-policy", "no-referrer")
"""Addresses hold what is for one pair of eyes."""
FORMS = ("referrer-policy", "same-origin")
"""Of pages with forms: with ``no-referrer`` browsers would say ``Origin: null`` even to us (Fetch, "append a request Origin
header"). Nobody else learns of the address by this."""

HTML = "text/html; charset=utf-8"
AWAY: tuple[type[Exception], ...] = (StoreUnavailable, BrokerUnavailable, TooBusy)
"""Not now."""


class Mistakes(Exception):
    """Everything that is wrong with a form."""

    def __init__(self, found: Sequence[AccountRefused]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(each.code for each in found))


@dataclass(frozen=True, slots=True)
class Refusal:
    """``mistakes``: code, field ("" for none) and sentence of each. ``is_of_all``: those without a field are in all of what was
    sent; else nothing that was sent is to be changed, as when nobody is signed in."""

    status: int
    mistakes: Sequence[tuple[str, str, str]]
    headers: Mapping[str, str]
    is_of_all: bool = False

    @property
    def code(self) -> str:
        return self.mistakes[0][0] if self.mistakes else ""

    @property
    def sentence(self) -> str:
        return self.mistakes[0][2] if self.mistakes else ""

    def by_field(self) -> dict[str, str]:
        """The first sentence for each field."""
        found: dict[str, str] = {}
        for _, field, sentence in self.mistakes:
            found.setdefault(field, sentence)
        return found

    def as_json(self, place: str = "body", elsewhere: Mapping[str, Sequence[str]] = MappingProxyType({})) -> Response:
        """``place``: where the fields are, but for those ``elsewhere``. No value that was sent comes back: it may be a
        password."""
        places = {"": (place,) if self.is_of_all else (), **elsewhere}
        detail = [
            {"type": code, "loc": places.get(field, (place, field)), "msg": sentence, "input": None}
            for code, field, sentence in self.mistakes
        ]
        return Response(as_json({"detail": detail}), status=self.status, headers=self.headers)


_STATUS = {("wrong_password", ""): 401}
"""Of who is not known yet; whoever is, and mistypes the present password, is not asked to sign in."""


def _of_account(error: AccountRefused) -> Refusal:
    """Whatever is to be changed in a field is 422, as every mistake in what was sent."""
    status = 422 if error.field and error.status == 400 else _STATUS.get((error.code, error.field), error.status)
    headers = {"retry-after": str(error.retry_after)} if isinstance(error, RateLimited) else {}
    return Refusal(status, [(error.code, error.field, error.sentence)], headers)


def _of_mistakes(error: Mistakes) -> Refusal:
    return Refusal(422, [(each.code, each.field, each.sentence) for each in error.found], {}, is_of_all=True)


def _of_invalid(error: Invalid) -> Refusal:
    """Mistakes that the types found."""
    found = [
        (each["type"], str(each["loc"][-1]) if len(each["loc"]) > 1 else "", each["msg"]) for each in error.mistakes
    ]
    return Refusal(422, found, {}, is_of_all=True)


def _of_http(error: HTTPError) -> Refusal:
    return Refusal(error.status, [("refused", "", str(error.detail))], error.headers)


def _of_away(error: Exception) -> Refusal:
    sentence = "The server cannot do this now: try again in a minute."
    return Refusal(503, [("unavailable", "", sentence)], {"retry-after": "1"})


_READERS: Mapping[type[Exception], Callable[[Any], Refusal]] = {
    AccountRefused: _of_account,
    Mistakes: _of_mistakes,
    Invalid: _of_invalid,
    HTTPError: _of_http,
    **dict.fromkeys(AWAY, _of_away),
}
REFUSED: tuple[type[Exception], ...] = (*_READERS, NotText)
"""What is no failure of the server."""


def read_refusal(error: Exception) -> Refusal:
    """What one of ``REFUSED`` says."""
    for kind, read in _READERS.items():
        if isinstance(error, kind):
            return read(error)
    return Refusal(400, [("bad_body", "", f"The body cannot be read: {error}")], {}, is_of_all=True)


def json(value: Any, status: int = 200) -> Response:
    return Response(as_json(value), status=status)


def go_on(location: str) -> Response:
    """303: the browser asks for the next page with GET."""
    return Response(b"", HTML, 303, {"location": location})
