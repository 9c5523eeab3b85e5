# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted where, read from mountinfo."""

import time
from pathlib import Path

import pytest

from hostkit.facts.filesystems import (
    KERNEL_FILESYSTEMS,
    DType,
    parse_xfs_info,
    resolve,
    volume,
    xfs_ftype,
)
from hostkit.facts.mounts import MOUNTS, PATH, Mounts, parse_mountinfo
from hostkit.host.answer import Absent, Known, Unreadable
from hostkit.host.base import Space
from tests.fakes import FakeHost, make_facts

TREE = """\
1 1 0:2 / / rw - rootfs rootfs rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 27 8:1 / /var rw,noatime shared:7 master:3 - xfs /dev/sda1 rw,attr2
41 40 8:2 / /var/lib/docker rw unbindable - xfs /dev/sda2 rw,prjquota
42 27 8:3 / /srv/a\\040b\\134c rw propagate_from:4 future:tag - ext4 /dev/sda3 ro
"""


def mounts(content: str = TREE) -> Mounts:
    return parse_mountinfo(content)


@pytest.mark.parametrize(
    ("path", "device"),
    [
        ("/", (254, 0)),
        ("/etc/hosts", (254, 0)),
        ("/var", (8, 1)),
        ("/variable", (254, 0)),
        ("/var/lib/docker", (8, 2)),
        ("/var/lib/docker/overlay2/x", (8, 2)),
        ("/var/lib/dockerd", (8, 1)),
    ],
)
def test_the_mount_that_holds_a_path(path: str, device: tuple[int, int]) -> None:
    mount = mounts().holding(path)
    assert mount is not None
    assert mount.device == device


def test_a_mount_that_another_one_covers_is_not_seen() -> None:
    covered = TREE + "50 27 9:9 / /var rw - tmpfs tmpfs rw\n"
    # Both lie on /var below the root mount: the later one is on top, docker's is hidden.
    mount = mounts(covered).holding("/var/lib/docker")
    assert mount is not None
    assert mount.fstype == "tmpfs"
    assert mounts(covered).at("/var/lib/docker") is None


def test_a_mount_on_the_same_place_covers_the_first() -> None:
    stacked = mounts(TREE + "51 41 9:8 / /var/lib/docker rw - ext4 /dev/sdb rw\n")
    mount = stacked.at("/var/lib/docker")
    assert mount is not None
    assert mount.source == "/dev/sdb"


def test_escapes_and_unknown_optional_fields() -> None:
    mount = mounts().at("/srv/a b\\c")
    assert mount is not None
    assert mount.read_only
    assert mount.propagation == "private"


@pytest.mark.parametrize(
    ("ident", "propagation"), [(27, "shared"), (40, "shared,slave"), (41, "unbindable")]
)
def test_propagation(ident: int, propagation: str) -> None:
    found = {mount.ident: mount.propagation for mount in mounts().table}
    assert found[ident] == propagation


def test_a_chroot_whose_root_is_no_mount_point_holds_nothing() -> None:
    assert mounts("60 59 8:1 / /data rw - ext4 /dev/sda1 rw\n").holding("/etc") is None


def test_ten_thousand_mounts_are_read_and_searched_quickly() -> None:
    lines = ["27 1 254:0 / / rw shared:1 - ext4 /dev/vda rw"]
    lines += [
        f"{n} 27 0:{n} / /var/lib/docker/overlay2/{n:064x}/merged rw - overlay overlay rw"
        for n in range(100, 10_100)
    ]
    started = time.perf_counter()
    table = mounts("\n".join(lines))
    held = table.holding(f"/var/lib/docker/overlay2/{5000:064x}/merged/etc")
    assert held is not None
    assert held.ident == 5000
    assert time.perf_counter() - started < 1.0


def test_more_than_the_limit_is_unreadable_not_cut() -> None:
    facts = make_facts({PATH: "x" * (17 << 20)})
    assert isinstance(facts.get(MOUNTS), Unreadable)


def test_real_mountinfo_of_rhel(shared_data: Path) -> None:
    for path in sorted((shared_data / "rhel-outputs").glob("proc_mountinfo*")):
        table = parse_mountinfo(path.read_text())
        assert table.holding("/") is not None
        assert all(mount.fstype for mount in table.table)


def test_kernel_file_systems() -> None:
    facts = make_facts({"/proc/filesystems": "nodev\tsysfs\n\text3\n\tfuseblk\n"})
    assert facts.value(KERNEL_FILESYSTEMS) == {"sysfs", "ext3", "fuseblk"}


OLD = "naming   =version 2              bsize=4096   ascii-ci=0 ftype=1\n"
NEW = "naming   =version 2              bsize=4096   ascii-ci=0, ftype=0\n"


@pytest.mark.parametrize(("said", "ftype"), [(OLD, True), (NEW, False)])
def test_ftype_in_both_formats(said: str, ftype: bool) -> None:
    assert parse_xfs_info("meta-data=/dev/sda1 ftype=7\n" + said) is ftype


def test_an_xfs_info_that_knows_no_ftype_is_refused() -> None:
    with pytest.raises(ValueError, match="does not print ftype"):
        parse_xfs_info("naming   =version 2              bsize=4096   ascii-ci=0\n")


def test_ftype_is_asked_of_the_mount_point() -> None:
    facts = make_facts(
        {PATH: TREE}, folders={"/var/lib": ()}, commands={"xfs_info /var/lib/docker": NEW}
    )
    assert facts.value(xfs_ftype("/var/lib/docker/overlay2")) is False


def test_without_xfs_info_the_ftype_is_unreadable_not_absent() -> None:
    facts = make_facts({PATH: TREE}, folders={"/var/lib": ()})
    answer = facts.get(xfs_ftype("/var/lib/docker"))
    assert isinstance(answer, Unreadable)
    assert "xfsprogs" in answer.reason


def test_ftype_of_what_is_not_xfs_is_absent() -> None:
    facts = make_facts({PATH: TREE}, folders={"/etc": ()})
    assert isinstance(facts.get(xfs_ftype("/etc")), Absent)


def test_a_volume_follows_links_and_what_does_not_exist_yet() -> None:
    space = Space(total=100, free=50, available=40, inodes=10, inodes_free=9)
    facts = make_facts(
        {PATH: TREE},
        folders={"/opt": (), "/var/lib": ()},
        links={"/opt/docker": "../var/lib"},
        spaces={"/var": space},
    )
    found = facts.value(volume("/opt/docker/new/folder"))
    assert found.path == "/var/lib/new/folder"
    assert found.mount.device == (8, 1)
    assert found.d_type is DType.UNKNOWN  # xfs, and no xfs_info to ask


def test_a_link_to_itself_ends() -> None:
    host = FakeHost(links={"/a": "/a"})
    assert isinstance(resolve(host, "/a/b"), Unreadable)


def test_dots_in_a_path_are_resolved() -> None:
    host = FakeHost(folders={"/x": ("y",)})
    assert resolve(host, "/x/./y/../z") == Known("/x/z", "/x/./y/../z")
