# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernels of other machines say to overlay2: no d_type, project quotas, a size."""

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hostkit.storage.errors import Unsupported
from hostkit.system import mounts
from hostkit_drivers.overlay2.driver import Overlay2

pytestmark = pytest.mark.lab(disks=("400M",), timeout=300)


@contextmanager
def formatted(disk: str, options: str, place: Path, *mkfs: str) -> Generator[str]:
    subprocess.run([*mkfs, disk], check=True, capture_output=True)
    subprocess.run(["mount", *(("-o", options) if options else ()), disk, str(place)], check=True)
    try:
        yield str(place)
    finally:
        mounts.unmount(str(place))


def test_xfs_without_ftype_is_refused_with_the_problem_named(
    disks: list[str], tmp_path: Path
) -> None:
    mkfs = ("mkfs.xfs", "-q", "-f", "-m", "crc=0", "-n", "ftype=0")
    with formatted(disks[0], "", tmp_path, *mkfs) as root:
        with pytest.raises(Unsupported, match="d_type") as refused:
            Overlay2(root)
        assert "xfs-ftype0-no-dtype" in refused.value.hint
        assert ("Supports d_type", "false") in Overlay2(root, read_only=True).status()


def filled(path: str, most: int = 64) -> int:
    """The MiB that fit into a file, up to `most`."""
    done = 0
    with open(path, "wb", buffering=0) as file:
        try:
            while done < most:
                file.write(bytes(1 << 20))
                done += 1
        except OSError:
            return done
    return done


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_a_layer_holds_what_its_size_says(disks: list[str], tmp_path: Path, kind: str) -> None:
    if kind == "xfs":
        made = formatted(disks[0], "pquota", tmp_path, "mkfs.xfs", "-q", "-f")
    else:
        words = ("-q", "-F", "-O", "quota,project", "-E", "quotatype=prjquota")
        made = formatted(disks[0], "prjquota", tmp_path, "mkfs.ext4", *words)
    with made as root:
        with Overlay2(root, {"overlay2.size": "20M"}) as driver:
            assert driver.capabilities.size_limit
            driver.create("base")
            driver.commit("base")
            driver.create("small", "base", read_write=True, size=10 << 20)
            driver.create("default", "base", read_write=True)
            driver.create("layer", "base")
            for layer, least, most in (("small", 8, 10), ("default", 18, 20), ("layer", 64, 64)):
                with driver.mount(layer) as mounted:
                    assert least <= filled(f"{mounted.path}/file") <= most, layer
            assert driver.info("small").size_limit == 10 << 20
            driver.remove("small")
            driver.create("again", "base", read_write=True, size=5 << 20)
            with driver.mount("again") as mounted:
                assert filled(f"{mounted.path}/file") <= 5
        os.sync()
