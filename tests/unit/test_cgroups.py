# SPDX-License-Identifier: GPL-3.0-or-later
"""Cgroup v1, v2 and hybrid, and whether swap can be limited."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.cgroups import (
    CGROUPS,
    SWAP_LIMIT,
    CgroupVersion,
    own_group,
    parse_cgroup_mounts,
    parse_proc_cgroups,
)
from hostkit.host.answer import Absent, Known, Unreadable
from tests.fakes import make_facts

HEAD = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
V1_NAMES = ("cpuset", "cpu", "cpuacct", "memory", "devices", "freezer", "blkio", "pids")
PROC_CGROUPS = HEAD + "".join(f"{name}\t{i}\t1\t1\n" for i, name in enumerate(V1_NAMES, 1))
V1_MOUNTS = "tmpfs /sys/fs/cgroup tmpfs ro 0 0\n" + "".join(
    f"cgroup /sys/fs/cgroup/{name} cgroup rw,nosuid,relatime,{name} 0 0\n" for name in V1_NAMES
)
SYSTEMD = "cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,release_agent=/x,name=systemd 0 0\n"
UNIFIED = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0\n"
V2_MOUNTS = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nsdelegate,memory_recursiveprot 0 0\n"
MOUNTS = "/proc/self/mounts"
ROOT = "/sys/fs/cgroup"
V2: dict[str, str | bytes] = {
    MOUNTS: V2_MOUNTS,
    f"{ROOT}/cgroup.controllers": "cpuset cpu io memory pids\n",
    "/proc/self/cgroup": "0::/user.slice/user-0.slice\n",
    "/proc/swaps": "",
}


@pytest.mark.parametrize(
    ("mounts", "version"),
    [
        (V1_MOUNTS + SYSTEMD, CgroupVersion.V1),
        (V1_MOUNTS + SYSTEMD + UNIFIED, CgroupVersion.HYBRID),
        (V2_MOUNTS, CgroupVersion.V2),
        (V2_MOUNTS + "cgroup /mnt/net cgroup rw,net_cls 0 0\n", CgroupVersion.V2),
        ("cgroup2 /mnt/unified cgroup2 rw 0 0\n", CgroupVersion.V2),
        (SYSTEMD, CgroupVersion.NONE),
        ("proc /proc proc rw 0 0\n", CgroupVersion.NONE),
    ],
)
def test_versions(mounts: str, version: CgroupVersion) -> None:
    assert make_facts({MOUNTS: mounts}).value(CGROUPS).version is version


INFO = "/proc/self/mountinfo"
TOP = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:20 / /sys rw - sysfs sysfs rw\n"
TOP_V1 = TOP + "24 23 0:21 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"
INFO_V1 = TOP_V1 + "".join(
    f"{30 + i} 24 0:{40 + i} / /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}\n"
    for i, name in enumerate(V1_NAMES)
)
INFO_V2 = TOP + "25 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("mounts", "info", "version", "seen", "covers"),
    [
        (V1_MOUNTS, INFO_V1, CgroupVersion.V1, 8, []),
        (V2_MOUNTS, INFO_V2, CgroupVersion.V2, 1, []),
        (V2_MOUNTS, "", CgroupVersion.V2, 1, []),
        (V2_MOUNTS, TOP, CgroupVersion.V2, 1, []),  # two files that do not agree
        (
            V1_MOUNTS,
            INFO_V1 + "60 24 0:60 / /sys/fs/cgroup rw - tmpfs cgroup rw\n",
            CgroupVersion.NONE,
            0,
            [("tmpfs", ROOT)],
        ),
        (
            V2_MOUNTS,
            INFO_V2 + "60 25 0:60 / /sys/fs/cgroup rw - tmpfs cgroup rw\n",
            CgroupVersion.NONE,
            0,
            [("tmpfs", ROOT)],
        ),
        (
            V1_MOUNTS,
            INFO_V1 + "60 33 0:60 / /sys/fs/cgroup/memory rw - tmpfs x rw\n",
            CgroupVersion.V1,
            7,
            [("tmpfs", f"{ROOT}/memory")],
        ),
        (
            V2_MOUNTS,
            INFO_V2 + "60 23 0:60 / /sys rw - sysfs sysfs rw\n",
            CgroupVersion.NONE,
            0,
            [("sysfs", "/sys")],
        ),
    ],
)
def test_a_mount_that_is_covered_is_not_seen(
    mounts: str, info: str, version: CgroupVersion, seen: int, covers: list[tuple[str, str]]
) -> None:
    found = make_facts({MOUNTS: mounts, INFO: info}).value(CGROUPS)
    assert found.version is version
    assert len(found.mounts) == seen
    assert [(one.fstype, one.target) for one in found.covers] == covers


def test_co_mounted_controllers_and_names() -> None:
    mounts = parse_cgroup_mounts(
        "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,seclabel,nosuid,cpuacct,cpu 0 0\n" + SYSTEMD
    )
    assert mounts[0].controllers == ("cpuacct", "cpu")
    assert (mounts[1].name, mounts[1].controllers) == ("systemd", ())


def test_controllers_off_on_and_not_known() -> None:
    facts = make_facts(
        {MOUNTS: V1_MOUNTS, "/proc/cgroups": HEAD + "memory\t0\t1\t0\ncpu\t1\t1\t1\n"}
    )
    cgroups = facts.value(CGROUPS)
    memory = cgroups.controller("memory")
    assert memory is not None
    assert not memory.enabled
    assert cgroups.controller("rdma") is None
    assert cgroups.usable("cpu") is True
    assert cgroups.usable("rdma") is False


def test_v2_that_does_not_say_its_controllers_leaves_them_unknown() -> None:
    assert make_facts({MOUNTS: V2_MOUNTS}).value(CGROUPS).usable("memory") is None


def test_unreadable_mounts_are_not_no_mounts() -> None:
    assert isinstance(make_facts(unreadable=[MOUNTS]).get(CGROUPS), Unreadable)
    assert make_facts({MOUNTS: ""}).value(CGROUPS).controllers is None


def test_swap_in_v1_is_told_by_its_file() -> None:
    files: dict[str, str | bytes] = {MOUNTS: V1_MOUNTS, "/proc/swaps": ""}
    path = f"{ROOT}/memory/memory.memsw.limit_in_bytes"
    assert make_facts({**files, path: "1"}).get(SWAP_LIMIT) == Known(True, path)
    assert make_facts(files).get(SWAP_LIMIT) == Known(False, path)
    assert isinstance(make_facts(files, unreadable=[path]).get(SWAP_LIMIT), Unreadable)


def test_swap_in_v2_is_told_by_our_own_group() -> None:
    group = f"{ROOT}/user.slice/user-0.slice"
    files = {**V2, f"{group}/memory.max": "max"}
    assert make_facts(files).value(SWAP_LIMIT) is False
    assert make_facts({**files, f"{group}/memory.swap.max": "max"}).value(SWAP_LIMIT) is True


def test_the_root_group_of_v2_has_no_limits_and_proves_nothing() -> None:
    files = {**V2, "/proc/self/cgroup": "0::/\n", f"{ROOT}/system.slice/memory.max": "max"}
    path = f"{ROOT}/system.slice/memory.swap.max"
    assert make_facts({**files, path: "max"}).get(SWAP_LIMIT) == Known(True, path)
    bare = {**V2, "/proc/self/cgroup": "0::/\n", "/proc/cmdline": "ro\n"}
    newer = {**bare, "/proc/sys/kernel/osrelease": "6.1.0-9-amd64"}
    assert make_facts(newer).value(SWAP_LIMIT) is True
    older = {**bare, "/proc/sys/kernel/osrelease": "5.4.0-42-generic"}
    assert isinstance(make_facts(older).get(SWAP_LIMIT), Unreadable)
    off = {**newer, "/proc/cmdline": "ro swapaccount=0\n"}
    assert make_facts(off).value(SWAP_LIMIT) is False


def test_a_kernel_without_swap_has_nothing_to_limit() -> None:
    assert isinstance(make_facts({MOUNTS: V1_MOUNTS}).get(SWAP_LIMIT), Absent)


def test_real_captures(shared_data: Path) -> None:
    rpi = (shared_data / "outputs/proc-cgroups-memory-off-rpi5__raspberrypi-5933.txt").read_text()
    table = rpi[rpi.index("#subsys_name") :].split("\n\n")[0].split("```")[0]
    memory = next(c for c in parse_proc_cgroups(table) if c.name == "memory")
    assert not memory.enabled
    rhel = (shared_data / "rhel-outputs/proc_cgroups.txt").read_text()
    assert {"cpu", "memory", "devices"} <= {c.name for c in parse_proc_cgroups(rhel)}


def test_own_group() -> None:
    assert own_group("1:cpu:/\n0::/a/b\n") == "/a/b"
    assert own_group("1:cpu:/\n") is None


@given(st.text(max_size=400))
def test_any_text(content: str) -> None:
    parse_cgroup_mounts(content)
    own_group(content)
    try:
        parse_proc_cgroups(content)
    except ValueError:
        pass
