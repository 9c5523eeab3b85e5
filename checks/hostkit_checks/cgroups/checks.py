# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups: what is mounted, what is switched off, and what the engine can use."""

from collections.abc import Iterator

from hostkit.diagnosis.check import EVERY_PROFILE, Check, check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.cgroups import CGROUPS, SWAP_LIMIT, Cgroups, CgroupVersion
from hostkit.facts.engine import DOCKER
from hostkit.facts.fact import Facts
from hostkit.facts.kernel import CMDLINE
from hostkit.facts.target import TARGET
from hostkit.host.answer import Absent, Known
from hostkit_checks.cgroups.warnings import WARNING_CHECKS

ENGINES = EVERY_PROFILE
MOUNTS = "/proc/self/mounts"
MOUNTINFO = "/proc/self/mountinfo"
PROC_CGROUPS = "/proc/cgroups"
# dockerd ends without devices; runc wants the others for every container it starts.
NEEDED_V1 = ("devices", "cpu", "cpuacct", "cpuset", "freezer", "memory")
NEEDED_V2 = ("cpu", "cpuset", "memory", "pids")
FIRST_DOCKER_FOR_V2 = (20, 10)
_VERSION_1 = (CgroupVersion.V1, CgroupVersion.HYBRID)


@check(
    "cgroup-hierarchies",
    title="Is a cgroup hierarchy mounted with the controllers that containers need?",
    problems=("cgroup-v1-controllers-not-mounted",),
    needs=(CGROUPS,),
    required=ENGINES,
)
def cgroup_hierarchies(facts: Facts) -> Iterator[Outcome]:
    """A controller that the kernel has, switched on, and that no mount gives."""
    cgroups = facts.value(CGROUPS)
    if cgroups.version is CgroupVersion.NONE:
        yield _nothing_mounted(cgroups)
        return
    if cgroups.version is CgroupVersion.V2:
        yield Passed("cgroup v2, one hierarchy for all controllers")
        return
    missing = [name for name in NEEDED_V1 if _not_mounted(cgroups, name)]
    if not missing:
        yield Passed(f"cgroup {cgroups.version}, {len(cgroups.mounted_v1())} controllers of v1")
        return
    yield Finding(
        problem="cgroup-v1-controllers-not-mounted",
        severity=Severity.ERROR,
        summary=f"the cgroup controllers {', '.join(missing)} are not mounted"
        + (", or covered" if cgroups.covers else ""),
        evidence=(
            Evidence(MOUNTS, f"mounted: {' '.join(sorted(cgroups.mounted_v1()))}"),
            Evidence(PROC_CGROUPS, f"the kernel has {' '.join(missing)}"),
            *_covers(cgroups),
        ),
        params=(("controllers", " ".join(missing)), *_covered(cgroups)),
    )


def _covers(cgroups: Cgroups) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(MOUNTINFO, f"{one.fstype} ({one.source}) lies over {one.target}")
        for one in cgroups.covers
    )


def _covered(cgroups: Cgroups) -> tuple[tuple[str, str], ...]:
    """For the remedy: whether there is a mount to be taken away, and where."""
    if not cgroups.covers:
        return (("covered", "no"),)
    return (("covered", "yes"), ("path", cgroups.covers[0].target))


def _nothing_mounted(cgroups: Cgroups) -> Finding:
    if cgroups.covers:
        over = cgroups.covers[0]
        return Finding(
            problem="cgroup-v1-controllers-not-mounted",
            severity=Severity.ERROR,
            summary=f"{over.fstype} is mounted over {over.target} and hides the control groups",
            evidence=_covers(cgroups),
            params=_covered(cgroups),
        )
    has = " ".join(c.name for c in cgroups.controllers or () if c.enabled)
    return Finding(
        problem="cgroup-v1-controllers-not-mounted",
        severity=Severity.ERROR,
        summary="no cgroup controller is mounted",
        evidence=(
            Evidence(MOUNTS, "no mount of cgroup2, none of cgroup with controllers"),
            *((Evidence(PROC_CGROUPS, f"the kernel has {has}"),) if has else ()),
        ),
        params=_covered(cgroups),
    )


