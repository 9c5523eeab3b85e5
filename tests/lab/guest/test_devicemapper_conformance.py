# SPDX-License-Identifier: GPL-3.0-or-later
"""devicemapper against the conformance suite, on a kernel that has it.

What takes minutes (killed at every moment, hundreds of layers, hostile tars) is left to a run
by hand: in a guest, `python -m pytest -p hostkit.testing --driver loop-lvm --pyargs
hostkit.testing.conformance`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hostkit.storage.plugin import DriverPlugin
from hostkit.testing.cases.layers import Layers, ReadOnly
from hostkit.testing.cases.use import Use
from hostkit.testing.subject import Subject
from tests.conformance.ours import plugin
from tests.lab.faults import Mapped, command, mounted, sectors

pytestmark = pytest.mark.lab(disks=("4G", "2G", "16M"), mem="768M", timeout=600)


@pytest.fixture(scope="module")
def disk(disks: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    command("mkfs.ext4", "-q", disks[0])
    with mounted(disks[0], tmp_path_factory.mktemp("disk")) as place:
        yield place


class Quick(Layers, ReadOnly, Use):
    """Cases that need no minutes each."""


class TestLoopLvm(Quick):
    @pytest.fixture
    def driver_plugin(self) -> DriverPlugin:
        return plugin("loop-lvm")

    @pytest.fixture
    def driver_folder(self, disk: Path) -> str:
        return str(disk)

    @pytest.fixture
    def driver_options(self) -> Mapping[str, str]:
        return {
            "dm.basesize": "256M",
            "dm.fs": "ext4",
            "dm.loopdatasize": "1G",
            "dm.loopmetadatasize": "16M",
        }


class TestDirectLvm(Quick):
    """On a pool that is there; how LVM makes one is seen in test_direct_lvm.py."""

    @pytest.fixture
    def driver_plugin(self) -> DriverPlugin:
        return plugin("direct-lvm")

    @pytest.fixture
    def driver_folder(self, disk: Path) -> str:
        return str(disk)

    @pytest.fixture
    def driver_options(self, disks: list[str]) -> Iterator[Mapping[str, str]]:
        data, metadata = disks[1:]
        command("dd", "if=/dev/zero", f"of={metadata}", "bs=4096", "count=1", "conv=fsync")
        size = sectors(data) // 1024 * 1024
        table = f"0 {size} thin-pool {metadata} {data} 1024 0 2 skip_block_zeroing "
        with Mapped("pool", table + "error_if_no_space") as pool:
            yield {"dm.thinpooldev": pool.path, "dm.basesize": "256M", "dm.fs": "ext4"}

    def test_opening_leaves_no_trace_on_any_file(
        self,
        subject: Subject,  # noqa: ARG002 - as the case that it replaces
    ) -> None:
        # It reads usage, and the metadata of a pool that somebody else holds open cannot be
        # read without a snapshot of it, which would be a change.
        pytest.skip("a pool that stays active tells no usage while nothing may be changed")
