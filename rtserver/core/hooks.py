"""Where an application decides: hooks on connect, refresh, subscribe, publish, sub_refresh, RPC and disconnect.

The core asks, and somebody answers: functions of an application module in this process, or a backend over HTTP. A hook may
raise ``CommandError`` (the command is refused with that error) or ``Disconnected``; whatever else it raises becomes error 100
(for refreshes: the lifetime is prolonged by ``GRACE``), and the client tries again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Raw

from rtserver.core.errors import CommandError
from rtserver.core.messages import EMPTY
from rtserver.core.options import ChannelOptions
from rtserver.core.ports import ServerSubscription, SubscriptionOverride

GRACE = 60.0
"""Seconds by which a connection or subscription lives on when its backend could not be asked for a refresh."""


def _nothing() -> Raw:
    return EMPTY


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is behind a question. ``protocol`` is "json" or "protobuf", ``headers`` those of the handshake in lower case,
    ``emulated_headers`` what the client put into its connect command. ``user`` "" is anonymous (or not known yet)."""

    client: str
    user: str
    transport: str
    protocol: str
    remote: str = ""
    name: str = ""
    version: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    emulated_headers: Mapping[str, str] = field(default_factory=dict)
    info: Raw = field(default_factory=_nothing)
    meta: Raw = field(default_factory=_nothing)


# Questions and answers. Times are Unix seconds, 0: no end.


@dataclass(frozen=True, slots=True)
class ConnectAsked:
    """``token`` says whether a token was verified: the caller's user and info are then that token's. ``channels`` are those
    that the client named."""

    caller: Caller
    data: Raw
    channels: tuple[str, ...]
    token: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """Credentials of a connection."""

    user: str = ""
    expire_at: int = 0
    info: Raw = field(default_factory=_nothing)
    data: Raw = field(default_factory=_nothing)
    subs: Mapping[str, ServerSubscription] = field(default_factory=dict)
    meta: Raw = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class SubscribeAsked:
    caller: Caller
    channel: str
    data: Raw
    token: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """A subscription is allowed, with these additions."""

    info: Raw = field(default_factory=_nothing)
    data: Raw = field(default_factory=_nothing)
    override: SubscriptionOverride = SubscriptionOverride()
    expire_at: int = 0


@dataclass(frozen=True, slots=True)
class PublishAsked:
    caller: Caller
    channel: str
    data: Raw


@dataclass(frozen=True, slots=True)
class Admitted:
    """A publication is allowed. ``data`` None: as the client sent it."""

    data: Raw | None = None
    skip_history: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str = ""
    delta: bool | None = None
    version: int = 0
    version_epoch: str = ""


@dataclass(frozen=True, slots=True)
class RpcAsked:
    caller: Caller
    method: str
    data: Raw


@dataclass(frozen=True, slots=True)
class RefreshAsked:
    """For a connection; with ``channel`` for a subscription."""

    caller: Caller
    channel: str = ""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """``expired``: it is over. ``info`` None: as before."""

    expired: bool = False
    expire_at: int = 0
    info: Raw | None = None
    meta: Raw | None = None


ConnectHook = Callable[[ConnectAsked], Awaitable[Identity | None]]
"""None: the hook does not say who it is; a verified token or the rules for anonymous clients decide."""

SubscribeHook = Callable[[SubscribeAsked], Awaitable[Allowed]]
PublishHook = Callable[[PublishAsked], Awaitable[Admitted]]
RpcHook = Callable[[RpcAsked], Awaitable[Raw]]
RefreshHook = Callable[[RefreshAsked], Awaitable[Refreshed]]
DisconnectHook = Callable[[Caller, int, str], Awaitable[None]]
"""Caller, close code and reason."""


class Hooks(Protocol):
    """Who is to be asked. Each method gives the function to ask, or None when nobody is."""

    def connect(self, token: bool) -> ConnectHook | None:
        """``token``: the client brought one, and it was good."""

    def refresh(self) -> RefreshHook | None:
        """With one, connections are refreshed by asking it when their time is over, and clients may not bring tokens."""

    def subscribe(self, channel: str, options: ChannelOptions) -> SubscribeHook | None: ...

    def publish(self, channel: str, options: ChannelOptions) -> PublishHook | None: ...

    def sub_refresh(self, channel: str, options: ChannelOptions) -> RefreshHook | None: ...

    def rpc(self, method: str) -> RpcHook | None:
        """Raises ``CommandError`` 104 when calls are answered here, but not of this method."""

    def disconnect(self) -> DisconnectHook | None: ...

    def left(self, client: str) -> None:
        """A connection has ended, before anybody is asked about that: nobody waits for answers to its questions any more."""


class NoHooks:
    """Nobody is asked: the configuration and tokens decide alone."""

    def connect(self, token: bool) -> ConnectHook | None:
        return None

    def refresh(self) -> RefreshHook | None:
        return None

    def subscribe(self, channel: str, options: ChannelOptions) -> SubscribeHook | None:
        return None

    def publish(self, channel: str, options: ChannelOptions) -> PublishHook | None:
        return None

    def sub_refresh(self, channel: str, options: ChannelOptions) -> RefreshHook | None:
        return None

    def rpc(self, method: str) -> RpcHook | None:
        return None

    def disconnect(self) -> DisconnectHook | None:
        return None

    def left(self, client: str) -> None:
        """Nobody was asked anything."""


class ChainedHooks:
    """The first that has an answer is asked; every one hears of a disconnect."""

    def __init__(self, *chain: Hooks) -> None:
        self._chain = chain

    def connect(self, token: bool) -> ConnectHook | None:
        return next((hook for each in self._chain if (hook := each.connect(token))), None)

    def refresh(self) -> RefreshHook | None:
        return next((hook for each in self._chain if (hook := each.refresh())), None)

    def subscribe(self, channel: str, options: ChannelOptions) -> SubscribeHook | None:
        return next((hook for each in self._chain if (hook := each.subscribe(channel, options))), None)

    def publish(self, channel: str, options: ChannelOptions) -> PublishHook | None:
        return next((hook for each in self._chain if (hook := each.publish(channel, options))), None)

    def sub_refresh(self, channel: str, options: ChannelOptions) -> RefreshHook | None:
        return next((hook for each in self._chain if (hook := each.sub_refresh(channel, options))), None)

    def rpc(self, method: str) -> RpcHook | None:
        """A part of the chain that answers calls but not this one does not keep the others from answering."""
        unknown: CommandError | None = None
        for each in self._chain:
            try:
                hook = each.rpc(method)
            except CommandError as error:
                unknown = error
                continue
            if hook is not None:
                return hook
        if unknown is not None:
            raise unknown
        return None

    def disconnect(self) -> DisconnectHook | None:
        hooks = [hook for each in self._chain if (hook := each.disconnect())]
        if not hooks:
            return None

        async def all_of_them(caller: Caller, code: int, reason: str) -> None:
            failures: list[Exception] = []
            for hook in hooks:
                try:
                    await hook(caller, code, reason)
                except Exception as failure:
                    failures.append(failure)
            if failures:
                raise failures[0] if len(failures) == 1 else ExceptionGroup("more than one hook failed", failures)

        return all_of_them

    def left(self, client: str) -> None:
        for each in self._chain:
            each.left(client)
