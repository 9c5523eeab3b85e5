# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits that cannot be set, as `docker info` would warn of them, judged by the same files."""

from collections.abc import Iterator

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.cgroupfiles import CGROUP_FILES, CgroupFiles
from hostkit.facts.cgroups import CGROUPS, CgroupVersion
from hostkit.facts.engine import DOCKER
from hostkit.facts.fact import Facts
from hostkit.facts.graphdrivers import written
from hostkit.facts.kubeletconfig import KUBELET_CONFIG, KUBELET_CONFIG_FILE
from hostkit.facts.rootless import ROOTLESS, RootlessUser
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Absent, Known
from hostkit.value import NamedTuple

Version = tuple[int, ...]
MOUNTS = "/proc/self/mounts"
CONTROLLERS = "/sys/fs/cgroup/cgroup.controllers"
DOCKER_DEPRECATES_V1 = (29,)
KUBELET_REFUSES_V1 = (1, 35)


class Limit(NamedTuple):
    """What is lost without `files` of v1 or the `unified` controller of v2 ("" for neither).

    `until`: the last Docker that has such a limit. The memory and the swap limit have
    checks of their own, and the main controllers of v2 too.
    """

    name: str
    files: tuple[str, ...] = ()
    unified: str = ""
    minor: bool = False
    until: Version = ()


LIMITS: tuple[Limit, ...] = (
    Limit("limits of kernel memory", ("memory.kmem.limit_in_bytes",), minor=True, until=(20, 10)),
    Limit(
        "limits of kernel memory for TCP",
        ("memory.kmem.tcp.limit_in_bytes",),
        minor=True,
        until=(28,),
    ),
    Limit("containers without the OOM killer", ("memory.oom_control",), minor=True),
    Limit("CPU shares", ("cpu.shares",)),
    Limit("limits of CPU time (--cpus)", ("cpu.cfs_period_us", "cpu.cfs_quota_us")),
    Limit("pinning to CPUs", ("cpuset.cpus", "cpuset.mems")),
    Limit("weights of disk traffic", (), "io", minor=True),
    Limit(
        "limits of disk traffic",
        (
            "blkio.throttle.read_bps_device",
            "blkio.throttle.write_bps_device",
            "blkio.throttle.read_iops_device",
            "blkio.throttle.write_iops_device",
        ),
        "io",
        minor=True,
    ),
    Limit("limits of huge pages", (), "hugetlb", minor=True),
)


@check(
    "cgroup-limits",
    title="Can every limit of a container be set?",
    problems=("cgroup-limit-unavailable",),
    needs=(CGROUPS,),
    uses=(CGROUP_FILES, DOCKER),
)
def cgroup_limits(facts: Facts) -> Iterator[Outcome]:
    """By the files of v1 and the controllers of v2, as dockerd looks itself."""
    cgroups = facts.value(CGROUPS)
    if cgroups.version is CgroupVersion.NONE:
        yield NotApplicable("no cgroup controller is mounted at all")
        return
    engine = facts.known(DOCKER)
    wanted = [one for one in LIMITS if _in_use(one, engine.version if engine else ())]
    if cgroups.version is CgroupVersion.V2:
        if cgroups.unified is None:
            yield Unknown("the root of cgroup v2 does not say which controllers it has")
            return
        offered = cgroups.unified
        lost = [(one, one.unified) for one in wanted if one.unified and one.unified not in offered]
        source, said = CONTROLLERS, "has no "
    else:
        answer = facts.get(CGROUP_FILES)
        if not isinstance(answer, Known):
            reason = f"{answer.source}: {answer.reason}"
            unread = not isinstance(answer, Absent) and answer.needs_root
            yield Unknown(reason, needs_root=unread)
            return
        lost = [(one, gap) for one in wanted if (gap := _missing(one, answer.value))]
        source, said = answer.source, "does not exist: "
    if not lost:
        yield Passed("all of them")
        return
    yield Finding(
        problem="cgroup-limit-unavailable",
        severity=Severity.INFO if all(one.minor for one, _ in lost) else Severity.WARNING,
        summary=f"not to be had: {', '.join(one.name for one, _ in lost)}"[:100],
        evidence=tuple(Evidence(source, f"{said}{gap}: {one.name}") for one, gap in lost),
    )


def _in_use(limit: Limit, engine: Version) -> bool:
    """Whether the installed Docker still has it; without one, only what is not gone counts."""
    return not limit.until or (engine != () and engine < (*limit.until[:-1], limit.until[-1] + 1))


