"""Providers of the configuration as classes of social-auth-core, loaded once at start.

The library keeps classes in a module global by their name, so that a provider which was removed stays reachable and two of
one class collide (social_core/backends/utils.py). Here each provider is a subclass with a name of its own in our own table.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from social_core.backends.base import BaseAuth
from social_core.backends.discourse import DiscourseAuth
from social_core.backends.legacy import LegacyAuth
from social_core.backends.oauth import BaseOAuth2PKCE, OAuthAuth
from social_core.backends.open_id import OpenIdAuth
from social_core.backends.open_id_connect import OpenIdConnectAuth
from social_core.backends.steam import SteamOpenId
from social_core.utils import setting_name

from rtserver.accounts.options import AccountsOptions, ProviderOptions
from rtserver.services.identity_bounded import Bounded
from rtserver.services.identity_discourse import BoundDiscourse
from rtserver.services.identity_keys import FreshKeys
from rtserver.services.identity_openid import FixedOpenId, has_address

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

SETTING_READ = re.compile(r"(?:setting|get_setting_config)\(\s*[\"']([A-Z][A-Z0-9_]*)[\"']")
"""How a backend asks for a setting, in its source."""

OWN_KEYS = {"KEY": "key", "SECRET": "secret", "SCOPE": "scope"}
"""Settings that have a key of their own in the configuration."""

OURS = re.compile(
    "(DISCONNECT_)?PIPELINE|FORCE_EMAIL_VALIDATION|PASSWORDLESS|EMAIL_VALIDATION_.*|PARTIAL_PIPELINE_.*|[A-Z_]*_URL_?NAME"
    "|LOGIN_.*|INACTIVE_USER_.*|ALLOW_INACTIVE_USERS_LOGIN|NEW_.*_REDIRECT_URL|REDIRECT_IS_HTTPS|SANITIZE_REDIRECTS"
    "|ALLOWED_REDIRECT_.*|FIELDS_STORED_IN_SESSION|USER_FIELDS|AUTHENTICATION_BACKENDS|REQUESTS_TIMEOUT|URLOPEN_TIMEOUT"
    "|JWT_DECODE_OPTIONS|DISCONNECT_REDIRECT_URL|ALLOW_UNVERIFIED_LEGACY_UID_MIGRATION"
)
"""Settings by which the proof of addresses, the checks of tokens, targets or time limits could be switched off."""

FLAGS = frozenset({"USE_PKCE", "IGNORE_DEFAULT_SCOPE", "GET_ALL_EXTRA_DATA", "USERNAME_IS_FULL_EMAIL"})
NUMBERS = frozenset({"MAX_AGE", "STATE_LIFETIME", "NONCE_LIFETIME", "ID_TOKEN_MAX_AGE"})
LISTS = frozenset({"WHITELISTED_DOMAINS", "WHITELISTED_EMAILS", "ALLOW_GROUPS", "EXTRA_DATA", "JWT_ALGORITHMS"})
TABLES = frozenset({"AUTH_EXTRA_ARGUMENTS", "PROXIES"})
"""Settings of these kinds that the classes have no example of."""


OURS_BEFORE: Mapping[type[BaseAuth[Any]], type[BaseAuth[Any]]] = {
    OpenIdConnectAuth: FreshKeys,
    OpenIdAuth: FixedOpenId,
    DiscourseAuth: BoundDiscourse,
}
"""What stands before the classes of a kind."""

WITHOUT_KEY = (OpenIdAuth, DiscourseAuth)
"""Kinds whose providers give no client id."""

NEEDED: Mapping[type[BaseAuth[Any]], tuple[str, str]] = {
    OpenIdConnectAuth: ("OIDC_ENDPOINT", "the address of the provider"),
    SteamOpenId: ("API_KEY", "the key of your Steam Web API: Steam tells names by it"),
    DiscourseAuth: ("SERVER_URL", "the address of the forum"),
}
"""The setting without which a kind cannot work, and what it is."""

SHORTEST_SECRET = 16
"""Characters. What a forum and we have in common is seen signed by everybody, so that a short secret can be found out."""

LIBRARY = "social_core.backends."
REFUSED: Mapping[str, str] = {
    "facebook.FacebookAppOAuth2": f"needs a script of Facebook in our pages: write {LIBRARY}facebook.FacebookOAuth2",
    "fedora.FedoraOpenId": f"is out of date, says the library: write {LIBRARY}fedora.FedoraOpenIdConnect",
    "google_onetap.GoogleOneTap": f"needs a script of Google in our pages: write {LIBRARY}google.GoogleOAuth2",
    "loginradius.LoginRadiusAuth": (
        "needs a script of LoginRadius in our pages: let LoginRadius speak OpenID Connect, and write"
        f" {LIBRARY}open_id_connect.OpenIdConnectAuth"
    ),
    "odnoklassniki.OdnoklassnikiApp": (
        "is for pages in a frame of Odnoklassniki, and lets in any browser that brings its answer: write"
        f" {LIBRARY}odnoklassniki.OdnoklassnikiOAuth2"
    ),
    "saml.SAMLAuth": (
        "needs xmlsec and lxml, which are no part of this server: let a bridge such as Keycloak or Dex speak SAML, and write"
        f" {LIBRARY}open_id_connect.OpenIdConnectAuth"
    ),
    "shopify.ShopifyOAuth2": (
        "needs ShopifyAPI, which is no part of this server, and asks at a shop that a stranger names: remove it, and choose"
        " another way to sign in"
    ),
    "telegram.TelegramAuth": (
        "needs a script of Telegram in our pages, and lets in any browser that brings its answer: remove it, and choose"
        " another way to sign in"
    ),
    "twilio.TwilioAuth": (
        "believes the account that stands in an address, which nobody has signed: remove it, and choose another way to sign in"
    ),
    "vk.VKAppOAuth2": (
        f"is for pages in a frame of VK, and lets in any browser that brings its answer: write {LIBRARY}vk.VKIDOAuth2"
    ),
    "vk.VKontakteOpenAPI": f"needs a script of VK in our pages: write {LIBRARY}vk.VKIDOAuth2",
}
"""Why nobody is signed in by a class of the library, nor by what is made of it, and what to do."""

OPEN_ACCOUNT = "rtserver.services.identity_steps.open_account"
REPLACED = frozenset(
    {
        "social_core.pipeline.social_auth.associate_by_email",
        "social_core.pipeline.social_auth.associate_user",
        "social_core.pipeline.user.create_user",
    }
)
"""Steps of the library that would do a part of ``open_account``, each by itself."""


class ProviderMistake(ValueError):
    """A provider cannot be used as it is configured. ``key`` is where to change it; secrets are never repeated."""

    def __init__(self, key: str, sentence: str) -> None:
        self.key = key
        self.sentence = sentence
        super().__init__(f"{key}: {sentence}")


@dataclass(frozen=True, slots=True)
class Provider:
    """``settings`` by the full names that the library asks for."""

    name: str
    title: str
    backend: type[BaseAuth[Any]]
    trust_email: bool
    settings: Mapping[str, Any] = field(repr=False)


def load_providers(options: AccountsOptions) -> dict[str, Provider]:
    """By name, in the order of the configuration. Raises ``ProviderMistake``."""
    found: dict[str, Provider] = {}
    for n, each in enumerate(options.providers):
        at = f"accounts.providers[{n}]"
        provider = load_provider(each, at)
        if provider.name in found:
            raise ProviderMistake(f"{at}.name", f"another provider is named {provider.name!r}: write another name")
        found[provider.name] = provider
    return found


def load_provider(options: ProviderOptions, at: str) -> Provider:
    base = backend_class(options.backend, f"{at}.backend")
    name = options.name or base.name
    if not NAME.fullmatch(name):
        raise ProviderMistake(f"{at}.name", "write a name of at most 64 small letters, digits, - and _")
    if not options.key and not issubclass(base, WITHOUT_KEY):
        raise ProviderMistake(f"{at}.key", "write the client id that the provider gave you")
    if issubclass(base, DiscourseAuth) and len(options.secret) < SHORTEST_SECRET:
        raise ProviderMistake(f"{at}.secret", f"write {SHORTEST_SECRET} characters or more, and the same in the forum")
    before = (ours for kind, ours in OURS_BEFORE.items() if issubclass(base, kind))
    made = type(base.__name__, (*before, base, Bounded), {"name": name, "__module__": base.__module__})
    settings = {
        "KEY": options.key,
        "SECRET": options.secret,
        **({"SCOPE": list(options.scope)} if options.scope else {}),
        **({"USE_PKCE": True} if issubclass(base, BaseOAuth2PKCE) else {}),
        **read_settings(base, options.settings, f"{at}.settings"),
    }
    for kind, (key, what) in NEEDED.items():
        if issubclass(base, kind) and not (settings.get(key) or getattr(base, key, "")):
            raise ProviderMistake(f"{at}.settings", f"write {key}, {what}")
    full = {setting_name(name, key): value for key, value in settings.items()}
    return Provider(name, options.title or base.title or name, made, options.trust_email, full)


def backend_class(path: str, at: str) -> type[BaseAuth[Any]]:
    """The class at an import path, when people can be signed in by it safely (``reason_against`` says why others not)."""
    if path.removeprefix(LIBRARY) in REFUSED:
        raise ProviderMistake(at, f"{path!r} {REFUSED[path.removeprefix(LIBRARY)]}")
    try:
        found = member(path)
    except (ImportError, AttributeError, ValueError):
        raise ProviderMistake(
            at, f"{path!r} cannot be imported: write the import path of a class, as in {LIBRARY}steam.SteamOpenId"
        ) from None
    if not (isinstance(found, type) and issubclass(found, BaseAuth)):
        raise ProviderMistake(at, f"{path!r} is no backend of social-auth-core: write the path of a class that is one")
    if told := reason_against(found):
        raise ProviderMistake(at, f"{path!r} {told}")
    return found


def reason_against(base: type[BaseAuth[Any]]) -> str:
    """Why nobody can be signed in by it safely, and what to do; "" when somebody can."""
    names = (f"{each.__module__}.{each.__name__}".removeprefix(LIBRARY) for each in base.__mro__)
    if known := next((name for name in names if name in REFUSED), None):
        return REFUSED[known]
    if issubclass(base, LegacyAuth):
        return "signs in whoever writes a name, without a password: remove it, and set accounts.passwords"
    if base.ASSOCIATION_ONLY:
        return "is for using what people have there, and its names for them may pass to others: write another one"
    if issubclass(base, OpenIdAuth) and not has_address(base):
        return (
            f"asks wherever a stranger says: write one with an https address of its own, as {LIBRARY}steam.SteamOpenId"
        )
    if not issubclass(base, (OAuthAuth, OpenIdAuth, DiscourseAuth)):
        return "does not speak OAuth, OpenID Connect or OpenID 2.0: write one that does"
    return ""


def load_steps(options: AccountsOptions) -> None:
    """Import every step of the pipeline, in which ``open_account`` must be. Raises ``ProviderMistake``."""
    if OPEN_ACCOUNT not in options.steps:
        raise ProviderMistake("accounts.pipeline", f"nobody new could sign in: add {OPEN_ACCOUNT}")
    for n, path in enumerate(options.steps):
        if path in REPLACED:
            raise ProviderMistake(f"accounts.pipeline[{n}]", f"{OPEN_ACCOUNT} does what {path} does: remove it")
        try:
            is_good = callable(member(path))
        except (ImportError, AttributeError, ValueError):
            is_good = False
        if not is_good:
            raise ProviderMistake(
                f"accounts.pipeline[{n}]", f"there is no {path!r}: write the import path of a function"
            )


def member(path: str) -> Any:
    """What an import path leads to. Raises ImportError, AttributeError or ValueError."""
    module, _, name = path.rpartition(".")
    if module.startswith("."):
        raise ValueError("a path begins with the name of a package")
    return getattr(import_module(module), name)


def read_settings(base: type[BaseAuth[Any]], settings: Mapping[str, str], at: str) -> dict[str, Any]:
    known = known_settings(base)
    return {key: read_setting(base, key, text, known, f"{at}.{key}") for key, text in settings.items()}


def known_settings(base: type[BaseAuth[Any]]) -> frozenset[str]:
    """What a class asks for. Nothing says so but its source."""
    modules = {inspect.getmodule(each) for each in base.__mro__ if each is not object} - {None}
    return frozenset().union(*(SETTING_READ.findall(inspect.getsource(each)) for each in modules if each))


def read_setting(base: type[BaseAuth[Any]], key: str, text: str, known: frozenset[str], at: str) -> Any:
    if key in OWN_KEYS:
        raise ProviderMistake(at, f"write it as {OWN_KEYS[key]!r} of the provider")
    if OURS.fullmatch(key):
        raise ProviderMistake(at, "this server decides it: remove it")
    if key not in known:
        raise ProviderMistake(at, f"{base.__name__} has no such setting: choose from {', '.join(_told(known))}")
    if key == "VERIFY_SSL" and text.lower() in ("", "0", "false", "no"):
        raise ProviderMistake(
            at, "write the path of a file with the authorities to trust: certificates are always checked"
        )
    if key.endswith("_ENDPOINT") or key == "SERVER_URL":
        # The library puts "/.well-known/..." behind it, or another path.
        text = text.rstrip("/")
    try:
        return _reader(base, key)(text)
    except ValueError as error:
        raise ProviderMistake(at, f"write {error}") from None


def _told(known: Iterable[str]) -> list[str]:
    return sorted(key for key in known if key not in OWN_KEYS and not OURS.fullmatch(key))


def _reader(base: type[BaseAuth[Any]], key: str) -> Callable[[str], Any]:
    example = getattr(base, key, None)
    return next((read for kind, names, read in READERS if key in names or isinstance(example, kind)), str)


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError('"true" or "false"')
    return text == "true"


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise ValueError("a whole number")
    return int(text)


def _decimal(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number") from None


def _list(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _table(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise ValueError('a JSON object of strings, as in {"prompt": "login"}')
    return found


READERS: tuple[tuple[type | tuple[type, ...], frozenset[str], Callable[[str], Any]], ...] = (
    (bool, FLAGS, _flag),
    (int, NUMBERS, _number),
    (float, frozenset(), _decimal),
    ((list, tuple), LISTS, _list),
    (dict, TABLES, _table),
)
"""How a setting is read from its text: by the kind of the value that the class has for it, or by its name."""
