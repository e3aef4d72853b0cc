"""Application functions as hooks of the core: which function answers, within which time, and what its answer means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from msgspec import Raw
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from rtserver.app.application import App
from rtserver.app.calling import InThread, TooBusy, go_on
from rtserver.app.endpoint import HTTPError
from rtserver.app.events import Accept, Allow, Disconnect, Event, EventFunction, EventSource, Publish, Refuse, sentence
from rtserver.app.given import Connection, User
from rtserver.app.parameters import Given, Wanted, where
from rtserver.app.patterns import PatternTable
from rtserver.app.shapes import Invalid, Unfit
from rtserver.core import errors, hooks
from rtserver.core.errors import BackendUnavailable, CommandError, Disconnected, DisconnectReason
from rtserver.core.hooks import Admitted, Allowed, Caller, Identity
from rtserver.core.messages import EMPTY, Error
from rtserver.core.options import ChannelOptions
from rtserver.core.ports import ServerSubscription
from rtserver.node import Log
from rtserver.publisher import as_payload, as_value

T = TypeVar("T")

Giver = Callable[[Caller], Given | None | Awaitable[Given | None]]
"""Makes what a function asks for by type, for one event."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all realtime functions share. ``refusal`` says why a channel cannot be (the arguments of its stream), or None."""

    clock: IReactorTime
    log: Log
    in_thread: InThread
    givers: Mapping[type[Given], Giver] = field(default_factory=dict)
    refusal: Callable[[str], Invalid | None] = lambda channel: None


class AppHooks(hooks.NoHooks):
    """Implements ``core.hooks.Hooks`` over the functions of ``apps``. Raises TypeError for a function that wants something
    that nobody gives."""

    def __init__(self, apps: Sequence[App], around: Surroundings) -> None:
        self._around = around
        self._tables: dict[Event, PatternTable[EventFunction]] = {event: PatternTable() for event in Event}
        self._disconnected: list[EventFunction] = []
        self._running: dict[str, set[Deferred[Any]]] = {}
        self._quiet_until = 0.0
        for function in [function for app in apps for function in app.events]:
            self._check(function)
            if function.event is Event.DISCONNECT:
                self._disconnected.append(function)
            else:
                self._tables[function.event].add(function.pattern, function, where(function.function))
        self._answers_rpc = any(function.event is Event.RPC for app in apps for function in app.events)

    def _check(self, function: EventFunction) -> None:
        for each in function.signature.all_wanted():
            if each.kind not in self._around.givers:
                known = ", ".join(sorted(kind.__name__ for kind in self._around.givers))
                name = where(function.function)
                raise TypeError(
                    f"{name}: {each.name}: realtime functions are given {known}, but no {each.kind.__name__}"
                )

    # Who answers

    def connect(self, token: bool) -> hooks.ConnectHook | None:
        found = self._tables[Event.CONNECT].find("")
        if found is None:
            return None
        function = found[0]

        async def connect(asked: hooks.ConnectAsked) -> Identity | None:
            answer: Accept | None = await self._call(function, asked.caller, asked.data, {})
            return None if answer is None else _read(function, _identity, answer)

        return connect

    def subscribe(self, channel: str, options: ChannelOptions) -> hooks.SubscribeHook | None:
        invalid = self._around.refusal(channel)
        if invalid is not None:
            raise _bad_request(invalid)
        found = self._tables[Event.SUBSCRIBE].find(channel)
        if found is None:
            return None
        function, named = found

        async def subscribe(asked: hooks.SubscribeAsked) -> Allowed:
            answer = await self._call(function, asked.caller, asked.data, {"channel": channel, **named})
            return _read(function, _allowed, answer)

        return subscribe

    def publish(self, channel: str, options: ChannelOptions) -> hooks.PublishHook | None:
        found = self._tables[Event.PUBLISH].find(channel)
        if found is None:
            return None
        function, named = found

        async def publish(asked: hooks.PublishAsked) -> Admitted:
            answer = await self._call(function, asked.caller, asked.data, {"channel": channel, **named})
            return _read(function, _admitted, answer)

        return publish

    def rpc(self, method: str) -> hooks.RpcHook | None:
        found = self._tables[Event.RPC].find(method)
        if found is None:
            if self._answers_rpc:
                raise CommandError(errors.METHOD_NOT_FOUND)
            return None
        function, named = found

        async def rpc(asked: hooks.RpcAsked) -> Raw:
            result: Raw = await self._call(function, asked.caller, asked.data, {"method": method, **named})
            return result

        return rpc

    def disconnect(self) -> hooks.DisconnectHook | None:
        return self._all_disconnected if self._disconnected else None

    async def _all_disconnected(self, caller: Caller, code: int, reason: str) -> None:
        """Every function hears of it, also when one fails."""
        for function in self._disconnected:
            try:
                await self._call(function, caller, EMPTY, {"code": str(code), "reason": reason})
            except Exception as failure:
                self._around.log("error", f"{where(function.function)} failed", failure, client=caller.client)

    def left(self, client: str) -> None:
        """Gives up what is still done for a client. In a later turn: it may be one of its own functions that ended it."""
        for work in self._running.pop(client, ()):
            self._around.clock.callLater(0, work.cancel)

    # One call

    async def _call(self, function: EventFunction, caller: Caller, payload: Raw, named: Mapping[str, str]) -> Any:
        """Call in time, and turn the application's refusals into the protocol's."""
        source = EventSource(function, bytes(payload), named, lambda wanted: self._give(wanted, caller))
        try:
            return await self._in_time(function, source, caller)
        except Invalid as error:
            raise _bad_request(error) from None
        except Refuse as refusal:
            raise CommandError(Error(refusal.code, refusal.message, refusal.temporary)) from None
        except HTTPError as refusal:
            raise CommandError(Error(refusal.status, _text(refusal.detail))) from None
        except Disconnect as end:
            raise Disconnected(DisconnectReason(end.code, end.reason)) from None
        except TooBusy as error:
            self._log_busy(str(error))
            raise CommandError(errors.TOO_MANY_REQUESTS) from None
        except Unfit as error:
            raise Unfit(f"{where(function.function)}: its result does not fit the declared type: {error}") from None

    async def _in_time(self, function: EventFunction, source: EventSource, caller: Caller) -> Any:
        """Most functions are done at once: only the others need a time limit and an eye on the client."""
        call, context = function.call(source, self._around.in_thread), copy_context()
        try:
            waited = context.run(call.send, None)
        except StopIteration as done:
            return done.value
        except Exception:
            raise
        except BaseException as error:
            raise _mishap(error) from error
        work = Deferred.fromCoroutine(go_on(call, waited, context))
        work.addErrback(_as_mishap)
        timer = self._around.clock.callLater(function.seconds, work.cancel)
        self._running.setdefault(caller.client, set()).add(work)
        try:
            return await work
        except CancelledError:
            if not timer.active():
                raise self._late(function, caller) from None
            if work not in self._running.get(caller.client, ()):
                raise Disconnected(errors.CONNECTION_CLOSED) from None
            raise
        finally:
            if timer.active():
                timer.cancel()
            self._forget(caller.client, work)

    def _late(self, function: EventFunction, caller: Caller) -> BackendUnavailable:
        text = f"{where(function.function)} took longer than its {function.seconds:g} s and was given up"
        self._around.log("warn", text, client=caller.client, user=caller.user)
        return BackendUnavailable(text)

    def _forget(self, client: str, work: Deferred[Any]) -> None:
        mine = self._running.get(client, set())
        mine.discard(work)
        if not mine:
            self._running.pop(client, None)

    async def _give(self, wanted: Wanted, caller: Caller) -> Given | None:
        given = self._around.givers[wanted.kind](caller)
        given = await given if isinstance(given, Awaitable) else given
        if given is None and not wanted.optional:
            raise Refuse()
        return given

    def _log_busy(self, text: str) -> None:
        """Once a second at most: a line for each would make it worse."""
        now = self._around.clock.seconds()
        if now >= self._quiet_until:
            self._quiet_until = now + 1.0
            self._around.log("warn", text)


