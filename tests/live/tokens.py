"""Tokens as a backend signs them."""

import time

import jwt

from tests.live.rtserver_process import HMAC_KEY


def token(user=None, seconds=None, key=HMAC_KEY, **claims):
    """A connection token; ``seconds`` from now to its ``exp`` (negative: expired)."""
    if user is not None:
        claims["sub"] = user
    if seconds is not None:
        claims["exp"] = int(time.time()) + seconds
    return jwt.encode(claims, key, algorithm="HS256")


def channel_token(channel, user=None, seconds=None, key=HMAC_KEY, **claims):
    """A subscription token."""
    return token(user, seconds, key, channel=channel, **claims)
