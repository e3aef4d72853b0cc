"""Providers of OpenID Connect for tests: each a process on a free port of the loopback, ended by its pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from http.cookiejar import CookieJar
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.live.redis_server import free_port

START_TIME = 30.0
STOP_TIME = 10.0


class Provider:
    """Give the command that serves ``port``. ``url`` is its address as in the configuration."""

    def __init__(self, command: Sequence[str], port: int, folder: Path) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / f"provider-{port}.log"
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        with self._log.open("wb") as log:
            self.process: subprocess.Popen[bytes] | None = subprocess.Popen(
                list(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        self._wait()

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self) -> None:
        until = time.monotonic() + START_TIME
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/.well-known/openid-configuration", timeout=2):
                    return
            except OSError:
                assert self.process is not None and self.process.poll() is None, self._log.read_text()
                assert time.monotonic() < until, self._log.read_text()
                time.sleep(0.05)

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(STOP_TIME)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIME)

    def served(self, path: str) -> int:
        """How often it was asked for ``path`` with GET."""
        return self._log.read_text().count(f'"GET {path} ')

    def freeze(self) -> None:
        """It takes connections and says nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


class MockProvider(Provider):
    """oidc-provider-mock. ``people`` are claims with a ``sub``; whoever else signs in has the address that ``sub`` is.
    Each start makes a new key: on the ``port`` of another one it is a provider that has changed its keys."""

    def __init__(self, folder: Path, *people: Mapping[str, Any], port: int = 0) -> None:
        port = port or free_port()
        program = Path(__file__).parents[2] / ".tools/oidc_provider_mock/bin/oidc-provider-mock"
        assert program.exists(), f"{program} is missing: run scripts/prepare-tests"
        claims = [part for each in people for part in ("--user-claims", json.dumps(each))]
        super().__init__([str(program), "--port", str(port), *claims], port, folder)

    def sign_in(self, url: str, sub: str) -> dict[str, str]:
        """What the browser brings back."""
        return self._posted(url, {"sub": sub})

    def cancel(self, url: str) -> dict[str, str]:
        return self._posted(url, {"action": "deny"})

    def _posted(self, url: str, form: Mapping[str, str]) -> dict[str, str]:
        return brought_back(Visitor().ask(url, form)[1])


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class Visitor:
    """A browser with cookies that follows nothing by itself."""

    def __init__(self) -> None:
        self.jar = CookieJar()
        self._opener = urllib.request.build_opener(
            _NoRedirect, urllib.request.HTTPCookieProcessor(self.jar), urllib.request.ProxyHandler({})
        )

    def ask(self, url: str, form: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        """Status, the address that it leads to ("" for none), and the page."""
        body = None if form is None else urllib.parse.urlencode(form).encode()
        try:
            with self._opener.open(url, body, timeout=10) as answer:
                return answer.status, "", answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                location = error.headers.get("Location", "")
                return error.code, urllib.parse.urljoin(url, location) if location else "", error.read().decode()


def brought_back(location: str) -> dict[str, str]:
    """The query of the address that the provider sends a browser to."""
    assert "/auth/complete/" in location, location
    found = urllib.parse.parse_qs(urllib.parse.urlsplit(location).query)
    return {key: values[0] for key, values in found.items()}
