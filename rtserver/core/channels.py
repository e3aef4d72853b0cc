"""Channel names and what a client may do with a channel (protocol sections 5.5, 5.6 and 12.1)."""

from __future__ import annotations

import re
from typing import Literal

import msgspec
from msgspec import Raw

from rtserver.core.errors import BAD_REQUEST, UNKNOWN_CHANNEL, CommandError
from rtserver.core.messages import is_json
from rtserver.core.options import ChannelOptions, ChannelRules
from rtserver.core.ports import PublishOptions

Action = Literal["publish", "presence", "history"]

DATA_FORMATS = ("", "json", "json_object", "binary")


class Channels:
    """Looks channels up in the rules. Compiled regular expressions are kept per namespace."""

    def __init__(self, rules: ChannelRules) -> None:
        self.rules = rules
        self._regexes = {
            options.channel_regex: re.compile(options.channel_regex)
            for options in (rules.without_namespace, *rules.namespaces.values())
            if options.channel_regex
        }

    def namespace(self, channel: str) -> str:
        """The namespace part of a channel name, "" when it has none."""
        boundary = self.rules.namespace_boundary
        name = channel.removeprefix(self.rules.private_prefix) if self.rules.private_prefix else channel
        return name.split(boundary, 1)[0] if boundary and boundary in name else ""

    def find(self, channel: str) -> ChannelOptions | None:
        """The options of a channel, None when its namespace is not configured."""
        namespace = self.namespace(channel)
        return self.rules.namespaces.get(namespace) if namespace else self.rules.without_namespace

    def options(self, channel: str) -> ChannelOptions:
        """As ``find``; raises ``CommandError`` 102 when there is no such namespace."""
        options = self.find(channel)
        if options is None:
            raise CommandError(UNKNOWN_CHANNEL)
        return options

    def check_name(self, channel: str, options: ChannelOptions) -> None:
        """Raises ``CommandError`` 107 for a name that a client may not subscribe to."""
        if len(channel.encode()) > self.rules.max_length or not channel.isprintable():
            raise CommandError(BAD_REQUEST)
        if options.channel_regex:
            namespace = self.namespace(channel)
            rest = channel.split(self.rules.namespace_boundary, 1)[1] if namespace else channel
            if not self._regexes[options.channel_regex].search(rest):
                raise CommandError(BAD_REQUEST)
        elif not channel.isascii():
            raise CommandError(BAD_REQUEST)

    def is_private(self, channel: str) -> bool:
        prefix = self.rules.private_prefix
        return bool(prefix) and channel.startswith(prefix)

    def allowed_users(self, channel: str, options: ChannelOptions) -> list[str] | None:
        """The users of a user-limited channel, None when it is not one."""
        boundary = self.rules.user_boundary
        if not options.allow_user_limited_channels or not boundary or boundary not in channel:
            return None
        return channel.rsplit(boundary, 1)[1].split(self.rules.user_separator)

    def personal(self, user: str, namespace: str) -> str:
        """The name of a user's personal channel."""
        prefix = namespace + self.rules.namespace_boundary if namespace else ""
        return f"{prefix}{self.rules.user_boundary}{user}"

    def meta_ttl(self, options: ChannelOptions) -> float:
        return options.history_meta_ttl or self.rules.history_meta_ttl

    def publish_options(self, options: ChannelOptions, *, skip_history: bool = False) -> PublishOptions:
        if skip_history or not options.has_history:
            return PublishOptions(meta_ttl=self.meta_ttl(options))
        return PublishOptions(options.history_size, options.history_ttl, self.meta_ttl(options))


def may(action: Action, options: ChannelOptions, *, user: str, subscribed: bool) -> bool:
    """Whether the namespace lets a client do ``action``. Anonymous users need the extra permission on top."""
    if getattr(options, f"allow_{action}_for_client") or (
        subscribed and getattr(options, f"allow_{action}_for_subscriber")
    ):
        return user != "" or getattr(options, f"allow_{action}_for_anonymous")
    return False


def may_subscribe(options: ChannelOptions, user: str) -> bool:
    return options.allow_subscribe_for_client and (user != "" or options.allow_subscribe_for_anonymous)


def data_refusal(options: ChannelOptions, data: bytes | Raw) -> str | None:
    """Why ``publication_data_format`` does not admit ``data``, as a sentence; None when it does."""
    data = bytes(data)
    wanted = options.publication_data_format
    if wanted == "binary":
        return None
    if not data:
        return "the data is empty: send a value, or set publication_data_format to binary"
    if wanted in ("json", "json_object") and not is_json(data):
        return "the data is not JSON, as publication_data_format asks"
    if wanted == "json_object" and not isinstance(msgspec.json.decode(data), dict):
        return "the data is not a JSON object, as publication_data_format asks"
    return None
