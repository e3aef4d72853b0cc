"""The client of our own pages, in Node, with a clock that only the test moves."""

import json
import shutil
import subprocess
from pathlib import Path

from rtserver.web import pages

SCRIPT = Path(__file__).parent / "js/rt_silence.mjs"
CLIENT = Path(pages.__path__[0]) / "rt.js"


def test_a_quiet_server_is_given_up_only_after_a_ping_that_did_not_come():
    command = [shutil.which("node"), str(SCRIPT), str(CLIENT)]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout) == {
        "noAnswer": "the server is silent",
        "quiet": "connected",
        "pong": "{}",
        "pinged": "connected",
        "silent": "the server is silent",
        "noPings": "connected",
    }
