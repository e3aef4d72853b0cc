"""What each exception of the SDK says about money: one table.

Nothing of an exception's own text is used: requests put the request, with keys and nonces, into theirs.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from braintree import exceptions
from braintree.exceptions import http as http_exceptions
from braintree.exceptions.http.timeout_error import ConnectTimeoutError
from urllib3.exceptions import NewConnectionError, ProxyError

from rtserver.payments.errors import GatewayAway, GatewayRefused
from rtserver.payments.records import AttemptState, Outcome
from rtserver.services.gateway_braintree_wire import Door, TooManyRequests

Given = TypeVar("Given")

UNKNOWN_SENTENCE = "We do not know yet whether this went through. Do not try again: it is being looked up."
NOT_DONE_SENTENCE = "The payment service cannot be reached. Nothing was charged. Try again in a moment."
REFUSED_SENTENCE = "The shop cannot take payments at the moment. Nothing was charged."

_ERROR, _UNKNOWN = AttemptState.ERROR, AttemptState.UNKNOWN


@dataclass(frozen=True, slots=True)
class Verdict:
    """``about`` is for who runs the server. ``is_alarm``: nothing will work until somebody changes something."""

    state: AttemptState
    code: str
    sentence: str
    about: str
    is_soft: bool = False
    is_alarm: bool = False

    @property
    def outcome(self) -> Outcome:
        return Outcome(self.state, self.code, self.sentence, self.is_soft)


def _lost(code: str, about: str) -> Verdict:
    return Verdict(_UNKNOWN, code, UNKNOWN_SENTENCE, about, is_soft=True)


NOT_CONNECTED = Verdict(
    _ERROR,
    "not_connected",
    NOT_DONE_SENTENCE,
    "the gateway cannot be reached: see whether this machine gets to it",
    True,
)
NOT_SENT = Verdict(_ERROR, "not_sent", REFUSED_SENTENCE, "the request was not sent: the SDK would not have it")
NOT_BEGUN = Verdict(
    _ERROR, "not_begun", NOT_DONE_SENTENCE, "the call waited too long for a thread: raise payments.threads", True
)
TIMEOUT = _lost("timeout", "the gateway did not answer in time: try again, or raise payments.timeout")
UNREADABLE = _lost("unreadable_answer", "the gateway's answer cannot be read")
TOO_LONG = _lost("too_long", "there is too much to read: ask for a shorter span of time")

VERDICTS: tuple[tuple[type[Exception], Verdict], ...] = (
    (TooManyRequests, TOO_LONG),
    (ConnectTimeoutError, NOT_CONNECTED),
    (
        exceptions.AuthenticationError,
        Verdict(
            _ERROR,
            "unauthorized",
            REFUSED_SENTENCE,
            "the gateway does not know our keys: set payments.merchant_id, public_key and private_key as its control panel"
            " shows them",
            is_alarm=True,
        ),
    ),
    (
        exceptions.AuthorizationError,
        Verdict(
            _ERROR,
            "forbidden",
            REFUSED_SENTENCE,
            "the gateway knows our keys and forbids this: give the API user the permission in its control panel",
            is_alarm=True,
        ),
    ),
    (
        exceptions.UpgradeRequiredError,
        Verdict(
            _ERROR,
            "upgrade_required",
            REFUSED_SENTENCE,
            "the gateway takes no requests of this version of the SDK any more: install a newer braintree",
            is_alarm=True,
        ),
    ),
    (
        exceptions.NotFoundError,
        Verdict(_ERROR, "not_found", "The payment service does not know this.", "the gateway does not know this id"),
    ),
    (
        exceptions.TooManyRequestsError,
        Verdict(_ERROR, "too_many_requests", NOT_DONE_SENTENCE, "the gateway says that we ask too often", is_soft=True),
    ),
    (http_exceptions.TimeoutError, TIMEOUT),
    (http_exceptions.ConnectionError, _lost("connection_lost", "the connection to the gateway broke: try again")),
    (exceptions.RequestTimeoutError, _lost("gateway_408", "the gateway gave up waiting (408, or a search): try again")),
    (exceptions.ServerError, _lost("gateway_500", "the gateway failed (500): try again")),
    (exceptions.ServiceUnavailableError, _lost("gateway_503", "the gateway is not available (503): try again")),
    (exceptions.GatewayTimeoutError, _lost("gateway_504", "the gateway was too slow inside (504): try again")),
    (
        exceptions.UnexpectedError,
        _lost("unexpected_answer", "the gateway answered with a status of HTTP that means nothing"),
    ),
    (Exception, UNREADABLE),
)
"""In this order, by ``isinstance``. What stands nowhere came from reading the answer."""


def verdict(error: Exception, was_sent: bool) -> Verdict:
    """``was_sent``: at least one request was begun."""
    found = next(verdict for kind, verdict in VERDICTS if isinstance(error, kind))
    if found.state is _ERROR:
        return found
    if not was_sent:
        return NOT_SENT
    return NOT_CONNECTED if isinstance(error, http_exceptions.ConnectionError) and never_connected(error) else found


HANDSHAKE = {
    "CERTIFICATE_VERIFY_FAILED", "HOSTNAME_MISMATCH", "NO_PROTOCOLS_AVAILABLE", "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "TLSV1_ALERT_PROTOCOL_VERSION", "TLSV1_UNRECOGNIZED_NAME", "UNSUPPORTED_PROTOCOL", "WRONG_VERSION_NUMBER",
}  # fmt: skip
"""Troubles of TLS that come before the first byte of a request (OpenSSL's names). Any other may come later."""


def never_connected(error: BaseException) -> bool:
    """Refused, no such name, no way through a proxy, or TLS that was not agreed on."""
    return any(
        isinstance(each, (NewConnectionError, ProxyError, ssl.SSLCertVerificationError))
        or (isinstance(each, ssl.SSLError) and getattr(each, "reason", None) in HANDSHAKE)
        for each in _inside(error)
    )


def _inside(error: BaseException) -> Iterator[BaseException]:
    """requests and urllib3 wrap what happened in ``args`` and ``reason``."""
    waiting = [error]
    for _ in range(20):
        if not waiting:
            return
        each = waiting.pop()
        yield each
        inner = (*each.args, getattr(each, "reason", None))
        waiting += [other for other in inner if isinstance(other, BaseException)]


def outcome_by(door: Door, step: Callable[[], Outcome], most: int, is_repeat: bool = False) -> Outcome:
    """What became of a call that moves money. Raises nothing. That a repeat was not sent, or refused as a whole, says nothing
    of the first time: then it stays unknown."""
    door.begin(most)
    try:
        return step()
    except GatewayRefused as error:
        return Outcome(AttemptState.INVALID, error.code, error.sentence, errors=error.errors)
    except Exception as error:
        outcome = verdict(error, door.sent > 0).outcome
    return replace(outcome, state=_UNKNOWN, sentence=UNKNOWN_SENTENCE, is_soft=True) if is_repeat else outcome


def answer_by(door: Door, step: Callable[[], Given], most: int) -> Given:
    """What any other call learned. Raises ``GatewayRefused`` and ``GatewayAway``, outside of what they come from, so that no
    traceback leads to it."""
    door.begin(most)
    trouble: Exception
    try:
        return step()
    except GatewayRefused as error:
        trouble = error
    except exceptions.NotFoundError:
        trouble = GatewayRefused("not_found", "The payment service does not know this.")
    except Exception as error:
        found = verdict(error, door.sent > 0)
        trouble = GatewayAway(f"{found.about} ({found.code})")
    raise trouble
