"""The wheel as people get it: built, installed into a fresh environment, found by twistd."""

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "rtserver", "twisted")
DEADLINE = 120


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that the checkout stays clean."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    source.mkdir()
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    run(*pip, "--wheel-dir", str(place), str(source))
    (found,) = place.glob("rtserver-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The bin folder of a fresh environment that borrows the libraries of this one."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False)
    (packages,) = place.glob("lib/python*/site-packages")
    run(sys.executable, "-m", "pip", "--python", str(place / "bin/python"), "install", "--quiet", "--no-deps", "--no-index",
        str(wheel))  # fmt: skip
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return place / "bin"


def outside(installed):
    """Options of a run that must not find the checkout."""
    return {"cwd": installed, "env": {"PATH": str(installed), "HOME": str(installed)}}


def test_the_wheel_holds_what_the_server_reads_beside_its_code(wheel):
    shipped = set(zipfile.ZipFile(wheel).namelist())
    wanted = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "rtserver").rglob("*")
        if path.is_file() and path.suffix in {".py", ".toml", ".lua", ".proto", ".sql", ".html", ".css", ".js", ".svg"}
    ]
    assert sorted(set(wanted) - shipped) == []
    assert "twisted/plugins/rtserver_plugin.py" in shipped


def test_the_wheel_overwrites_nothing_of_twisted(wheel):
    names = [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("twisted/")]
    assert names == ["twisted/plugins/rtserver_plugin.py"]


def test_twistd_lists_the_server(installed):
    twistd = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
    out = run(installed / "python", "-c", twistd, "--help", **outside(installed))
    assert "A realtime server" in out


def test_the_tool_is_installed_and_reads_the_embedded_configuration(installed):
    assert run(installed / "rtserver", "version", **outside(installed)).startswith("rtserver ")
    out = run(
        installed / "python", "-c", "import rtserver.config as c; print(c.load(None, {}).demo)", **outside(installed)
    )
    assert out == "DemoOptions(enabled=True)\n"


def test_the_server_runs_from_the_installation_and_not_from_the_checkout(installed):
    out = run(installed / "python", "-c", "import rtserver; print(rtserver.__file__)", **outside(installed))
    assert Path(out.strip()).is_relative_to(installed.parent)
