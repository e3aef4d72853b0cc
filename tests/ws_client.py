"""A port with WebSocket endpoints on a world of fakes, and clients of it that read and write frames."""

from __future__ import annotations

import json
import os
from typing import Any

import txaio

from rtserver.core.options import ClientOptions
from rtserver.core.session import Session
from rtserver.protocols.entrance import Entrance
from rtserver.protocols.outbound import Drain
from rtserver.protocols.upgrade import UpgradeResource
from rtserver.protocols.ws import ConnectionFactory, WebSocketOptions
from rtserver.web.site import SiteLimits
from tests.fakes import World
from tests.line import Line, Port, head, parse

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ANYBODY = ClientOptions(allow_anonymous_connect_without_token=True)


def upgrade_headers(**more: str) -> dict[str, Any]:
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        **more,
    }


class WSHouse:
    """``/ws`` and ``/uni`` on one port. Autobahn's timers run on the world's clock while the house stands."""

    def __init__(
        self,
        client: ClientOptions = ANYBODY,
        options: WebSocketOptions | None = None,
        limits: SiteLimits | None = None,
        world: World | None = None,
    ) -> None:
        self.world = world or World(client)
        self.clock = self.world.clock
        txaio.config.loop = self.clock
        self.entrance = Entrance(client, self.clock.seconds, lambda: self.world.node.unready)
        self.drain = Drain(1.0, self.clock.seconds)
        self.factories = {
            name: ConnectionFactory(self.world.node, options or WebSocketOptions(), self.drain, self.clock, name)
            for name in ("websocket", "uni_websocket")
        }
        paths = {"/ws": "websocket", "/uni": "uni_websocket"}
        table = {path: UpgradeResource(self.factories[name], self.entrance) for path, name in paths.items()}
        self.port = Port(self.clock, table, limits)

    def __enter__(self) -> WSHouse:
        return self

    def __exit__(self, *_: object) -> None:
        txaio.config.loop = None

    def begin(self, path: str = "/ws", **headers: str) -> Line:
        return self.port.begin("GET", path, headers=upgrade_headers(**headers))

    def send_head(self, line: Line) -> None:
        line.send(head("GET", "/ws", upgrade_headers()))

    def open(self, path: str = "/ws", **headers: str) -> WSClient:
        """The handshake is done, connect is not."""
        line = self.begin(path, **headers)
        return WSClient(line)

    def connect(self, path: str = "/ws", **headers: str) -> WSClient:
        client = self.open(path, **headers)
        client.command(id=1, connect={})
        assert client.messages()[0]["connect"]
        return client

    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)


class WSClient:
    """Masks what it writes; ``frames`` and ``messages`` are what came since the last time."""

    def __init__(self, line: Line) -> None:
        self.line = line
        data = line.take()
        self.answer = parse(data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        assert self.answer.status == 101, data
        line.io.write(data.partition(b"\r\n\r\n")[2])

    @property
    def session(self) -> Session:
        session = self.line.protocol.session
        assert session is not None
        return session

    def command(self, **command: Any) -> None:
        self.send(json.dumps(command).encode())

    def send(self, payload: bytes, first: int = 0x81) -> None:
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            header = bytes((first, 0x80 | size))
        elif size < 65_536:
            header = bytes((first, 0x80 | 126)) + size.to_bytes(2, "big")
        else:
            header = bytes((first, 0x80 | 127)) + size.to_bytes(8, "big")
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        self.line.send(header + mask + masked)

    def send_close(self, code: int) -> None:
        self.send(code.to_bytes(2, "big"), 0x88)

    def frames(self) -> list[tuple[int, bytes]]:
        """First byte and payload of each frame."""
        data = self.line.take()
        found = []
        while data:
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(data[2:10], "big"), 10
            found.append((data[0], data[start : start + size]))
            data = data[start + size :]
        return found

    def messages(self) -> list[Any]:
        return [json.loads(payload) for first, payload in self.frames() if first == 0x81]

    def closed_with(self) -> tuple[int, str]:
        """Code and reason of the close frame, which must be the last one."""
        first, payload = self.frames()[-1]
        assert first == 0x88
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()
