"""Rules between the sections of proxies, and those that send questions to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from rtserver.config.options import Config
from rtserver.config.problems import Problem, nearest
from rtserver.services.proxy_options import DEFAULT

Broken = Iterator[tuple[Problem, tuple[str, ...]]]
"""Mistakes, each with the keys that it looks at."""


class Sender(NamedTuple):
    """A switch that sends questions to a proxy: the options that it stands in, and where those are in the file. ``event``
    is what the names of its keys begin with, ``default`` the section of the proxy that is meant by "default"."""

    options: Any
    at: str
    event: str
    default: str

    @property
    def enabled(self) -> bool:
        return bool(getattr(self.options, f"{self.event}proxy_enabled"))

    @property
    def name(self) -> str:
        return str(getattr(self.options, f"{self.event}proxy_name"))

    def key(self, what: str) -> str:
        return f"{self.at}.{self.event}proxy_{what}"


def senders(config: Config) -> Iterator[Sender]:
    for section, events in ("channel", ("subscribe_", "publish_", "sub_refresh_")), ("rpc", ("",)):
        rules = getattr(config, section)
        places = {f"{section}.without_namespace": rules.without_namespace}
        places |= {f"{section}.namespaces.{name}": options for name, options in rules.namespaces.items()}
        for event in events:
            default = f"{section}.proxy.{event}".rstrip("_.")
            yield from (Sender(options, at, event, default) for at, options in places.items())


def check_proxies(config: Config) -> Broken:
    yield from check_named(config)
    without: set[str] = set()
    for sender in senders(config):
        if not sender.enabled:
            continue
        if sender.name != DEFAULT:
            yield from check_name(config, sender)
        elif sender.default not in without and not config.proxy.defaults[sender.event.rstrip("_") or "rpc"].endpoint:
            without.add(sender.default)
            key = f"{sender.default}.endpoint"
            yield Problem(key, f"{sender.key('enabled')} needs it: write the address of your backend"), (key,)


def check_named(config: Config) -> Broken:
    for name, options in config.proxies.items():
        keys = (f"proxies.{name}.endpoint",)
        if not options.endpoint:
            yield Problem(keys[0], "write the address of your backend"), keys
        if name == DEFAULT:
            sentence = "this name stands for the proxy of the section that asks: write another"
            yield Problem(f"proxies.{name}.name", sentence), keys


def check_name(config: Config, sender: Sender) -> Broken:
    if sender.name not in config.proxies:
        hint = nearest(sender.name, (DEFAULT, *config.proxies))
        key = sender.key("name")
        yield Problem(key, f"no proxy has this name: add it to [[proxies]]{hint}"), (key, "proxies")
