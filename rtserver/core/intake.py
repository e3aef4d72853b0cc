"""What brokers must know of the channels' rules to take publications of programs that never spoke to this server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rtserver.core.channels import Channels, data_refusal
from rtserver.core.options import ChannelOptions, Seconds
from rtserver.core.ports import PublishOptions


class ChannelIntake:
    """Implements ``ports.Intake``."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def publish_options(self, channel: str) -> PublishOptions | None:
        options = self._channels.find(channel)
        return None if options is None else self._channels.publish_options(options)

    def refusal(self, channel: str, data: bytes) -> str | None:
        options = self._channels.find(channel)
        if options is None:
            return "its namespace is not configured: add it to [[channel.namespaces]]"
        return data_refusal(options, data)

    def history_prefixes(self) -> list[str]:
        rules = self._channels.rules
        prefixes = [
            f"{start}{name}{rules.namespace_boundary}"
            for name, options in rules.namespaces.items()
            if options.has_history
            for start in dict.fromkeys(("", rules.private_prefix))
        ]
        return prefixes + ([""] if rules.without_namespace.has_history else [])

    def namespaces(self) -> Mapping[str, ChannelOptions]:
        """With the global ``history_meta_ttl`` filled in where a namespace has none of its own."""
        rules = self._channels.rules
        return {
            name: replace(options, history_meta_ttl=Seconds(self._channels.meta_ttl(options)))
            for name, options in {"": rules.without_namespace, **rules.namespaces}.items()
        }
