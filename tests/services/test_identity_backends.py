"""Providers of the configuration: what is refused at the start, and by which sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtserver.accounts.options import PIPELINE, AccountsOptions, ProviderOptions
from rtserver.services.identity_backends import (
    Provider,
    ProviderMistake,
    known_settings,
    load_provider,
    load_providers,
    load_steps,
)

OIDC = "social_core.backends.open_id_connect.OpenIdConnectAuth"
GITHUB = "social_core.backends.github.GithubOAuth2"
GOOD = ProviderOptions(
    name="work", backend=OIDC, key="client", secret="hush", settings={"OIDC_ENDPOINT": "https://id.example"}
)


def loaded(**changes: object) -> Provider:
    return load_provider(replace(GOOD, **changes), "accounts.providers[0]")  # type: ignore[arg-type]


def mistake(**changes: object) -> str:
    with pytest.raises(ProviderMistake) as caught:
        loaded(**changes)
    assert "hush" not in str(caught.value)
    return str(caught.value)


def test_a_provider_has_its_settings_by_the_names_of_the_library():
    provider = loaded(scope=("openid", "email"))
    assert provider.settings == {
        "SOCIAL_AUTH_WORK_KEY": "client",
        "SOCIAL_AUTH_WORK_SECRET": "hush",
        "SOCIAL_AUTH_WORK_SCOPE": ["openid", "email"],
        "SOCIAL_AUTH_WORK_USE_PKCE": True,
        "SOCIAL_AUTH_WORK_OIDC_ENDPOINT": "https://id.example",
    }
    assert (provider.name, provider.title, provider.backend.name) == ("work", "OpenID Connect", "work")
    assert "hush" not in repr(provider)


def test_a_name_and_a_title_may_come_from_the_class():
    provider = load_provider(ProviderOptions(backend=GITHUB, key="client"), "at")
    assert (provider.name, provider.title) == ("github", "GitHub")


def test_two_of_one_class_are_two_classes():
    found = load_providers(AccountsOptions(providers=(GOOD, replace(GOOD, name="home"))))
    assert [each.backend.name for each in found.values()] == ["work", "home"]
    assert found["work"].backend is not found["home"].backend


def test_two_of_one_name_are_refused():
    with pytest.raises(ProviderMistake) as caught:
        load_providers(AccountsOptions(providers=(GOOD, GOOD)))
    assert caught.value.key == "accounts.providers[1].name"


@pytest.mark.parametrize(
    "path",
    ["", "nothing", "no.such.Module", "social_core.backends.github.Nothing", "os.path", "..x", "os.path.join"],
)
def test_what_is_no_backend_is_refused(path):
    assert mistake(backend=path).startswith("accounts.providers[0].backend: ")


@pytest.mark.parametrize("path", ["social_core.backends.email.EmailAuth", "social_core.backends.username.UsernameAuth"])
def test_backends_that_check_no_password_are_refused(path):
    assert "without a password" in mistake(backend=path)


@pytest.mark.parametrize("path", ["social_core.backends.open_id.OpenIdAuth", "social_core.backends.saml.SAMLAuth"])
def test_backends_that_do_not_lead_by_a_redirect_are_refused(path):
    assert mistake(backend=path).startswith("accounts.providers[0].backend: ")


@pytest.mark.parametrize("name", ["Work", "a/b", "a b", "-a", "x" * 65, "é"])
def test_a_name_that_cannot_stand_in_an_address_is_refused(name):
    assert "small letters" in mistake(name=name)


def test_a_provider_without_a_key_is_refused():
    assert ".key: " in mistake(key="")


def test_a_provider_of_openid_connect_needs_an_address():
    assert "OIDC_ENDPOINT" in mistake(settings={})


@pytest.mark.parametrize(
    "key, text, value",
    [
        ("OIDC_ENDPOINT", "https://id.example/", "https://id.example"),
        ("USE_PKCE", "false", False),
        ("MAX_AGE", "60", 60),
        ("JWT_LEEWAY", "1.5", 1.5),
        ("JWT_ALGORITHMS", "RS256, ES256", ["RS256", "ES256"]),
        ("WHITELISTED_DOMAINS", "example.org example.net", ["example.org", "example.net"]),
        ("AUTH_EXTRA_ARGUMENTS", '{"prompt": "login"}', {"prompt": "login"}),
        ("TOKEN_ENDPOINT_AUTH_METHOD", "client_secret_post", "client_secret_post"),
    ],
)
def test_a_setting_has_the_kind_that_the_library_expects(key, text, value):
    settings = {**GOOD.settings, key: text}
    found = loaded(settings=settings).settings[f"SOCIAL_AUTH_WORK_{key}"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "key, text, said",
    [
        ("OIDC_ENDPIONT", "x", "no such setting: choose from"),
        ("USE_PKCE", "yes", 'write "true" or "false"'),
        ("MAX_AGE", "-1", "write a whole number"),
        ("JWT_LEEWAY", "much", "write a number"),
        ("AUTH_EXTRA_ARGUMENTS", "prompt=login", "write a JSON object"),
        ("AUTH_EXTRA_ARGUMENTS", '{"a": 1}', "write a JSON object"),
        ("KEY", "x", "write it as 'key'"),
        ("SECRET", "x", "write it as 'secret'"),
        ("VERIFY_SSL", "false", "certificates are always checked"),
        ("PIPELINE", "x", "remove it"),
        ("FORCE_EMAIL_VALIDATION", "false", "remove it"),
        ("PASSWORDLESS", "true", "remove it"),
        ("JWT_DECODE_OPTIONS", '{"verify_signature": "no"}', "remove it"),
        ("SANITIZE_REDIRECTS", "false", "remove it"),
        ("REQUESTS_TIMEOUT", "9999", "remove it"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(key, text, said):
    told = mistake(settings={**GOOD.settings, key: text})
    assert told.startswith(f"accounts.providers[0].settings.{key}: ") and said in told


def test_the_settings_of_a_class_are_known_with_those_of_its_parents():
    from social_core.backends.google_openidconnect import GoogleOpenIdConnect

    assert {"OIDC_ENDPOINT", "USE_PKCE", "WHITELISTED_DOMAINS", "AUTH_EXTRA_ARGUMENTS"} <= known_settings(
        GoogleOpenIdConnect
    )


def test_the_usual_pipeline_can_be_loaded():
    load_steps(AccountsOptions())


@pytest.mark.parametrize(
    "pipeline, said",
    [
        ((*PIPELINE, "no.such.step"), "accounts.pipeline[11]: there is no 'no.such.step'"),
        ((*PIPELINE, "social_core.pipeline.user.USER_FIELDS"), "accounts.pipeline[11]: there is no"),
        (("social_core.pipeline.social_auth.social_details",), "accounts.pipeline: nobody new could sign in"),
        ((*PIPELINE, "social_core.pipeline.user.create_user"), "remove it"),
        (("social_core.pipeline.social_auth.associate_by_email", *PIPELINE), "accounts.pipeline[0]: "),
    ],
)
def test_a_pipeline_that_cannot_work_is_refused(pipeline, said):
    with pytest.raises(ProviderMistake) as caught:
        load_steps(AccountsOptions(pipeline=pipeline))
    assert said in str(caught.value)
