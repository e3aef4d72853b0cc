"""RFC 6455 and 7692 by the Autobahn test-suite. AUTOBAHN_CASES=full runs every case (some 20 minutes)."""

import os
import subprocess
import sys

import pytest

from tests.live import autobahn_suite

PASSED = ("OK", "INFORMATIONAL")

DECLINED = ("13.3.", "13.5.")
"""Cases of clients that ask for a deflate window of 512 bytes. Frames that many connections share have 2 KiB, so the
handshake declines compression for them, as RFC 7692 section 7.1.2.1 allows; the suite calls that unimplemented."""


@pytest.fixture
def echo_port():
    """A process of ``echo_server``; its port. It ends with its standard input."""
    command = [sys.executable, "-m", "tests.live.echo_server"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=autobahn_suite.ROOT, stdin=pipe, stdout=pipe, stderr=pipe)
    yield int(process.stdout.readline())
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, b"")


def test_the_websocket_side_passes_the_autobahn_suite(echo_port, tmp_path, not_run):
    python = autobahn_suite.python2()
    if python is None:
        not_run("the Autobahn test-suite: it needs Python 2.7 with pip (python2.7 in PATH or below ~/.pyenv/versions)")
        return
    if not autobahn_suite.is_installed():
        not_run("the Autobahn test-suite: scripts/prepare-tests could not install it")
        return
    full = os.environ.get("AUTOBAHN_CASES") == "full"
    cases, seconds = (
        (autobahn_suite.FULL, autobahn_suite.FULL_TIME) if full else (autobahn_suite.SHORT, autobahn_suite.SHORT_TIME)
    )
    reports = autobahn_suite.run(python, echo_port, tmp_path, cases, seconds)
    assert len(reports) >= (500 if full else 240)
    assert {case: report for case, report in reports.items() if not passed(case, report)} == {}


def passed(case, report):
    if case.startswith(DECLINED) and report["behavior"] == "UNIMPLEMENTED":
        return report["behaviorClose"] == "OK"
    return report["behavior"] in PASSED and report["behaviorClose"] in PASSED
