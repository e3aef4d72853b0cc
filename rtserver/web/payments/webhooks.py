"""What the gateway tells of its own accord. No session: who sends it is known by the signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict

from rtserver.app.application import docstring
from rtserver.app.calling import InThread
from rtserver.app.endpoint import Description, Endpoint, Incoming, Limits, Response
from rtserver.app.parameters import Query
from rtserver.app.shapes import Invalid, NotText
from rtserver.payments.errors import GatewayRefused
from rtserver.web.accounts.answers import HEADERS, QUIET, Refusal
from rtserver.web.payments.desk import Desk
from rtserver.web.payments.endpoint import TAGS

PATH = "/payment/webhook/"
BODY_SIZE = 65_536
TEXT = "text/plain; charset=utf-8"

MEANINGS = {400: "It is not from the gateway, or nothing that it sends", 503: "Not now: send it again"}


class Told(BaseModel):
    """``bt_signature`` is over ``bt_payload`` as it is, with its line ends."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"bt_signature": "public_key|hex", "bt_payload": "PD94..."}]}
    )

    bt_signature: str
    bt_payload: str


class WebhookEndpoint(Endpoint):
    """Whatever is refused is 400, with one sentence in the log."""

    headers = (*HEADERS, QUIET)

    def __init__(self, desk: Desk, method: str, function: Any) -> None:
        description = Description(*docstring(function), tags=TAGS, responses=MEANINGS, media_type="text/plain")
        limits = Limits(BODY_SIZE, takes_form=True)
        super().__init__(method, PATH, function, description=description, limits=limits)
        self._desk = desk

    async def respond(self, incoming: Incoming, path: Mapping[str, str], in_thread: InThread) -> Response:
        try:
            return await super().respond(incoming, path, in_thread)
        except GatewayRefused as error:  # the log has it already
            return self._told(error.code, error.sentence)
        except Invalid as error:
            missing = ", ".join(sorted({str(each["loc"][-1]) for each in error.mistakes}))
            return self._refused("bad_webhook", f"The gateway sends {self._expected}: look at {missing}.")
        except NotText:
            return self._refused("bad_webhook", f"The gateway sends {self._expected}.")

    @property
    def _expected(self) -> str:
        return "bt_signature and bt_payload in a form" if self.takes_body else "bt_challenge in the address"

    def _refused(self, code: str, sentence: str) -> Response:
        self._desk.accounts.log_seldom(f"a webhook was refused: {sentence} ({code})")
        return self._told(code, sentence)

    def _told(self, code: str, sentence: str) -> Response:
        return Refusal(400, [(code, "", sentence)], {}, is_of_all=True).as_json("body" if self.takes_body else "query")


class WebhookDoor:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        return [
            WebhookEndpoint(self._desk, "GET", self.challenge),
            WebhookEndpoint(self._desk, "POST", self.receive),
        ]

    async def challenge(self, bt_challenge: Annotated[str, Query()]) -> Response:
        """The gateway asks whether this address is ours

        It does so when the address is entered in its control panel."""
        try:
            return Response(self._desk.flows.webhooks.challenge(bt_challenge).encode(), TEXT)
        except GatewayRefused as error:
            self._desk.accounts.log_seldom(f"a challenge of the gateway was refused: {error.sentence} ({error.code})")
            raise

    async def receive(self, body: Told) -> Response:
        """The gateway tells of a change

        It is written down, answered at once, and looked into afterwards: what counts is what the gateway says when it is
        asked. The same may come twice, and in any order."""
        await self._desk.flows.webhooks.receive(body.bt_signature, body.bt_payload)
        return Response(b"", TEXT)
