"""The exception tree and the wire tables.

RtError
 ├── CommandError      answered to the client in ``Reply.error``; the connection goes on
 ├── Disconnected      ends the connection with a close code
 ├── BadFrame          bytes that are no frame of the protocol (becomes 3501)
 ├── NotJSON           a payload that a JSON connection cannot carry (becomes 3506)
 ├── TokenError        a token that cannot be used
 │    ├── InvalidToken      malformed, forged, or for another audience
 │    └── ExpiredToken      was good once, or is not yet
 ├── BackendUnavailable   a hook's backend gave no usable answer
 ├── BrokerError       the broker could not do it; the sentence says what to do
 │    └── BrokerUnavailable   not now (connection lost, time-out): try again
 ├── StoreError        the database could not do it; the sentence says what to do
 │    ├── Conflict            a row with the same unique value is there already
 │    └── StoreUnavailable    not now (down, overloaded, too slow): try again
 └── Refused           a person asked for what cannot be; the sentence is for this person

A peer sees only a code and the fixed sentence of the table. What really happened goes to the log.
"""

from __future__ import annotations

from typing import NamedTuple

from rtserver.core.messages import Error


class RtError(Exception):
    """The root of every error that rtserver raises on purpose."""


class CannotStart(RtError):
    """The server cannot be put together as it is configured; the sentence says what to change."""


class DisconnectReason(NamedTuple):
    """A close code and its text. The text must not parse as JSON and has at most 123 bytes (RFC 6455 section 5.5)."""

    code: int
    reason: str

    @property
    def reconnect(self) -> bool:
        """Whether SDKs come back after this code."""
        return self.code < 3500 or 4000 <= self.code < 4500 or self.code >= 5000


class Unsubscribed(NamedTuple):
    """The code and text of an unsubscribe push. From 2500 on the client subscribes again at once."""

    code: int
    reason: str


class CommandError(RtError):
    """A command is refused; ``error`` goes to the client as it is."""

    def __init__(self, error: Error) -> None:
        self.error = error
        super().__init__(f"{error.code}: {error.message}")


class Disconnected(RtError):
    """The connection must end with ``reason``; ``detail`` is for the log only."""

    def __init__(self, reason: DisconnectReason, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason.code}: {reason.reason}" + (f" ({detail})" if detail else ""))


class BadFrame(RtError):
    """Bytes from a client that are no frame of the protocol."""


class NotJSON(RtError):
    """A payload that is not JSON was about to go to a JSON connection."""


class TokenError(RtError):
    """A token that cannot be used; the message says why, for the log, and never holds the token."""


class InvalidToken(TokenError):
    """Malformed, badly signed, or not meant for this server."""


class ExpiredToken(TokenError):
    """Past its ``exp`` or before its ``nbf``."""


class BackendUnavailable(RtError):
    """The backend behind a hook did not answer, or not as agreed. Who raises this has written the log line already."""


class BrokerError(RtError):
    """The broker refused or failed; the message says what an operator can do."""


class BrokerUnavailable(BrokerError):
    """The broker cannot be reached now or did not answer in time."""


class StoreError(RtError):
    """The database refused or failed; the message says what to change and never holds a value that was stored."""


class Conflict(StoreError):
    """A row with the same unique value exists. ``constraint`` names the columns alike on every database: "users.email" or
    "members.room,user"; for an index over an expression the name of the index."""

    def __init__(self, constraint: str) -> None:
        self.constraint = constraint
        super().__init__(f"a row with the same {constraint} exists already: change the value, or use ON CONFLICT")


class StoreUnavailable(StoreError):
    """The database cannot be reached now, has too much to do or was too slow: the same may be tried again later.

    What was asked for is done as a whole or not at all. It may be done when the connection was lost at the very end of it.
    """


class Refused(RtError):
    """``code`` is stable and for programs, ``field`` the field of the form that is to be changed ("" for none), ``sentence``
    says what to do and holds nothing secret. ``status`` is that of HTTP."""

    def __init__(self, code: str, sentence: str, field: str = "", status: int = 400) -> None:
        self.code = code
        self.field = field
        self.sentence = sentence
        self.status = status
        super().__init__(f"{code}: {sentence}")


# Reply.error: code, text, and whether the client may try again.

INTERNAL = Error(100, "internal server error", True)
UNAUTHORIZED = Error(101, "unauthorized")
UNKNOWN_CHANNEL = Error(102, "unknown channel")
PERMISSION_DENIED = Error(103, "permission denied")
METHOD_NOT_FOUND = Error(104, "method not found")
ALREADY_SUBSCRIBED = Error(105, "already subscribed")
LIMIT_EXCEEDED = Error(106, "limit exceeded")
BAD_REQUEST = Error(107, "bad request")
NOT_AVAILABLE = Error(108, "not available")
TOKEN_EXPIRED = Error(109, "token expired")
EXPIRED = Error(110, "expired")
TOO_MANY_REQUESTS = Error(111, "too many requests", True)
UNRECOVERABLE_POSITION = Error(112, "unrecoverable position")

ERRORS = {
    error.code: error
    for error in (
        INTERNAL,
        UNAUTHORIZED,
        UNKNOWN_CHANNEL,
        PERMISSION_DENIED,
        METHOD_NOT_FOUND,
        ALREADY_SUBSCRIBED,
        LIMIT_EXCEEDED,
        BAD_REQUEST,
        NOT_AVAILABLE,
        TOKEN_EXPIRED,
        EXPIRED,
        TOO_MANY_REQUESTS,
        UNRECOVERABLE_POSITION,
    )
}

# Close codes. Up to 3499 clients come back, from 3500 they do not.

CONNECTION_CLOSED = DisconnectReason(3000, "connection closed")
SHUTDOWN = DisconnectReason(3001, "shutdown")
SERVER_ERROR = DisconnectReason(3004, "internal server error")
CONNECTION_EXPIRED = DisconnectReason(3005, "connection expired")
SUBSCRIPTION_EXPIRED = DisconnectReason(3006, "subscription expired")
SLOW = DisconnectReason(3008, "slow")
WRITE_ERROR = DisconnectReason(3009, "write error")
INSUFFICIENT_STATE = DisconnectReason(3010, "insufficient state")
FORCE_RECONNECT = DisconnectReason(3011, "force reconnect")
NO_PONG = DisconnectReason(3012, "no pong")
RATE_LIMITED = DisconnectReason(3013, "too many requests")
INVALID_TOKEN = DisconnectReason(3500, "invalid token")
BAD_FRAME = DisconnectReason(3501, "bad request")
STALE = DisconnectReason(3502, "stale")
FORCE_DISCONNECT = DisconnectReason(3503, "force disconnect")
CONNECTION_LIMIT = DisconnectReason(3504, "connection limit")
CHANNEL_LIMIT = DisconnectReason(3505, "channel limit")
INAPPROPRIATE_PROTOCOL = DisconnectReason(3506, "inappropriate protocol")
CONNECT_DENIED = DisconnectReason(3507, "permission denied")
CANNOT_ANSWER = DisconnectReason(3508, "not available")

# Unsubscribe pushes.

SERVER_UNSUBSCRIBE = Unsubscribed(2000, "server unsubscribe")
UNSUBSCRIBED_INSUFFICIENT = Unsubscribed(2500, "insufficient state")
UNSUBSCRIBED_EXPIRED = Unsubscribed(2501, "subscription expired")
