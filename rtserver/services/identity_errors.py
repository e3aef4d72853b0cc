"""What social-auth-core refuses, as sentences for people. Their details are the provider's text and stay out of it, and so
do tokens."""

from __future__ import annotations

from collections.abc import Mapping

from social_core.exceptions import AuthConfigurationError, SocialAuthBaseException

from rtserver.accounts.errors import AccountRefused

BY_CODE: Mapping[str, tuple[str, int]] = {
    "authorization_declined": ("You did not allow it there, so nothing was changed. Choose how to sign in.", 400),
    "authentication_disallowed": ("Accounts of this kind are not let in here: use another one.", 403),
    "membership_required": ("Only members of a group are let in here: ask who runs this site.", 403),
    "identity_in_use": ("This opens another account here: sign in to that one, and take it off there first.", 409),
    "email_verification_rejected": ("This letter is not good any more: begin again.", 409),
    "session_context_missing": ("This sign-in was begun in another browser, or too long ago: begin again.", 400),
    "state_mismatch": ("This sign-in was used before, or began too long ago: begin again.", 400),
    "timeout": ("The other site did not answer in time: try again later.", 503),
    "connection_failed": ("The other site cannot be reached: try again later.", 503),
    "rate_limited": ("The other site has too much to do: try again later.", 503),
    "unavailable": ("The other site does not work at this moment: try again later.", 503),
}
"""Sentence and HTTP status by the code of the library."""

BY_RECOVERY: Mapping[str, tuple[str, int]] = {
    "restart_login": ("This sign-in cannot go on: begin again.", 400),
    "correct_input": ("This sign-in cannot go on: begin again.", 400),
    "reauthenticate": ("The other site wants you to sign in anew: begin again.", 400),
    "retry_later": ("The other site does not work at this moment: try again later.", 503),
    "check_provider_profile": ("The other site does not say what is needed: look at your profile there.", 400),
    "use_existing_account": ("There is an account already: sign in to it.", 409),
}

OTHERWISE = ("Signing in this way does not work at this moment: tell who runs this site, or choose another way.", 502)


def refusal(error: SocialAuthBaseException) -> AccountRefused:
    """The code stays that of the library."""
    sentence, status = BY_CODE.get(error.code) or BY_RECOVERY.get(error.recovery) or OTHERWISE
    return AccountRefused(error.code, sentence, status=status)


def concerns_operator(error: SocialAuthBaseException) -> bool:
    """Whether something has to be changed in the configuration or at the provider, and not by the person."""
    return isinstance(error, AuthConfigurationError) or error.recovery in ("contact_administrator", "retry_later")


def told(error: SocialAuthBaseException) -> str:
    """For the log: only words of the library and numbers."""
    said = {
        "stage": error.stage,
        "parameter": error.parameter,
        "claim": error.claim,
        "status": error.status_code,
        "provider's code": _word(error.provider_code),
    }
    return ", ".join([error.code, *(f"{name} {value}" for name, value in said.items() if value)])


def _word(text: object) -> str:
    """A code of a provider, when it is one and not some text."""
    word = str(text or "")
    return word if len(word) <= 40 and word.isascii() and word.replace("_", "").isalnum() else ""
