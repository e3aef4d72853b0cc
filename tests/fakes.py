"""Stand-ins that record and check: a node on the memory broker with a clock that only tests move, and clients of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtserver.core.channels import Channels
from rtserver.core.errors import DisconnectReason, ExpiredToken, InvalidToken
from rtserver.core.hooks import NoHooks
from rtserver.core.host import Environment
from rtserver.core.messages import Publication
from rtserver.core.options import ChannelOptions, ChannelRules, ClientOptions
from rtserver.core.ports import ConnectionClaims, Handshake, SubscriptionClaims
from rtserver.core.probe import ProbeOptions
from rtserver.core.session import Session, State
from rtserver.node import Node, Turn
from rtserver.protocols.wires import FramedWire, wire
from rtserver.services.broker_memory import MemoryBroker

EVERYTHING = ChannelOptions(
    presence=True,
    join_leave=True,
    history_size=100,
    history_ttl=300,
    allow_positioning=True,
    allow_recovery=True,
    allowed_delta_types=("fossil",),
    delta_publish=True,
    allow_tags_filter=True,
    allow_subscribe_for_client=True,
    allow_subscribe_for_anonymous=True,
    allow_publish_for_client=True,
    allow_publish_for_anonymous=True,
    allow_presence_for_client=True,
    allow_presence_for_anonymous=True,
    allow_history_for_client=True,
    allow_history_for_anonymous=True,
)
"""A namespace in which everybody may do everything."""

PLAIN = ChannelOptions(allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True)
"""A namespace without history."""

UNIX = 1_700_000_000.0


class FakeLog:
    """Keeps lines. A line of level "error" fails the test that looks with ``check``."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, BaseException | None, dict[str, object]]] = []

    def __call__(self, level: str, text: str, failure: BaseException | None = None, /, **fields: object) -> None:
        self.lines.append((level, text, failure, fields))

    def texts(self, level: str) -> list[str]:
        return [text for each, text, _, _ in self.lines if each == level]

    def check(self) -> None:
        for level, text, failure, _ in self.lines:
            if level == "error":
                raise AssertionError(text) from failure


class FakeTokens:
    """Tokens are dictionaries by name, given by the test; "expired" and anything unknown behave as they sound."""

    def __init__(self) -> None:
        self.connections: dict[str, ConnectionClaims] = {}
        self.subscriptions: dict[str, SubscriptionClaims] = {}

    async def verify_connection(self, token: str) -> ConnectionClaims:
        return self._find(self.connections, token)

    async def verify_subscription(self, token: str) -> SubscriptionClaims:
        return self._find(self.subscriptions, token)

    def _find(self, known: dict[str, Any], token: str) -> Any:
        if token == "expired":
            raise ExpiredToken("the token is expired")
        if token not in known:
            raise InvalidToken("the signature is wrong")
        return known[token]


