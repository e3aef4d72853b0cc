"""Rules of the sections of accounts, mail and payments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from rtserver.config.options import Config
from rtserver.config.problems import Problem

PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
PLACEHOLDER = re.compile(r"\{\w+\}")
ONLY_USER = "write {user} for the id of who asks: no other word in braces stands for anything"
TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
MIN_KEY = 32


class AccountRule(NamedTuple):
    """``keys`` are what it looks at, the first is told."""

    keys: tuple[str, ...]
    broken: Callable[[Config], bool]
    sentence: str


def check_accounts(config: Config) -> Iterator[tuple[Problem, tuple[str, ...]]]:
    for each in RULES:
        if each.broken(config):
            yield Problem(each.keys[0], each.sentence), each.keys
    yield from check_providers(config)


def check_providers(config: Config) -> Iterator[tuple[Problem, tuple[str, ...]]]:
    seen: set[str] = set()
    for n, each in enumerate(config.accounts.providers):
        at = f"accounts.providers[{n}]"
        told = {
            "backend": "" if each.backend else "write the import path of a backend of social-auth-core",
            "name": _name_problem(each.name, seen),
        }
        seen.add(each.name)
        for key, sentence in told.items():
            if sentence:
                yield Problem(f"{at}.{key}", sentence), ("accounts.providers",)


def _name_problem(name: str, seen: set[str]) -> str:
    if not PROVIDER_NAME.fullmatch(name):
        return "give it a name of small letters, digits and - _ only"
    return "another provider has this name: write another" if name in seen else ""


def split_origin(text: str) -> SplitResult | None:
    """The parts of ``scheme://host[:port]`` for http and https, None for anything else."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if good and parts.path in ("", "/") and not (parts.query or parts.fragment or "@" in text) else None


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _names_others(patterns: Iterable[str]) -> bool:
    """Whether something in braces would fit no channel."""
    return any(each != "{user}" for pattern in patterns for each in PLACEHOLDER.findall(pattern))


def open_to_listeners(config: Config) -> bool:
    """Whether cookies and passwords would travel without encryption, beyond this machine."""
    parts = split_origin(config.accounts.base_url)
    return (
        parts is not None
        and parts.scheme == "http"
        and config.environment == "production"
        and not is_loopback(parts.hostname or "")
    )


RULES = (
    AccountRule(
        ("accounts.base_url", "accounts.enabled"),
        lambda c: c.accounts.enabled and not c.accounts.base_url,
        "write the address of this server as browsers see it, for example https://rt.example.com",
    ),
    AccountRule(
        ("accounts.base_url",),
        lambda c: bool(c.accounts.base_url) and split_origin(c.accounts.base_url) is None,
        "write http:// or https://, a host and perhaps a port, and nothing behind them",
    ),
    AccountRule(
        ("accounts.base_url", "environment"),
        open_to_listeners,
        "write https://: passwords and cookies would travel without encryption",
    ),
    AccountRule(
        ("accounts.allowed_targets",),
        lambda c: any(split_origin(each) is None for each in c.accounts.allowed_targets),
        "write origins: http:// or https:// and a host, without a path",
    ),
    AccountRule(
        ("accounts.secret_key",),
        lambda c: 0 < len(c.accounts.secret_key) < MIN_KEY,
        f"write {MIN_KEY} characters or more, made at random",
    ),
    AccountRule(
        ("accounts.old_secret_keys",),
        lambda c: any(len(each) < MIN_KEY for each in c.accounts.old_secret_keys),
        f"write keys of {MIN_KEY} characters or more",
    ),
    AccountRule(
        ("accounts.session_max", "accounts.session_ttl"),
        lambda c: c.accounts.session_max < c.accounts.session_ttl,
        "write accounts.session_ttl or more",
    ),
    *(
        AccountRule((f"accounts.{key}",), lambda c, key=key: getattr(c.accounts, key) < 60, 'write "1m" or more')  # type: ignore[misc]
        for key in ("session_ttl", "proof_ttl", "token_ttl")
    ),
    AccountRule(
        ("accounts.passwords", "accounts.providers", "accounts.enabled"),
        lambda c: c.accounts.enabled and not c.accounts.passwords and not c.accounts.providers,
        "nobody could sign in: set it to true, or add a provider",
    ),
    AccountRule(
        ("accounts.staff",),
        lambda c: any(not ADDRESS.fullmatch(each) for each in c.accounts.staff),
        "write the addresses of accounts, as in shop@example.com",
    ),
    *(
        AccountRule((f"accounts.{key}",), lambda c, key=key: _names_others(getattr(c.accounts, key)), ONLY_USER)  # type: ignore[misc]
        for key in ("subscription_channels", "staff_channels")
    ),
    AccountRule(
        ("mail.host", "mail.transport"),
        lambda c: c.mail.transport == "smtp" and not c.mail.host,
        "name the mail server",
    ),
    AccountRule(
        ("mail.sender",),
        lambda c: not ADDRESS.fullmatch(c.mail.sender),
        "write one address, as in accounts@example.com",
    ),
    AccountRule(
        ("mail.security", "mail.password"),
        lambda c: c.mail.security == "none" and bool(c.mail.password or c.mail.username),
        'write "starttls" or "tls": the password would travel without encryption',
    ),
    AccountRule(
        ("payments.enabled", "accounts.enabled"),
        lambda c: c.payments.enabled and not c.accounts.enabled,
        "payers sign in: set accounts.enabled too",
    ),
    AccountRule(
        ("payments.mode", "payments.enabled", "environment"),
        lambda c: c.payments.enabled and c.payments.mode == "simulator" and c.environment == "production",
        'nothing would be paid: write "sandbox" or "production", or set environment = "development"',
    ),
    AccountRule(
        ("payments.merchant_id", "payments.public_key", "payments.private_key", "payments.mode"),
        lambda c: (
            c.payments.enabled
            and c.payments.mode != "simulator"
            and not (c.payments.merchant_id and c.payments.public_key and c.payments.private_key)
        ),
        "set merchant_id, public_key and private_key",
    ),
    AccountRule(
        ("payments.simulator_url",),
        lambda c: not is_loopback((split_origin(c.payments.simulator_url) or urlsplit("//")).hostname or ""),
        "write an address on this machine, as in http://127.0.0.1:3999",
    ),
    AccountRule(
        ("payments.reconcile_at",),
        lambda c: bool(c.payments.reconcile_at) and not TIME.fullmatch(c.payments.reconcile_at),
        'write a time of the day, as in "03:00"',
    ),
    AccountRule(
        ("payments.channel",),
        lambda c: "{user}" not in c.payments.channel,
        "write {user} into it: all payers would be told of everybody's payments",
    ),
    AccountRule(("payments.threads",), lambda c: c.payments.threads < 1, "write 1 or more"),
    AccountRule(("payments.queue",), lambda c: c.payments.queue < 1, "write 1 or more"),
    AccountRule(("mail.connections",), lambda c: c.mail.connections < 1, "write 1 or more"),
)
