"""The AsyncAPI 3 document of the realtime functions of applications.

It speaks for the server: an operation that it "receives" is a command of a client, one that it "sends" a push. The extension
``x-command`` names the command of the protocol that carries an operation: subscribe, publish, rpc, connect; or publication.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, get_args
from urllib.parse import urlsplit

from rtserver.app.application import App
from rtserver.app.endpoint import JSON, Description
from rtserver.app.events import ANSWERS, Event, EventFunction
from rtserver.app.schemas import IN, OUT, Mode, Schema, Schemas, plain, sent
from rtserver.app.shapes import Shape, shape

ASYNCAPI = "3.1.0"
HERE = "127.0.0.1:8000"
"""What a relative ``url`` is taken for, until it is known better (see ``at_host``)."""
AS_ASKED = "x-as-asked"
"""Marks a server whose host is the one that the document was fetched from. Pages know better: a proxy may have changed it."""

PROTOCOL = """Realtime clients speak the Centrifuge client protocol: open a WebSocket with the subprotocol \
`centrifuge-json` and send one command in each line of a text frame. Any SDK of that protocol does it for you. \
What is refused comes back as `{"error": {"code", "message", "temporary"}}`. Operations are told from the side of the server: \
what it receives, clients send."""

TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The connection token, in the connect command. Servers may also let clients in without one.",
}


@dataclass(frozen=True, slots=True)
class OwnChannel:
    """A channel on which the server itself publishes, as a pattern. ``data``: the type of what it publishes, None for
    anything."""

    pattern: str
    said: Description
    data: Any = None


def asyncapi(
    apps: Sequence[App], *, title: str, version: str, url: str, channels: Sequence[OwnChannel] = ()
) -> dict[str, Any]:
    """``url`` is that of the WebSocket, or its path alone. ``channels`` are further ones, which belong to no application."""
    schemas = Schemas(_wanted(apps, channels))
    book = _Book(schemas)
    for app in apps:
        tags = (app.title,) if app.title and len(apps) > 1 else ()
        for function in app.events:
            _EVENTS[function.event](book, function, tags)
        for stream in app.streams:
            book.channel(stream.channel, stream.description)
            book.push(stream.channel, stream.description, [schemas.of(stream.result, OUT)], tags)
    for own in channels:
        book.channel(own.pattern, own.said)
        if own.data is not None:
            book.push(own.pattern, own.said, [schemas.of(shape(own.data), OUT)], own.said.tags)
    book.complete()
    text = apps[0].description if len(apps) == 1 else ""
    return {
        "asyncapi": ASYNCAPI,
        "info": {"title": title, "version": version, **({"description": text} if text else {})},
        "defaultContentType": JSON,
        "servers": {"websocket": _server(url)},
        "channels": {key: each.document() for key, each in book.channels.items()},
        "operations": book.operations,
        "components": {
            "schemas": {name: draft7(schema) for name, schema in schemas.components.items()},
            "securitySchemes": {"token": TOKEN},
        },
    }


def _wanted(apps: Sequence[App], channels: Sequence[OwnChannel]) -> Iterator[tuple[Shape, Mode]]:
    for app in apps:
        for function in app.events:
            yield from ((each.shape, IN) for each in (*function.payload, *function.named))
            result = _result(function)
            if result is not None:
                yield result, OUT
        yield from ((stream.result, OUT) for stream in app.streams)
    yield from ((shape(own.data), OUT) for own in channels if own.data is not None)


def _result(function: EventFunction) -> Shape | None:
    """What a function answers, without what tells the server what to do; None alone is such an answer, but not of a call."""
    return sent(function.signature.returns, ANSWERS if function.event is Event.RPC else (*ANSWERS, NoneType))


_ANY_HOST = "{host}"


def _server(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    place: dict[str, Any] = {"host": parts.netloc, "protocol": parts.scheme}
    if not parts.netloc:
        variables = {"host": {"default": HERE, "description": "Where this server is reached."}}
        place = {"host": _ANY_HOST, "protocol": "ws", "variables": variables}
    security = [{"$ref": "#/components/securitySchemes/token"}]
    return {**place, "pathname": parts.path or "/", "description": PROTOCOL, "security": security}


def names_host(document: Mapping[str, Any]) -> bool:
    """Whether the document was made with the whole address of the WebSocket."""
    return bool(document["servers"]["websocket"]["host"] != _ANY_HOST)


def at_host(document: Mapping[str, Any], host: str, protocol: str) -> dict[str, Any]:
    """A document that names no host, for who has found the server at this one. ``protocol``: "ws" or "wss"."""
    server = {**document["servers"]["websocket"], "host": host, "protocol": protocol, AS_ASKED: True}
    del server["variables"]
    return {**document, "servers": {"websocket": server}}


# Channels and operations


@dataclass(slots=True)
class _Channel:
    """``address`` None: the connection itself."""

    address: str | None
    parameters: dict[str, dict[str, Any]]
    said: Description = field(default_factory=Description)
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        words = {"summary": self.said.summary, "description": self.said.text, "parameters": self.parameters}
        return {
            "address": self.address,
            **{key: value for key, value in words.items() if value},
            "messages": self.messages,
        }


class _Book:
    """The document while it is written."""

    def __init__(self, schemas: Schemas) -> None:
        self.schemas = schemas
        self.channels: dict[str, _Channel] = {}
        self.operations: dict[str, dict[str, Any]] = {}
        self._keys: dict[str, str] = {}

    def channel(self, pattern: str, said: Description | None = None, prefix: str = "") -> str:
        """The key of the channel, made when it is new. The first description that it gets stays."""
        name = prefix + pattern
        if name not in self._keys:
            key = unused(slug(f"{prefix}{pattern}".replace("*", "any")) or "all", self.channels)
            self._keys[name] = key
            self.channels[key] = _Channel(*address(pattern))
        key = self._keys[name]
        if said is not None and not self.channels[key].said.summary:
            self.channels[key].said = said
        return key

    def describe(self, key: str, function: EventFunction) -> None:
        """What the shapes of the parts of a pattern say."""
        for each in function.named:
            parameter = self.channels[key].parameters.get(each.alias)
            if parameter is None:
                continue
            schema = self.schemas.of_parameter(each)
            if schema.get("description"):
                parameter["description"] = schema["description"]
            if all(isinstance(value, str) for value in schema.get("enum", [])):
                parameter |= {"enum": schema["enum"]} if "enum" in schema else {}
            if each.marker.example is not None:
                parameter["examples"] = [str(plain(each.marker.example))]

    def message(self, key: str, name: str, payload: Schema, title: str = "") -> dict[str, Any]:
        """Put a message into a channel; a reference to it."""
        messages = self.channels[key].messages
        name = unused(name, messages)
        examples = [{"payload": each} for each in self._examples(payload)]
        messages[name] = {
            "name": name,
            **({"title": title} if title else {}),
            "contentType": JSON,
            "payload": draft7(payload),
            **({"examples": examples} if examples else {}),
        }
        return {"$ref": f"#/channels/{key}/messages/{name}"}

    def operation(
        self, command: str, key: str, said: Description, messages: list[dict[str, Any]], tags: Sequence[str]
    ) -> dict[str, Any]:
        operation: dict[str, Any] = {
            "action": "send" if command == "publication" else "receive",
            "channel": {"$ref": f"#/channels/{key}"},
            **{name: text for name, text in (("summary", said.summary), ("description", said.text)) if text},
            **({"tags": [{"name": tag} for tag in tags]} if tags else {}),
            "messages": messages,
            "x-command": command,
        }
        name = key if command in _APART else f"{command}_{key}"
        self.operations[unused(name, self.operations)] = operation
        return operation

    def push(self, pattern: str, said: Description, payloads: Sequence[Schema], tags: Sequence[str]) -> None:
        """What subscribers get: one of several."""
        key = self.channel(pattern)
        messages = [self.message(key, "publication", payload) for payload in payloads]
        self.operation("publication", key, said, messages, tags)

    def reply(self, operation: dict[str, Any], key: str, name: str, payload: Schema) -> None:
        message = self.message(key, name, payload)
        operation["reply"] = {"channel": {"$ref": f"#/channels/{key}"}, "messages": [message]}

    def complete(self) -> None:
        """Subscribers of every channel hear something, if only what others publish there."""
        heard = {each["channel"]["$ref"] for each in self.operations.values() if each["x-command"] == "publication"}
        for name, key in self._keys.items():
            if name.partition(" ")[0] not in _APART and f"#/channels/{key}" not in heard:
                self.push(name, Description("What is published here."), [{}], ())

    def payload(self, function: EventFunction) -> Schema:
        if not function.payload:
            return {}
        if function.is_whole:
            return self.schemas.of_parameter(function.payload[0])
        return self.schemas.of_keys(function.payload)

    def _examples(self, payload: Schema) -> list[Any]:
        """Those of the payload, or of the model that it is; for an object of several keys one of theirs, if all have one."""
        model = self.schemas.components.get(payload.get("$ref", "").rpartition("/")[2], {})
        found = payload.get("examples") or model.get("examples")
        if found or "properties" not in payload:
            return list(found or [])
        keys = {name: each.get("examples", []) for name, each in payload["properties"].items()}
        needed = payload.get("required", [])
        if not all(keys[name] for name in needed):
            return []
        example = {name: each[0] for name, each in keys.items() if each}
        return [example] if example else []


_APART = ("rpc", "connect")
"""Commands whose channels of the document are none of the server: nobody can subscribe to them."""


def _connect(book: _Book, function: EventFunction, tags: Sequence[str]) -> None:
    """Of interest only when clients have to send something."""
    if not function.payload:
        return
    key = book.channel("", function.description, "connect ")
    book.channels[key].address = None
    book.operation("connect", key, function.description, [book.message(key, "connect", book.payload(function))], tags)


def _subscribe(book: _Book, function: EventFunction, tags: Sequence[str]) -> None:
    key = book.channel(function.pattern.text, function.description)
    book.describe(key, function)
    result = _result(function)
    if not function.payload and result is None:
        return
    asked = book.message(key, "subscribe", book.payload(function))
    operation = book.operation("subscribe", key, function.description, [asked], tags)
    if result is not None:
        book.reply(operation, key, "subscribed", book.schemas.of(result, OUT))


def _publish(book: _Book, function: EventFunction, tags: Sequence[str]) -> None:
    pattern = function.pattern.text
    key = book.channel(pattern)
    book.describe(key, function)
    payload = book.payload(function)
    book.operation("publish", key, function.description, [book.message(key, "publish", payload)], tags)
    result = _result(function)
    heard = [] if result is None else [book.schemas.of(result, OUT)]
    if result is None or NoneType in get_args(function.signature.returns):
        heard.append(payload)
    book.push(pattern, Description("What clients publish here."), heard, tags)


def _rpc(book: _Book, function: EventFunction, tags: Sequence[str]) -> None:
    key = book.channel(function.pattern.text, function.description, "rpc ")
    book.describe(key, function)
    call = book.message(key, "call", book.payload(function))
    operation = book.operation("rpc", key, function.description, [call], tags)
    result = _result(function)
    book.reply(operation, key, "result", {"type": "null"} if result is None else book.schemas.of(result, OUT))


def _nothing(book: _Book, function: EventFunction, tags: Sequence[str]) -> None:
    """A client that has left exchanges nothing."""


_EVENTS = {
    Event.CONNECT: _connect,
    Event.SUBSCRIBE: _subscribe,
    Event.PUBLISH: _publish,
    Event.RPC: _rpc,
    Event.DISCONNECT: _nothing,
}


# Names

NAME = re.compile(r"\{(\w+)\}")


def address(pattern: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """A pattern as the format writes it, every part of it with a name, and what is known of the parts."""
    names = iter(("any", *(f"any{number}" for number in range(2, 1 + pattern.count("*")))))
    text = re.sub(r"\*", lambda found: f"{{{next(names)}}}", pattern)
    parameters = {name: {"description": "Anything."} for name in NAME.findall(text)}
    parameters |= {name: {"description": "Anything without a colon."} for name in NAME.findall(pattern)}
    return text, parameters


def slug(text: str) -> str:
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")


def unused(name: str, taken: Mapping[str, Any]) -> str:
    """The name, with a number when it is taken."""
    number, wanted = 1, name
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


# Schemas


def draft7(schema: Any) -> Any:
    """The format takes JSON Schema of draft 7, which writes tuples, discriminators and what stands beside a reference in
    another way."""
    if isinstance(schema, list):
        return [draft7(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _under(key, value) for key, value in schema.items()}
    if "$ref" in made and len(made) > 1:
        made["allOf"] = [{"$ref": made.pop("$ref")}]
    if "discriminator" in made:
        made["discriminator"] = made["discriminator"]["propertyName"]
    if "prefixItems" in made:
        more = {"additionalItems": made["items"]} if "items" in made else {}
        made |= {"items": made.pop("prefixItems"), **more}
    return made


def _under(keyword: str, value: Any) -> Any:
    if keyword in ("examples", "default", "const", "enum", "discriminator"):
        return value
    if keyword in ("properties", "patternProperties", "$defs"):
        return {name: draft7(each) for name, each in value.items()}
    return draft7(value)
