"""Checks of single values that types cannot make. Each returns what to change, or "" when the value is good.

No sentence repeats a value that may hold a secret (keys, addresses with passwords).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.endpoints import serverFromString

from rtserver.config.options import Config, HTTPServerOptions
from rtserver.core import forwarded
from rtserver.core.options import ChannelOptions, ChannelRules, ClientOptions, TokenOptions
from rtserver.services import proxy_options, store_options
from rtserver.services.jwt_keys import static_keys
from rtserver.services.proxy_options import ProxyHTTPOptions, ProxyOptions, RpcRules
from rtserver.services.redis_options import RedisOptions, parse_address
from rtserver.services.store_options import DatabaseOptions

Check = Callable[[object], str]

OWN_PATHS = ("/api", "/livez", "/readyz")
PREFIX = re.compile(r"/[A-Za-z0-9._~/-]*")


def text_check(check: Callable[[str], str]) -> Check:
    """A check of texts that leaves the empty text ("not set") alone."""

    def checked(value: object) -> str:
        return check(value) if isinstance(value, str) and value else ""

    return checked


def refusal(attempt: Callable[[], object]) -> str:
    """The sentence of the ``ValueError`` that an attempt ends with, "" when it does not."""
    try:
        attempt()
    except ValueError as error:
        return str(error)
    return ""


@text_check
def regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        return f"this regular expression does not compile: {error}"
    return ""


@text_check
def readable_file(value: str) -> str:
    try:
        with Path(value).open("rb"):
            return ""
    except OSError as error:
        return f"{value} cannot be read ({error.strerror}): name a file that the server may read"


def verifying(key: str) -> Check:
    """Whether tokens can be verified by the value of this key, as the verifier itself judges it."""

    def check(value: str) -> str:
        options: dict[str, Any] = {key: value}
        return refusal(lambda: static_keys(TokenOptions(**options)))

    return text_check(check)


@text_check
def jwks_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    return "" if good else "write an http:// or https:// address with a host"


def accepted(check: Callable[[Any], None]) -> Check:
    """A check out of one that raises ``ValueError``."""

    def checked(value: object) -> str:
        return refusal(lambda: check(value)) if value else ""

    return checked


@text_check
def redis_address(value: str) -> str:
    return refusal(lambda: parse_address(value))


@text_check
def database_address(value: str) -> str:
    return refusal(lambda: store_options.parse_address(value))


@text_check
def endpoint(value: str) -> str:
    """Whether Twisted can listen on it, without listening. The sockets of ``systemd:`` exist only at the real start."""
    kind, _, rest = value.removeprefix("haproxy:").partition(":")
    if kind == "systemd":
        arguments = dict(each.partition("=")[::2] for each in rest.split(":"))
        good = "domain" in arguments and len({"name", "index"} & set(arguments)) == 1
        return "" if good else "write systemd:domain=INET:name=NAME with the FileDescriptorName of the socket unit"
    port = rest.split(":")[0].removeprefix("port=")
    if kind in ("tcp", "tcp4", "tcp6", "ssl", "tls") and not (port.isdigit() and int(port) <= 65_535):
        return f"{value!r} has no port from 0 to 65535: write for example tcp:8000:interface=127.0.0.1"
    try:
        serverFromString(None, value)
    except OSError as error:
        return f"{error.filename or value} cannot be read ({error.strerror}): name a file that the server may read"
    except Exception as error:  # whatever the parser of a plugin raises means the same here
        return f"{value!r} is no Twisted endpoint ({error}): write for example tcp:8000:interface=127.0.0.1"
    return ""


@text_check
def handler_prefix(value: str) -> str:
    if not PREFIX.fullmatch(value) or value.endswith("/"):
        return "write a path that begins with /, has letters, digits and . _ ~ - / only, and does not end with /"
    taken = value in OWN_PATHS or value.startswith("/api/")
    return "the server uses this path itself: write another" if taken else ""


def whole_seconds(value: object) -> str:
    good = isinstance(value, int | float) and float(value).is_integer()
    return "" if good else "write whole seconds: the broker counts in them"


def at_least(least: float, written: str) -> Check:
    def check(value: object) -> str:
        return f"write {written} or more" if isinstance(value, int | float) and value < least else ""

    return check


def needed(value: object) -> str:
    return "" if value else "write a value: this key cannot be empty"


def distinct(value: object) -> str:
    return "each entry may stand here once" if isinstance(value, tuple) and len(set(value)) < len(value) else ""


ONE, SECOND = at_least(1, "1"), at_least(1, '"1s"')
POSITIVE = at_least(0.001, '"1ms"')

CHECKS: dict[tuple[type, str], tuple[Check, ...]] = {
    (Config, "listen"): (needed, distinct),
    (Config, "state_dir"): (needed,),
    (RedisOptions, "address"): (distinct,),
    (RedisOptions, "max_waiting"): (ONE,),
    (RedisOptions, "max_waiting_bytes"): (at_least(65_536, "65536"),),
    (RedisOptions, "presence_ttl"): (whole_seconds, SECOND),
    (RedisOptions, "tls_ca"): (readable_file,),
    (RedisOptions, "tls_cert"): (readable_file,),
    (RedisOptions, "tls_key"): (readable_file,),
    (DatabaseOptions, "url"): (needed, database_address),
    (DatabaseOptions, "pool_size"): (ONE,),
    (DatabaseOptions, "queue_limit"): (ONE,),
    **{
        (TokenOptions, key): (verifying(key),)
        for key in ("hmac_secret_key", "hmac_previous_secret_key", "rsa_public_key", "ecdsa_public_key")
    },
    (TokenOptions, "jwks_public_endpoint"): (jwks_address,),
    (TokenOptions, "audience_regex"): (regex,),
    (TokenOptions, "issuer_regex"): (regex,),
    (ProxyOptions, "endpoint"): (accepted(proxy_options.check_endpoint),),
    (ProxyHTTPOptions, "static_headers"): (accepted(proxy_options.check_static_headers),),
    (RpcRules, "namespace_boundary"): (needed,),
    (ChannelOptions, "channel_regex"): (regex,),
    (ChannelOptions, "history_ttl"): (whole_seconds,),
    (ChannelOptions, "history_meta_ttl"): (whole_seconds,),
    (ChannelRules, "history_meta_ttl"): (whole_seconds, SECOND),
    (ChannelRules, "max_length"): (ONE,),
    (ChannelRules, "namespace_boundary"): (needed,),
    (ChannelRules, "user_boundary"): (needed,),
    (ChannelRules, "user_separator"): (needed,),
    (ClientOptions, "ping_interval"): (SECOND,),
    (ClientOptions, "stale_close_delay"): (SECOND,),
    (ClientOptions, "presence_update_interval"): (SECOND,),
    (ClientOptions, "channel_position_check_delay"): (SECOND,),
    (ClientOptions, "channel_limit"): (ONE,),
    (ClientOptions, "queue_max_size"): (at_least(4_096, "4096"),),
    (ClientOptions, "history_max_publication_limit"): (ONE,),
    (ClientOptions, "recovery_max_publication_limit"): (ONE,),
}
"""Checks of one key of one class (and of the classes that inherit it)."""

NAMED: dict[str, tuple[Check, ...]] = {
    "handler_prefix": (needed, handler_prefix),
    "message_size_limit": (at_least(1_024, "1024"),),
    "max_request_body_size": (at_least(1_024, "1024"),),
    "api_body_size": (at_least(1_024, "1024"),),
    "header_size": (at_least(1_024, "1024"),),
    **dict.fromkeys(
        ("write_timeout", "connect_timeout", "io_timeout", "handshake_timeout", "idle_timeout", "timeout"), (POSITIVE,)
    ),
    **dict.fromkeys(("interval", "late", "dead"), (POSITIVE,)),
    **dict.fromkeys(("wait_timeout", "statement_timeout", "transaction_timeout"), (POSITIVE,)),
}
"""Checks of keys that mean the same in every section of the server."""

ITEMS: dict[tuple[type, str], Check] = {
    (Config, "listen"): endpoint,
    (HTTPServerOptions, "internal"): endpoint,
    (HTTPServerOptions, "trusted_proxies"): accepted(forwarded.check_proxy),
    (RedisOptions, "address"): redis_address,
    (ProxyOptions, "http_headers"): accepted(proxy_options.check_forwarded_header),
    (ProxyOptions, "emulated_headers"): accepted(proxy_options.check_forwarded_header),
    (ProxyHTTPOptions, "status_to_code_transforms"): accepted(proxy_options.check_transform),
}
"""Checks of each item of a list."""


def checks_of(section: type, key: str) -> tuple[Check, ...]:
    for each in section.__mro__:
        if (each, key) in CHECKS:
            return CHECKS[each, key]
    return NAMED.get(key, ())


def item_check(section: type, key: str) -> Check | None:
    return next((ITEMS[each, key] for each in section.__mro__ if (each, key) in ITEMS), None)
