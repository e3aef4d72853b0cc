"""One call of an application's function: its arguments from wherever they come, its providers, and their end."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import Context
from functools import partial
from types import TracebackType
from typing import Any, Protocol, TypeVar

from rtserver.app.parameters import Given, Parameter, Provided, Signature, Wanted, Way, where
from rtserver.app.shapes import Invalid, Mistake

T = TypeVar("T")


class TooBusy(Exception):
    """Every thread is taken and too many calls wait already."""


@types.coroutine
def go_on(work: Coroutine[Any, Any, T], waited: Any, context: Context) -> Generator[Any, Any, T]:
    """What is left of a coroutine that was begun in ``context`` and waits for something. Most are done at their first step,
    and who takes that step by himself needs nothing that waits."""
    step: Callable[[], Any]
    while True:
        try:
            step = partial(work.send, (yield waited))
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:
            step = partial(work.throw, error)
        try:
            waited = context.run(step)
        except StopIteration as done:
            result: T = done.value
            return result


class Source(Protocol):
    """Where the values of one call come from."""

    def read(self, parameter: Parameter) -> Any:
        """One value. Raises ``Invalid``."""

    async def give(self, wanted: Wanted) -> Given | None:
        """What the server has of this kind; None only for what is optional. Raises what refuses the call."""


class InThread(Protocol):
    """Runs a plain function in a thread of a bounded pool. Nothing stops a thread: who is cancelled while it runs goes on
    when it has ended, with ``CancelledError``. With ``must`` it runs however many wait, cancelled or not."""

    def __call__(
        self, function: Callable[..., Any], values: dict[str, Any], *, must: bool = False
    ) -> Awaitable[Any]: ...


class Callee:
    """A function that is called often."""

    def __init__(self, function: Callable[..., Any], signature: Signature, way: Way) -> None:
        if way in (Way.AWAITED_GENERATOR, Way.THREAD_GENERATOR):
            raise TypeError(f"{where(function)}: return the result; only providers and streams may yield")
        self.function = function
        self.signature = signature
        self.is_async = way is Way.AWAITED
        self._wanted = signature.all_wanted()

    async def call(self, source: Source, in_thread: InThread, finish: Callable[[Any], T]) -> T:
        """What ``finish`` makes of the result. Raises ``Invalid`` with every mistake, and what the function or a provider
        raises. Providers that yielded are gone on with after ``finish``; they learn of every failure, and cannot make a
        success of it."""
        gathering = Gathering(source, in_thread)
        if self._wanted:
            await gathering.take(self._wanted)
        if not self.signature.provided:
            return finish(await self._run(await gathering.values(self.signature), in_thread))
        async with gathering.endings:
            try:
                return finish(await self._run(await gathering.values(self.signature), in_thread))
            except BaseException as error:
                failure = error
                raise
        raise failure

    async def _run(self, values: dict[str, Any], in_thread: InThread) -> Any:
        return await self.function(**values) if self.is_async else await _in_thread(in_thread, self.function, values)


class Gathering:
    """The values of one call. What the server gives comes first, then providers, so that who may not call at all does not
    learn what a body should look like."""

    __slots__ = ("_source", "_in_thread", "_mistakes", "_given", "_made", "endings")

    def __init__(self, source: Source, in_thread: InThread) -> None:
        self._source = source
        self._in_thread = in_thread
        self._mistakes: list[Mistake] = []
        self._given: dict[type[Given], Given | None] = {}
        self._made: dict[Callable[..., Any], Any] = {}
        self.endings = AsyncExitStack()

    async def take(self, wanted: tuple[Wanted, ...]) -> None:
        for each in wanted:
            if self._given.get(each.kind) is None:
                self._given[each.kind] = await self._source.give(each)

    async def values(self, signature: Signature) -> dict[str, Any]:
        """Raises ``Invalid`` with every mistake."""
        values = await self._fill(signature)
        if self._mistakes:
            raise Invalid(self._mistakes)
        return values

    async def _fill(self, signature: Signature) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for item in signature.provided:
            if item.provider not in self._made:
                self._made[item.provider] = await self._provide(item)
            values[item.name] = self._made[item.provider]
        for each in signature.parameters:
            try:
                values[each.name] = self._source.read(each)
            except Invalid as error:
                self._mistakes += error.mistakes
        for wanted in signature.wanted:
            values[wanted.name] = self._given[wanted.kind]
        return values

    async def _provide(self, item: Provided) -> Any:
        """A provider is called once per call, and not after a mistake."""
        values = await self._fill(item.signature)
        return None if self._mistakes else await _WAYS[item.way](self, item.provider, values)

    async def _await(self, provider: Callable[..., Any], values: dict[str, Any]) -> Any:
        return await provider(**values)

    async def _thread(self, provider: Callable[..., Any], values: dict[str, Any]) -> Any:
        return await _in_thread(self._in_thread, provider, values)

    async def _here(self, provider: Callable[..., Any], values: dict[str, Any]) -> Any:
        return provider(**values)

    async def _enter(self, provider: Callable[..., Any], values: dict[str, Any]) -> Any:
        return await self.endings.enter_async_context(asynccontextmanager(provider)(**values))

    async def _enter_thread(self, provider: Callable[..., Any], values: dict[str, Any]) -> Any:
        manager = contextmanager(provider)(**values)
        return await self.endings.enter_async_context(_Threaded(manager, self._in_thread))


_WAYS = {
    Way.AWAITED: Gathering._await,
    Way.THREAD: Gathering._thread,
    Way.HERE: Gathering._here,
    Way.AWAITED_GENERATOR: Gathering._enter,
    Way.THREAD_GENERATOR: Gathering._enter_thread,
}


async def _in_thread(in_thread: InThread, function: Callable[..., Any], values: dict[str, Any]) -> Any:
    """A plain function may be a decorator's, around one that is not."""
    result = await in_thread(function, values)
    return await result if isinstance(result, Awaitable) else result


class _Threaded:
    """A plain context manager whose two halves run in threads; the second one whatever happens."""

    def __init__(self, manager: AbstractContextManager[Any], in_thread: InThread) -> None:
        self._manager = manager
        self._in_thread = in_thread
        self._is_entered = False

    async def __aenter__(self) -> Any:
        try:
            return await self._in_thread(self._enter, {})
        except BaseException as error:
            if self._is_entered:
                await self.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        def leave() -> bool | None:
            return self._manager.__exit__(kind, error, trace)

        suppressed: bool | None = await self._in_thread(leave, {}, must=True)
        return suppressed

    def _enter(self) -> Any:
        value = self._manager.__enter__()
        self._is_entered = True
        return value
