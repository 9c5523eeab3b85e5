# SPDX-License-Identifier: GPL-3.0-or-later
"""Our drivers on the file systems that hosts have, each in a file of its own.

In a short run the cases that depend on the file system; `make soak` runs them all.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.storage.plugin import DriverPlugin
from hostkit.testing.cases.content import Content
from hostkit.testing.cases.files import Files
from hostkit.testing.cases.space import Space
from hostkit.testing.conformance import Conformance
from hostkit.testing.leftovers import private_mounts
from hostkit.testing.subject import THOROUGH
from tests.conformance.ours import plugin
from tests.rig.tools import LAB, LIBRARIES, ToolsUnavailableError, unpack

pytestmark = pytest.mark.root
SIZES = {"ext4": 256, "xfs": 320, "btrfs": 256}  # MiB


def made(kind: str, folder: Path) -> Path:
    """A file with a file system in it."""
    image = folder / kind
    image.touch()
    os.truncate(image, SIZES[kind] << 20)
    try:
        tools = unpack(LAB)
    except ToolsUnavailableError as error:
        pytest.skip(f"no mkfs.{kind}: {error}")
    (program,) = [
        path
        for path in (tools / "sbin", tools / "usr/sbin", tools / "bin")
        if (path / f"mkfs.{kind}").exists()
    ]
    libraries = f"{tools / LIBRARIES}:{tools / 'lib/x86_64-linux-gnu'}"
    subprocess.run(
        [str(program / f"mkfs.{kind}"), "-q", str(image)],
        check=True,
        timeout=60,
        env={**os.environ, "LD_LIBRARY_PATH": libraries},
    )
    return image


@pytest.fixture(scope="module", params=SIZES)
def file_system(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A folder on it, mounted where nobody else sees it."""
    kind: str = request.param
    if f"\t{kind}\n" not in Path("/proc/filesystems").read_text():
        pytest.skip(f"this kernel has no {kind}")
    folder = tmp_path_factory.mktemp("disk")
    image = made(kind, folder)
    place = folder / "mounted"
    place.mkdir()
    with private_mounts():
        subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
        try:
            yield str(place)
        finally:
            subprocess.run(["umount", str(place)], check=True)
    image.unlink()


@pytest.fixture
def driver_folder(file_system: str) -> str:
    return file_system


class _Vfs:
    @pytest.fixture
    def driver_plugin(self) -> DriverPlugin:
        return plugin("vfs")


class _Overlay2:
    @pytest.fixture
    def driver_plugin(self) -> DriverPlugin:
        return plugin("overlay2")


class TestVfs(_Vfs, Files, Content, Space):
    """vfs in a short run."""


class TestOverlay2(_Overlay2, Files, Content, Space):
    """overlay2 in a short run."""


class TestVfsWhole(_Vfs, Conformance):
    """vfs, all cases."""

    __test__ = THOROUGH


class TestOverlay2Whole(_Overlay2, Conformance):
    """overlay2, all cases."""

    __test__ = THOROUGH
