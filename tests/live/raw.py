"""A client without SDK: what exactly is on the wire, and what no SDK would ever send."""

import json
import time

from centrifuge.protocol import client_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

PATIENCE = 10.0


class RawClient:
    """A WebSocket with commands and replies as mappings. ``protobuf`` by sub-protocol; pings are answered unless ``pong``
    is False. ``more`` goes to ``websockets.sync.client.connect``."""

    def __init__(self, server, *, protobuf=False, query="", path="/connection/websocket", pong=True, **more):
        more.setdefault("subprotocols", ["centrifuge-protobuf"] if protobuf else None)
        more.setdefault("compression", None)
        scheme = "wss" if "ssl" in more else "ws"
        self._protobuf = protobuf
        self._pong = pong
        self._waiting = []
        self._connecting = connect(server.url(path + query, scheme), max_size=None, proxy=None, close_timeout=2, **more)
        self.socket = self._connecting.__enter__()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._connecting.__exit__(*error)

    def send(self, *commands):
        """Commands in one frame."""
        self.socket.send(b"".join(map(delimited, commands)) if self._protobuf else "\n".join(map(json.dumps, commands)))

    def receive(self, seconds=PATIENCE):
        """The next reply or push. Pings are answered and passed over."""
        deadline = time.monotonic() + seconds
        while True:
            while not self._waiting:
                self._waiting = self.messages(self.socket.recv(max(0, deadline - time.monotonic())))
            message = self._waiting.pop(0)
            if message:
                return message
            if self._pong:
                self.send({})

    def messages(self, frame):
        if self._protobuf:
            return [MessageToDict(each, preserving_proto_field_name=True) for each in undelimited(frame)]
        return [json.loads(line) for line in frame.split("\n")]

    def call(self, number, **command):
        """Send one command and wait for its reply, whatever is pushed meanwhile; the pushes are lost."""
        self.send({"id": number, **command})
        while True:
            message = self.receive()
            if message.get("id") == number:
                return message

    def connect(self, **request):
        return self.call(1, connect=request)["connect"]

    def end(self, seconds=PATIENCE):
        """Read until the connection is closed; close code and reason, (1006, "") for one without close frame."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                for message in self.messages(self.socket.recv(max(0, deadline - time.monotonic()))):
                    if not message and self._pong:
                        self.send({})
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")


def delimited(command):
    body = ParseDict(command, client_pb2.Command()).SerializeToString()
    return varint(len(body)) + body


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes((number,))


def undelimited(frame):
    """The replies of a Protobuf frame."""
    at, replies = 0, []
    while at < len(frame):
        size = shift = 0
        while True:
            byte = frame[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        reply = client_pb2.Reply()
        reply.ParseFromString(frame[at : at + size])
        replies.append(reply)
        at += size
    return replies
