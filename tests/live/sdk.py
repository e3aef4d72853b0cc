"""What the tests ask of a client, whichever SDK stands behind it: calls that block, and events to wait for.

``JSClient`` and ``PythonClient`` give their events the same names and contexts: keys in snake_case, ``data`` as a Python
value (on Protobuf connections the bytes are read as JSON where they are JSON).
"""

import json
import re
import threading
import time

PATIENCE = 15.0
"""Seconds to wait for something that must come."""


class SdkError(Exception):
    """A call that the server answered with an error."""

    def __init__(self, code, message):
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")


class Events:
    """Events of one client in the order they came; every one is given out once per (event, channel)."""

    def __init__(self):
        self.all = []
        self._taken = {}
        self._changed = threading.Condition()

    def add(self, event, channel, context):
        with self._changed:
            self.all.append((event, channel, context))
            self._changed.notify_all()

    def take(self, event, channel=None, seconds=PATIENCE):
        """The context of the next event of this name (and channel, None: of the client itself)."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                start = self._taken.get((event, channel), 0)
                for at in range(start, len(self.all)):
                    if self.all[at][:2] == (event, channel):
                        self._taken[event, channel] = at + 1
                        return self.all[at][2]
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(
                        f"no {event} of {channel or 'the client'} in {seconds} s, but {self.all[-20:]}"
                    )
                self._changed.wait(left)

    def waiting(self, event, channel=None):
        """The contexts of this name that came and were not taken."""
        with self._changed:
            start = self._taken.get((event, channel), 0)
            return [context for name, of, context in self.all[start:] if (name, of) == (event, channel)]

    def count(self, event, channel=None):
        with self._changed:
            return sum(1 for each in self.all if each[:2] == (event, channel))


class Client:
    """The part that is the same for every SDK. ``name`` is unique in the run."""

    def __init__(self, name):
        self.name = name
        self.events = Events()

    def wait(self, event, channel=None, seconds=PATIENCE):
        return self.events.take(event, channel, seconds)

    def data(self, channel, seconds=PATIENCE):
        """The data of the next publication of a channel."""
        return self.wait("publication", channel, seconds)["data"]

    def pending(self, event, channel=None):
        return self.events.waiting(event, channel)

    def open(self):
        """Connect and wait for it; the context of the connected event."""
        self.connect()
        return self.wait("connected")

    def enter(self, channel, **options):
        """Subscribe and wait for it; the context of the subscribed event."""
        self.subscribe(channel, **options)
        return self.wait("subscribed", channel)


def snake(value):
    """The names of the JavaScript SDK in Python's way, at every depth that is not data."""
    if isinstance(value, list):
        return [snake(each) for each in value]
    if not isinstance(value, dict):
        return value
    opaque = ("data", "connInfo", "chanInfo", "tags", "clients")
    return {
        re.sub(r"([A-Z])", lambda letter: "_" + letter[0].lower(), key): each if key in opaque else snake(each)
        for key, each in value.items()
    }


def read(data):
    """Bytes of a Protobuf connection as the JSON value in them; other bytes and other values as they are."""
    if not isinstance(data, bytes):
        return data
    try:
        return json.loads(data)
    except ValueError:
        return data


def written(data):
    """A value as the bytes that a Protobuf connection sends."""
    return data if isinstance(data, bytes) else json.dumps(data, separators=(",", ":")).encode()
