"""Schemathesis tries what the document says of payments: every answer is one that the document knows, and none is a failure.

Two of its checks are not for payments: which nonces, amounts and ids there are no schema says, and who is not signed in is told
that before anything else. Who is signed in has a token: beside a session, which will do as well, the tool sends what is none.
"""

import re
import subprocess

import pytest

from tests.live.redis_server import free_port
from tests.live.rtserver_process import RtServer
from tests.live.simulator_process import running
from tests.live.test_accounts_http import signed_up
from tests.live.test_payments_browser import settings
from tests.live.test_schemathesis import PATIENCE, PROGRAM

NOT_OURS = "positive_data_acceptance,negative_data_rejection"


@pytest.fixture(scope="module")
def rt(tmp_path_factory):
    place, port = tmp_path_factory.mktemp("payments"), free_port()
    with running(place) as simulator:
        server = RtServer(place, settings(port, simulator), port).start()
        yield server
        server.stop()


@pytest.mark.parametrize("who", ["nobody", "paula", "boss"])
def test_every_answer_is_as_the_document_says(rt, tmp_path, who):
    assert PROGRAM.exists(), f"{PROGRAM} is missing: run scripts/prepare-tests"
    command = [
        *(PROGRAM, "run", rt.url("/openapi.json"), "--include-path-regex", "^/payment"),
        *("--checks", "all", "--exclude-checks", NOT_OURS),
        *("--max-examples", "10", "--seed", "1", "--no-shrink", "--workers", "1"),
    ]
    if who != "nobody":
        browser = signed_up(rt, who)
        token = browser.read("/auth/token")[1]["token"]
        command += ["-H", f"Authorization: Bearer {token}"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    generated, passed = map(int, re.search(r"(\d+) generated, (\d+) passed", run.stdout).groups())
    assert generated == passed > 100
    rt.check_log()
