"""Deadlines for tests: one that waits for ever would stop the whole run, and pytest-twisted has no time limit."""

from functools import wraps

from twisted.internet import reactor
from twisted.internet.defer import Deferred


def deadline(seconds):
    """Decorate an ``async def`` test: it fails with ``TimeoutError`` when it takes longer than ``seconds``."""

    def decorate(function):
        @wraps(function)
        def run(*arguments, **keywords):
            return Deferred.fromCoroutine(function(*arguments, **keywords)).addTimeout(seconds, reactor)

        return run

    return decorate
