"""One client connection, from its first command to its end. No socket, no clock: bytes come in, ``Outbound`` takes them.

The session dispatches; what the commands do stands in ``connecting``, ``subscribing`` and ``commands``. Commands of one
connection are handled one after the other, in the order they came, unless ``client.concurrency`` says otherwise.
"""

from __future__ import annotations

import enum
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from rtserver.core import errors
from rtserver.core.duties import DUTIES
from rtserver.core.errors import (
    BadFrame,
    CommandError,
    Disconnected,
    DisconnectReason,
    NotJSON,
    Unsubscribed,
)
from rtserver.core.flow import Subscription
from rtserver.core.host import Host
from rtserver.core.messages import EMPTY, Command, ConnectRequest, Disconnect, Error, Push, Refresh, Reply, Unsubscribe
from rtserver.core.ports import Handshake, Outbound
from rtserver.core.wire import FramedWire

QUEUE_LIMIT = 4096
"""Commands of one connection that may wait. A frame of 64 KiB holds fewer useful ones; more is an attack."""


class State(enum.Enum):
    """WAITING -> CONNECTING -> CONNECTED or REFUSED; every state -> CLOSED."""

    WAITING = "waiting for connect"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    REFUSED = "refused"
    """Connect was answered by an error. The client may read that; nothing more is accepted from it."""
    CLOSED = "closed"


class Answer(NamedTuple):
    """The result of a command, and what to do right after it was written (open a gate, announce a join)."""

    result: msgspec.Struct | None
    then: Callable[[], None] | None = None


CommandFunction = Callable[["Session", Any], Awaitable[Answer]]
COMMANDS: dict[str, CommandFunction] = {}
"""Command field name to what it does; filled by ``connecting``, ``subscribing`` and ``commands``."""


def command(name: str) -> Callable[[CommandFunction], CommandFunction]:
    """Register what a command does."""

    def register(function: CommandFunction) -> CommandFunction:
        COMMANDS[sys.intern(name)] = function
        return function

    return register


