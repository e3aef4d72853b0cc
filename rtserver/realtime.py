"""Application functions as hooks of the core: which function, its arguments, its answer; and streams while somebody listens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from rtserver.app.application import App
from rtserver.app.events import Accept, Allow, Disconnect, Event, EventFunction, Publish, Refuse, sentence
from rtserver.app.given import Connection, Publisher, User
from rtserver.app.parameters import Given, Signature
from rtserver.app.patterns import PatternTable
from rtserver.app.shapes import Invalid
from rtserver.core import errors, hooks
from rtserver.core.errors import CommandError, Disconnected, DisconnectReason
from rtserver.core.hooks import Admitted, Allowed, Caller, Identity
from rtserver.core.messages import EMPTY, Error
from rtserver.core.options import ChannelOptions
from rtserver.core.ports import ServerSubscription
from rtserver.publisher import as_payload

InThread = Callable[[Callable[..., Any], dict[str, Any]], Awaitable[Any]]


class AppHooks(hooks.NoHooks):
    """Implements ``core.hooks.Hooks`` over the functions of ``apps``. Plain functions run by ``in_thread``."""

    def __init__(self, apps: Sequence[App], publisher: Callable[[], Publisher], in_thread: InThread) -> None:
        self._publisher = publisher
        self._in_thread = in_thread
        self._tables: dict[Event, PatternTable[EventFunction]] = {event: PatternTable() for event in Event}
        self._disconnected: list[EventFunction] = []
        for function in [function for app in apps for function in app.events]:
            if function.event is Event.DISCONNECT:
                self._disconnected.append(function)
            else:
                self._tables[function.event].add(function.pattern, function)
        self._answers_rpc = any(function.event is Event.RPC for app in apps for function in app.events)

    # Who answers

    def connect(self, token: bool) -> hooks.ConnectHook | None:
        found = self._tables[Event.CONNECT].find("")
        if found is None:
            return None
        function = found[0]

        async def connect(asked: hooks.ConnectAsked) -> Identity | None:
            answer = await self._call(function, asked.caller, asked.data, "", {})
            if answer is None:
                return None
            if not isinstance(answer, Accept):
                raise TypeError(f"on_connect answered {answer!r}: return None or Accept(...)")
            return Identity(
                answer.user,
                answer.expire_at,
                _optional(answer.info),
                _optional(answer.data),
                {name: ServerSubscription() for name in answer.channels},
                _optional(answer.meta),
            )

        return connect

    def subscribe(self, channel: str, options: ChannelOptions) -> hooks.SubscribeHook | None:
        found = self._tables[Event.SUBSCRIBE].find(channel)
        if found is None:
            return None

        async def subscribe(asked: hooks.SubscribeAsked) -> Allowed:
            answer = await self._call(found[0], asked.caller, asked.data, channel, found[1])
            if answer is None:
                return Allowed()
            if isinstance(answer, Allow):
                return Allowed(_optional(answer.info), _optional(answer.data), expire_at=answer.expire_at)
            return Allowed(data=self._dump(found[0], answer))

        return subscribe

    def publish(self, channel: str, options: ChannelOptions) -> hooks.PublishHook | None:
        found = self._tables[Event.PUBLISH].find(channel)
        if found is None:
            return None

        async def publish(asked: hooks.PublishAsked) -> Admitted:
            answer = await self._call(found[0], asked.caller, asked.data, channel, found[1])
            if answer is None:
                return Admitted()
            if isinstance(answer, Publish):
                data = None if answer.data is None else as_payload(answer.data)
                return Admitted(data, answer.skip_history, answer.tags, answer.idempotency_key)
            return Admitted(self._dump(found[0], answer))

        return publish

    def rpc(self, method: str) -> hooks.RpcHook | None:
        found = self._tables[Event.RPC].find(method)
        if found is None:
            if self._answers_rpc:
                raise CommandError(errors.METHOD_NOT_FOUND)
            return None

        async def rpc(asked: hooks.RpcAsked) -> Raw:
            answer = await self._call(found[0], asked.caller, asked.data, method, found[1])
            return Raw(b"null") if found[0].result is None else self._dump(found[0], answer)

        return rpc

    def disconnect(self) -> hooks.DisconnectHook | None:
        if not self._disconnected:
            return None

        async def disconnect(caller: Caller, code: int, reason: str) -> None:
            for function in self._disconnected:
                await self._call(function, caller, EMPTY, "", {})

        return disconnect

    # One call

    async def _call(
        self, function: EventFunction, caller: Caller, payload: Raw, name: str, captures: Mapping[str, str]
    ) -> Any:
        """Validate, call, and turn the application's refusals into the protocol's."""
        try:
            values = function.arguments(bytes(payload), name, captures)
            await self._fill(function.signature, values, caller, dict(values), {})
            if function.is_async:
                return await function.function(**values)
            return await self._in_thread(function.function, values)
        except Invalid as error:
            text = f"{errors.BAD_REQUEST.message}: {sentence(error.mistakes)}"
            raise CommandError(Error(errors.BAD_REQUEST.code, text)) from None
        except Refuse as refusal:
            raise CommandError(Error(refusal.code, refusal.message, refusal.temporary)) from None
        except Disconnect as end:
            raise Disconnected(DisconnectReason(end.code, end.reason)) from None

    async def _fill(
        self,
        signature: Signature,
        values: dict[str, Any],
        caller: Caller,
        read: Mapping[str, Any],
        made: dict[Callable[..., Any], Any],
    ) -> None:
        """What the server gives, and what providers make of it and of the payload; once per call."""
        for name in [name for name in values if name not in {each.name for each in signature.parameters}]:
            del values[name]
        for wanted in signature.wanted:
            given = self._give(wanted.kind, caller)
            if given is None and not wanted.optional:
                raise Refuse()
            values[wanted.name] = given
        for item in signature.provided:
            if item.provider not in made:
                inner = {each.name: read[each.name] for each in item.signature.parameters if each.name in read}
                await self._fill(item.signature, inner, caller, read, made)
                answer = item.provider(**inner)
                made[item.provider] = await answer if isinstance(answer, Awaitable) else answer
            values[item.name] = made[item.provider]

    def _give(self, kind: type[Given], caller: Caller) -> Given | None:
        if kind is Connection:
            return Connection(
                caller.client,
                caller.user,
                caller.transport,
                caller.protocol,
                caller.remote,
                caller.name,
                caller.headers,
                _value(caller.info),
                _value(caller.meta),
            )
        if kind is User:
            return User(caller.user, _value(caller.info)) if caller.user else None
        if kind is Publisher:
            return self._publisher()
        return None

    def _dump(self, function: EventFunction, answer: Any) -> Raw:
        """Raises ``shapes.Unfit``, which the client sees as error 100 and the log in full."""
        return as_payload(answer) if function.result is None else Raw(function.result.dump(answer))


def _optional(value: Any) -> Raw:
    return EMPTY if value is None else as_payload(value)


def _value(raw: Raw) -> Any:
    return msgspec.json.decode(raw) if len(raw) else None
