"""The wire tables of errors and close codes (protocol sections 4.1 to 4.3)."""

from __future__ import annotations

import pytest

from rtserver.core import errors
from rtserver.core.errors import CommandError, Disconnected, DisconnectReason, Unsubscribed
from rtserver.core.messages import Error, is_json


def every(kind):
    return [value for name, value in vars(errors).items() if name.isupper() and isinstance(value, kind)]


TEMPORARY = {100, 111}


def test_the_error_table_is_that_of_the_protocol():
    texts = {code: error.message for code, error in errors.ERRORS.items()}
    assert texts == {
        100: "internal server error",
        101: "unauthorized",
        102: "unknown channel",
        103: "permission denied",
        104: "method not found",
        105: "already subscribed",
        106: "limit exceeded",
        107: "bad request",
        108: "not available",
        109: "token expired",
        110: "expired",
        111: "too many requests",
        112: "unrecoverable position",
    }
    assert {code for code, error in errors.ERRORS.items() if error.temporary} == TEMPORARY


def test_every_error_is_in_the_table():
    assert sorted(error.code for error in every(Error)) == sorted(errors.ERRORS)


def test_the_close_codes_are_those_of_the_protocol():
    assert {reason.code: reason.reason for reason in every(DisconnectReason)} == {
        3000: "connection closed",
        3001: "shutdown",
        3004: "internal server error",
        3005: "connection expired",
        3006: "subscription expired",
        3008: "slow",
        3009: "write error",
        3010: "insufficient state",
        3011: "force reconnect",
        3012: "no pong",
        3013: "too many requests",
        3500: "invalid token",
        3501: "bad request",
        3502: "stale",
        3503: "force disconnect",
        3504: "connection limit",
        3505: "channel limit",
        3506: "inappropriate protocol",
        3507: "permission denied",
        3508: "not available",
    }


@pytest.mark.parametrize("reason", every(DisconnectReason), ids=str)
def test_every_reason_fits_a_close_frame_and_is_no_json(reason):
    assert 0 < len(reason.reason.encode()) <= 123 and not is_json(reason.reason.encode())


def test_unsubscribe_codes():
    assert {each.code: each.reason for each in every(Unsubscribed)} == {
        2000: "server unsubscribe",
        2500: "insufficient state",
        2501: "subscription expired",
    }


@pytest.mark.parametrize(
    ("code", "comes_back"),
    [(1000, True), (3000, True), (3499, True), (3500, False), (3999, False), (4000, True), (4499, True)]
    + [(4500, False), (4999, False), (5000, True)],
)
def test_which_codes_let_clients_come_back(code, comes_back):
    assert DisconnectReason(code, "x").reconnect is comes_back


def test_exceptions_say_what_they_carry():
    assert str(CommandError(errors.NOT_AVAILABLE)) == "108: not available"
    assert str(Disconnected(errors.SLOW)) == "3008: slow"
    assert str(Disconnected(errors.SLOW, "why")) == "3008: slow (why)"


def test_there_is_one_root():
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert all(issubclass(kind, errors.RtError) for kind in kinds)
