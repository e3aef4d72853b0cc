"""Rules between keys: what must be set together, in which order lengths of time must stand, what must exist."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from rtserver.config.account_rules import check_accounts
from rtserver.config.options import Config, SubscriptionTokenOptions
from rtserver.config.problems import Problem
from rtserver.config.proxy_rules import check_proxies
from rtserver.config.values import checks_of, item_check
from rtserver.core.options import ChannelOptions, ChannelRules, ClientOptions, TokenOptions
from rtserver.core.probe import ProbeOptions
from rtserver.services.proxy_options import ClientProxyOptions, ProxyOptions, forgeable
from rtserver.services.redis_options import RedisOptions
from rtserver.services.store_options import DatabaseOptions

TABLE_NAME = re.compile(r"[-a-zA-Z0-9_.]{2,}")
WORD = r"(?:[A-Za-z0-9_-]|\\[.-])+"
PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")

MEMORY_PRESENCE_TTL = 60
"""Seconds that a presence entry lasts in the memory broker."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``keys`` are paths in the section; the first is the one that is told. ``broken`` decides on the section."""

    keys: tuple[str, ...]
    broken: Callable[[Any], bool]
    sentence: str


def rule(keys: str, broken: Callable[[Any], bool], sentence: str) -> Rule:
    return Rule(tuple(keys.split()), broken, sentence)


def has_key(options: TokenOptions) -> bool:
    """Whether any key that could verify a token is configured."""
    return bool(
        options.hmac_secret_key or options.rsa_public_key or options.ecdsa_public_key or options.jwks_public_endpoint
    )


def placeholders_without_group(options: TokenOptions) -> bool:
    """Whether an address has a placeholder that no regular expression fills with one of its written alternatives. A group
    that matches anything would let the maker of a token choose the server that verifies it."""
    regexes = options.issuer_regex + "\n" + options.audience_regex
    return any(
        not re.search(rf"\(\?P<{re.escape(name)}>{WORD}(?:\|{WORD})*\)", regexes)
        for name in PLACEHOLDER.findall(options.jwks_public_endpoint)
    )


def prefixes(config: Config) -> dict[str, str]:
    """The key of the path of every transport and page that is on, and the path."""
    return {
        f"{each.name}.handler_prefix": getattr(config, each.name).handler_prefix
        for each in fields(config)
        if getattr(getattr(config, each.name), "enabled", False)
        and hasattr(getattr(config, each.name), "handler_prefix")
    }


def missing_personal_namespace(config: Config) -> bool:
    name = config.client.subscribe_to_user_personal_channel.personal_channel_namespace
    return bool(name) and name not in config.channel.namespaces


def presence_outlived(config: Config) -> bool:
    """Whether presence entries would expire between two refreshes."""
    ttl = config.engine.redis.presence_ttl if config.engine.type == "redis" else MEMORY_PRESENCE_TTL
    return config.client.presence_update_interval >= ttl


PERSONAL = "client.subscribe_to_user_personal_channel"

