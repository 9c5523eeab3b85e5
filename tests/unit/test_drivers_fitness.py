# SPDX-License-Identifier: GPL-3.0-or-later
"""What the drivers say of hosts that matter."""

from typing import Any

import pytest

from hostkit import plugins
from hostkit.diagnosis.advise import Verdict, advise, judge
from hostkit.facts.block import BLOCK_DEVICES, CONTENTS, BlockDevice, BlockDevices, Content, Kind
from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.dataroot import VOLUME
from hostkit.facts.engine import DOCKER, Engine
from hostkit.facts.fact import Facts
from hostkit.facts.filesystems import KERNEL_FILESYSTEMS, DType, Volume
from hostkit.facts.fitness import Weight
from hostkit.facts.kernel import KERNEL, parse_release
from hostkit.facts.libdevmapper import LIBDEVMAPPER
from hostkit.facts.lvm import LVM, PHYSICAL_VOLUMES, VOLUME_GROUPS, VolumeGroup
from hostkit.facts.modules import MODULES, Modules
from hostkit.facts.mounts import MOUNTS, parse_mountinfo
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Absent, Unreadable
from hostkit.host.base import Space
from hostkit.storage.plugin import DriverPlugin
from hostkit_drivers import aufs, btrfs, overlay2, vfs, zfs
from hostkit_drivers.devicemapper import direct_lvm, loop_lvm
from tests.fakes import make_facts

SPACE = Space(100 << 30, 50 << 30, 50 << 30, 0, 0)
LISTED = frozenset({"ext4", "xfs", "overlay"})
EL79 = "3.10.0-1160.el7.x86_64"
DISK = BlockDevice("sdb", (8, 16), 20 << 30, Kind.DISK)


def volume(fstype: str, d_type: DType = DType.YES, options: str = "rw") -> Volume:
    mount = parse_mountinfo(f"1 0 8:1 / / {options} - {fstype} /dev/sda1 {options}\n").table[0]
    return Volume("/var/lib/docker", mount, SPACE, d_type)


def modules(*available: str) -> Modules:
    dep = "".join(f"kernel/{name}.ko:\n" for name in available).encode()
    return Modules(frozenset(), b"", dep, True, False, "/lib/modules/x")


def facts(**changed: Any) -> Facts:
    """A healthy CentOS 7.9 with Docker 20.10 and LVM, but for what is changed."""
    known: dict[str, Any] = {
        "kernel": EL79,
        "volume": volume("ext4"),
        "filesystems": LISTED,
        "modules": modules("dm_mod", "dm_thin_pool", "loop"),
        "docker": Engine("docker", (20, 10, 24), "20.10.24", "docker-ce"),
        "target": Absent("--for"),
        "groups": (VolumeGroup("docker", 20 << 30, 20 << 30, 4 << 20, "wz--n-"),),
        "devices": BlockDevices((DISK,)),
        "contents": (Content("sdb", "", "", ""),),
        "programs": ("lvm", "thin_check"),
        **changed,
    }
    return make_facts(
        {f"/usr/sbin/{name}": "" for name in known["programs"]},
        given={
            KERNEL: parse_release(known["kernel"]),
            VOLUME: known["volume"],
            KERNEL_FILESYSTEMS: known["filesystems"],
            MODULES: known["modules"],
            DOCKER: known["docker"],
            TARGET: known["target"],
            DAEMON_CONFIG: Absent("daemon.json"),
            LIBDEVMAPPER: Absent("libdevmapper"),
            LVM: Absent("lvs"),
            VOLUME_GROUPS: known["groups"],
            PHYSICAL_VOLUMES: (),
            BLOCK_DEVICES: known["devices"],
            CONTENTS: known["contents"],
            MOUNTS: parse_mountinfo("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"),
        },
    )


def verdict(plugin: DriverPlugin, **changed: Any) -> Verdict:
    return judge(plugin.fitness(facts(**changed))).verdict


