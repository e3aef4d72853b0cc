"""What a session asks of the node it lives on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rtserver.core.channels import Channels
from rtserver.core.deadlines import Deadlines
from rtserver.core.flow import Subscription
from rtserver.core.hooks import Hooks, NoHooks
from rtserver.core.hub import Hub
from rtserver.core.messages import ClientInfo, Publication
from rtserver.core.options import ChannelOptions, ClientOptions
from rtserver.core.ports import HistoryFilter, HistorySlice, PublishOptions, PublishOutcome, Spawn, TokenVerifier

if TYPE_CHECKING:
    from rtserver.core.session import Session


@dataclass(frozen=True, slots=True)
class Environment:
    """What a session reads of the world. ``clock`` counts seconds from anywhere, ``unix`` seconds since 1970,
    ``chance`` gives a number in [0, 1), ``new_id`` a random UUID."""

    node_id: str
    version: str
    client: ClientOptions
    channels: Channels
    tokens: TokenVerifier
    subscription_tokens: TokenVerifier
    clock: Callable[[], float]
    unix: Callable[[], float]
    chance: Callable[[], float]
    new_id: Callable[[], str]
    spawn: Spawn
    hooks: Hooks = field(default_factory=NoHooks)


class Host(Protocol):
    """The node, as sessions see it. What can fail raises ``BrokerError``."""

    env: Environment
    hub: Hub
    deadlines: Deadlines[Session]

    def opened(self, session: Session) -> None:
        """A connection begins."""

    def admit(self, session: Session) -> None:
        """The session knows its user now: count it. Raises ``Disconnected`` when a limit is reached."""

    def forget(self, session: Session, subs: list[Subscription]) -> None:
        """The session is over: take it and its subscriptions off every list, and tell presence and others."""

    async def attach(self, sub: Subscription) -> None:
        """Put the subscription behind its channel's gate and see to it that the broker sends us the channel."""

    def detach(self, sub: Subscription) -> None:
        """Take the subscription out of its channel."""

    async def farewell(self, sub: Subscription) -> None:
        """After ``detach``: end presence and tell others, as the channel wants it."""

    async def publish(self, channel: str, publication: Publication, options: PublishOptions) -> PublishOutcome: ...

    async def history(self, channel: str, options: ChannelOptions, wanted: HistoryFilter) -> HistorySlice: ...

    async def add_presence(self, sub: Subscription) -> None: ...

    async def presence(self, channel: str) -> dict[str, ClientInfo]: ...

    async def presence_stats(self, channel: str) -> tuple[int, int]: ...

    async def announce(self, sub: Subscription) -> None:
        """Tell others of a join, if the channel wants it."""

    async def replace_others(self, session: Session, channel: str) -> None:
        """Disconnect the user's other connections, everywhere (a personal channel with one connection per user)."""

    def refresh(self, session: Session) -> None:
        """The connection's time is over and the server is to ask whether it goes on."""

    def refresh_subscription(self, session: Session, sub: Subscription) -> None:
        """The same for one subscription."""

    def report(self, session: Session, what: str, failure: BaseException) -> None:
        """A failure that the client learns of only as an internal error: write it to the log."""