def _mishap(error: BaseException) -> RuntimeError:
    """``sys.exit()`` in a function must not end the connection that called it."""
    found = RuntimeError(f"it raised {type(error).__name__}, which is no Exception: raise one that is")
    return found.with_traceback(error.__traceback__)


def _as_mishap(failure: Any) -> Any:
    """An errback."""
    if failure.check(Exception):
        return failure
    raise _mishap(failure.value) from failure.value


def connection(caller: Caller) -> Connection:
    return Connection(
        caller.client,
        caller.user,
        caller.transport,
        caller.protocol,
        caller.remote,
        caller.name,
        caller.headers,
        as_value(caller.info),
        as_value(caller.meta),
    )


def user(caller: Caller) -> User | None:
    return User(caller.user, as_value(caller.info)) if caller.user else None


def _read(function: EventFunction, read: Callable[[Any], T], answer: Any) -> T:
    """Raises ``Unfit`` for parts of an answer that have no JSON form."""
    try:
        return read(answer)
    except Unfit as error:
        raise Unfit(f"{where(function.function)}: its {type(answer).__name__} cannot be sent: {error}") from None


def _allowed(answer: Any) -> Allowed:
    if isinstance(answer, Allow):
        return Allowed(_optional(answer.info), _optional(answer.data), expire_at=answer.expire_at)
    return Allowed(data=_optional(answer))


def _admitted(answer: Any) -> Admitted:
    if isinstance(answer, Publish):
        data = None if answer.data is None else as_payload(answer.data)
        return Admitted(data, answer.skip_history, answer.tags, answer.idempotency_key)
    return Admitted(answer)


def _identity(answer: Accept) -> Identity:
    return Identity(
        answer.user,
        answer.expire_at,
        _optional(answer.info),
        _optional(answer.data),
        {name: ServerSubscription() for name in answer.channels},
        _optional(answer.meta),
    )


def _bad_request(invalid: Invalid) -> CommandError:
    return CommandError(Error(errors.BAD_REQUEST.code, f"{errors.BAD_REQUEST.message}: {sentence(invalid.mistakes)}"))


def _text(detail: Any) -> str:
    if isinstance(detail, str):
        return detail
    return "refused" if detail is None else msgspec.json.encode(detail, enc_hook=str).decode()


def _optional(value: Any) -> Raw:
    return EMPTY if value is None else as_payload(value)
