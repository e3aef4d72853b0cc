"""The real server as a user starts it: ``twistd -n --pidfile= rtserver --config FILE``, on free ports of the loopback."""

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_TIME = 20.0
STOP_TIME = 15.0
LISTENING = re.compile(r"listening on IPv4Address\(type='TCP', host='127\.0\.0\.1', port=(\d+)\)")
TROUBLE = re.compile(r"^.*(?:Traceback|Unhandled|#critical\]|#error\]).*$", re.MULTILINE)
"""What a log of a healthy server never holds."""

LOOPBACK = "tcp:{port}:interface=127.0.0.1"
API_KEY = "live-tests-api-key"
HMAC_KEY = "live-tests-hmac-secret-key-of-some-length"


def toml(settings, path=()):
    """A nested mapping as TOML text: mappings become tables, lists of mappings arrays of tables."""
    plain, tables = [], []
    for key, value in settings.items():
        name = ".".join((*path, key))
        if isinstance(value, dict):
            tables.append(f"\n[{name}]\n" + toml(value, (*path, key)))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            tables += [f"\n[[{name}]]\n" + toml(each, (*path, key)) for each in value]
        else:
            plain.append(f"{key} = {json.dumps(value)}\n")
    return "".join(plain + tables)


def merged(base, more):
    """Two nested mappings as one; ``more`` wins."""
    both = dict(base)
    for key, value in more.items():
        both[key] = merged(both[key], value) if isinstance(value, dict) and isinstance(both.get(key), dict) else value
    return both


BASE = {
    "environment": "development",
    "client": {"token": {"hmac_secret_key": HMAC_KEY}},
    "http_api": {"key": API_KEY},
    "prometheus": {"enabled": True},
    "shutdown": {"timeout": "5s"},
}


class RtServer:
    """One server process. ``settings`` are merged over ``BASE``; its files live in ``place``.

    ``ports`` is how many TCP ports it will tell of in its log (None: one for each ``listen``). ``trouble`` lists what a test
    expects in the log although it looks like trouble (regular expressions).
    """

    def __init__(self, place, settings=None, port=0, ports=None):
        self.place = place
        self.port = port
        self.trouble = []
        self.settings = merged({"listen": [LOOPBACK.format(port=port)], "state_dir": str(place)}, BASE)
        self.settings = merged(self.settings, settings or {})
        self._expected = len(self.settings["listen"]) if ports is None else ports
        self.log_file = place / "server.log"
        self.seen = self._started_at = 0
        self.process = None
        self.exit_code = None

    # Life

    def start(self, wait=True):
        config = self.place / "rtserver.toml"
        config.write_text(toml(self.settings))
        twistd = Path(sysconfig.get_path("scripts")) / "twistd"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RTSERVER_")}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH"))))
        self._started_at = len(self.log)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(twistd), "-n", "--pidfile=", "rtserver", "--config", str(config)],
                cwd=self.place,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait_for("the ports", lambda: len(self.ports) >= self._expected)
        self.port = self.ports[0] if self.ports else 0
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, status=200, seconds=START_TIME):
        self.wait_for(f"/readyz to answer {status}", lambda: self.get("/readyz")[0] == status, seconds)

    def wait_for(self, what, question, seconds=START_TIME):
        deadline = time.monotonic() + seconds
        while not question():
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended while waiting for {what}:\n{self.log}")
            assert time.monotonic() < deadline, f"no sign of {what} in {seconds} s:\n{self.log[-4000:]}"
            time.sleep(0.02)

    def wait_log(self, text, since=0, seconds=START_TIME):
        """Wait for a line with ``text`` in the log after its first ``since`` characters."""
        self.wait_for(f"the log line {text!r}", lambda: text in self.log[since:], seconds)

    def stop(self):
        """SIGTERM, as a service manager does. The exit code is 0 and the log free of trouble, or the test fails."""
        if self.process is None:
            return
        self.signal(signal.SIGTERM)
        self.wait_end()
        self.process = None
        assert self.exit_code == 0, f"exit code {self.exit_code}:\n{self.log[-4000:]}"
        self.check_log()

    def signal(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)

    def wait_end(self, seconds=STOP_TIME):
        try:
            self.exit_code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not end in {seconds} s:\n{self.log[-4000:]}") from None
        return self.exit_code

    def kill(self):
        """SIGKILL: for tests of a crash, and the last resort."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_TIME)
        self.process = None

    # What it says

    @property
    def log(self):
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    @property
    def ports(self):
        """Ports in the order of ``listen``, as the latest start told them."""
        return [int(port) for port in LISTENING.findall(self.log[self._started_at :])]

    def check_log(self):
        found = [
            line.strip()
            for line in TROUBLE.findall(self.log)
            if not any(re.search(each, line) for each in self.trouble)
        ]
        assert not found, f"trouble in the log: {found}\n{self.log[-6000:]}"

    def lines(self, text, since=0):
        return [line for line in self.log[since:].splitlines() if text in line]

    def wait_line(self, text):
        """Wait for the one line with ``text`` in the log since ``seen`` characters of it."""
        self.wait_log(text, self.seen)
        assert len(self.lines(text, self.seen)) == 1, self.log[self.seen :]

    def memory(self):
        """Resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def metric(self, name):
        """The value of a metric, 0 when it is not there."""
        text = self.get("/metrics")[1].decode()
        found = re.search(rf"^{re.escape(name)} ([0-9.e+-]+)$", text, re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    # Its addresses

    def url(self, path="", scheme="http"):
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    @property
    def websocket(self):
        return self.url("/connection/websocket", "ws")

    def get(self, path):
        """Status and body; status 0 when nobody answers."""
        try:
            with urllib.request.urlopen(self.url(path), timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def post(self, path, body, headers=None):
        """POST of bytes; status and body."""
        request = urllib.request.Request(self.url(path), body, headers or {}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def api(self, method, **request):
        """A call of the HTTP API; its whole answer."""
        status, body = self.post(f"/api/{method}", json.dumps(request).encode(), {"X-API-Key": API_KEY})
        assert status == 200, (status, body)
        return json.loads(body)

    def publish(self, channel, data, **more):
        answer = self.api("publish", channel=channel, data=data, **more)
        assert "error" not in answer, answer
        return answer["result"]
