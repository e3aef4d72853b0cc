"""A real mail server for tests: aiosmtpd in a process of its own, on a free port of the loopback.

``python -m tests.live.smtp_server PORT SECURITY FOLDER [USER PASSWORD]`` writes each message as a line of JSON and runs until
its standard input ends. What it does with a recipient stands in the name: ``550@...`` is refused with that code,
``data-554@...`` after the message was given, ``hang@...`` is never answered, ``drop@...`` loses the connection, ``last@...``
gets no answer after the message was taken.
"""

from __future__ import annotations

import asyncio
import json
import queue
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from tests.live.redis_server import free_port

_START_DEADLINE = 15.0


class Postbox:
    """The behaviour of the server."""

    def __init__(self) -> None:
        self._silent: set[int] = set()

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        name = address.partition("@")[0]
        if name.isdigit():
            return f"{name} no for {address} because of password"
        if name == "hang":
            await asyncio.sleep(60)
        if name == "drop":
            server.transport.abort()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        name = envelope.rcpt_tos[0].partition("@")[0]
        if name.startswith("data-"):
            return f"{name[5:]} no for {envelope.rcpt_tos[0]}"
        said = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.original_content.decode("latin-1"),
            "tls": session.ssl is not None,
            "user": session.auth_data.login.decode() if session.auth_data else "",
        }
        print(json.dumps(said), flush=True)
        if name == "last":
            self._silent.add(id(session))
        return "250 taken"

    async def handle_RSET(self, server: SMTP, session: Any, envelope: Any) -> str:
        if id(session) in self._silent:
            await asyncio.sleep(60)
        return "250 OK"


def serve(port: int, security: str, folder: Path, login: list[str]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    def check(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        is_right = [given.login.decode(), given.password.decode()] == login
        return AuthResult(success=is_right, handled=False, auth_data=given)

    known: dict[str, Any] = {"authenticator": check, "auth_required": True} if login else {}
    if security == "starttls":
        known |= {"tls_context": context, "require_starttls": True}
    if security != "starttls" and login:
        # aiosmtpd does not know that it speaks TLS when it does so from the first byte.
        known |= {"auth_require_tls": False}
    known |= {"ssl_context": context} if security == "tls" else {}
    controller = Controller(Postbox(), hostname="127.0.0.1", port=port, ready_timeout=10, **known)
    controller.start()
    print("ready", flush=True)
    sys.stdin.read()
    controller.stop()


class SmtpServer:
    """The process, seen from a test. ``security`` as ``mail.security``; ``folder`` has ``cert.pem`` and ``key.pem``."""

    def __init__(self, folder: Path, security: str = "starttls", login: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "tests.live.smtp_server", str(self.port), security, str(folder), *login]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        ready = self._lines.get(timeout=_START_DEADLINE)
        assert ready == "ready\n", ready

    def __enter__(self) -> SmtpServer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    def message(self) -> dict[str, Any]:
        """The next message that was taken."""
        message: dict[str, Any] = json.loads(self._lines.get(timeout=10))
        return message

    def is_empty(self) -> bool:
        """Whether no further message was taken."""
        time.sleep(0.05)
        return self._lines.empty()

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._lines.put(line)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
