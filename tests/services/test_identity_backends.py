"""Providers of the configuration: what is refused at the start, and by which sentence."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from importlib import import_module

import pytest
from social_core import backends
from social_core.backends.base import BaseAuth
from social_core.backends.steam import SteamOpenId
from social_core.backends.twilio import TwilioAuth

from rtserver.accounts.options import PIPELINE, AccountsOptions, ProviderOptions
from rtserver.services.identity_backends import (
    Provider,
    ProviderMistake,
    known_settings,
    load_provider,
    load_providers,
    load_steps,
    member,
    reason_against,
)
from rtserver.services.identity_openid import FixedOpenId

HERE = "tests.services.test_identity_backends"
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


@pytest.mark.parametrize(
    "path, said",
    [
        ("discourse.Nothing", "cannot be imported"),
        ("drip.DripOAuth", "may pass to others"),
        ("facebook.FacebookAppOAuth2", "write social_core.backends.facebook.FacebookOAuth2"),
        ("fedora.FedoraOpenId", "write social_core.backends.fedora.FedoraOpenIdConnect"),
        ("google_onetap.GoogleOneTap", "write social_core.backends.google.GoogleOAuth2"),
        ("lastfm.LastFmAuth", "may pass to others"),
        ("livejournal.LiveJournalOpenId", "asks wherever a stranger says"),
        ("loginradius.LoginRadiusAuth", "a script of LoginRadius"),
        ("mixcloud.MixcloudOAuth2", "may pass to others"),
        ("odnoklassniki.OdnoklassnikiApp", "write social_core.backends.odnoklassniki.OdnoklassnikiOAuth2"),
        ("open_id.OpenIdAuth", "asks wherever a stranger says"),
        ("saml.SAMLAuth", "let a bridge such as Keycloak"),
        ("shopify.ShopifyOAuth2", "needs ShopifyAPI"),
        ("telegram.TelegramAuth", "a script of Telegram"),
        ("twilio.TwilioAuth", "nobody has signed"),
        ("vk.VKAppOAuth2", "write social_core.backends.vk.VKIDOAuth2"),
        ("vk.VKontakteOpenAPI", "write social_core.backends.vk.VKIDOAuth2"),
    ],
)
def test_a_backend_that_is_not_safe_is_refused_with_the_reason_and_the_way_out(path, said):
    assert said in mistake(backend=f"social_core.backends.{path}")


class OwnTwilio(TwilioAuth):
    """Somebody's own class."""


class Typed(SteamOpenId):
    def openid_url(self):
        return self.data["url"]


class Plain(SteamOpenId):
    URL = "http://steam.example/openid"


class Nothing(BaseAuth):
    name = "nothing"


@pytest.mark.parametrize(
    "name, said",
    [
        ("OwnTwilio", "nobody has signed"),
        ("Typed", "asks wherever a stranger says"),
        ("Plain", "with an https address of its own"),
        ("Nothing", "does not speak OAuth"),
    ],
)
def test_a_class_of_ones_own_is_no_way_around(name, said):
    assert said in mistake(backend=f"{HERE}.{name}")


def every_class() -> list[str]:
    """Of the library, by their paths."""
    found = []
    for module in pkgutil.iter_modules(backends.__path__, f"{backends.__name__}."):
        if module.name.rpartition(".")[2] in ("google_onetap", "saml", "shopify"):
            continue
        members = vars(import_module(module.name)).items()
        found += [
            f"{module.name}.{name}"
            for name, each in members
            if isinstance(each, type) and issubclass(each, BaseAuth) and each.__module__ == module.name and each.name
        ]
    return found


NEEDED = {
    "OIDC_ENDPOINT": "https://id.example",
    "API_KEY": "of the Web API",
    "SERVER_URL": "https://forum.example",
}


def test_every_class_of_the_library_that_is_not_refused_can_be_loaded_and_leads_by_a_redirect():
    loaded_ones, refused_ones = [], []
    for path in every_class():
        if reason_against(member(path)):
            refused_ones.append(path.rpartition(".")[2])
            continue
        settings = {key: text for key, text in NEEDED.items() if key in known_settings(member(path))}
        options = replace(GOOD, backend=path, settings=settings, secret="a secret that is long")
        made = load_provider(options, "at").backend
        loaded_ones.append(path)
        assert made.uses_redirect is BaseAuth.uses_redirect or made.uses_redirect is FixedOpenId.uses_redirect, path
    assert len(loaded_ones) >= 190
    assert sorted(refused_ones) == [
        *("DripOAuth", "EmailAuth", "FacebookAppOAuth2", "FedoraOpenId", "LastFmAuth", "LiveJournalOpenId"),
        *("LoginRadiusAuth", "MixcloudOAuth2", "OdnoklassnikiApp", "OpenIdAuth", "TelegramAuth", "TwilioAuth"),
        *("UsernameAuth", "VKAppOAuth2", "VKontakteOpenAPI"),
    ]


@pytest.mark.parametrize(
    "path", ["belgiumeid.BelgiumEIDOpenId", "launchpad.LaunchpadOpenId", "steam.SteamOpenId", "ubuntu.UbuntuOpenId"]
)
def test_a_provider_of_openid_2_needs_no_key(path):
    settings = {"API_KEY": "of the Web API"} if path.startswith("steam") else {}
    made = loaded(backend=f"social_core.backends.{path}", key="", secret="", settings=settings).backend
    assert made.__mro__[1] is FixedOpenId


def test_steam_needs_the_key_of_its_web_api():
    told = mistake(backend="social_core.backends.steam.SteamOpenId", key="", settings={})
    assert told.startswith("accounts.providers[0].settings: write API_KEY")


def test_a_forum_needs_an_address_and_a_secret_that_cannot_be_guessed():
    forum = {"backend": "social_core.backends.discourse.DiscourseAuth", "key": ""}
    settings = {"SERVER_URL": "https://forum.example/"}
    assert "SERVER_URL" in mistake(**forum, secret="hush, it is a long one", settings={})
    assert ".secret: write 16 characters" in mistake(**forum, secret="fifteen letters", settings=settings)
    found = loaded(**forum, secret="sixteen letters.", settings=settings)
    assert found.settings["SOCIAL_AUTH_WORK_SERVER_URL"] == "https://forum.example"


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
