"""Gets what a run needs: the generator compiled, peers from Debian and PyPI installed where they are missing."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from bench.load import compile_fanload
from bench.peers.contender import VENV, Contender, program
from bench.processes import WORK

INSTALL_SECONDS = 600
NEEDED = (("redis-server", program("redis-server")), ("gcc", program("gcc")))


class Missing(Exception):
    """Something is not there and cannot be installed; the message says what to install."""


class Peer(Protocol):
    """What has to be known of a peer to install it."""

    @property
    def pypi(self) -> tuple[str, ...]: ...

    def missing_packages(self) -> list[str]: ...


def install(contenders: list[Contender]) -> None:
    fetch(contenders, NEEDED)
    compile_fanload()


def fetch(peers: Sequence[Peer], needed: Iterable[tuple[str, Path]]) -> None:
    """``needed`` are packages of Debian, each with a file that shows that it is there."""
    packages = [package for package, proof in needed if not proof.exists()]
    for peer in peers:
        packages += peer.missing_packages()
    if packages:
        _install_packages(packages)
    _install_from_pypi(sorted({name for peer in peers for name in peer.pypi}))


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
    if not (VENV / "bin" / "python").exists():
        venv.create(VENV, with_pip=True)
    pip: list[str | Path] = [VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *names], check=True, timeout=INSTALL_SECONDS)
    Path(note).write_text("\n".join(sorted({*there, *names})))
