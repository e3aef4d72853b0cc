"""What payments refuse.

PaymentRefused     a person asked for what cannot be; the sentence is for this person
GatewayAway        nothing can be learned from the gateway now
GatewayBusy        too many calls wait for the gateway already: this one was never begun
GatewayRefused     the gateway said no
"""

from __future__ import annotations

from collections.abc import Sequence

from rtserver.core.errors import RtError
from rtserver.payments.records import FieldError


class PaymentRefused(RtError):
    """``code`` is stable and for programs, ``field`` what is to be changed ("" for none); ``status`` is that of HTTP."""

    def __init__(self, code: str, sentence: str, field: str = "", status: int = 400) -> None:
        self.code = code
        self.field = field
        self.sentence = sentence
        self.status = status
        super().__init__(f"{code}: {sentence}")


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
