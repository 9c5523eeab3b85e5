# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin pools of a real kernel, made with dmsetup and with LVM."""

from pathlib import Path

import pytest

from tests.lab.faults import SECTOR, Mapped, command, mounted, sectors

pytestmark = pytest.mark.lab(disks=("64M", "4M", "200M"))
CHUNK = 128  # sectors


def test_a_snapshot_keeps_what_its_origin_overwrites(disks: list[str], tmp_path: Path) -> None:
    data, metadata = disks[:2]
    size = sectors(data)
    volume = 32 << 20
    with Mapped("pool", f"0 {size} thin-pool {metadata} {data} {CHUNK} 0") as pool:
        pool.message("create_thin 0")
        table = f"0 {volume // SECTOR} thin {pool.path} "
        with Mapped("origin", table + "0") as origin:
            command("mkfs.ext4", "-q", origin.path)
            with mounted(origin.path, tmp_path / "origin") as place:
                (place / "kept").write_text("before")
            command("dmsetup", "suspend", "origin")
            pool.message("create_snap 1 0")
            command("dmsetup", "resume", "origin")
            with mounted(origin.path, tmp_path / "origin") as place:
                (place / "kept").write_text("after")
            with (
                Mapped("snapshot", table + "1") as snapshot,
                mounted(snapshot.path, tmp_path / "snapshot") as place,
            ):
                assert (place / "kept").read_text() == "before"
        words = pool.status().split()
        assert words[2] == "thin-pool"
        used, total = map(int, words[5].split("/"))
        assert 0 < used < total == size // CHUNK
    command("thin_check", metadata)
    assert '<device dev_id="1"' in command("thin_dump", metadata)


def test_lvm_makes_a_thin_pool_with_profile(disks: list[str]) -> None:
    disk = disks[2]
    command("pvcreate", "-qq", disk)
    command("vgcreate", "-qq", "docker", disk)
    create = ["lvcreate", "-qq", "--wipesignatures", "y", "docker"]
    try:
        command(*create, "-n", "pool", "-l", "80%VG")
        command(*create, "-n", "meta", "-l", "5%VG")
        pool = ["--zero", "n", "-c", "512K", "--thinpool", "docker/pool"]
        command("lvconvert", "-qq", "-y", *pool, "--poolmetadata", "docker/meta")
        shown = command("lvs", "--noheadings", "-o", "lv_name,lv_attr,chunk_size", "docker")
        assert shown.split() == ["pool", "twi-a-t---", "512.00k"]
        assert "docker-pool: 0" in command("dmsetup", "status", "--target", "thin-pool")
    finally:
        command("vgremove", "-qq", "-f", "docker")
        command("pvremove", "-qq", disk)
