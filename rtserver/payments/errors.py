"""What payments refuse.

PaymentRefused     what ``Refused`` says, about payments
GatewayAway        nothing can be learned from the gateway now
GatewayBusy        too many calls wait for the gateway already: this one was never begun
GatewayRefused     the gateway said no
"""

from __future__ import annotations

from collections.abc import Sequence

from rtserver.core.errors import Refused, RtError
from rtserver.payments.records import FieldError


class PaymentRefused(Refused):
    """The rules of the shop, or the state of an order, stand against it."""


class GatewayAway(RtError):
    """The sentence says why, without secrets."""


class GatewayBusy(GatewayAway):
    """Nothing was sent."""


class GatewayRefused(RtError):
    """``code`` is the gateway's ("91506"), or a word of ours."""

    def __init__(self, code: str, sentence: str, errors: Sequence[FieldError] = ()) -> None:
        self.code = code
        self.sentence = sentence
        self.errors = tuple(errors)
        super().__init__(f"{code}: {sentence}")
