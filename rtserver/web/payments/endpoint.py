"""An endpoint of payments: JSON only, for whoever is signed in or has a connection token."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel

from rtserver.accounts.errors import AccountRefused
from rtserver.app.application import docstring
from rtserver.app.calling import InThread
from rtserver.app.endpoint import Description, Endpoint, Incoming, Limits, Response
from rtserver.app.openapi import HTTPError
from rtserver.app.parameters import Header
from rtserver.app.shapes import Invalid, as_json
from rtserver.payments.answers import Answer
from rtserver.payments.errors import GatewayAway, GatewayRefused, PaymentRefused
from rtserver.web.accounts.answers import HEADERS, QUIET, Refusal, read_refusal
from rtserver.web.payments.desk import Desk
from rtserver.web.payments.people import Asked

TAGS = ("payments",)
BODY_SIZE = 32_768

NAMED = re.compile(r"/(\w+)s/\{(\w+)\}")
"""What a path names: the order of "/payment/orders/{id}"."""

SOON = "1"
LATER = "10"
"""Seconds of Retry-After: for what is under way, and for what cannot be reached."""

MEANINGS = {
    400: "The body is not JSON, or the Idempotency-Key is missing or none",
    202: "Nobody knows yet whether it went through: the outcome follows on the realtime channel of this person",
    401: "Nobody is signed in, and there is no connection token",
    402: "It was declined, rejected or could not be processed: nothing was charged",
    403: "The session's token is missing or old, a page of others sent this, or it is for staff",
    404: "There is nothing of this name for this person",
    409: "It does not fit to what happened before, or is under way: try again after the seconds of Retry-After",
    422: "What was sent does not fit, or the gateway found mistakes: each is told",
    429: "Too many payments of this person, or of this order, were refused: nothing was tried",
    503: "Not now: try again after the seconds of Retry-After",
}
"""What further statuses mean."""

OURS = {
    "payment_method_nonce": "nonce",
    "credit_card": "nonce",
    "payment_method_token": "method",
    "plan_id": "plan",
}
"""Attributes of the gateway and the field that they come from."""

Key = Annotated[
    str,
    Header(
        "Idempotency-Key",
        "A name of the program's own for this request, at most 255 printable ASCII characters: whatever is sent again with it "
        "is done once.",
    ),
]


@dataclass(frozen=True, slots=True)
class Door:
    """Where an endpoint stands. ``others`` are further statuses that it answers with. ``asks_gateway``: it may take as long as
    calls of the gateway do; ``seconds``: as long as this. ``outcome`` is the body that says what became of an attempt to move
    money, also when it failed."""

    method: str
    path: str
    others: tuple[int, ...] = ()
    status: int = 200
    asks_gateway: bool = False
    seconds: float = Limits().seconds
    meanings: Mapping[int, str] = field(default_factory=dict)
    outcome: type[BaseModel] | None = None


class PaymentEndpoint(Endpoint):
    headers = (*HEADERS, QUIET)

    def __init__(self, desk: Desk, door: Door, function: Callable[..., Any]) -> None:
        limits = Limits(BODY_SIZE, desk.seconds if door.asks_gateway else door.seconds)
        super().__init__(door.method, door.path, function, door.status, _describe(door, function), limits)
        self._desk = desk
        self._fields = frozenset(getattr(get_type_hints(function).get("body"), "model_fields", ()))
        self._elsewhere = {
            each.name: each.location for each in self.signature.all_parameters() if each.place in ("path", "header")
        } | {noun: ("path", name) for noun, name in NAMED.findall(door.path)}

    async def respond(self, incoming: Incoming, path: Mapping[str, str], in_thread: InThread) -> Response:
        try:
            return await super().respond(Asked(incoming, self._desk), path, in_thread)
        except Invalid as error:
            # What was sent may be a nonce: it does not come back.
            raise Invalid([{**each, "input": None} for each in error.mistakes]) from None
        except AccountRefused as error:
            return self._told(read_refusal(error))
        except PaymentRefused as error:
            return self._told(_refused(error))
        except GatewayAway as error:
            self._desk.accounts.log_seldom(f"the gateway could not be asked: {error}")
            return self._told(AWAY)
        except GatewayRefused as error:
            return self._told(_by_gateway(error, self._fields))

    def _told(self, refusal: Refusal) -> Response:
        return refusal.as_json("body" if self.takes_body else "query", self._elsewhere)


def answered(answer: Answer) -> Response:
    """What became of an attempt to move money."""
    return Response(as_json(answer.body()), status=answer.status)


AWAY = Refusal(
    503,
    [("gateway_away", "", "The payment service cannot be reached now. Nothing was charged: try again in a minute.")],
    {"retry-after": LATER},
)


def _refused(error: PaymentRefused) -> Refusal:
    is_early = error.code == "in_progress" or error.status == 503
    headers = {"retry-after": SOON if error.status != 503 else LATER} if is_early else {}
    return Refusal(error.status, [(error.code, error.field, error.sentence)], headers)


def _by_gateway(error: GatewayRefused, fields: frozenset[str]) -> Refusal:
    """The gateway's attributes are those of its own request: only what came from a field of ours is told as one."""
    mistakes = [(each.code, _field(each.attribute, fields), each.message) for each in error.errors]
    return Refusal(422, mistakes or [(error.code, "", error.sentence)], {}, is_of_all=bool(fields))


def _field(attribute: str, fields: frozenset[str]) -> str:
    first = attribute.partition(".")[0]
    name = OURS.get(first, first)
    return name if name in fields else ""


def _describe(door: Door, function: Callable[..., Any]) -> Description:
    statuses = sorted({*door.others, *((400, 403) if door.method != "GET" else ()), 503})
    responses = {status: MEANINGS[status] for status in statuses} | dict(door.meanings)
    return Description(*docstring(function), tags=TAGS, responses=responses, models=_models(door.outcome))


def _models(outcome: type[BaseModel] | None) -> dict[int, Any]:
    """422 comes before an attempt too."""
    return {202: outcome, 402: outcome, 422: outcome | HTTPError} if outcome is not None else {}
