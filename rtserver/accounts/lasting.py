"""Work that goes on although whoever asked has left: what is stored and what connections are told of it belong together."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rtserver.core.errors import RtError

T = TypeVar("T")

_log = Logger()


def to_its_end(work: Coroutine[Any, Any, T]) -> Deferred[T]:
    """The outcome of ``work``. Cancelling this frees the caller and does not end the work."""
    outcome: Deferred[T] = Deferred()

    def done(result: T) -> None:
        if not outcome.called:
            outcome.callback(result)

    def failed(failure: Any) -> None:
        if not outcome.called:
            outcome.errback(failure)
        elif failure.check(RtError):
            _log.info("what a person who left had asked for was not done: {why}", why=str(failure.value))
        else:
            _log.failure("what a person who left had asked for has failed", failure)

    Deferred.fromCoroutine(work).addCallbacks(done, failed)
    return outcome
