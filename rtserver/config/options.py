"""The whole configuration as frozen dataclasses: one class is one section of the file, one field one key.

Field names, types and defaults here (and in the option classes of the core and the services that are used here) are the
only place where a key is written; the validating models, the environment names and the commented file are made from or
tested against them. ``Seconds`` and ``float`` fields are written as durations, sizes are bytes. Secrets stay out of ``repr``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rtserver.accounts.options import AccountsOptions, MailOptions
from rtserver.core.options import ChannelRules, ClientOptions, Seconds, TokenOptions
from rtserver.core.probe import ProbeOptions
from rtserver.payments.options import PaymentsOptions
from rtserver.services.proxy_options import ClientProxyOptions, ProxyOptions, ProxySettings, RpcRules
from rtserver.services.redis_options import RedisOptions
from rtserver.services.store_options import DatabaseOptions


@dataclass(frozen=True, slots=True)
class SubscriptionTokenOptions(TokenOptions):
    """Keys of their own for subscription tokens; without ``enabled`` both kinds of token share ``client.token``."""

    enabled: bool = False


@dataclass(frozen=True, slots=True)
class ClientProxies:
    """The backend that is asked when clients connect, and when their time is over."""

    connect: ClientProxyOptions = field(default_factory=ClientProxyOptions)
    refresh: ClientProxyOptions = field(default_factory=ClientProxyOptions)


@dataclass(frozen=True, slots=True)
class ClientSection(ClientOptions):
    """``[client]``: the core's options of a connection, with the sections of its tokens and proxies inside."""

    token: TokenOptions = field(default_factory=TokenOptions)
    subscription_token: SubscriptionTokenOptions = field(default_factory=SubscriptionTokenOptions)
    proxy: ClientProxies = field(default_factory=ClientProxies)


@dataclass(frozen=True, slots=True)
class ChannelProxies:
    """The backends that namespaces ask under the name "default"."""

    subscribe: ProxyOptions = field(default_factory=ProxyOptions)
    publish: ProxyOptions = field(default_factory=ProxyOptions)
    sub_refresh: ProxyOptions = field(default_factory=ProxyOptions)


@dataclass(frozen=True, slots=True)
class ChannelSection(ChannelRules):
    """``[channel]``: the core's rules of channels, with the sections of their proxies inside."""

    proxy: ChannelProxies = field(default_factory=ChannelProxies)


@dataclass(frozen=True, slots=True)
class RpcSection(RpcRules):
    """``[rpc]``: which methods go to which backend, and the one that is named "default"."""

    proxy: ProxyOptions = field(default_factory=ProxyOptions)


@dataclass(frozen=True, slots=True)
class HTTPApiOptions:
    """The HTTP API for backends. ``key`` "": one is made at the first start and kept in the state directory."""

    key: str = field(default="", repr=False)
    insecure: bool = False
    error_mode: Literal["", "transport"] = ""


@dataclass(frozen=True, slots=True)
class WebSocketOptions:
    """``write_timeout`` bounds how long the socket may take nothing while bytes wait for it."""

    enabled: bool = True
    handler_prefix: str = "/connection/websocket"
    message_size_limit: int = 65_536
    write_timeout: Seconds = Seconds(1)
    compression: bool = False
    compression_min_size: int = 0


@dataclass(frozen=True, slots=True)
class UniWebSocketOptions:
    enabled: bool = False
    handler_prefix: str = "/connection/uni_websocket"
    message_size_limit: int = 65_536


@dataclass(frozen=True, slots=True)
class HTTPStreamOptions:
    enabled: bool = True
    handler_prefix: str = "/connection/http_stream"
    max_request_body_size: int = 65_536


@dataclass(frozen=True, slots=True)
class SSEOptions:
    enabled: bool = True
    handler_prefix: str = "/connection/sse"
    max_request_body_size: int = 65_536


@dataclass(frozen=True, slots=True)
class EmulationOptions:
    """Where clients of SSE and HTTP streaming post their commands."""

    enabled: bool = True
    handler_prefix: str = "/emulation"
    max_request_body_size: int = 65_536


@dataclass(frozen=True, slots=True)
class UniSSEOptions:
    enabled: bool = False
    handler_prefix: str = "/connection/uni_sse"
    max_request_body_size: int = 65_536


@dataclass(frozen=True, slots=True)
class UniHTTPStreamOptions:
    enabled: bool = False
    handler_prefix: str = "/connection/uni_http_stream"
    max_request_body_size: int = 65_536


@dataclass(frozen=True, slots=True)
class HealthOptions:
    enabled: bool = True
    handler_prefix: str = "/health"


@dataclass(frozen=True, slots=True)
class PrometheusOptions:
    enabled: bool = False
    handler_prefix: str = "/metrics"


