"""The code and the digits of a letter. They are made anew from the secret key whenever they are needed, so the database holds
only what it finds them by, and the same letter can be sent again."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

NONCE = 12
"""Random bytes that are stored with a proof. Its id is known to a browser; this is not."""


@dataclass(frozen=True, slots=True)
class Codes:
    """``code`` (22 characters of a URL) goes out signed in the link, ``digits`` are six. ``key`` tells by which secret key they
    were made, and nothing about it."""

    code: str = field(repr=False)
    digits: str = field(repr=False)
    key: str

    @property
    def digits_seal(self) -> str:
        """What is stored of the digits: a million of them could be tried if they stood alone."""
        return sha256(f"{self.code}:{self.digits}".encode()).hexdigest()


def make_codes(secret_key: str, proof_id: str, nonce: str) -> Codes:
    key = _mac(secret_key.encode(), b"codes of letters")
    name = f"{proof_id}:{nonce}".encode()
    digits = int.from_bytes(_mac(key, b"digits:" + name)) % 1_000_000
    code = urlsafe_b64encode(_mac(key, b"code:" + name)[:16]).rstrip(b"=").decode()
    return Codes(code, f"{digits:06}", _mac(key, b"which key").hex()[:8])


def same_codes(secret_keys: Sequence[str], proof_id: str, nonce: str, key: str) -> Codes | None:
    """Those that were made before; None when their secret key is not among these any more."""
    made = (make_codes(each, proof_id, nonce) for each in secret_keys)
    return next((codes for codes in made if codes.key == key), None)


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, sha256)
