"""The parser of the AsyncAPI project, run by node. It is installed once, with the versions of ``js/package-lock.json``."""

import json
import shutil
import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).parent / "js"
TIME = 60.0


def install():
    done = SCRIPTS / "node_modules/.package-lock.json"
    lock = SCRIPTS / "package-lock.json"
    if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
        return
    npm = shutil.which("npm")
    assert npm, "npm is missing: install node 20 or later with npm"
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    outcome = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, timeout=300)
    assert outcome.returncode == 0, f"npm ci failed:\n{outcome.stdout}{outcome.stderr}"
    done.touch()


def parse(documents):
    """What the parser says of each: ``valid``, ``said`` (every remark), ``operations`` (name, action, address)."""
    install()
    command = [shutil.which("node"), str(SCRIPTS / "parse.mjs")]
    outcome = subprocess.run(command, input=json.dumps(documents), capture_output=True, text=True, timeout=TIME)
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)
