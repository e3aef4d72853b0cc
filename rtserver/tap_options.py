"""The options of ``twistd rtserver``: a part of ``tap``."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.python import usage

from rtserver.app.application import App
from rtserver.apps import NoSuchApp, load_app
from rtserver.config import ConfigError, complete, load


class Options(usage.Options):
    """Options of ``twistd rtserver``."""

    longdesc = "A realtime server: WebSocket, HTTP and Redis fan-out in one process."
    optParameters = [
        ["config", "c", None, "TOML file; without it the embedded default runs (memory broker, loopback, demo page)."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self.overrides: dict[str, str] = {}
        self.apps: list[App] = []

    def opt_app(self, name: str) -> None:
        """MODULE:APP: run this application, as [[apps]] in the file does. May be repeated."""
        try:
            self.apps.append(load_app(name))
        except NoSuchApp as error:
            raise usage.UsageError(str(error)) from error

    def opt_set(self, assignment: str) -> None:
        """KEY=VALUE: set one key of the configuration, as in --set engine.type=redis. May be repeated."""
        key, equals, value = assignment.partition("=")
        if not equals:
            raise usage.UsageError(f"--set {assignment}: write KEY=VALUE")
        self.overrides[key] = value

    def postOptions(self) -> None:
        self._configure()
        for each in self.configured.config.apps:
            self.opt_app(each.module)

    def _configure(self) -> None:
        try:
            text = None if self["config"] is None else Path(self["config"]).read_text("utf-8")
            self.configured = complete(load(text, os.environ, self.overrides))
        except OSError as error:
            raise usage.UsageError(f"{self['config']}: {error.strerror}") from error
        except ConfigError as error:
            raise usage.UsageError(f"the configuration is wrong:\n{error}") from error
