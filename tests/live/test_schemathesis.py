"""Schemathesis reads ``/openapi.json`` of a live server and tries what it promises and what it forbids: no answer is a
failure of the server, or of another shape than its document says.

It lives in an environment of its own, ``.tools/schemathesis``: it needs the click library, which makes Autobahn slower
wherever it can be imported. ``scripts/prepare-tests`` makes that environment.
"""

import re
import subprocess
from pathlib import Path

import pytest

from tests.live.redis_server import free_port
from tests.live.rtserver_process import API_KEY, RtServer
from tests.live.settings import OPEN
from tests.live.tokens import token

PROGRAM = Path(__file__).parents[2] / ".tools/schemathesis/bin/st"
PATIENCE = 300

SETTINGS = {
    "apps": [{"module": "tests.live.apps.market:app"}],
    "prometheus": {"enabled": True},
    "channel": {"without_namespace": {**OPEN, "presence": True, "history_size": 10, "history_ttl": "60s"}},
}


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    port = free_port()
    accounts = {"enabled": True, "base_url": f"http://127.0.0.1:{port}"}
    server = RtServer(tmp_path_factory.mktemp("market"), {**SETTINGS, "accounts": accounts}, port).start()
    yield server
    server.stop()


OPERATIONS = "^/(livez|readyz|health|metrics)$"


@pytest.mark.parametrize("paths", ["^/market/", "^/api", OPERATIONS])
def test_every_answer_is_as_the_document_says(market, tmp_path, paths):
    assert PROGRAM.exists(), f"{PROGRAM} is missing: run scripts/prepare-tests"
    command = [
        *(PROGRAM, "run", market.url("/openapi.json"), "--include-path-regex", paths),
        *("--checks", "all", "--max-examples", "30", "--seed", "1", "--no-shrink", "--workers", "1"),
        *("-H", f"X-API-Key: {API_KEY}", "-H", f"Authorization: Bearer {token('ada', 3600)}"),
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    generated, passed = map(int, re.search(r"(\d+) generated, (\d+) passed", run.stdout).groups())
    assert generated == passed > (10 if paths == OPERATIONS else 100)
    market.check_log()