@dataclass(frozen=True, slots=True)
class ShutdownOptions:
    """``timeout``: how long a stop may take to tell every client and drain."""

    timeout: Seconds = Seconds(30)


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """``name`` "": made of the host name and the process id."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Where streams and presence live, and the probe that goes through it."""

    type: Literal["memory", "redis"] = "memory"
    redis: RedisOptions = field(default_factory=RedisOptions)
    probe: ProbeOptions = field(default_factory=ProbeOptions)


@dataclass(frozen=True, slots=True)
class LimitsOptions:
    """Bounds of a connection before and beside the client protocol."""

    header_size: int = 16_384
    handshake_timeout: Seconds = Seconds(5)
    idle_timeout: Seconds = Seconds(60)
    api_body_size: int = 1_048_576


@dataclass(frozen=True, slots=True)
class HTTPServerOptions:
    """``internal``: endpoints that serve API, health, metrics and demonstration; the public ones then no longer do.
    ``trusted_proxies``: whose X-Forwarded-For is believed (see ``core.forwarded``)."""

    internal: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The demonstration page at ``/``."""

    enabled: bool = False


@dataclass(frozen=True, slots=True)
class LogOptions:
    level: Literal["debug", "info", "warn", "error", "critical"] = "info"
    format: Literal["text", "json"] = "text"


@dataclass(frozen=True, slots=True)
class AppOptions:
    """An application that runs in the server. ``module``: "package.module:attribute" of its ``rtserver.App``."""

    module: str = ""


@dataclass(frozen=True, slots=True)
class DocsOptions:
    """The documents and pages that are made of the typed declarations: ``/docs``, ``/openapi.json`` and their siblings."""

    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that is configured. ``listen`` and ``http_server.internal`` are Twisted endpoint strings."""

    listen: tuple[str, ...] = ("tcp:8000:interface=127.0.0.1",)
    state_dir: str = "var"
    environment: Literal["production", "development"] = "production"
    client: ClientSection = field(default_factory=ClientSection)
    channel: ChannelSection = field(default_factory=ChannelSection)
    rpc: RpcSection = field(default_factory=RpcSection)
    proxies: dict[str, ProxyOptions] = field(default_factory=dict)
    apps: tuple[AppOptions, ...] = ()
    docs: DocsOptions = field(default_factory=DocsOptions)
    accounts: AccountsOptions = field(default_factory=AccountsOptions)
    mail: MailOptions = field(default_factory=MailOptions)
    payments: PaymentsOptions = field(default_factory=PaymentsOptions)
    http_api: HTTPApiOptions = field(default_factory=HTTPApiOptions)
    websocket: WebSocketOptions = field(default_factory=WebSocketOptions)
    http_stream: HTTPStreamOptions = field(default_factory=HTTPStreamOptions)
    sse: SSEOptions = field(default_factory=SSEOptions)
    emulation: EmulationOptions = field(default_factory=EmulationOptions)
    uni_websocket: UniWebSocketOptions = field(default_factory=UniWebSocketOptions)
    uni_sse: UniSSEOptions = field(default_factory=UniSSEOptions)
    uni_http_stream: UniHTTPStreamOptions = field(default_factory=UniHTTPStreamOptions)
    health: HealthOptions = field(default_factory=HealthOptions)
    prometheus: PrometheusOptions = field(default_factory=PrometheusOptions)
    shutdown: ShutdownOptions = field(default_factory=ShutdownOptions)
    node: NodeOptions = field(default_factory=NodeOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)
    database: DatabaseOptions = field(default_factory=DatabaseOptions)
    limits: LimitsOptions = field(default_factory=LimitsOptions)
    http_server: HTTPServerOptions = field(default_factory=HTTPServerOptions)
    demo: DemoOptions = field(default_factory=DemoOptions)
    log: LogOptions = field(default_factory=LogOptions)

    @property
    def token(self) -> TokenOptions:
        """How connection tokens are verified."""
        return self.client.token

    @property
    def subscription_token(self) -> TokenOptions | None:
        """How subscription tokens are verified; None: like connection tokens."""
        return self.client.subscription_token if self.client.subscription_token.enabled else None

    @property
    def proxy(self) -> ProxySettings:
        """Which backend is asked about what."""
        channel = self.channel.proxy
        return ProxySettings(
            connect=self.client.proxy.connect,
            refresh=self.client.proxy.refresh,
            defaults={
                "subscribe": channel.subscribe,
                "publish": channel.publish,
                "sub_refresh": channel.sub_refresh,
                "rpc": self.rpc.proxy,
            },
            named=self.proxies,
            rpc=self.rpc,
        )
