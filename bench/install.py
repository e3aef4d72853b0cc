"""Gets what a run needs: the generator compiled, peers from Debian and PyPI installed where they are missing."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from bench.load import compile_fanload
from bench.peers.contender import VENV, Contender, program
from bench.processes import WORK

INSTALL_SECONDS = 600
NEEDED = (("redis-server", program("redis-server")), ("gcc", program("gcc")))


class Missing(Exception):
    """Something is not there and cannot be installed; the message says what to install."""


def install(contenders: list[Contender]) -> None:
    packages = [package for package, proof in NEEDED if not proof.exists()]
    for contender in contenders:
        packages += contender.missing_packages()
    if packages:
        _install_packages(packages)
    _install_from_pypi(sorted({name for contender in contenders for name in contender.pypi}))
    compile_fanload()


def _install_packages(packages: list[str]) -> None:
    if os.geteuid() != 0 or not program("apt-get").exists():
        raise Missing(f"install these packages first: {' '.join(packages)} (or leave peers out with --only)")
    print(f"installing {' '.join(packages)}", file=sys.stderr)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        subprocess.run(
            ["apt-get", *command], env=environment, check=True, timeout=INSTALL_SECONDS, stdout=subprocess.DEVNULL
        )


def _install_from_pypi(names: list[str]) -> None:
    """Into an environment of the peers' own, once: the file ``installed`` in it tells what is there."""
    note = VENV / "installed"
    there = note.read_text().split() if note.exists() else []
    if set(names) <= set(there):
        return
    print(f"installing {' '.join(names)}", file=sys.stderr)
    WORK.mkdir(exist_ok=True)
    venv.create(VENV, with_pip=True)
    pip: list[str | Path] = [VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *names], check=True, timeout=INSTALL_SECONDS)
    Path(note).write_text("\n".join(sorted({*there, *names})))
