"""Schemathesis reads ``/openapi.json`` of a live server and tries what it promises and what it forbids: no answer is a
failure of the server, or of another shape than its document says.

It lives in an environment of its own, ``.tools/schemathesis``: it needs the click library, which makes Autobahn slower
wherever it can be imported. The first test that needs it makes that environment.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.rtserver_process import API_KEY, RtServer
from tests.live.settings import OPEN
from tests.live.tokens import token

VERSION = "4.32.5"
PLACE = Path(__file__).parents[2] / ".tools" / "schemathesis"
PATIENCE = 300

SETTINGS = {
    "apps": [{"module": "tests.live.apps.market:app"}],
    "channel": {"without_namespace": {**OPEN, "presence": True, "history_size": 10, "history_ttl": "60s"}},
}


@pytest.fixture(scope="module")
def schemathesis():
    """The program."""
    program = PLACE / "bin" / "st"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", PLACE], check=True, timeout=PATIENCE)
        pip = [PLACE / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"schemathesis=={VERSION}"], check=True, timeout=PATIENCE)
    return program


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    server = RtServer(tmp_path_factory.mktemp("market"), SETTINGS).start()
    yield server
    server.stop()


@pytest.mark.parametrize("paths", ["^/market/", "^/api"])
def test_every_answer_is_as_the_document_says(schemathesis, market, tmp_path, paths):
    command = [
        *(schemathesis, "run", market.url("/openapi.json"), "--include-path-regex", paths),
        *("--checks", "all", "--max-examples", "30", "--seed", "1", "--no-shrink", "--workers", "1"),
        *("-H", f"X-API-Key: {API_KEY}", "-H", f"Authorization: Bearer {token('ada', 3600)}"),
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    generated, passed = map(int, re.search(r"(\d+) generated, (\d+) passed", run.stdout).groups())
    assert generated == passed > 100
    market.check_log()