class FakeHooks(NoHooks):
    """Answers with what the test puts into its attributes; everything asked is kept in ``asked``."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[Any] = []

    def _hook(self, name: str) -> Any:
        if name not in self.answers:
            return None

        async def answer(*asked: Any) -> Any:
            self.asked.append(asked[0] if len(asked) == 1 else asked)
            outcome = self.answers[name]
            if isinstance(outcome, Exception):
                raise outcome
            return await outcome(asked[0]) if callable(outcome) else outcome

        return answer

    def connect(self, token: bool) -> Any:
        return self._hook("connect")

    def refresh(self) -> Any:
        return self._hook("refresh")

    def subscribe(self, channel: str, options: ChannelOptions) -> Any:
        return self._hook("subscribe")

    def publish(self, channel: str, options: ChannelOptions) -> Any:
        return self._hook("publish")

    def sub_refresh(self, channel: str, options: ChannelOptions) -> Any:
        return self._hook("sub_refresh")

    def rpc(self, method: str) -> Any:
        return self._hook("rpc")

    def disconnect(self) -> Any:
        return self._hook("disconnect")


class World:
    """A started node. ``clock`` and the reactor turns are moved by hand: ``turn()`` runs what is due now."""

    def __init__(self, client: ClientOptions | None = None, **namespaces: ChannelOptions) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.next_turn: list[Callable[[], None]] = []
        self.log = FakeLog()
        self.tokens = FakeTokens()
        self.hooks = FakeHooks()
        self.broker = MemoryBroker(self.clock, "n1")
        ids = (f"id-{number}" for number in itertools.count(1))
        rules = ChannelRules(without_namespace=EVERYTHING, namespaces={"plain": PLAIN, **namespaces})
        self.env = Environment(
            node_id="n1",
            version="1.0",
            client=client or ClientOptions(allow_anonymous_connect_without_token=True),
            channels=Channels(rules),
            tokens=self.tokens,
            subscription_tokens=self.tokens,
            clock=self.clock.seconds,
            unix=lambda: UNIX + self.clock.seconds() - 1000,
            chance=lambda: 0.5,
            new_id=lambda: next(ids),
            spawn=self.spawn,
            hooks=self.hooks,
        )
        turn = Turn(later=self.clock.callLater, soon=self.next_turn.append)
        self.node = Node(self.broker, self.env, turn, self.log, ProbeOptions())
        self.run(self.node.start())
        self.node.started = True

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(work).addErrback(lambda failure: self.log("error", "unexpected", failure.value))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of a coroutine that must not have to wait."""
        results: list[Any] = []
        failures: list[Any] = []
        Deferred.fromCoroutine(work).addCallbacks(results.append, failures.append)
        if failures:
            failures[0].raiseException()
        assert results, "the coroutine waits for something"
        return results[0]

    def turn(self) -> None:
        """One turn of the reactor without time passing."""
        due, self.next_turn[:] = list(self.next_turn), []
        for function in due:
            function()
        self.clock.advance(0)

    def pass_time(self, seconds: float) -> None:
        """Let time pass in steps of a quarter of a second, with the node's clock ticking."""
        for _ in range(round(seconds / 0.25)):
            self.clock.advance(0.25)
            self.node.tick()
            self.turn()

    def client(self, name: str = "websocket/json", **handshake: Any) -> Client:
        return Client(self, wire(name), **handshake)

    def connected(self, name: str = "websocket/json", **request: Any) -> Client:
        client = self.client(name)
        client.send(id=1, connect=request)
        assert client.session.state is State.CONNECTED, client.replies
        client.take()
        return client

    def publish(self, channel: str, data: object, **fields: Any) -> Any:
        """Publish as a backend would, without letting the reactor turn."""
        options = self.env.channels.options(channel)
        raw = Raw(data if isinstance(data, bytes) else msgspec.json.encode(data))
        publication = Publication(raw, delta=options.delta_publish, **fields)
        return self.run(self.node.publish(channel, publication, self.env.channels.publish_options(options)))


class Client:
    """A JSON client without a socket: implements ``Outbound`` and keeps what the session writes."""

    def __init__(self, world: World, kind: FramedWire, **handshake: Any) -> None:
        self.world = world
        self.written: list[bytes] = []
        self.closed: DisconnectReason | None = None
        self.finished = False
        self.paused = False
        transport = kind.name.partition("/")[0]
        self.session = Session(world.node, kind, self, Handshake(transport, **handshake))

    def write(self, data: bytes) -> None:
        assert self.closed is None, "something is written after the close"
        self.written.append(data)

    def close(self, reason: DisconnectReason) -> None:
        assert self.closed is None, "closed twice"
        self.closed = reason

    def finish(self) -> None:
        self.finished = True

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def send(self, **command: Any) -> None:
        self.session.received_frame(msgspec.json.encode(command))

    def send_frame(self, *commands: dict[str, Any]) -> None:
        self.session.received_frame(b"\n".join(msgspec.json.encode(command) for command in commands))

    @property
    def replies(self) -> list[dict[str, Any]]:
        """Every message written so far."""
        return [msgspec.json.decode(body) for data in self.written for body in text_frames(data)]

    def take(self) -> list[dict[str, Any]]:
        """The messages since the last time."""
        replies = self.replies
        self.written.clear()
        return replies

    def pushes(self, kind: str = "pub") -> list[Any]:
        """What came as ``kind`` of push, since the last time."""
        return [reply["push"][kind] for reply in self.take() if kind in reply.get("push", {})]

    def subscribe(self, channel: str, **request: Any) -> dict[str, Any]:
        self.send(id=7, subscribe={"channel": channel, **request})
        return next(reply for reply in self.take() if reply.get("id") == 7)


def text_frames(data: bytes) -> list[bytes]:
    """The payloads of unmasked text frames."""
    found = []
    while data:
        assert data[0] == 0x81, data[:20]
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        found.append(data[start : start + size])
        data = data[start + size :]
    return found
