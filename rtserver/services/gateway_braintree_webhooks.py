"""Webhooks: whether they are the gateway's, and what they are about. No network, and no thread.

A payload is trusted for nothing but this: whoever gets a notification reads the object anew from the gateway.
"""

from __future__ import annotations

import re
from typing import Any

from braintree.exceptions import InvalidSignatureError

from rtserver.payments.errors import GatewayRefused
from rtserver.payments.records import Notification
from rtserver.services.gateway_braintree_config import Link
from rtserver.services.gateway_braintree_shapes import inner, ms, needed, text

CHALLENGE = re.compile(r"[a-f0-9]{20,32}")
"""The SDK's own pattern would also take a line break behind it."""

SUBJECTS = ("transaction", "subscription", "dispute")


class Webhooks:
    def __init__(self, link: Link) -> None:
        self._sdk = link.sdk

    def answer_challenge(self, challenge: str) -> str:
        """Raises ``GatewayRefused``."""
        if not isinstance(challenge, str) or not CHALLENGE.fullmatch(challenge):
            raise GatewayRefused("bad_challenge", "bt_challenge has 20 to 32 digits and letters from a to f.")
        answer: str = self._sdk.webhook_notification.verify(challenge)
        return answer

    def read(self, signature: str, payload: str) -> Notification:
        """Raises ``GatewayRefused``."""
        try:
            return _notification(self._sdk.webhook_notification.parse(signature, payload))
        except InvalidSignatureError:
            refusal = GatewayRefused("bad_signature", "This was not signed by the payment service.")
        except Exception:
            # ValueError for a signature of three parts, UnicodeEncodeError, TypeError, KeyError, ExpatError, RecursionError...:
            # whatever reading a stranger's bytes comes to is the stranger's fault.
            refusal = GatewayRefused("bad_payload", "This is nothing that the payment service sends.")
        raise refusal


def _notification(found: Any) -> Notification:
    kind, happened_at = needed(found, "kind"), ms(inner(found, "timestamp"))
    for subject in SUBJECTS:
        about = inner(found, subject)
        if about is not None:
            return Notification(kind, happened_at, subject, needed(about, "id"))
    return Notification(kind, happened_at, "other", text(inner(found, "disbursement"), "id"))
