"""The applications of ``examples/`` as their READMEs say: ``make run``, on free ports, with virtual environments that are kept
in ``.tools/examples``."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
from http.cookies import SimpleCookie

from tests.live.redis_server import free_port
from tests.live.rtserver_process import ROOT, TROUBLE

EXAMPLES = ROOT / "examples"
ENVIRONMENTS = ROOT / ".tools" / "examples"
START_TIME = 240.0
"""Seconds, with the first installation of an environment."""

STOP_TIME = 30.0


class Example:
    """One example, running. ``port`` is that of rtserver, ``backend`` that of the page; ``more`` are variables for make."""

    def __init__(self, name, place, **more):
        self.port, self.backend, self.redis = free_port(), free_port(), free_port()
        self.log_file = place / "example.log"
        ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
        ports = {"PORT": self.port, "BACKEND_PORT": self.backend, "REDIS_PORT": self.redis}
        environment = {key: value for key, value in os.environ.items() if not re.match("RTSERVER_|MAKE|MFLAGS", key)}
        environment |= {
            "RTSERVER_STATE_DIR": str(place),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            **more,
        }
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *("make", "-C", str(EXAMPLES / name), "run", f"VENV={ENVIRONMENTS / name}"),
                    *(f"{key}={value}" for key, value in ports.items()),
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self):
        return self.log_file.read_text("utf-8", "replace")

    def wait_log(self, pattern, seconds=START_TIME):
        """Wait for a line that matches; the match."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.log)):
            assert self.process.poll() is None, f"the example ended:\n{self.log}"
            assert time.monotonic() < deadline, f"no {pattern!r} in {seconds} s:\n{self.log}"
            time.sleep(0.05)
        return found

    def stop(self):
        """Ctrl-C: the terminal sends it to the whole group."""
        assert self.process.poll() is None, f"the example ended by itself:\n{self.log}"
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(STOP_TIME)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the example did not end in {STOP_TIME} s:\n{self.log}") from None
        trouble = TROUBLE.findall(self.log)
        assert not trouble, f"trouble in the log: {trouble}\n{self.log}"

    def kill(self):
        """The last resort; what runs in groups of its own ends with Redis or is ended by ``together.py``."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(STOP_TIME)


class Visitor:
    """A browser's cookies, without the browser, at one port."""

    def __init__(self, port):
        self._port = port
        self._cookies = SimpleCookie()

    def ask(self, method, path, body=None, form=False):
        """Status and body: JSON as a value, anything else as text. ``body`` is sent as JSON, or as a form."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        text = None if body is None else body if form else json.dumps(body)
        try:
            connection.request(method, path, text, {"Content-Type": kind, "Cookie": self.cookie})
            answer = connection.getresponse()
            for value in answer.headers.get_all("Set-Cookie", []):
                self._cookies.load(value)
            content = answer.read().decode()
        finally:
            connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(content) if is_json and content else content

    @property
    def cookie(self):
        return "; ".join(f"{name}={morsel.value}" for name, morsel in self._cookies.items())

    def value(self, name):
        return self._cookies[name].value


def needed():
    for program in ("make", "redis-server"):
        assert shutil.which(program), f"{program} is missing: install it"
