"""Signatures of the links in letters: HMAC over the code, and nothing of the person in it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest

from itsdangerous import Signer
from itsdangerous.signer import HMACAlgorithm

SALT = "links in letters"
"""Sets this use of the secret key apart from every other one."""

MAX_LINK = 128


class _Half(HMACAlgorithm):
    """The first half of HMAC-SHA256 (RFC 2104 section 5 allows it), so that a link fits on one line of a letter."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return super().get_signature(key, value)[:16]


class LinkSigner:
    """Implements ``accounts.ports.LinkSigner``. ``keys``: the first signs, all are read."""

    def __init__(self, keys: Sequence[str]) -> None:
        algorithm = _Half(sha256)
        self._signers = [Signer(key, SALT, key_derivation="hmac", algorithm=algorithm) for key in keys]

    def sign(self, code: str) -> str:
        return self._signers[0].sign(code).decode()

    def read(self, text: str) -> str | None:
        """Only what ``sign`` gave: unlike the ``unsign`` of the library this takes no other spelling of the signature."""
        code, _, signature = text.rpartition(".")
        if not code or not signature or not text.isascii() or len(text) > MAX_LINK:
            return None
        given = text.encode()
        found = [compare_digest(each.sign(code), given) for each in self._signers]
        return code if any(found) else None