class Session:
    """See the module. ``host`` is the node, ``wire`` how messages are written, ``outbound`` where to."""

    __slots__ = (
        "id",
        "host",
        "wire",
        "outbound",
        "write",
        "handshake",
        "state",
        "user",
        "info",
        "meta",
        "name",
        "version",
        "emulated_headers",
        "subs",
        "secret",
        "closed_with",
        "was_connected",
        "opened_at",
        "stale_by",
        "ping_at",
        "pong_by",
        "presence_at",
        "expires_at",
        "sub_expires_at",
        "client_refresh",
        "_waiting",
        "_in_air",
        "_alone",
        "_pumping",
    )

    def __init__(self, host: Host, wire: FramedWire, outbound: Outbound, handshake: Handshake) -> None:
        env = host.env
        self.id = env.new_id()
        self.host = host
        self.wire = wire
        self.outbound = outbound
        self.write = outbound.write
        self.handshake = handshake
        self.state = State.WAITING
        self.user = ""
        self.info: Raw = EMPTY
        self.meta: Raw = EMPTY
        self.name = self.version = ""
        self.emulated_headers: Mapping[str, str] = {}
        self.subs: dict[str, Subscription] = {}
        self.secret = ""
        """What a client on an emulation transport names its session by."""
        self.closed_with: DisconnectReason | None = None
        self.was_connected = False
        self.opened_at = env.clock()
        self.stale_by = self.opened_at + env.client.stale_close_delay
        self.ping_at = self.pong_by = self.presence_at = self.expires_at = self.sub_expires_at = 0.0
        self.client_refresh = True
        """Whether the client is to bring new tokens (no backend refreshes the connection)."""
        self._waiting: deque[Command] = deque()
        self._in_air = 0
        self._alone = self._pumping = False
        host.opened(self)
        self.replan()

    # What comes in

    def received_frame(self, frame: bytes) -> None:
        """Bytes of a bidirectional client."""
        try:
            commands = self.wire.codec.decode_commands(frame)
        except BadFrame as error:
            self.close(errors.BAD_FRAME, str(error))
            return
        self.received(commands)

    def received(self, commands: list[Command]) -> None:
        if self.state is State.REFUSED:
            self.close(errors.BAD_FRAME, "a command after a refused connect")
        for item in commands:
            if self.state is State.CLOSED:
                return
            if item.id == 0 and item.send is None:
                self._pong()
            else:
                self._waiting.append(item)
        if len(self._waiting) > QUEUE_LIMIT:
            self.close(errors.RATE_LIMITED, f"more than {QUEUE_LIMIT} commands are waiting")
            return
        self._pump()
        if self._waiting and self.state is not State.CLOSED:
            self.outbound.pause()

    def _pump(self) -> None:
        """Begin what may begin now. While commands wait nothing more is read from the client: that is the bound."""
        if self._pumping:
            return
        self._pumping = True
        while self._waiting and self._may_begin(self._waiting[0]):
            self._in_air += 1
            self.host.env.spawn(self._run(self._waiting.popleft()))
        self._pumping = False

    def _may_begin(self, item: Command) -> bool:
        """One at a time, unless ``client.concurrency`` allows more; what changes the connection runs alone."""
        if self.state in (State.CLOSED, State.REFUSED):
            return False
        if self._in_air == 0:
            return True
        return not self._alone and self._in_air < self.host.env.client.concurrency and not _changes_connection(item)

    async def _run(self, item: Command) -> None:
        self._alone = _changes_connection(item)
        try:
            await self._execute(item)
        finally:
            self._in_air -= 1
            self._alone = False
        self._pump()
        if not self._waiting and self.state is not State.CLOSED:
            self.outbound.resume()

    async def _execute(self, item: Command) -> None:
        name, request = _first_request(item)
        if name is None or not self._in_turn(name) or (item.id == 0 and name != "send"):
            self.close(errors.BAD_FRAME, f"{name or 'an empty command'} is not expected {self._when()}")
            return
        error = await self._attempt(name, request, item.id)
        if error is not None and self.state is not State.CLOSED:
            self.reply(Reply(id=item.id, error=error))
            if self.state is State.CONNECTING:
                self.state = State.REFUSED
                self._waiting.clear()
                self.outbound.finish()

    async def _attempt(self, name: str, request: msgspec.Struct, id: int) -> Error | None:
        """Run one command and answer it. An error that is to be answered instead is returned."""
        try:
            answer = await COMMANDS[name](self, request)
            if self.state is State.CLOSED:
                return None
            if id and answer.result is not None:
                self.reply(_reply(id, name, answer.result))
            if answer.then is not None:
                answer.then()
        except CommandError as refusal:
            return refusal.error
        except Disconnected as end:
            self.close(end.reason, end.detail)
        except Exception as failure:
            self.host.report(self, name, failure)
            return errors.INTERNAL
        return None

    def _in_turn(self, name: str) -> bool:
        return (name == "connect") == (self.state is State.WAITING)

    def _when(self) -> str:
        return f"while the connection is {self.state.value}"

    async def connect_unidirectional(self, request: ConnectRequest) -> None:
        """The only request of a client on a unidirectional transport. Its errors become disconnects (section 1.8)."""
        error = await self._attempt("connect", request, 0)
        if error is not None:
            self.close(_UNIDIRECTIONAL.get(error.code, errors.SERVER_ERROR))

    # What goes out

    def reply(self, reply: Reply) -> None:
        try:
            self.write(self.wire.reply(reply))
        except NotJSON as error:
            self.close(errors.INAPPROPRIATE_PROTOCOL, str(error))

    def push(self, push: Push) -> None:
        try:
            self.write(self.wire.push(push))
        except NotJSON as error:
            self.close(errors.INAPPROPRIATE_PROTOCOL, str(error))

    # The end

    def close(self, reason: DisconnectReason, detail: str = "") -> None:
        """End the connection from our side. ``detail`` is for the log."""
        if self.state is State.CLOSED:
            return
        if detail:
            self.host.report(self, "disconnect", Disconnected(reason, detail))
        self._end(reason)
        self.outbound.close(reason)

    def lost(self) -> None:
        """The transport is gone."""
        if self.state is not State.CLOSED:
            self._end(errors.CONNECTION_CLOSED)

    def _end(self, reason: DisconnectReason) -> None:
        self.was_connected = self.state is State.CONNECTED
        self.state = State.CLOSED
        self.closed_with = reason
        self._waiting.clear()
        self.host.deadlines.drop(self)
        subs, self.subs = list(self.subs.values()), {}
        self.host.forget(self, subs)

    def goodbye(self, reason: DisconnectReason) -> bytes:
        """The disconnect push, for transports whose close carries no code."""
        return self.wire.push(Push(disconnect=Disconnect(reason.code, reason.reason)))

    @property
    def is_connected(self) -> bool:
        return self.state is State.CONNECTED

    def check_open(self) -> None:
        """After an await: raises ``Disconnected`` when the client left meanwhile."""
        if self.state is State.CLOSED:
            raise Disconnected(errors.CONNECTION_CLOSED)

    # Subscriptions that end

    def drop(self, sub: Subscription, why: Unsubscribed | None) -> None:
        """End a subscription; with ``why`` tell the client. A server-side one that is insufficient ends the connection."""
        if self.subs.get(sub.channel) is not sub:
            return
        if sub.server_side and why in (errors.UNSUBSCRIBED_INSUFFICIENT, errors.UNSUBSCRIBED_EXPIRED):
            self.close(_SERVER_SIDE[why])
            return
        del self.subs[sub.channel]
        self.host.detach(sub)
        if why is not None:
            self.push(Push(channel=sub.channel, unsubscribe=Unsubscribe(why.code, why.reason)))
        self.host.env.spawn(self.host.farewell(sub))

    # Deadlines

    def replan(self) -> None:
        """File the session under its next deadline."""
        due = [at for at in (getattr(self, name) for name, _ in DUTIES) if at]
        if due:
            self.host.deadlines.set(self, min(due))
        else:
            self.host.deadlines.drop(self)

    def tick(self, now: float) -> None:
        """Some deadline has passed."""
        for name, duty in DUTIES:
            at = getattr(self, name)
            if at and at <= now and self.state is not State.CLOSED:
                setattr(self, name, 0.0)
                duty(self, now)
        if self.state is not State.CLOSED:
            self.replan()

    def begin_pings(self, now: float) -> None:
        """The first ping comes at a random time so that connections made together do not ping together."""
        options = self.host.env.client
        if self.handshake.app_ping:
            self.ping_at = now + options.ping_interval * (0.5 + self.host.env.chance() / 2)
        self.presence_at = now + options.presence_update_interval * (0.5 + self.host.env.chance() / 2)

    def expire(self, expired: bool, ttl: int) -> None:
        """An operator's refresh: the connection's life was changed from outside."""
        if expired:
            self.close(errors.CONNECTION_EXPIRED)
            return
        self.expires_at = self.host.env.clock() + ttl + self.host.env.client.expired_close_delay if ttl else 0.0
        self.replan()
        self.push(Push(refresh=Refresh(expires=ttl > 0, ttl=ttl)))

    def _pong(self) -> None:
        """Lenient: a pong without a ping is not answered by a disconnect, because no client is helped by that."""
        self.pong_by = 0.0

    def plan_sub_expiry(self) -> None:
        self.sub_expires_at = min((sub.expire_at for sub in self.subs.values() if sub.expire_at), default=0.0)


