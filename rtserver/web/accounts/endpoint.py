"""An endpoint of accounts: its function is given a visit, and whatever is refused is answered as the browser reads it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from rtserver.accounts.errors import AccountRefused
from rtserver.app.application import docstring
from rtserver.app.calling import InThread
from rtserver.app.endpoint import Description, Endpoint, Incoming, Limits, Response
from rtserver.app.parameters import Given
from rtserver.app.shapes import Invalid
from rtserver.web.accounts.answers import AWAY, FORMS, HEADERS, QUIET, REFUSED, Mistakes, Refusal, go_on, read_refusal
from rtserver.web.accounts.desk import Desk
from rtserver.web.accounts.views import Views
from rtserver.web.accounts.visit import Manners, Member, Visit, sign_in_place
from rtserver.web.endpoints import TwistedIncoming

TAGS = ("accounts",)
LIMITS = Limits(body_size=32_768, takes_form=True)

Again = Callable[[Visit, Mapping[str, str]], Awaitable[Response]]
"""Makes the page that shows a form again, from what stood in the path."""

MEANINGS = {
    400: "It cannot be done: `msg` says why",
    303: "A form was sent: the next page",
    401: "Nobody is signed in, or not with this password",
    403: "The session's token is missing or old, or a page of others sent this",
    404: "There is nothing of this name for this browser",
    409: "It was used before, or somebody else has it",
    410: "It is too old: begin again",
    429: "Too often: try again after the seconds of Retry-After",
    502: "The provider gave an answer that makes no sense",
    503: "Not now: try again",
}
"""What further statuses mean."""


def _example(code: str, sentence: str) -> Any:
    return {"detail": [{"type": code, "loc": [], "msg": sentence, "input": None}]}


EXAMPLES = {
    401: _example("wrong_password", "Name or password is wrong: look at both, and at Caps Lock."),
    403: _example("csrf", "Send the csrf of GET /auth/session as X-CSRF-Token, it changes when you sign in."),
    404: _example("not_found", "There is nothing here."),
    409: _example("link_used", "This letter was answered already: there is nothing left to do."),
    410: _example("link_expired", "This letter is too old: ask for a new one."),
    429: _example("too_many_attempts", "That was too often: try again in 4 minutes."),
}
"""``type`` is stable and for programs, ``msg`` for people; ``loc`` leads to what is to be changed in
what was sent; it is empty when nothing there is wrong."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where an endpoint stands. ``again`` is the page that its form is on, ``others`` are further statuses that it answers
    with."""

    method: str
    path: str
    manners: Manners = Manners()
    again: Again | None = None
    status: int = 200
    others: tuple[int, ...] = ()
    meanings: Mapping[int, str] = field(default_factory=dict)


class AccountEndpoint(Endpoint):
    def __init__(self, desk: Desk, door: Door, function: Callable[..., Any]) -> None:
        is_post = door.method == "POST"
        shows_form = door.manners.shows_page or is_post
        super().__init__(
            door.method, door.path, function, door.status, _describe(door, function), LIMITS if is_post else None
        )
        self.headers = (*HEADERS, FORMS if shows_form and door.manners.is_guarded else QUIET)
        self._desk = desk
        self._door = door
        self._views = Views(desk)

    async def respond(self, incoming: Incoming, path: Mapping[str, str], in_thread: InThread) -> Response:
        visit = Visit(self._desk, cast(TwistedIncoming, incoming), self._door.manners)
        try:
            response = await super().respond(Visited(incoming, visit), path, in_thread)
        except REFUSED as error:
            response = await self._refused(error, visit, path)
        if not visit.cookies:
            return response
        return replace(response, headers={**response.headers, "set-cookie": list(visit.cookies.values())})

    async def _refused(self, error: Exception, visit: Visit, path: Mapping[str, str]) -> Response:
        refusal = read_refusal(error)
        if not visit.wants_page:
            return self._as_json(error, refusal, visit)
        if refusal.code == "sign_in_needed":
            return go_on(sign_in_place(visit.place if visit.method != "POST" else visit.next))
        if isinstance(error, AWAY):
            self._desk.log_seldom(str(error))
        elif self._door.again is not None:
            return await self._again(self._door.again, refusal, visit, path)
        return await self._views.error(visit, refusal)

    def _as_json(self, error: Exception, refusal: Refusal, visit: Visit) -> Response:
        if isinstance(error, Invalid):
            raise Invalid([{**each, "input": None} for each in error.mistakes]) from None
        if isinstance(error, Mistakes | AccountRefused):
            return refusal.as_json("body" if visit.method == "POST" else "query")
        raise error

    async def _again(self, again: Again, refusal: Refusal, visit: Visit, path: Mapping[str, str]) -> Response:
        """The form as it was sent, with what is wrong; what cannot even be shown is told by itself."""
        visit.mistakes, visit.status, visit.code = refusal.by_field(), refusal.status, refusal.code
        try:
            page = await again(visit, path)
        except REFUSED as error:
            return await self._views.error(visit, read_refusal(error))
        return replace(page, headers={**page.headers, **refusal.headers})

    def failure(self, incoming: Incoming, request_id: str) -> Response:
        visit = Visit(self._desk, cast(TwistedIncoming, incoming), self._door.manners)
        try:
            if visit.wants_page:
                return self._views.failure(request_id)
        except Exception as error:
            self._desk.log("error", "the page that tells of a failure failed", error, request=request_id)
        return super().failure(incoming, request_id)


def _describe(door: Door, function: Callable[..., Any]) -> Description:
    is_post = door.method == "POST"
    always = (303, 403) if is_post and door.manners.is_guarded else ()
    statuses = sorted({*always, *door.others, 429, 503})
    return Description(
        *docstring(function),
        tags=TAGS,
        responses={status: MEANINGS[status] for status in statuses} | dict(door.meanings),
        examples={status: EXAMPLES[status] for status in statuses if status in EXAMPLES},
        pages=door.manners.shows_page or is_post,
    )


class Visited:
    """A request as its endpoint sees it: one visit, however often it is asked for. Implements ``app.endpoint.Incoming``."""

    def __init__(self, incoming: Incoming, visit: Visit) -> None:
        self._incoming = incoming
        self._visit = visit
        self._is_open = False
        self.header = incoming.header
        self.cookie = incoming.cookie

    @property
    def query(self) -> Mapping[str, list[str]]:
        return self._incoming.query

    @property
    def body(self) -> bytes:
        return self._incoming.body

    @property
    def form(self) -> Mapping[str, list[str]] | None:
        return self._incoming.form

    async def give(self, kind: type[Given]) -> Given | None:
        if kind not in (Visit, Member):
            return await self._incoming.give(kind)
        if not self._is_open:
            self._is_open = True
            await self._visit.open()
        return self._visit if kind is Visit else Member.of(self._visit)
