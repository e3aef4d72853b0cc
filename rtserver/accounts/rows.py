"""Texts of accounts that are stored: hashes, and what people say about themselves."""

from __future__ import annotations

import hashlib


def hashed(text: str) -> str:
    """SHA-256 in hex. For what is random enough that nobody finds it by trying: cookies, codes, tokens."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def printable(text: str, most: int) -> str:
    """At most ``most`` characters of what somebody says about himself, without those that are not for the eye."""
    return "".join(each for each in text if each.isprintable())[:most]
