# SPDX-License-Identifier: GPL-3.0-or-later
"""hostkit on a kernel that has device-mapper, held against what that kernel really does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.facts.devicemapper import DM_TARGETS
from hostkit.facts.fact import Facts
from hostkit.facts.thinpool import THIN_POOLS
from hostkit.host.answer import Known
from hostkit.host.local import LocalHost
from tests.lab.docker import DATA_ROOT
from tests.lab.faults import Mapped, command, sectors
from tests.lab.guest.diagnosis import doctor, preflight

pytestmark = pytest.mark.lab(disks=("320M", "64M", "4M"))


@pytest.fixture(autouse=True)
def no_pool_yet() -> None:
    """A pool is made anew where its superblock is zero."""
    command("dd", "if=/dev/zero", "of=/dev/ubdc", "bs=4K", "count=1")


@pytest.fixture
def xfs_without_d_type() -> Iterator[Path]:
    command("mkfs.xfs", "-q", "-f", "-m", "crc=0", "-n", "ftype=0", "/dev/ubda")
    DATA_ROOT.mkdir(exist_ok=True)
    command("mount", "/dev/ubda", str(DATA_ROOT))
    yield DATA_ROOT
    command("umount", str(DATA_ROOT))


def test_overlay2_is_refused_where_the_kernel_gives_no_d_type(xfs_without_d_type: Path) -> None:
    found = preflight()["xfs-ftype0-no-dtype"]
    assert found["severity"] == "error"
    assert "overlay2" in found["summary"]


def test_what_the_kernel_says_of_an_overlay_there_is_understood(
    xfs_without_d_type: Path, tmp_path: Path
) -> None:
    for name in ("lower", "upper", "work"):
        (xfs_without_d_type / name).mkdir()
    places = ",".join(f"{key}dir={xfs_without_d_type}/{key}" for key in ("lower", "upper", "work"))
    command("mount", "-t", "overlay", "-o", places, "overlay", str(tmp_path))
    command("umount", str(tmp_path))
    (tmp_path / "log").write_text(command("dmesg"))
    assert "xfs-ftype0-no-dtype" in doctor("--text", str(tmp_path / "log"))


def test_the_pools_of_this_kernel_are_the_pools_we_see() -> None:
    data, metadata = "/dev/ubdb", "/dev/ubdc"
    with Mapped("pool", f"0 {sectors(data)} thin-pool {metadata} {data} 128 0") as mapped:
        facts = Facts(LocalHost())
        pools = facts.get(THIN_POOLS)
        targets = facts.get(DM_TARGETS)
        words = mapped.status().split()
    assert isinstance(pools, Known)
    (pool,) = pools.value
    assert pool.devices == ("ubdc", "ubdb")
    assert words[4] == f"{pool.status.metadata_used}/{pool.status.metadata_total}"
    assert words[5] == f"{pool.status.data_used}/{pool.status.data_total}"
    assert isinstance(targets, Known)
    assert {"thin-pool", "thin"} <= {target.name for target in targets.value}


def test_a_pool_that_is_full_is_said() -> None:
    data, metadata = "/dev/ubdb", "/dev/ubdc"
    size = sectors(data)
    table = f"0 {size} thin-pool {metadata} {data} 128 0 1 error_if_no_space"
    with Mapped("docker-full-pool", table) as pool:
        pool.message("create_thin 0")
        with Mapped("volume", f"0 {2 * size} thin {pool.path} 0") as volume:
            flood = ["dd", "if=/dev/zero", f"of={volume.path}", "bs=1M", "oflag=direct"]
            command(*flood, check=False)
        assert "out_of_data_space" in pool.status()
        found = preflight()["thinpool-full"]
    assert found["summary"].startswith("the thin pool docker-full-pool is out of data space")
