"""The parser of the AsyncAPI project, run by node, in the version of ``js/package-lock.json``."""

import json
import shutil
import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).parent / "js"
TIME = 60.0


def check_installed():
    done = SCRIPTS / "node_modules/.package-lock.json"
    lock = SCRIPTS / "package-lock.json"
    good = done.exists() and done.stat().st_mtime >= lock.stat().st_mtime
    assert good, f"{SCRIPTS}/node_modules is missing or old: run scripts/prepare-tests"


def parse(documents):
    """What the parser says of each: ``valid``, ``said`` (every remark), ``operations`` (name, action, address)."""
    check_installed()
    command = [shutil.which("node"), str(SCRIPTS / "parse.mjs")]
    outcome = subprocess.run(command, input=json.dumps(documents), capture_output=True, text=True, timeout=TIME)
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)