_UNIDIRECTIONAL = {
    errors.TOKEN_EXPIRED.code: errors.CONNECTION_EXPIRED,
    errors.EXPIRED.code: errors.CONNECTION_EXPIRED,
    errors.TOO_MANY_REQUESTS.code: errors.RATE_LIMITED,
    errors.PERMISSION_DENIED.code: errors.CONNECT_DENIED,
}

_SERVER_SIDE = {
    errors.UNSUBSCRIBED_INSUFFICIENT: errors.INSUFFICIENT_STATE,
    errors.UNSUBSCRIBED_EXPIRED: errors.SUBSCRIPTION_EXPIRED,
}


_PRECEDENCE = [name for name in Command.__struct_fields__ if name not in ("id", "ping")]


_ALONGSIDE = ("publish", "presence", "presence_stats", "history", "rpc", "send")
"""Commands that may run beside others when ``client.concurrency`` is above 1."""


def _changes_connection(item: Command) -> bool:
    return _first_request(item)[0] not in _ALONGSIDE


def _first_request(item: Command) -> tuple[str | None, Any]:
    for name in _PRECEDENCE:
        request = getattr(item, name)
        if request is not None:
            return name, request
    return None, None


def _reply(id: int, name: str, result: msgspec.Struct) -> Reply:
    reply = Reply(id=id)
    setattr(reply, name, result)
    return reply
