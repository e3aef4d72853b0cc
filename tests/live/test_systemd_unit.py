"""The shipped unit, as systemd itself judges it."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rtserver.config import Config

SHIPPED = Path(__file__).parents[2] / "etc/systemd/rtserver.service"


@pytest.fixture
def unit():
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(SHIPPED)
    return parser


def test_systemd_takes_the_unit(tmp_path):
    # Users and programs of the unit are not there on a machine that only tests.
    text = re.sub(r"/opt/rtserver/bin/\w+", shutil.which("true"), SHIPPED.read_text())
    (tmp_path / "rtserver.service").write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "rtserver.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    complaints = [line for line in done.stderr.splitlines() if "rtserver.service" in line]
    assert complaints == []


def test_systemd_waits_longer_than_the_server_drains(unit):
    assert int(unit["Service"]["TimeoutStopSec"]) > Config().shutdown.timeout


def test_the_configuration_is_checked_before_the_start(unit):
    assert unit["Service"]["ExecStartPre"].endswith("rtserver check-config /etc/rtserver/rtserver.toml")
    assert unit["Service"]["ExecStart"].endswith("twistd -n --pidfile= rtserver --config /etc/rtserver/rtserver.toml")