def problems(plugin: DriverPlugin, weight: Weight, **changed: Any) -> list[str]:
    fitness = plugin.fitness(facts(**changed))
    return [reason.problem for reason in fitness.reasons if reason.weight is weight]


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("3.10.0-1160.el7.x86_64", Verdict.FITS),
        ("3.10.0-693.el7.x86_64", Verdict.FITS),
        ("3.10.0-514.26.2.el7.x86_64", Verdict.DISCOURAGED),
        ("3.10.0-327.el7.x86_64", Verdict.IMPOSSIBLE),
        ("4.18.0-553.el8.x86_64", Verdict.FITS),
        ("3.13.0-100-generic", Verdict.IMPOSSIBLE),
        ("4.1.12-124.el7uek.x86_64", Verdict.FITS),
        ("6.1.0-9-amd64", Verdict.FITS),
    ],
)
def test_overlay2_by_kernel(kernel: str, expected: Verdict) -> None:
    assert verdict(overlay2.PLUGIN, kernel=kernel) is expected


@pytest.mark.parametrize(
    ("fstype", "d_type", "expected", "problem"),
    [
        ("xfs", DType.YES, Verdict.FITS, ""),
        ("xfs", DType.NO, Verdict.IMPOSSIBLE, "xfs-ftype0-no-dtype"),
        ("xfs", DType.UNKNOWN, Verdict.UNKNOWN, "xfs-ftype0-no-dtype"),
        ("overlay", DType.YES, Verdict.IMPOSSIBLE, "nested-overlay"),
        ("nfs4", DType.UNKNOWN, Verdict.IMPOSSIBLE, "backing-fs-unsupported"),
        ("fuse.sshfs", DType.UNKNOWN, Verdict.IMPOSSIBLE, "backing-fs-unsupported"),
        ("btrfs", DType.YES, Verdict.UNKNOWN, "backing-fs-unsupported"),
        ("bcachefs", DType.UNKNOWN, Verdict.UNKNOWN, "backing-fs-unsupported"),
        ("tmpfs", DType.YES, Verdict.DISCOURAGED, ""),
    ],
)
def test_overlay2_by_what_lies_below(
    fstype: str, d_type: DType, expected: Verdict, problem: str
) -> None:
    judged = judge(overlay2.PLUGIN.fitness(facts(volume=volume(fstype, d_type))))
    assert judged.verdict is expected
    assert judged.because is not None
    assert judged.because.problem == problem


def test_old_docker_refuses_btrfs_below_overlay2_by_name() -> None:
    old = Engine("docker", (17, 9, 1), "17.09.1", "docker-ce")
    assert verdict(overlay2.PLUGIN, volume=volume("btrfs"), docker=old) is Verdict.IMPOSSIBLE


def test_a_read_only_volume_serves_no_driver() -> None:
    read_only = volume("ext4", options="ro")
    assert verdict(overlay2.PLUGIN, volume=read_only) is Verdict.IMPOSSIBLE
    assert verdict(vfs.PLUGIN, volume=read_only) is Verdict.IMPOSSIBLE


def test_a_loadable_overlay_module_is_enough() -> None:
    listed = frozenset({"ext4"})
    loadable = modules("overlay")
    assert verdict(overlay2.PLUGIN, filesystems=listed, modules=loadable) is Verdict.FITS
    blocked = problems(overlay2.PLUGIN, Weight.BLOCKS, filesystems=listed, modules=modules())
    assert blocked == ["overlay-module-missing"]


def test_modules_that_may_not_be_loaded_block() -> None:
    locked = modules("overlay")._replace(loading_disabled=True)
    listed = frozenset({"ext4"})
    assert verdict(overlay2.PLUGIN, filesystems=listed, modules=locked) is Verdict.IMPOSSIBLE


def test_an_unknown_volume_is_never_a_pass() -> None:
    hidden = Unreadable("/proc/self/mountinfo", "Permission denied")
    assert verdict(overlay2.PLUGIN, volume=hidden) is Verdict.UNKNOWN
    assert verdict(zfs.PLUGIN, volume=hidden, programs=()) is Verdict.IMPOSSIBLE


def test_loop_lvm_is_never_advised() -> None:
    assert verdict(loop_lvm.PLUGIN) is Verdict.DISCOURAGED


def test_direct_lvm_fits_while_docker_has_devicemapper() -> None:
    assert verdict(direct_lvm.PLUGIN) is Verdict.FITS
    new = problems(direct_lvm.PLUGIN, Weight.BLOCKS, target=Target("docker", (29,)))
    assert new == ["devicemapper-deprecated"]


