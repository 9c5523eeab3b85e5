# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden data that a real kernel and a real Docker wrote: made once, kept in the cache.

Each is a folder. Its name holds a digest of what made it, so a changed recipe is made anew;
tests copy its disks (`Lab.disk(golden=...)`), never change them.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.uml import ROOT, Lab
from tests.rig.tools import CACHE, DOCKER, unpack

DISK = "disk"
EXPECTED = "expected.json"
_RECIPES = Path(__file__).parent / "recipes"
_MAKING_S = 300


def thin_pool() -> Path:
    """`data` (64 MB) and `metadata` of a thin pool with several devices and snapshots.

    `metadata.xml` is what thin_dump says of it; `expected.json` has of each device its size in
    bytes and the sha256 of its content: see recipes/thin_pool.py for what was done to it.
    """
    return _made("thin_pool", _make_thin_pool)


def docker_loop_lvm() -> Path:
    """`disk`: an ext4 file system that is a Docker 20.10 data root on devicemapper, loop-lvm.

    `expected.json` has its images, containers, volume, and the sha256 of each container's
    export: see recipes/docker_loop_lvm.py.
    """
    return _made("docker_loop_lvm", _make_docker_loop_lvm)


DISKS = {"docker_loop_lvm": docker_loop_lvm}


def expected(folder: Path) -> Any:
    """What the recipe noted of what it made."""
    return json.loads((folder / EXPECTED).read_text())


def _make_thin_pool(lab: Lab, folder: Path) -> None:
    data, metadata = lab.disk("64M"), lab.disk("4M")
    with lab.boot([data, metadata]) as guest:
        recipe = [sys.executable, "-m", "tests.lab.recipes.thin_pool", str(guest.share)]
        guest.run(*recipe, cwd=str(ROOT), timeout=_MAKING_S)
        guest.poweroff()
        for name in ("metadata.xml", EXPECTED):
            shutil.copy(guest.share / name, folder)
    shutil.move(data.path, folder / "data")
    shutil.move(metadata.path, folder / "metadata")


def _make_docker_loop_lvm(lab: Lab, folder: Path) -> None:
    disk = lab.disk("4G")
    with lab.boot([disk], mem="1024M", tools=[unpack(DOCKER)]) as guest:
        recipe = [sys.executable, "-m", "tests.lab.recipes.docker_loop_lvm", str(guest.share)]
        guest.run(*recipe, cwd=str(ROOT), timeout=_MAKING_S)
        guest.poweroff()
        shutil.copy(guest.share / EXPECTED, folder)
    shutil.move(disk.path, folder / DISK)


def _made(name: str, make: Callable[[Lab, Path], None]) -> Path:
    recipe = (_RECIPES / f"{name}.py").read_bytes()
    base = CACHE / "lab"
    base.mkdir(parents=True, exist_ok=True)
    folder = base / f"{name}-{hashlib.sha256(recipe).hexdigest()[:12]}"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test workers share the cache
        if not folder.exists():
            for old in base.glob(f"{name}-*"):
                shutil.rmtree(old)
            with tempfile.TemporaryDirectory(dir=base) as temporary, Lab("6.1") as lab:
                made = Path(temporary) / name
                made.mkdir()
                make(lab, made)
                os.rename(made, folder)
    return folder