RULES: dict[type, tuple[Rule, ...]] = {
    ChannelOptions: (
        rule(
            "history_size history_ttl",
            lambda o: (o.history_size > 0) != (o.history_ttl > 0),
            "set history_size and history_ttl both, or neither",
        ),
        rule(
            "history_meta_ttl history_ttl",
            lambda o: 0 < o.history_meta_ttl < o.history_ttl,
            "write history_ttl or longer: the meta data must outlive the history",
        ),
        rule(
            "force_recovery history_size history_ttl",
            lambda o: o.force_recovery and not o.has_history,
            "recovery needs history: set history_size and history_ttl",
        ),
        rule(
            "auto_cache_recover force_recovery force_recovery_mode",
            lambda o: o.auto_cache_recover and not (o.force_recovery and o.cache_mode),
            'needs force_recovery = true and force_recovery_mode = "cache"',
        ),
        rule(
            "delta_publish history_size history_ttl",
            lambda o: o.delta_publish and not o.has_history,
            "a delta is made against the history: set history_size and history_ttl",
        ),
        rule(
            "allowed_delta_types history_size history_ttl",
            lambda o: bool(o.allowed_delta_types) and not o.has_history,
            "a delta is made against the history: set history_size and history_ttl",
        ),
        rule(
            "force_push_join_leave join_leave",
            lambda o: o.force_push_join_leave and not o.join_leave,
            "there is nothing to push: set join_leave = true too",
        ),
    ),
    ChannelRules: (
        rule(
            "namespace_boundary user_boundary user_separator private_prefix",
            lambda o: len({o.namespace_boundary, o.user_boundary, o.user_separator, o.private_prefix}) < 4,
            "namespace_boundary, user_boundary, user_separator and private_prefix must differ from one another",
        ),
    ),
    ClientOptions: (
        rule(
            "pong_timeout ping_interval",
            lambda o: o.pong_timeout >= o.ping_interval,
            "write less than client.ping_interval: a pong is awaited before the next ping",
        ),
    ),
    TokenOptions: (
        rule("audience audience_regex", lambda o: bool(o.audience and o.audience_regex), "set only one of the two"),
        rule("issuer issuer_regex", lambda o: bool(o.issuer and o.issuer_regex), "set only one of the two"),
        rule(
            "hmac_previous_secret_key hmac_secret_key",
            lambda o: bool(o.hmac_previous_secret_key) and not o.hmac_secret_key,
            "the previous key needs a present one: set hmac_secret_key",
        ),
        rule(
            "jwks_public_endpoint issuer_regex audience_regex",
            placeholders_without_group,
            "each {{name}} needs a group (?P<name>one|two) of written alternatives in issuer_regex or audience_regex",
        ),
    ),
    SubscriptionTokenOptions: (
        rule(
            "enabled hmac_secret_key rsa_public_key ecdsa_public_key jwks_public_endpoint",
            lambda o: o.enabled and not has_key(o),
            "subscription tokens of their own need a key: set hmac_secret_key, a public key or jwks_public_endpoint here",
        ),
    ),
    ClientProxyOptions: (
        rule(
            "endpoint enabled",
            lambda o: o.enabled and not o.endpoint,
            "write the address of your backend, or set enabled = false",
        ),
    ),
    ProxyOptions: (
        rule(
            "emulated_headers http.static_headers",
            forgeable,
            "http.static_headers has one of these too, and clients could write it: take it out of one of the two",
        ),
    ),
    RedisOptions: (
        rule(
            "tls_cert tls_key",
            lambda o: bool(o.tls_cert) != bool(o.tls_key),
            "set tls_cert and tls_key both, or neither",
        ),
        rule(
            "address tls_ca tls_cert tls_key tls_insecure",
            lambda o: (
                bool(o.tls_ca or o.tls_cert or o.tls_insecure)
                and not any(each.startswith("rediss://") for each in o.address)
            ),
            "the tls_ keys act on rediss:// addresses only: write rediss:// or take the tls_ keys out",
        ),
    ),
    ProbeOptions: (
        rule("late interval", lambda o: o.late <= o.interval, "write more than engine.probe.interval"),
        rule("dead late", lambda o: o.dead <= o.late, "write more than engine.probe.late"),
    ),
    DatabaseOptions: (
        rule(
            "transaction_timeout statement_timeout",
            lambda o: o.transaction_timeout < o.statement_timeout,
            "write database.statement_timeout or more: a transaction is made of statements",
        ),
    ),
    Config: (
        rule(
            f"{PERSONAL}.personal_channel_namespace channel.namespaces",
            missing_personal_namespace,
            "no namespace has this name: add it to channel.namespaces",
        ),
        rule(
            "client.presence_update_interval engine.redis.presence_ttl engine.type",
            presence_outlived,
            "write less than the life of a presence entry (60s in memory, engine.redis.presence_ttl in Redis)",
        ),
        rule(
            "client.proxy.connect.timeout client.stale_close_delay client.proxy.connect.enabled",
            lambda o: o.client.proxy.connect.enabled and o.client.proxy.connect.timeout >= o.client.stale_close_delay,
            "write less than client.stale_close_delay: who is not connected by then is disconnected",
        ),
        rule(
            "emulation.enabled sse.enabled http_stream.enabled",
            lambda o: not o.emulation.enabled and (o.sse.enabled or o.http_stream.enabled),
            "clients of sse and http_stream send by emulation: set it to true, or switch both off",
        ),
    ),
}
"""The rules of each class; a class has those of the classes that it inherits from too."""