def _not_mounted(cgroups: Cgroups, name: str) -> bool:
    """Known to the kernel and on; without /proc/cgroups only devices counts."""
    if cgroups.usable(name) is not False:
        return False
    known = cgroups.controller(name)
    if known is None:
        return cgroups.controllers is None and name == "devices"
    return known.enabled


@check(
    "cgroup-controllers",
    title="Does cgroup v2 offer the controllers that limits need?",
    problems=("kernel-config-missing-features",),
    needs=(CGROUPS,),
    uses=(CMDLINE,),
)
def cgroup_controllers(facts: Facts) -> Iterator[Outcome]:
    """Memory has a check of its own; the others are missing from a kernel or taken by v1."""
    cgroups = facts.value(CGROUPS)
    if cgroups.version is not CgroupVersion.V2:
        yield NotApplicable(f"cgroup version in use: {cgroups.version}")
        return
    if cgroups.unified is None:
        yield Unknown("the root of cgroup v2 does not say which controllers it has")
        return
    missing = [n for n in NEEDED_V2 if n != "memory" and cgroups.usable(n) is False]
    if not missing:
        yield Passed(" ".join(cgroups.unified))
        return
    yield Finding(
        problem="kernel-config-missing-features",
        severity=Severity.WARNING,
        summary=f"cgroup v2 has no {', '.join(missing)} controller: such limits fail",
        evidence=(
            Evidence("/sys/fs/cgroup/cgroup.controllers", " ".join(cgroups.unified)),
            *_disabled_by(facts, *missing),
        ),
    )


def _disabled_by(facts: Facts, *names: str) -> tuple[Evidence, ...]:
    """The boot arguments that switch these controllers off."""
    arguments = facts.known(CMDLINE)
    if arguments is None:
        return ()
    words = [w for value in arguments.all("cgroup_disable") for w in value.split(",")]
    return tuple(
        Evidence("/proc/cmdline", f"cgroup_disable={name}") for name in names if name in words
    )


@check(
    "cgroup-systemd-hierarchy",
    title="Is the hierarchy mounted that container managers track processes in (v1)?",
    problems=("cgroup-systemd-hierarchy-missing",),
    needs=(CGROUPS,),
)
def cgroup_systemd_hierarchy(facts: Facts) -> Iterator[Outcome]:
    """Only v1 has it; systemd mounts it, and where systemd is not, somebody else must."""
    cgroups = facts.value(CGROUPS)
    if cgroups.version is CgroupVersion.V2:
        yield Passed("cgroup v2 needs none")
    elif cgroups.version is CgroupVersion.NONE:
        yield NotApplicable("no cgroup controller is mounted at all")
    elif any(mount.name == "systemd" for mount in cgroups.mounts):
        yield Passed("name=systemd is mounted")
    else:
        yield Finding(
            problem="cgroup-systemd-hierarchy-missing",
            severity=Severity.WARNING,
            summary="cgroup v1 is in use and its hierarchy name=systemd is not mounted",
            evidence=(Evidence(MOUNTS, "no cgroup mount has the option name=systemd"),),
        )


