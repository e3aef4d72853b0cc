"""Clients of the JavaScript SDK, in one node process for the whole run."""

import base64
import itertools
import json
import os
import queue
import shutil
import subprocess
import threading
from pathlib import Path

from tests.live.sdk import PATIENCE, Client, SdkError, read, snake, written

SCRIPTS = Path(__file__).parent / "js"

METHODS = {"presence_stats": "presenceStats"}
OPTIONS = {"join_leave": "joinLeave", "tags_filter": "tagsFilter"}


def check_installed():
    """Whether the SDKs are there, in the versions of package-lock.json."""
    done = SCRIPTS / "node_modules/.package-lock.json"
    lock = SCRIPTS / "package-lock.json"
    good = done.exists() and done.stat().st_mtime >= lock.stat().st_mtime
    assert good, f"{SCRIPTS}/node_modules is missing or old: run scripts/prepare-tests"


class Node:
    """The node process that runs ``js/runner.mjs``. ``authority``: a PEM file of a certificate that it trusts."""

    def __init__(self, authority):
        check_installed()
        environment = {**os.environ, "NODE_EXTRA_CA_CERTS": str(authority)}
        for name in list(environment):
            if name.lower().endswith("_proxy"):
                del environment[name]
        self.process = subprocess.Popen(
            [shutil.which("node"), str(SCRIPTS / "runner.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._numbers = itertools.count(1)
        self._answers = {}
        self.clients = {}
        self._writing = threading.Lock()
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._ready.wait(PATIENCE), "node did not start"

    def _read(self):
        for line in self.process.stdout:
            message = json.loads(line, object_hook=_bytes)
            if "ready" in message:
                self._ready.set()
            elif "ref" in message:
                self._answers[message["ref"]].put(message)
            elif message["client"] in self.clients:
                client = self.clients[message["client"]]
                channel, context = client.context(message)
                client.events.add(message["event"], channel, context)

    def ask(self, **command):
        """Send one command and wait for its answer."""
        number = next(self._numbers)
        answer = self._answers[number] = queue.Queue()
        line = json.dumps({**command, "ref": number}, default=_base64)
        with self._writing:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        message = answer.get(timeout=PATIENCE)
        del self._answers[number]
        if "error" in message:
            raise SdkError(message["error"]["code"], message["error"]["message"])
        return message["result"]

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(PATIENCE) == 0
        self._reader.join(PATIENCE)
        self.process.stdout.close()


def _bytes(value):
    return base64.b64decode(value["$b"]) if value.keys() == {"$b"} else value


def _base64(value):
    return {"$b": base64.b64encode(value).decode()}


class JSClient(Client):
    """See ``sdk.Client``. ``transport`` as the SDK names it; ``options`` are the SDK's own."""

    def __init__(self, node, name, server, transport, protobuf, **options):
        super().__init__(name)
        self._node = node
        self._protobuf = protobuf
        scheme = options.pop("scheme", "ws" if transport == "websocket" else "http")
        get_token = options.pop("get_token", None)
        path = options.pop("path", f"/connection/{transport}")
        base = options.pop("base", None) or f"127.0.0.1:{server.port}"
        emulation_base = options.pop("emulation_base", base)
        if protobuf and "data" in options:
            options["data"] = written(options["data"])
        node.clients[name] = self
        node.ask(
            do="open",
            client=name,
            endpoint=f"{scheme}://{base}{path}",
            emulation=f"{scheme.replace('ws', 'http')}://{emulation_base}/emulation",
            transport=transport,
            protobuf=protobuf,
            options=options,
            getToken=get_token,
        )

    def context(self, message):
        """The channel that an event is filed under, and its context."""
        context = _readable(snake(message.get("ctx") or {}))
        channel = message.get("channel")
        if channel is None and message["event"] in SERVER_SIDE:
            channel = context.get("channel")
        return channel, context

    def _call(self, method, *arguments, channel=None):
        place = {} if channel is None else {"channel": channel}
        return self._node.ask(do="call", client=self.name, method=method, args=arguments, **place)

    def connect(self):
        self._call("connect")

    def disconnect(self):
        self._call("disconnect")

    def close(self):
        self._node.ask(do="close", client=self.name)
        del self._node.clients[self.name]

    def set_token(self, token):
        self._call("setToken", token)

    def subscribe(self, channel, get_token=None, **options):
        if "data" in options and self._protobuf:
            options["data"] = written(options["data"])
        renamed = {OPTIONS.get(key, key): value for key, value in options.items()}
        self._node.ask(do="subscribe", client=self.name, channel=channel, options=renamed, getToken=get_token)

    def unsubscribe(self, channel):
        self._call("unsubscribe", channel=channel)

    def resubscribe(self, channel):
        self._call("subscribe", channel=channel)

    def delta_stats(self, channel):
        """How many publications of a subscription came in full, and how many as deltas."""
        stats = self._call("deltaStats", channel=channel)
        return stats["numFullPayloads"], stats["numDeltaPayloads"]

    def publish(self, channel, data):
        self._call("publish", channel, self._out(data))

    def send(self, data):
        self._call("send", self._out(data))

    def rpc(self, method, data):
        return read(self._call("rpc", method, self._out(data))["data"])

    def presence(self, channel):
        return {id: _info(snake(info)) for id, info in self._call("presence", channel)["clients"].items()}

    def presence_stats(self, channel):
        stats = snake(self._call("presenceStats", channel))
        return stats["num_clients"], stats["num_users"]

    def history(self, channel, **options):
        found = snake(self._call("history", channel, options))
        return {**found, "publications": [_readable(each) for each in found["publications"]]}

    def _out(self, data):
        return written(data) if self._protobuf else data


SERVER_SIDE = ("subscribing", "subscribed", "unsubscribed", "publication", "join", "leave")


def _readable(context):
    """A context of an event, or a publication, with its bytes read."""
    if "data" in context:
        context["data"] = read(context["data"])
    if isinstance(context.get("info"), dict):
        context["info"] = _info(context["info"])
    return context


def _info(info):
    """Without what is empty: the SDK gives empty bytes for absent ones on Protobuf connections."""
    return {key: read(value) for key, value in info.items() if value not in (None, b"")}