def test_direct_lvm_is_unknown_while_no_docker_is_named_or_installed() -> None:
    assert verdict(direct_lvm.PLUGIN, docker=Absent("docker")) is Verdict.UNKNOWN


def test_direct_lvm_needs_the_thin_tools_and_names_the_package() -> None:
    judged = judge(direct_lvm.PLUGIN.fitness(facts(programs=("lvm",))))
    assert judged.verdict is Verdict.IMPOSSIBLE
    assert judged.because is not None
    assert "device-mapper-persistent-data" in judged.because.text


def test_direct_lvm_takes_an_unused_disk() -> None:
    fitness = direct_lvm.PLUGIN.fitness(facts(groups=()))
    assert any("/dev/sdb (20 GiB)" in reason.text for reason in fitness.reasons)


@pytest.mark.parametrize(
    ("devices", "contents"),
    [
        ((DISK,), (Content("sdb", "ext4", "", ""),)),
        ((DISK._replace(size=1 << 30),), ()),
        ((DISK._replace(removable=True),), ()),
        ((DISK, BlockDevice("sdb1", (8, 17), 1, Kind.PARTITION, below=("sdb",))), ()),
        ((DISK._replace(number=(8, 1)),), ()),  # mounted as the root
        ((), ()),
    ],
)
def test_a_disk_in_use_is_not_offered(devices: Any, contents: Any) -> None:
    changed = {"groups": (), "devices": BlockDevices(devices), "contents": contents}
    assert verdict(direct_lvm.PLUGIN, **changed) is Verdict.IMPOSSIBLE


def test_contents_that_cannot_be_read_leave_a_disk_unknown() -> None:
    hidden = Unreadable("lsblk", "not installed")
    assert verdict(direct_lvm.PLUGIN, groups=(), contents=hidden) is Verdict.UNKNOWN


def test_btrfs_and_zfs_need_themselves_below() -> None:
    assert problems(btrfs.PLUGIN, Weight.BLOCKS)[0] == "backing-fs-unsupported"
    below = {"volume": volume("btrfs"), "filesystems": LISTED | {"btrfs"}}
    assert verdict(btrfs.PLUGIN, **below) is Verdict.DISCOURAGED  # Red Hat's kernel
    assert verdict(btrfs.PLUGIN, kernel="6.1.0-9-amd64", **below) is Verdict.FITS
    pool = {"volume": volume("zfs"), "filesystems": LISTED | {"zfs"}, "programs": ("zfs",)}
    assert verdict(zfs.PLUGIN, **pool) is Verdict.FITS


def test_aufs_is_discouraged_where_it_works_and_blocked_where_not() -> None:
    assert verdict(aufs.PLUGIN, filesystems=LISTED | {"aufs"}) is Verdict.DISCOURAGED
    assert "aufs-not-in-kernel" in problems(aufs.PLUGIN, Weight.BLOCKS)
    on_btrfs = problems(
        aufs.PLUGIN, Weight.BLOCKS, filesystems=LISTED | {"aufs"}, volume=volume("btrfs")
    )
    assert on_btrfs == ["backing-fs-unsupported"]


def test_vfs_always_works_and_is_never_advised() -> None:
    assert verdict(vfs.PLUGIN, volume=volume("nfs4", DType.UNKNOWN)) is Verdict.DISCOURAGED


def advice(**changed: Any) -> str:
    known = facts(**changed)
    return advise(driver.fitness(known) for driver in plugins.load().drivers).summary


def test_the_advice_for_centos_7_9_is_overlay2() -> None:
    assert advice() == "use overlay2"


def test_the_advice_for_centos_7_2_is_direct_lvm() -> None:
    assert advice(kernel="3.10.0-327.el7.x86_64").startswith("use direct-lvm, because overlay2")


def test_the_advice_for_docker_29_on_xfs_without_ftype_is_to_mend_the_file_system() -> None:
    said = advice(volume=volume("xfs", DType.NO), target=Target("docker", (29,)))
    assert said.startswith("only vfs works")
    assert "ftype=0" in said
