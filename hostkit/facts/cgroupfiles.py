# SPDX-License-Identifier: GPL-3.0-or-later
"""Which limits the v1 hierarchies can set: the files that dockerd looks for in their roots.

cgroup v2 has no such files to look at: there a controller in cgroup.controllers is enough
(hostkit/facts/cgroups.py), which is also all that dockerd asks.
"""

from hostkit.facts.cgroups import CGROUPS
from hostkit.facts.fact import Fact, Facts
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.value import NamedTuple

# Controller -> files in the root of its hierarchy (moby, pkg/sysinfo/sysinfo_linux.go).
FILES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "memory",
        (
            "memory.limit_in_bytes",
            "memory.kmem.limit_in_bytes",
            "memory.kmem.tcp.limit_in_bytes",
            "memory.oom_control",
            "memory.soft_limit_in_bytes",
            "memory.swappiness",
        ),
    ),
    ("cpu", ("cpu.shares", "cpu.cfs_period_us", "cpu.cfs_quota_us")),
    ("cpuset", ("cpuset.cpus", "cpuset.mems")),
    (
        "blkio",
        (
            "blkio.throttle.read_bps_device",
            "blkio.throttle.write_bps_device",
            "blkio.throttle.read_iops_device",
            "blkio.throttle.write_iops_device",
        ),
    ),
    ("pids", ("cgroup.procs",)),
)


class CgroupFiles(NamedTuple):
    """Of the files above those that exist and those that do not, with their controllers.

    `unmounted`: the controllers that no v1 hierarchy has.
    """

    present: frozenset[str]
    missing: frozenset[str]
    unmounted: frozenset[str]


def _gather(facts: Facts) -> Answer[CgroupFiles]:
    cgroups = facts.value(CGROUPS)
    if not cgroups.mounted_v1():
        return Absent("/proc/self/mounts", "no controller of cgroup v1 is mounted")
    present: list[str] = []
    missing: list[str] = []
    unmounted: list[str] = []
    for controller, names in FILES:
        mount = cgroups.mount_of(controller)
        if mount is None:
            unmounted.append(controller)
            continue
        for name in names:
            answer = facts.host.stat(f"{mount.path}/{name}")
            if isinstance(answer, Unreadable):
                return answer
            (present if isinstance(answer, Known) else missing).append(name)
    return Known(
        CgroupFiles(frozenset(present), frozenset(missing), frozenset(unmounted)),
        "/sys/fs/cgroup",
    )


CGROUP_FILES: Fact[CgroupFiles] = Fact("files of cgroup v1", _gather, waits=False)
