"""Clients of centrifuge-python, on one asyncio loop in a thread of its own."""

import asyncio
import threading
from dataclasses import asdict, is_dataclass

from centrifuge import Client as SdkClient
from centrifuge import ClientEventHandler, DeltaType, StreamPosition, SubscriptionEventHandler
from centrifuge.exceptions import ReplyError
from centrifuge.filter import FilterNode

from tests.live.sdk import PATIENCE, Client, SdkError, read, written

CLIENT_EVENTS = (
    "connecting",
    "connected",
    "disconnected",
    "error",
    "subscribing",
    "subscribed",
    "unsubscribed",
    "publication",
    "join",
    "leave",
)
SUB_EVENTS = ("subscribing", "subscribed", "unsubscribed", "publication", "join", "leave", "error")


class Loop:
    """An asyncio loop in a thread; ``run`` brings a coroutine there and waits for it."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine, seconds=PATIENCE):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(seconds)

    def stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()


class PythonClient(Client):
    """See ``sdk.Client``. Options have the names of the JavaScript SDK's, as far as both have them."""

    def __init__(self, loop, name, server, protobuf, **options):
        super().__init__(name)
        self._loop = loop
        self._protobuf = protobuf
        self._deltas = {}
        base = options.pop("base", None) or f"127.0.0.1:{server.port}"
        scheme = options.pop("scheme", "ws")
        tokens = options.pop("get_token", None)
        if protobuf and "data" in options:
            options["data"] = written(options["data"])
        self._client = loop.run(self._make(f"{scheme}://{base}/connection/websocket", tokens, options))

    async def _make(self, address, tokens, options):
        return SdkClient(
            address,
            events=self._handler(ClientEventHandler, CLIENT_EVENTS, None),
            get_token=self._token_source(tokens, None),
            use_protobuf=self._protobuf,
            min_reconnect_delay=0.02,
            max_reconnect_delay=0.3,
            proxy=None,
            **options,
        )

    def _handler(self, kind, names, channel):
        handler = kind()
        for name in names:
            setattr(handler, f"on_{name}", self._listener(name, channel))
        return handler

    def _listener(self, name, channel):
        async def heard(context):
            if channel is not None and name == "publication":
                counts = self._deltas.setdefault(channel, [0, 0])
                counts[bool(context.pub.delta)] += 1
            self.events.add(name, channel or getattr(context, "channel", None), _context(context))

        return heard

    def _token_source(self, tokens, channel):
        if tokens is None:
            return None
        given = []

        async def get_token(_=None):
            given.append(tokens[min(len(given), len(tokens) - 1)])
            self.events.add("get_token", channel, {"count": len(given)})
            return given[-1]

        return get_token

    def _run(self, coroutine):
        try:
            return self._loop.run(coroutine)
        except ReplyError as error:
            raise SdkError(error.code, error.message) from None

    def connect(self):
        self._run(self._client.connect())

    def disconnect(self):
        self._run(self._client.disconnect())

    def close(self):
        self.disconnect()

    def set_token(self, token):
        async def change():
            self._client.set_token(token)

        self._run(change())

    def subscribe(self, channel, get_token=None, **options):
        if "tags_filter" in options:
            options["tags_filter"] = FilterNode(options["tags_filter"])
        if "delta" in options:
            options["delta"] = DeltaType(options["delta"])
        if "data" in options and self._protobuf:
            options["data"] = written(options["data"])

        async def begin():
            subscription = self._client.new_subscription(
                channel,
                events=self._handler(SubscriptionEventHandler, SUB_EVENTS, channel),
                get_token=self._token_source(get_token, channel),
                min_resubscribe_delay=0.02,
                max_resubscribe_delay=0.3,
                **options,
            )
            await subscription.subscribe()

        self._run(begin())

    def unsubscribe(self, channel):
        self._run(self._client.get_subscription(channel).unsubscribe())

    def resubscribe(self, channel):
        self._run(self._client.get_subscription(channel).subscribe())

    def delta_stats(self, channel):
        return tuple(self._deltas.get(channel, (0, 0)))

    def publish(self, channel, data):
        self._run(self._client.publish(channel, self._out(data)))

    def rpc(self, method, data):
        return read(self._run(self._client.rpc(method, self._out(data))).data)

    def presence(self, channel):
        found = self._run(self._client.presence(channel)).clients
        return {id: _info(info) for id, info in found.items()}

    def presence_stats(self, channel):
        found = self._run(self._client.presence_stats(channel))
        return found.num_clients, found.num_users

    def history(self, channel, **options):
        if "since" in options:
            options["since"] = StreamPosition(**options["since"])
        found = self._run(self._client.history(channel, **options))
        publications = [_publication(publication) for publication in found.publications]
        return {"publications": publications, "offset": found.offset, "epoch": found.epoch}

    def _out(self, data):
        return written(data) if self._protobuf else data


def _context(context):
    """A context object as the mapping that tests read."""
    if hasattr(context, "pub"):
        return _publication(context.pub)
    fields = {key: value for key, value in vars(context).items() if value is not None}
    if "info" in fields:
        fields["info"] = _info(fields["info"])
    if "data" in fields:
        fields["data"] = read(fields["data"])
    if isinstance(fields.get("error"), Exception):
        fields["error"] = {"code": fields.get("code", 0), "message": str(fields["error"])}
    return {key: asdict(value) if is_dataclass(value) else value for key, value in fields.items()}


def _publication(publication):
    found = {"data": read(publication.data), "offset": publication.offset, "tags": publication.tags or None}
    if publication.info is not None:
        found["info"] = _info(publication.info)
    return {key: value for key, value in found.items() if value is not None}


def _info(info):
    return {key: read(value) for key, value in vars(info).items() if value not in (None, b"")}
