"""Webhooks: what happened, as the gateway would tell it, signed.

Signature: ``public_key|hex(HMAC-SHA1(SHA1(private_key), payload))`` over the base64 text with its newlines
(``braintree.webhook_notification_gateway``).
"""

from __future__ import annotations

import hmac
from base64 import encodebytes
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha1

from rtserver.simulator.merchant import Keys
from rtserver.simulator.refusals import NotFound
from rtserver.simulator.shelf import World
from rtserver.simulator.xml_wire import HEAD, Value, fragment

MAX_WEBHOOKS = 1_000
"""The oldest one is dropped for a new one."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One notification, with the object as it was then."""

    number: int
    kind: str
    subject: str
    at: datetime
    payload: str

    def view(self) -> dict[str, Value]:
        return {"number": self.number, "kind": self.kind, "id": self.subject, "timestamp": self.at.isoformat()}


def mac(private_key: str, text: str) -> str:
    return hmac.new(sha1(private_key.encode()).digest(), text.encode("utf-8"), sha1).hexdigest()


def sign(keys: Keys, payload: str) -> str:
    return f"{keys.public_key}|{mac(keys.private_key, payload)}"


def verification(keys: Keys, challenge: str) -> str:
    """What a right receiver answers to a challenge."""
    return sign(keys, challenge)


def _payload_changed(keys: Keys, payload: str) -> tuple[str, str]:
    at = len(payload) // 2
    other = "A" if payload[at] != "A" else "B"
    return sign(keys, payload), payload[:at] + other + payload[at + 1 :]


def _signature_changed(keys: Keys, payload: str) -> tuple[str, str]:
    signature = sign(keys, payload)
    return signature[:-1] + ("0" if signature[-1] != "0" else "1"), payload


def _other_private_key(keys: Keys, payload: str) -> tuple[str, str]:
    return f"{keys.public_key}|{mac(keys.private_key + '-other', payload)}", payload


def _other_public_key(keys: Keys, payload: str) -> tuple[str, str]:
    return f"{keys.public_key}-other|{mac(keys.private_key, payload)}", payload


def _huge(keys: Keys, payload: str) -> tuple[str, str]:
    grown = payload + "QUFB" * (10 * 1024 * 1024 // 4) + "\n"
    return sign(keys, grown), grown


TAMPER: Mapping[str, Callable[[Keys, str], tuple[str, str]]] = {
    "": lambda keys, payload: (sign(keys, payload), payload),
    "payload": _payload_changed,
    "signature": _signature_changed,
    "private_key": _other_private_key,
    "public_key": _other_public_key,
    "three_parts": lambda keys, payload: (f"{sign(keys, payload)}|more", payload),
    "no_signature": lambda _keys, payload: ("", payload),
    "not_ascii": lambda keys, payload: (sign(keys, payload), f"ü{payload}"),
    "not_xml": lambda keys, _payload: (sign(keys, "bm8geG1s\n"), "bm8geG1s\n"),
    "10_mb": _huge,
}
"""How a webhook is spoiled -> its signature and payload. ``not_xml`` and ``10_mb`` are signed well."""


class Webhooks:
    """Every notification that was made, by number, for sending, sending again and in another order."""

    def __init__(self, world: World, keys: Keys) -> None:
        self._world = world
        self._keys = keys
        self._made: OrderedDict[int, Webhook] = OrderedDict()
        self._count = 0

    def make(self, kind: str, key: str, subject: Mapping[str, Value]) -> Webhook:
        """``subject`` is one element: ``{"transaction": {...}}``."""
        at = self._world.now()
        body = {"timestamp": at, "kind": kind, "source_merchant_id": self._keys.merchant_id, "subject": subject}
        payload = encodebytes((HEAD + fragment("notification", body)).encode("utf-8")).decode("ascii")
        self._count += 1
        made = self._made[self._count] = Webhook(self._count, kind, key, at, payload)
        if len(self._made) > MAX_WEBHOOKS:
            self._made.popitem(last=False)
        return made

    def get(self, number: int) -> Webhook:
        """Raises ``NotFound``."""
        found = self._made.get(number)
        if found is None:
            raise NotFound(f"webhook {number}")
        return found

    def form(self, webhook: Webhook, tamper: str = "") -> dict[str, str]:
        """The fields of the POST. Raises ``KeyError`` for an unknown way to tamper."""
        signature, payload = TAMPER[tamper](self._keys, webhook.payload)
        return {"bt_signature": signature, "bt_payload": payload}

    def all(self) -> list[Webhook]:
        return list(self._made.values())

    def clear(self) -> None:
        self._made.clear()
