# SPDX-License-Identifier: GPL-3.0-or-later
"""The golden data is what it says, after a copy and another boot."""

from pathlib import Path

from tests.lab import golden
from tests.lab.uml import Disk, Lab


def test_the_thin_pool_is_active_again_on_copies_with_the_same_content(
    lab: Lab, thin_pool_files: Path
) -> None:
    data = lab.disk(golden=thin_pool_files / "data")
    metadata = lab.disk(golden=thin_pool_files / "metadata")
    expected = golden.expected(thin_pool_files)
    with lab.boot([data, metadata]) as guest:
        guest.run("thin_check", "/dev/ubdb")
        dumped = guest.run("thin_dump", "/dev/ubdb").text
        assert dumped == (thin_pool_files / "metadata.xml").read_text()
        pool = "0 131072 thin-pool /dev/ubdb /dev/ubda 128 0 1 skip_block_zeroing"
        guest.run("dmsetup", "create", "pool", "--table", pool)
        for device, facts in expected["devices"].items():
            table = f"0 {facts['size'] // 512} thin /dev/mapper/pool {device}"
            guest.run("dmsetup", "create", f"thin{device}", "--table", table)
            digest = guest.run("sha256sum", f"/dev/mapper/thin{device}").text.split()[0]
            assert digest == facts["sha256"]


def test_the_pool_of_the_docker_data_root_is_sound(lab: Lab, docker_loop_lvm_disk: Disk) -> None:
    folder = "/media/devicemapper/devicemapper"
    with lab.boot([docker_loop_lvm_disk]) as guest:
        guest.shell("mount -o ro /dev/ubda /media")
        guest.run("thin_check", f"{folder}/metadata")
        sizes = guest.run("stat", "-c", "%s", f"{folder}/data", f"{folder}/metadata").text.split()
    assert sizes == ["107374182400", "2147483648"]
