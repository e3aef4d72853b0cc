"""The Autobahn test-suite (a Python 2.7 program): where it is, how it is installed (``python -m tests.live.autobahn_suite``),
how it is run."""

import json
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".tools/autobahn27"
PACKAGE = "autobahntestsuite==25.10.1"
INSTALL_TIME = 600
SHORT_TIME = 120
FULL_TIME = 3600

LAUNCH = """
import site, sys
site.addsitedir(%r)
sys.argv = ["wstest", "-m", "fuzzingclient", "-s", %r]
from autobahntestsuite.wstest import run
run()
"""

SHORT = {"cases": ["*"], "exclude-cases": ["9.*", "12.*", "13.*"]}
FULL = {"cases": ["*"], "exclude-cases": []}


def python2():
    """A Python 2.7 that can install packages, None when there is none on this machine."""
    known = [shutil.which("python2.7"), *sorted(Path.home().glob(".pyenv/versions/2.7*/bin/python2.7"))]
    for path in filter(None, map(str, filter(None, known))):
        if subprocess.run([path, "-m", "pip", "--version"], capture_output=True).returncode == 0:
            return path
    return None


def is_installed():
    return (PLACE / "autobahntestsuite").exists()


def install(python):
    """Install the suite. "" when it is there, else why it could not be installed."""
    fresh = PLACE.with_name("autobahn27.new")
    shutil.rmtree(fresh, ignore_errors=True)
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", str(fresh), PACKAGE]
    try:
        outcome = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIME)
    except subprocess.TimeoutExpired:
        return f"installing {PACKAGE} took longer than {INSTALL_TIME} s"
    if outcome.returncode != 0:
        return f"{PACKAGE} could not be installed for {python}: {outcome.stderr.strip()[-500:]}"
    fresh.rename(PLACE)
    return ""


def run(python, port, folder, cases, seconds):
    """Run ``cases`` against the server at ``port``; case name to its report."""
    spec = folder / "fuzzingclient.json"
    servers = [{"agent": "rtserver", "url": f"ws://127.0.0.1:{port}/"}]
    spec.write_text(
        json.dumps({"outdir": str(folder / "reports"), "servers": servers, "exclude-agent-cases": {}, **cases})
    )
    command = [python, "-c", LAUNCH % (str(PLACE), str(spec))]
    environment = {**os.environ, "PYTHONPATH": ""}
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=seconds, cwd=folder, env=environment)
    report = folder / "reports/index.json"
    assert report.exists(), f"the suite did not run: {outcome.stdout[-2000:]}{outcome.stderr[-2000:]}"
    return json.loads(report.read_text())["rtserver"]


if __name__ == "__main__":
    found = None if is_installed() else python2()
    if found is not None:
        print(install(found), end="", flush=True)
