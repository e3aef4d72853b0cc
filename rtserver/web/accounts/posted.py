"""Answers of providers that come as a form of their own page (OAuth 2.0 Form Post Response Mode: Apple, and others).

Browsers send no Lax cookie with a form of another site, so nothing is known of the sign-in that it belongs to. It is answered
with a page of ours that sends the same fields once more: now it is a form of this site, and the cookie comes along.

Why so: an address with the fields in it would leave the code in logs and in the history; a cookie that goes with forms of every
site (SameSite=None) would go with all of them; and fields that are kept here until the browser comes back would be kept for
anybody who sends some. The page can do nothing that a link of another site to the same place could not do: the state in the
fields, which must be one of the session, decides here as there.
"""

from __future__ import annotations

from collections.abc import Mapping

from rtserver.accounts.providers import STATES

AGAIN = "rt_again"
"""The field by which a form is known that was sent once more: it is not sent a third time."""

MOST_FIELDS = 32
LONGEST_NAME = 64
MOST_TEXT = 32_768
"""Characters of all fields together."""


def fields_again(values: Mapping[str, str]) -> dict[str, str] | None:
    """What to send once more; None for what no provider sends, and for what was sent again already."""
    if AGAIN in values or not any(values.get(name) for name in STATES):
        return None
    size = sum(len(name) + len(value) for name, value in values.items())
    if len(values) > MOST_FIELDS or size > MOST_TEXT or any(len(name) > LONGEST_NAME for name in values):
        return None
    # What is not printable does not count at the end of the way either, and forms change ends of lines.
    return {**{name: value for name, value in values.items() if (name + value).isprintable()}, AGAIN: "1"}


def without_mark(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name != AGAIN}
