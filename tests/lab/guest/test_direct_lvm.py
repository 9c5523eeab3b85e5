# SPDX-License-Identifier: GPL-3.0-or-later
"""direct-lvm on a blank disk: set up as documented, refused on any other, used."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.errors import InputError, Refused
from hostkit.storage.errors import StorageError
from hostkit.system import lvm
from hostkit.system.dm import DeviceMapper
from hostkit_drivers.devicemapper.driver import DeviceMapperDriver
from tests.lab.faults import command, mounted

pytestmark = pytest.mark.lab(disks=("1G", "128M"), mem="512M", timeout=240)
POOL = "/dev/mapper/docker-thinpool"


@pytest.fixture
def disk(disks: list[str]) -> Iterator[str]:
    yield disks[0]
    for group in command("vgs", "--noheadings", "-o", "vg_name").split():
        command("vgremove", "-qq", "-f", group)
    command("pvremove", "-qq", "-ff", "-y", disks[0], check=False)
    command("wipefs", "-q", "-a", disks[0])


def options(disk: str, **more: str) -> dict[str, str]:
    given = {f"dm.{name}": value for name, value in more.items()}
    return {"dm.directlvm_device": disk, "dm.basesize": "128M", "dm.fs": "ext4"} | given


def opened(root: Path, given: dict[str, str]) -> DeviceMapperDriver:
    return DeviceMapperDriver(str(root), given, direct=True)


def test_a_blank_disk_becomes_the_documented_pool(disk: str, tmp_path: Path) -> None:
    with opened(tmp_path, options(disk)) as driver:
        driver.create("base")
        with driver.mount("base") as mount:
            Path(mount.path, "file").write_text("kept")
        driver.commit("base")
        driver.create("top", "base", read_write=True)
        status = dict(driver.status())
        assert (status["Pool Name"], status["Pool Blocksize"]) == ("docker-thinpool", "524.3kB")
        assert status["When Full"] == "fails writes at once"
        issues = [issue.code for issue in driver.check()]
    (row,) = lvm.report(
        "lvs", ("lv_name", "chunk_size", "zero", "lv_profile", "lv_when_full"), "docker"
    )
    assert row == {
        "lv_name": "thinpool",
        "chunk_size": str(512 << 10),
        "zero": "",
        "lv_profile": "docker-thinpool",
        "lv_when_full": "error",
    }
    profile = Path("/etc/lvm/profile/docker-thinpool.profile").read_text()
    assert "thin_pool_autoextend_threshold=80" in profile
    assert "thin_pool_autoextend_percent=20" in profile
    # Nothing here can run dmeventd, and that must be said.
    assert issues == ["thinpool-not-monitored"]
    # The pool is LVM's and stays; what is opened next finds it by what was noted.
    with opened(tmp_path, {}) as driver, driver.mount("top", read_only=True) as mount:
        assert Path(mount.path, "file").read_text() == "kept"
    with pytest.raises(StorageError, match="ThinpPercent"):
        opened(tmp_path, options(disk, thinp_percent="50"))
    names = [name for name, _ in DeviceMapper().devices()]
    assert not [name for name in names if name.endswith(("-base", "-top"))]


def test_an_existing_pool_is_taken_when_it_is_empty(disk: str, tmp_path: Path) -> None:
    opened(tmp_path / "first", options(disk, directlvm_vg="my-group")).close()
    pool = {"dm.thinpooldev": "/dev/mapper/my--group-thinpool", "dm.basesize": "64M"}
    with opened(tmp_path / "second", pool | {"dm.fs": "ext4"}) as driver:
        driver.create("layer")
        driver.remove("layer")
    with (
        opened(tmp_path / "third", pool) as driver,
        pytest.raises(StorageError, match="does not know"),
    ):
        driver.create("layer")


def test_a_disk_with_anything_on_it_is_refused(disks: list[str], tmp_path: Path) -> None:
    disk = disks[1]
    refused: list[str] = []

    def refusal() -> str:
        with pytest.raises(Refused) as error:
            opened(tmp_path, options(disk))
        refused.append(str(error.value))
        return refused[-1]

    command("mkfs.ext4", "-q", disk)
    assert "blkid finds on it" in refusal()
    with mounted(disk, tmp_path / "mnt"):
        assert f"it is mounted at {tmp_path}/mnt" in refusal()
    command("wipefs", "-q", "-a", disk)
    command("mkswap", "-q", disk)
    command("swapon", disk)
    assert "it is swap space" in refusal()
    command("swapoff", disk)
    command("wipefs", "-q", "-a", disk)
    command("dmsetup", "create", "held", "--table", f"0 1024 linear {disk} 0")
    assert "it is a part of dm-" in refusal()
    command("dmsetup", "remove", "held")
    command("pvcreate", "-qq", disk)
    assert "LVM2_member" in refusal()
    command("pvremove", "-qq", disk)
    assert list(lvm.signs_of_use(disk)) == []
    assert list(lvm.signs_of_use("/dev/null")) == ["it is no block device"]
    assert not os.path.exists("/etc/lvm/profile/nothing")


def test_what_fails_half_way_leaves_the_disk_as_it_was(disks: list[str], tmp_path: Path) -> None:
    with pytest.raises(lvm.LvmFailed, match="lvcreate"):
        # 99 and 1 percent: the pool's own spare does not fit any more
        opened(
            tmp_path, options(disks[1], thinp_percent="99", thinp_metapercent="1", blocksize="1G")
        )
    assert command("vgs", "--noheadings").strip() == ""
    assert list(lvm.signs_of_use(disks[1])) == []


def test_without_a_disk_or_a_pool_it_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="blank disk"):
        opened(tmp_path, {})
