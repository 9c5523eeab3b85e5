# SPDX-License-Identifier: GPL-3.0-or-later
"""The conformance suite on a kernel of the lab, on each file system with quotas.

In a short run the cases that depend on kernel and file system; `make soak` runs them all.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.storage.plugin import DriverPlugin
from hostkit.testing.cases.content import Content
from hostkit.testing.cases.files import Files
from hostkit.testing.cases.space import Space
from hostkit.testing.conformance import Conformance
from hostkit.testing.subject import THOROUGH
from tests.conformance.ours import plugin
from tests.lab.faults import command, mounted

pytestmark = pytest.mark.lab(
    disks=("256M", "320M", "256M"), mem="1024M", timeout=3600 if THOROUGH else 300
)
MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-O", "quota,project"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
OPTIONS = {"ext4": ("prjquota",), "xfs": ("pquota",), "btrfs": ()}


@pytest.fixture(scope="module", params=MKFS if THOROUGH else ("ext4", "xfs"))
def file_system(request: pytest.FixtureRequest) -> Iterator[str]:
    """A folder on it."""
    kind: str = request.param
    device = f"/dev/ubd{'abc'[list(MKFS).index(kind)]}"
    command(*MKFS[kind], device)
    with mounted(device, Path(f"/media/{kind}"), *OPTIONS[kind]) as place:
        yield str(place)


@pytest.fixture
def driver_folder(file_system: str) -> str:
    return file_system


class _Overlay2:
    @pytest.fixture
    def driver_plugin(self) -> DriverPlugin:
        return plugin("overlay2")


class TestOverlay2(_Overlay2, Files, Content, Space):
    """overlay2 in a short run."""


class TestOverlay2Whole(_Overlay2, Conformance):
    """overlay2, all cases."""

    __test__ = THOROUGH


class TestVfsWhole(Conformance):
    """vfs, all cases."""

    __test__ = THOROUGH

    @pytest.fixture
    def driver_plugin(self) -> DriverPlugin:
        return plugin("vfs")
