"""The options that the core decides by. The configuration file is a picture of these; `config` builds them.

Every class here is one section of the file: the field names are its keys, the defaults its defaults. ``Seconds`` fields
are written as durations ("300s", "720h") in the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NewType

Seconds = NewType("Seconds", float)
"""A length of time in seconds."""


def seconds(value: float) -> Seconds:
    return Seconds(value)


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """What the channels of one namespace can do. Everything is off until it is switched on."""

    presence: bool = False
    join_leave: bool = False
    force_push_join_leave: bool = False
    history_size: int = 0
    history_ttl: Seconds = Seconds(0)
    history_meta_ttl: Seconds = Seconds(0)
    """How long offset and epoch outlive the last use; 0 means the global ``channel.history_meta_ttl``."""
    force_positioning: bool = False
    allow_positioning: bool = False
    force_recovery: bool = False
    allow_recovery: bool = False
    force_recovery_mode: Literal["", "stream", "cache"] = ""
    auto_cache_recover: bool = False
    allowed_delta_types: tuple[Literal["fossil"], ...] = ()
    delta_publish: bool = False
    allow_tags_filter: bool = False
    allow_subscribe_for_client: bool = False
    allow_subscribe_for_anonymous: bool = False
    allow_publish_for_client: bool = False
    allow_publish_for_subscriber: bool = False
    allow_publish_for_anonymous: bool = False
    allow_presence_for_client: bool = False
    allow_presence_for_subscriber: bool = False
    allow_presence_for_anonymous: bool = False
    allow_history_for_client: bool = False
    allow_history_for_subscriber: bool = False
    allow_history_for_anonymous: bool = False
    allow_user_limited_channels: bool = False
    channel_regex: str = ""
    publication_data_format: Literal["", "json", "json_object", "binary"] = ""
    subscribe_proxy_enabled: bool = False
    subscribe_proxy_name: str = "default"
    publish_proxy_enabled: bool = False
    publish_proxy_name: str = "default"
    sub_refresh_proxy_enabled: bool = False
    sub_refresh_proxy_name: str = "default"

    @property
    def has_history(self) -> bool:
        return self.history_size > 0 and self.history_ttl > 0

    @property
    def cache_mode(self) -> bool:
        return self.force_recovery_mode == "cache"


@dataclass(frozen=True, slots=True)
class PersonalChannelOptions:
    """A server-side subscription of every signed-in user to ``#<user>`` or ``<namespace>:#<user>``."""

    enabled: bool = False
    personal_channel_namespace: str = ""
    single_connection: bool = False


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Limits and times of one client connection. Sizes in bytes, times in seconds."""

    ping_interval: Seconds = Seconds(25)
    pong_timeout: Seconds = Seconds(8)
    stale_close_delay: Seconds = Seconds(10)
    expired_close_delay: Seconds = Seconds(25)
    expired_sub_close_delay: Seconds = Seconds(25)
    presence_update_interval: Seconds = Seconds(27)
    channel_position_check_delay: Seconds = Seconds(40)
    channel_position_max_time_lag: Seconds = Seconds(0)
    channel_limit: int = 128
    concurrency: int = 0
    """Commands of one connection that may be handled at a time; 0 and 1: one after the other, in order."""
    queue_max_size: int = 1_048_576
    history_max_publication_limit: int = 300
    recovery_max_publication_limit: int = 300
    connection_limit: int = 0
    connection_rate_limit: int = 0
    user_connection_limit: int = 0
    allowed_origins: tuple[str, ...] = ()
    allow_anonymous_connect_without_token: bool = False
    disallow_anonymous_connection_tokens: bool = False
    insecure: bool = False
    user_id_http_header: str = ""
    connect_include_server_time: bool = False
    subscribe_to_user_personal_channel: PersonalChannelOptions = field(default_factory=PersonalChannelOptions)


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """How tokens are verified: static keys, or a JWKS address (then the static keys are not used)."""

    hmac_secret_key: str = field(default="", repr=False)
    hmac_previous_secret_key: str = field(default="", repr=False)
    hmac_previous_secret_key_valid_until: int = 0
    """Unix seconds; 0: without end."""
    rsa_public_key: str = ""
    ecdsa_public_key: str = ""
    jwks_public_endpoint: str = ""
    audience: str = ""
    audience_regex: str = ""
    issuer: str = ""
    issuer_regex: str = ""
    user_id_claim: str = ""
    insecure_skip_token_signature_verify: bool = False


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """The rules of channel names, and the options of every namespace. ``namespaces`` maps a name to its options."""

    max_length: int = 255
    private_prefix: str = "$"
    namespace_boundary: str = ":"
    user_boundary: str = "#"
    user_separator: str = ","
    history_meta_ttl: Seconds = Seconds(720 * 3600)
    without_namespace: ChannelOptions = field(default_factory=ChannelOptions)
    namespaces: dict[str, ChannelOptions] = field(default_factory=dict)
