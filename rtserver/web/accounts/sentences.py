"""What the pages of accounts say: good news, and what went wrong, by code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

NOTICES: Mapping[str, str] = {
    "password_changed": "Your password is changed. Sign in with the new one.",
    "password_saved": "Your password is changed. Your other devices are signed out.",
    "password_set": "Your password is set. You can sign in with it from now on.",
    "address_changed": "Your address is changed.",
    "letter_sent": "We sent the letter again.",
    "linked": "Added: you can sign in with it from now on.",
    "unlinked": "Removed: nobody can sign in with it any more.",
    "session_ended": "That device is signed out.",
    "signed_out": "You are signed out.",
    "signed_out_everywhere": "You are signed out on all your devices.",
    "confirmed": "Your address is confirmed. Sign in to go on.",
}
"""Code to sentence. Pages are asked for with the code, so that nobody can put words into our mouth by a link."""


class Trouble(NamedTuple):
    """``title`` and ``sentence`` say what is wrong, ``label`` and ``href`` what to do."""

    title: str
    sentence: str
    label: str
    href: str


_AGAIN = ("Sign in", "/auth/sign-in")
_BACK = ("Try again", "/auth/sign-in")
_PROFILE = ("Go to your profile", "/auth/profile")

UNKNOWN = Trouble(
    "That did not work", "Something went wrong on the way, and nothing was changed. Please begin again.", *_BACK
)

_LATE = Trouble(
    "That took too long",
    "The way to the other site and back was begun in another browser, is used already, or was too slow. Please begin again.",
    *_BACK,
)
_PROVIDER = Trouble(
    "The other site did not answer as agreed",
    "You are not signed in. Try again in a minute, or choose another way to sign in.",
    *_BACK,
)
_SETTING = Trouble(
    "This way to sign in is not set up right",
    "Please choose another one, and tell the people who run this site.",
    *_BACK,
)
_BUSY = Trouble(
    "We cannot do this right now",
    "The server has too much to do, or part of it is away. Try again in a minute.",
    *_BACK,
)
_CLOSED = Trouble(
    "This account may not sign in here",
    "The people who run this site have not opened it to you. Ask them, or choose another way to sign in.",
    *_AGAIN,
)
_LINK = Trouble(
    "This link is not good any more",
    "It was used already, or it is too old, or part of it is missing. Links in letters work once. Ask for a new letter, or "
    "sign in if you have confirmed already.",
    *_AGAIN,
)

ERRORS: Mapping[str, Trouble] = {
    "authorization_declined": Trouble(
        "You did not go on", "The other site tells us that you pressed cancel. Nothing was changed.", *_BACK
    ),
    "authorization_code_rejected": _LATE,
    "session_context_missing": _LATE,
    "state_mismatch": _LATE,
    "nonce_mismatch": _LATE,
    "response_expired": _LATE,
    "missing_parameter": _LATE,
    "reauthentication_required": _LATE,
    "connection_failed": _PROVIDER,
    "http_error": _PROVIDER,
    "malformed_response": _PROVIDER,
    "missing_claim": _PROVIDER,
    "invalid_claim": _PROVIDER,
    "invalid_signature": _PROVIDER,
    "invalid_expiry": _PROVIDER,
    "response_not_yet_valid": _PROVIDER,
    "credential_rejected": _PROVIDER,
    "token_revoked": _PROVIDER,
    "timeout": _PROVIDER,
    "tls_error": _PROVIDER,
    "rate_limited": _PROVIDER,
    "missing_setting": _SETTING,
    "invalid_setting": _SETTING,
    "unsupported_feature": _SETTING,
    "identifier_migration_conflict": _SETTING,
    "backend_missing": Trouble(
        "There is no such way to sign in", "Perhaps the link is an old one. Choose one of those we have.", *_AGAIN
    ),
    "identity_in_use": Trouble(
        "It belongs to another account",
        "With this you sign in to another account here. Sign in to that one and remove it there first.",
        *_PROFILE,
    ),
    "user_mismatch": Trouble(
        "Somebody else is signed in here",
        "What you follow was begun by another account. Sign out, then begin again.",
        *_PROFILE,
    ),
    "disconnect_disallowed": Trouble(
        "It is your only way to sign in", "Add another way, or set a password. Then you can remove this one.", *_PROFILE
    ),
    "authentication_disallowed": _CLOSED,
    "membership_required": _CLOSED,
    "email_verification_rejected": _LINK,
    "email_in_use": Trouble(
        "There is an account with this address",
        "Sign in to it; in your profile you can add other ways to sign in.",
        *_AGAIN,
    ),
    "bad_link": _LINK,
    "link_used": _LINK,
    "link_expired": _LINK,
    "login_out_of_date": _LATE,
    "session_missing": Trouble(
        "Your browser keeps no cookies", "Signing in needs one. Allow cookies of this site, then begin again.", *_BACK
    ),
    "unknown_proof": Trouble(
        "This letter was asked for elsewhere",
        "Go on in the browser where you asked for it, or begin again here.",
        *_AGAIN,
    ),
    "account_inactive": Trouble(
        "This account is closed", "Ask the people who run this site, or sign in to another account.", *_AGAIN
    ),
    "sign_up_closed": Trouble(
        "New accounts are not made here",
        "Ask the people who run this site, or sign in to an account you have.",
        *_AGAIN,
    ),
    "already_signed_in": Trouble(
        "You are signed in already", "Sign out first if you want to be somebody else.", *_PROFILE
    ),
    "last_way_in": Trouble(
        "It is your only way to sign in", "Add another way, or set a password. Then you can remove this one.", *_PROFILE
    ),
    "identity_unknown": Trouble(
        "It is removed already", "Nobody can sign in to your account with it any more.", *_PROFILE
    ),
    "provider_busy": _BUSY,
    "try_again": _BUSY,
    "csrf": Trouble(
        "This page was open for too long",
        "For your safety, what you sent was not taken. Go back, load the page anew and send it again.",
        *_AGAIN,
    ),
    "bad_origin": Trouble(
        "That came from another site", "For your safety, it was not taken. Use the pages of this site.", *_AGAIN
    ),
    "not_found": Trouble("There is nothing here", "Perhaps the address is wrong, or what was here is gone.", *_AGAIN),
    "sign_in_needed": Trouble("Sign in first", "This page is for people who are signed in.", *_AGAIN),
    "too_many_attempts": Trouble("That was too often", "Wait a few minutes, then try again.", *_AGAIN),
    "unavailable": _BUSY,
}
"""Codes of ours and of social-auth-core."""
