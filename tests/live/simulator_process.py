"""The gateway simulator as a process of its own, on a free port of the loopback, and the real SDK pointed at it."""

import json
import os
import re
import select
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import braintree
import pytest

ROOT = Path(__file__).parents[2]
START_TIME = 20.0
STOP_TIME = 10.0
LISTENS = re.compile(r"the simulator listens on 127\.0\.0\.1:(\d+)")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
"""The SDK sends even the loopback by way of these."""

MERCHANT, PUBLIC_KEY, PRIVATE_KEY = "sim_merchant", "sim_public", "sim_private"


class OrderRefused(AssertionError):
    """The simulator did not do what it was told: ``status`` and ``answer``."""

    def __init__(self, status, answer):
        super().__init__(f"{status}: {answer}")
        self.status = status
        self.answer = answer


class Simulator:
    """One simulator. Its log lies in ``place``."""

    def __init__(self, place, *arguments):
        self.log_file = Path(place) / "simulator.log"
        self._arguments = arguments
        self.process = None
        self.port = 0

    # Life

    def start(self, port=0):
        given = ("--merchant", MERCHANT, "--public-key", PUBLIC_KEY, "--private-key", PRIVATE_KEY, *self._arguments)
        environment = {name: value for name, value in os.environ.items() if name not in PROXIES}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH"))))
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rtserver.simulator", "--port", str(port), *given],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.port = int(self._wait_line().group(1))
        return self

    def _wait_line(self):
        ready, _, _ = select.select([self.process.stdout], [], [], START_TIME)
        found = LISTENS.search(self.process.stdout.readline()) if ready else None
        if found is None:
            self.kill()
            raise AssertionError(f"the simulator did not start:\n{self.log[-4000:]}")
        return found

    def stop(self):
        """SIGTERM; exit code 0 and no traceback in its log, or the test fails."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            code = self.process.wait(STOP_TIME)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the simulator did not end:\n{self.log[-4000:]}") from None
        self._close()
        assert code == 0, f"exit code {code}:\n{self.log[-4000:]}"
        assert "Traceback" not in self.log and "Unhandled" not in self.log, self.log[-6000:]

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_TIME)
        self._close()

    def _close(self):
        if self.process is not None:
            self.process.stdout.close()
            self.process = None

    @property
    def log(self):
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    # Orders

    def url(self, path=""):
        return f"http://127.0.0.1:{self.port}{path}"

    def order(self, verb, path, **said):
        """An order; its answer. ``path`` is below ``/_sim``. Raises ``OrderRefused``."""
        body = None if verb == "GET" else json.dumps(said).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url(f"/_sim{path}"), body, headers, method=verb)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=15) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise OrderRefused(error.code, error.read().decode()) from None

    def reset(self):
        self.order("POST", "/reset")

    def fault(self, match, fault, **more):
        """What goes wrong with the next request that matches, such as ``POST /transactions``."""
        return self.order("POST", "/faults", match=match, fault=fault, **more)

    def settings(self, **said):
        return self.order("POST", "/settings", **said)

    def ahead(self, seconds):
        """Move its clock on."""
        self.order("POST", "/clock", seconds=seconds)

    def settle(self, key=None, steps=2):
        """Advance settlement: of one transaction or of all."""
        return self.order("POST", "/settlement/advance", steps=steps, **({"id": key} if key else {}))["moved"]

    def objects(self, kind):
        return self.order("GET", f"/objects/{kind}")

    def wait_for(self, question, seconds=10.0):
        """Wait until ``question()`` is true; what it answered."""
        deadline = time.monotonic() + seconds
        while not (answer := question()):
            assert time.monotonic() < deadline, f"it did not become so in {seconds} s:\n{self.log[-2000:]}"
            time.sleep(0.02)
        return answer

    # The SDK

    def environment(self):
        return braintree.Environment(
            "simulator", "127.0.0.1", str(self.port), "", False, None, "127.0.0.1", str(self.port)
        )

    def gateway(self, private_key=PRIVATE_KEY, merchant=MERCHANT, timeout=(3, 15)):
        """The SDK's gateway, as the server builds one."""
        made = braintree.Configuration(
            self.environment(), merchant, PUBLIC_KEY, private_key, timeout=timeout, wrap_http_exceptions=True
        )
        return braintree.BraintreeGateway(made)


@contextmanager
def running(place, *arguments):
    """A simulator for as long as the block lasts, and no proxy in the way of the SDK."""
    with pytest.MonkeyPatch.context() as patch:
        for name in PROXIES:
            patch.delenv(name, raising=False)
        simulator = Simulator(place, *arguments).start()
        try:
            yield simulator
            simulator.stop()
        finally:
            simulator.kill()
