"""For the documentation: what payments tell on channels (see ``payments.events.put``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from rtserver.app.asyncapi import OwnChannel
from rtserver.app.endpoint import Description
from rtserver.payments.options import PaymentsOptions
from rtserver.web.payments.bodies import ORDER, DisputeFacts, OrderFacts, SubscriptionFacts
from rtserver.web.payments.endpoint import TAGS

_NEWS: dict[str, Any] = {
    "kind": "payment.paid",
    "id": "5f0c6e1d",
    "at": 1_800_000_001_000,
    "record": ORDER,
}


class PaymentNews(BaseModel):
    """``kind`` is "payment.<state of the order>", "subscription.<status>" or "dispute.<status>"; ``record`` is the order, the
    subscription or the dispute as it is since then; ``at`` in milliseconds since 1970. The same news may come twice, with the
    same ``id``."""

    model_config = ConfigDict(json_schema_extra={"examples": [_NEWS]})

    kind: Annotated[str, Field(pattern=r"^(payment|subscription|dispute)\.")]
    id: str
    at: int
    record: OrderFacts | SubscriptionFacts | DisputeFacts


class StaffNews(PaymentNews):
    """As the payer is told; ``user`` is who pays, "" for nobody who is known."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_NEWS, "user": "42"}]})

    user: str


def payment_channels(options: PaymentsOptions) -> Sequence[OwnChannel]:
    """Those that are configured."""
    payer = Description("What became of a person's payments", "`user` is the id of the account that pays.", TAGS)
    staff = Description("What became of everybody's payments", "For staff.", TAGS)
    found = (OwnChannel(options.channel, payer, PaymentNews), OwnChannel(options.staff_channel, staff, StaffNews))
    return tuple(each for each in found if each.pattern)
