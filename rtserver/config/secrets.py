"""The secrets that the server makes for itself at its first start, and keeps in ``<state_dir>/secrets.toml``."""

from __future__ import annotations

import fcntl
import os
import secrets
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rtserver.config.models import built
from rtserver.config.options import Config
from rtserver.config.problems import ConfigError, Problem
from rtserver.config.rules import has_key

FILE, LOCK = "secrets.toml", "secrets.lock"

API_KEY = "http_api.key"
TOKEN_KEY = "client.token.hmac_secret_key"
LINK_KEY = "accounts.secret_key"

NEEDED: dict[str, Callable[[Config], bool]] = {
    API_KEY: lambda config: not (config.http_api.key or config.http_api.insecure),
    TOKEN_KEY: lambda config: not has_key(config.token),
    LINK_KEY: lambda config: config.accounts.enabled and not config.accounts.secret_key,
}
"""The keys that can be made here, and when a configuration needs one made."""


class Completed(NamedTuple):
    """``new`` holds the secrets that this call made, by key: to be shown once, to a person, and never again."""

    config: Config
    new: dict[str, str]


def needed(config: Config) -> list[str]:
    return [key for key, wanted in NEEDED.items() if wanted(config)]


def complete(config: Config) -> Completed:
    """The configuration with every secret that it lacks, taken from the state directory or made and kept there.

    Two processes that start at once agree: the lock is held for one read and at most one write. Raises ``ConfigError``
    when the state directory cannot be used.
    """
    wanted = needed(config)
    if not wanted:
        return Completed(config, {})
    directory = Path(config.state_dir)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = read(directory)
            new = {key: secrets.token_urlsafe(32) for key in wanted if key not in kept}
            if new:
                write(directory, kept | new)
    except OSError as error:
        sentence = f"{error.filename or directory}: {error.strerror}; make it writable for the server, or set "
        raise ConfigError([Problem("state_dir", sentence + " and ".join(wanted))]) from error
    return Completed(filled(config, kept | new), new)


def known(config: Config) -> Config:
    """The configuration with the secrets that were made before; nothing is made or written."""
    directory = Path(config.state_dir)
    try:
        return filled(config, read(directory))
    except OSError as error:
        raise ConfigError([Problem("state_dir", f"{directory / FILE} cannot be read: {error.strerror}")]) from error


def read(directory: Path) -> dict[str, str]:
    try:
        kept = tomllib.loads((directory / FILE).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        sentence = f"{directory / FILE} is damaged: mend or delete it (deleting makes new secrets; old tokens end)"
        raise ConfigError([Problem("state_dir", sentence)]) from error
    return {key: value for key, value in kept.items() if isinstance(value, str) and value}


def write(directory: Path, kept: dict[str, str]) -> None:
    """Replace the file as one step, readable for its owner only."""
    fresh = directory / f"{FILE}.new"
    with suppress(FileNotFoundError):
        fresh.unlink()
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write("# Made by the server at its first start. Whoever reads this can publish and sign tokens.\n")
        file.writelines(f'"{key}" = "{value}"\n' for key, value in kept.items())
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(directory / FILE)


def filled(config: Config, kept: dict[str, str]) -> Config:
    values: dict[str, Any] = {key: kept[key] for key in needed(config) if key in kept}
    if API_KEY in values:
        config = replace(config, http_api=replace(config.http_api, key=values[API_KEY]))
    if TOKEN_KEY in values:
        config = built(config, {"client": {"token": {"hmac_secret_key": values[TOKEN_KEY]}}})
    if LINK_KEY in values:
        config = replace(config, accounts=replace(config.accounts, secret_key=values[LINK_KEY]))
    return config
