"""Log lines: what the server writes itself, and the one-line JSON form for machines that read logs."""

from __future__ import annotations

import json
import sys
from typing import IO, Any

from twisted.logger import ILogObserver, Logger, LogLevel, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

LEVELS = {
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "error": LogLevel.error,
    "critical": LogLevel.critical,
}
_ORDER = list(LEVELS)


class ServerLog:
    """Implements ``node.Log`` on twisted.logger. Lines below ``level`` cost one look-up."""

    def __init__(self, level: str = "info") -> None:
        self._enabled = frozenset(_ORDER[_ORDER.index(level) :])
        self._logger = Logger(namespace="rtserver")

    def __call__(self, level: str, text: str, failure: BaseException | None = None, /, **fields: object) -> None:
        if level not in self._enabled:
            return
        tail = "".join(f" {name}={value!r}" for name, value in fields.items())
        event: dict[str, Any] = {"text": text, "tail": tail, "fields": fields}
        if failure is not None:
            event["log_failure"] = Failure(failure, type(failure), failure.__traceback__)
        self._logger.emit(LEVELS[level], "{text}{tail}", **event)


@implementer(ILogObserver)
class JSONLines:
    """One JSON object a line: time (seconds since 1970), level, logger, message, the fields, and the traceback as text."""

    def __init__(self, out: IO[str] | None = None) -> None:
        self._out = out or sys.stdout

    def __call__(self, event: dict[str, Any]) -> None:
        line: dict[str, Any] = {
            "ts": round(event.get("log_time", 0.0), 3),
            "level": getattr(event.get("log_level"), "name", "info"),
            "ns": event.get("log_namespace", ""),
            "msg": event["text"] if "text" in event else formatEvent(event),
        }
        line = {**line, **event.get("fields", {}), **line}
        failure = event.get("log_failure")
        if failure is not None:
            line["exc"] = failure.getTraceback()
        self._out.write(json.dumps(line, default=repr) + "\n")
        self._out.flush()