def _missing(limit: Limit, files: CgroupFiles) -> str:
    """The first file that is not there; a controller that is not mounted is told elsewhere."""
    gone = [name for name in limit.files if name in files.missing]
    if not gone and limit.minor:
        gone = [name for name in limit.files if name.partition(".")[0] in files.unmounted]
    return gone[0] if gone else ""


@check(
    "cgroup-v1",
    title="Will the engine go on with this host's cgroup version?",
    problems=("cgroup-v1-deprecated",),
    needs=(CGROUPS,),
    uses=(TARGET, DOCKER, KUBELET_CONFIG),
    profiles=("docker", "kubernetes"),
)
def cgroup_v1(facts: Facts) -> Iterator[Outcome]:
    """Docker warns since 29; the kubelet refuses since 1.35."""
    cgroups = facts.value(CGROUPS)
    if cgroups.version is CgroupVersion.V2:
        yield Passed("cgroup v2")
        return
    if cgroups.version is CgroupVersion.NONE:
        yield NotApplicable("no cgroup controller is mounted at all")
        return
    target = facts.known(TARGET) or Target("docker")
    judge = _kubelet if target.engine == "kubernetes" else _docker
    yield judge(facts, target.version)


def _docker(facts: Facts, version: Version) -> Outcome:
    engine = facts.known(DOCKER)
    version = version or (engine.version if engine else ())
    if version < DOCKER_DEPRECATES_V1:
        return Passed("cgroup v1; Docker warns of it from 29 on")
    return _deprecated(
        Severity.WARNING, f"this host has cgroup v1, and Docker {written(version)} deprecates it"
    )


def _kubelet(facts: Facts, version: Version) -> Outcome:
    config = facts.known(KUBELET_CONFIG)
    if config is not None and config.fail_cgroup_v1 is False:
        return _deprecated(
            Severity.WARNING,
            "this host has cgroup v1, and the kubelet is told to bear it",
            Evidence(KUBELET_CONFIG_FILE, "failCgroupV1: false"),
        )
    if not version:
        return _deprecated(
            Severity.WARNING, "this host has cgroup v1: the kubelet refuses it from 1.35 on"
        )
    if version < KUBELET_REFUSES_V1:
        return Passed(f"cgroup v1, which the kubelet {written(version)} takes")
    return _deprecated(
        Severity.ERROR, f"this host has cgroup v1: the kubelet {written(version)} does not start"
    )


def _deprecated(severity: Severity, summary: str, *more: Evidence) -> Finding:
    return Finding(
        problem="cgroup-v1-deprecated",
        severity=severity,
        summary=summary,
        evidence=(Evidence(MOUNTS, "/sys/fs/cgroup is not cgroup2"), *more),
    )


@check(
    "rootless-limits",
    title="Can users who run an engine of their own limit containers?",
    problems=("rootless-limits-without-effect",),
    uses=(ROOTLESS,),
    profiles=("docker", "podman"),
)
def rootless_limits(facts: Facts) -> Iterator[Outcome]:
    """They have the controllers that systemd hands down to them, and none of v1's."""
    answer = facts.get(ROOTLESS)
    if isinstance(answer, Absent):
        yield NotApplicable(f"{answer.source}: {answer.reason}")
    elif not isinstance(answer, Known):
        yield Unknown(f"{answer.source}: {answer.reason}", needs_root=answer.needs_root)
    else:
        found = [one for one in map(_rootless, answer.value) if one]
        yield from found
        if not found:
            yield Passed("memory, processes and CPU time")


def _rootless(user: RootlessUser) -> Finding | None:
    has = user.controllers or ()
    missing = [name for name in ("memory", "pids", "cpu") if name not in has]
    if not missing:
        return None
    only_cpu = missing == ["cpu"]  # as most distributions have it
    return Finding(
        problem="rootless-limits-without-effect",
        severity=Severity.INFO if only_cpu else Severity.WARNING,
        summary=f"the engine of user {user.uid} cannot limit {', '.join(missing)}",
        evidence=(
            Evidence(user.source, " ".join(has) or "no controllers"),
            Evidence(user.socket, "a socket of an engine of that user's own"),
        ),
        params=(("uid", str(user.uid)),),
    )


WARNING_CHECKS: tuple[Check, ...] = (cgroup_limits, cgroup_v1, rootless_limits)
