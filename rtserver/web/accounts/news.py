"""For the documentation: what accounts tell on channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from rtserver.accounts.tokens import NAMESPACE
from rtserver.app.asyncapi import OwnChannel
from rtserver.app.endpoint import Description
from rtserver.web.accounts.endpoint import TAGS


class LetterAnswered(BaseModel):
    """Nothing but that: who may go on is decided when the window asks."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"confirmed": True}]})

    confirmed: Literal[True]


def account_channels(boundary: str) -> Sequence[OwnChannel]:
    """``boundary`` stands between a namespace and the rest of a channel."""
    said = Description(
        "A letter was answered",
        "The window that waits for it is subscribed by the connection token of its page, and goes on with "
        "`POST /auth/proofs/{id}/continue`. `proof` is the id of the letter.",
        TAGS,
    )
    return (OwnChannel(f"{NAMESPACE}{boundary}{{proof}}", said, LetterAnswered),)