def check(config: Config) -> Iterator[tuple[Problem, tuple[str, ...]]]:
    """Every broken rule, with the keys that it looks at (a rule says nothing of keys that are wrong by themselves)."""
    yield from check_section(config, "")
    yield from shared_prefixes(config)
    yield from check_proxies(config)
    yield from check_accounts(config)


def check_section(section: Any, at: str) -> Iterator[tuple[Problem, tuple[str, ...]]]:
    for each in fields(section):
        value, path = getattr(section, each.name), f"{at}{each.name}"
        for sentence in filter(None, (one(value) for one in checks_of(type(section), each.name))):
            yield Problem(path, sentence), (path,)
        yield from check_value(section, each.name, value, path)
    for rule_ in (one for kind in type(section).__mro__ for one in RULES.get(kind, ())):
        if rule_.broken(section):
            yield Problem(at + rule_.keys[0], rule_.sentence), tuple(at + key for key in rule_.keys)


def check_value(section: Any, key: str, value: Any, path: str) -> Iterator[tuple[Problem, tuple[str, ...]]]:
    if is_dataclass(value):
        yield from check_section(value, f"{path}.")
    elif isinstance(value, dict) and all(map(is_dataclass, value.values())):
        yield from check_tables(value, path)
        if isinstance(section, ChannelRules):
            yield from check_meta_ttl(section, path.rpartition(".")[0])
    elif isinstance(value, tuple):
        for n, each in enumerate(value):
            yield from check_item(section, key, each, f"{path}[{n}]")


def check_item(section: Any, key: str, value: Any, path: str) -> Iterator[tuple[Problem, tuple[str, ...]]]:
    """One item of a list."""
    item = item_check(type(section), key)
    if item and (sentence := item(value)):
        yield Problem(path, sentence), (path.rpartition("[")[0],)
    if is_dataclass(value):
        yield from check_section(value, f"{path}.")


def check_tables(tables: dict[str, Any], path: str) -> Iterator[Any]:
    """The tables of a list, each with its name."""
    for name, options in tables.items():
        if not TABLE_NAME.fullmatch(name):
            sentence = "write a name of two or more letters, digits and - _ . only"
            yield Problem(f"{path}.{name}.name", sentence), (f"{path}.{name}.name",)
        yield from check_section(options, f"{path}.{name}.")


def check_meta_ttl(rules: ChannelRules, at: str) -> Iterator[Any]:
    """The global ``history_meta_ttl`` counts where a namespace has none of its own."""
    places = {"without_namespace": rules.without_namespace}
    places |= {f"namespaces.{name}": options for name, options in rules.namespaces.items()}
    for place, options in places.items():
        if not options.history_meta_ttl and options.history_ttl > rules.history_meta_ttl:
            keys = (f"{at}.{place}.history_ttl", f"{at}.{place}.history_meta_ttl", f"{at}.history_meta_ttl")
            yield (
                Problem(keys[0], "write channel.history_meta_ttl or less: the meta data must outlive the history"),
                keys,
            )


def shared_prefixes(config: Config) -> Iterator[tuple[Problem, tuple[str, ...]]]:
    seen: dict[str, str] = {}
    for key, prefix in prefixes(config).items():
        if prefix in seen:
            yield Problem(key, f"{seen[prefix]} has the same path: write another"), (key, seen[prefix])
        seen.setdefault(prefix, key)
