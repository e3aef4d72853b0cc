"""Errors of social-auth-core as sentences."""

from __future__ import annotations

import pytest
from social_core.exceptions import REASONS, AuthConfigurationError, AuthProviderError, SocialAuthBaseException

from rtserver.services.identity_errors import concerns_operator, refusal, told

TOKEN = "eyJhbGciOi.secret"


@pytest.mark.parametrize("code", REASONS)
def test_every_error_of_the_library_has_a_sentence_and_keeps_its_code(code):
    refused = refusal(SocialAuthBaseException(None, TOKEN, code=code))
    assert refused.code == code
    assert refused.sentence.endswith(".") and len(refused.sentence) > 20
    assert refused.status in (400, 403, 409, 502, 503)


@pytest.mark.parametrize("code", REASONS)
def test_neither_people_nor_the_log_see_what_the_provider_said(code):
    error = SocialAuthBaseException(None, TOKEN, code=code, provider_code=f"{TOKEN} {TOKEN}", context={"a": TOKEN})
    assert TOKEN not in str(refusal(error)) and TOKEN not in told(error)


def test_the_log_says_what_an_operator_can_change():
    error = AuthProviderError(None, TOKEN, stage="token_exchange", status_code=401, provider_code="invalid_client")
    assert told(error) == "http_error, stage token_exchange, status 401, provider's code invalid_client"
    error = AuthConfigurationError(None, code="missing_setting", parameter="KEY", stage="begin")
    assert told(error) == "missing_setting, stage begin, parameter KEY"


def test_only_what_is_not_the_persons_concerns_the_operator():
    concern = {code for code in REASONS if concerns_operator(SocialAuthBaseException(None, code=code))}
    assert {"connection_failed", "timeout", "tls_error", "missing_claim", "invalid_signature"} <= concern
    assert not concern & {"authorization_declined", "state_mismatch", "session_context_missing", "identity_in_use"}