@check(
    "cgroup-v2-support",
    title="Can the installed Docker use this host's cgroup version?",
    problems=("cgroup-v2-unsupported",),
    needs=(CGROUPS,),
    uses=(DOCKER, TARGET),
    profiles=("docker",),
    required=("docker",),
)
def cgroup_v2_support(facts: Facts) -> Iterator[Outcome]:
    """Docker before 20.10 knows only v1, and says so in a way that nobody understands."""
    cgroups = facts.value(CGROUPS)
    if cgroups.version is not CgroupVersion.V2:
        yield Passed(f"cgroup version in use: {cgroups.version}")
        return
    target = facts.known(TARGET)
    engine = facts.get(DOCKER)
    if target is not None and target.engine == "docker" and target.version:
        version, text, source = target.version, _dotted(target.version), "--for"
    elif isinstance(engine, Known):
        version, text, source = engine.value.version, engine.value.version_text, engine.source
    elif isinstance(engine, Absent):
        yield Passed("cgroup v2; Docker, not installed yet, must be 20.10 or later")
        return
    else:
        yield Unknown(f"Docker's version: {engine.reason}", needs_root=engine.needs_root)
        return
    if version >= FIRST_DOCKER_FOR_V2:
        yield Passed(f"cgroup v2 and Docker {text}")
        return
    yield Finding(
        problem="cgroup-v2-unsupported",
        severity=Severity.ERROR,
        summary=f"this host has cgroup v2 only, and Docker {text} is older than 20.10",
        evidence=(Evidence(MOUNTS, "/sys/fs/cgroup is cgroup2"), Evidence(source, text)),
        params=(("version", text),),
    )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in version)


@check(
    "cgroup-memory",
    title="Is the memory controller on?",
    problems=("cgroup-memory-controller-disabled",),
    needs=(CGROUPS,),
    uses=(CMDLINE,),
    required=ENGINES,
)
def cgroup_memory(facts: Facts) -> Iterator[Outcome]:
    """Off at boot, as firmware and kernels of small boards have it."""
    cgroups = facts.value(CGROUPS)
    memory = cgroups.controller("memory")
    if cgroups.usable("memory"):
        yield Passed("on")
    elif memory is not None and not memory.enabled:
        yield _memory_off(Evidence(PROC_CGROUPS, "memory ... enabled 0"), facts)
    elif cgroups.unified is not None and cgroups.version is CgroupVersion.V2:
        root = Evidence("/sys/fs/cgroup/cgroup.controllers", " ".join(cgroups.unified))
        yield _memory_off(root, facts)
    elif memory is not None:
        yield NotApplicable("on, and not mounted")
    elif cgroups.controllers is not None:
        yield NotApplicable("the kernel was built without it")
    else:
        yield Unknown(f"{PROC_CGROUPS} could not be read")


def _memory_off(evidence: Evidence, facts: Facts) -> Finding:
    return Finding(
        problem="cgroup-memory-controller-disabled",
        severity=Severity.WARNING,
        summary="the memory controller is off: no container's memory can be limited",
        evidence=(evidence, *_disabled_by(facts, "memory")),
    )


@check(
    "swap-limit",
    title="Can the swap of containers be limited?",
    problems=("no-swap-limit-support",),
    uses=(SWAP_LIMIT, CMDLINE),
)
def swap_limit(facts: Facts) -> Iterator[Outcome]:
    """A warning at most: memory limits work without, and a container may then swap freely."""
    answer = facts.get(SWAP_LIMIT)
    if isinstance(answer, Absent):
        yield NotApplicable(f"{answer.source}: {answer.reason}")
    elif not isinstance(answer, Known):
        yield Unknown(f"{answer.source}: {answer.reason}", needs_root=answer.needs_root)
    elif answer.value:
        yield Passed(f"yes, by {answer.source}")
    else:
        arguments = facts.known(CMDLINE)
        asked = arguments.get("swapaccount") if arguments else None
        boot = Evidence("/proc/cmdline", f"swapaccount={asked}" if asked else "no swapaccount=1")
        yield Finding(
            problem="no-swap-limit-support",
            severity=Severity.WARNING,
            summary="swap accounting is off: --memory-swap has no effect",
            evidence=(Evidence(answer.source, "does not exist"), boot),
        )


CHECKS: tuple[Check, ...] = (
    cgroup_hierarchies,
    cgroup_controllers,
    cgroup_systemd_hierarchy,
    cgroup_v2_support,
    cgroup_memory,
    swap_limit,
    *WARNING_CHECKS,
)
