# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of control groups: each finds, passes, says unknown, knows where it does not apply."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.doctor import Text, diagnose, suspects
from hostkit.diagnosis.finding import (
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.diagnosis.problem import Catalogue
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.cgroups import (
    CGROUPS,
    SWAP_LIMIT,
    CgroupMount,
    Cgroups,
    CgroupVersion,
    Controller,
)
from hostkit.facts.engine import DOCKER, Engine
from hostkit.facts.fact import Fact
from hostkit.facts.kernel import CMDLINE, parse_cmdline
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Absent, Known, Unreadable
from hostkit_checks.cgroups.checks import (
    CHECKS,
    cgroup_controllers,
    cgroup_hierarchies,
    cgroup_memory,
    cgroup_systemd_hierarchy,
    cgroup_v2_support,
    swap_limit,
)
from hostkit_checks.cgroups.signatures import SIGNATURES
from tests.fakes import make_facts

NAMES = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")


def controllers(off: tuple[str, ...] = (), lacking: tuple[str, ...] = ()) -> tuple[Controller, ...]:
    return tuple(Controller(n, 1, n not in off) for n in NAMES if n not in lacking)


def v1(*not_mounted: str, off: tuple[str, ...] = (), lacking: tuple[str, ...] = ()) -> Cgroups:
    mounts = tuple(
        CgroupMount(f"/sys/fs/cgroup/{name}", 1, (name,))
        for name in NAMES
        if name not in (*not_mounted, *off, *lacking)
    )
    systemd = CgroupMount("/sys/fs/cgroup/systemd", 1, (), "systemd")
    return Cgroups(CgroupVersion.V1, controllers(off, lacking), (*mounts, systemd), None)


def v2(*unified: str, off: tuple[str, ...] = ()) -> Cgroups:
    mounts = (CgroupMount("/sys/fs/cgroup", 2),)
    return Cgroups(CgroupVersion.V2, controllers(off), mounts, unified)


FULL_V2 = v2("cpuset", "cpu", "io", "hugetlb", "memory", "pids")
NOTHING = Cgroups(CgroupVersion.NONE, controllers(), (), None)


Given: TypeAlias = Mapping[Fact[Any], Any]


def outcome(check: Check, given: Given) -> Outcome:
    (found,) = run_checks(make_facts(given=given), (check,))[0].outcomes
    return found


def finding(check: Check, given: Given) -> Finding:
    found = outcome(check, given)
    assert isinstance(found, Finding), found
    assert found.problem in check.problems
    assert len(found.summary) <= 100
    assert found.evidence
    return found


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_host_that_says_nothing_is_unknown_and_never_passes(check: Check) -> None:
    assert isinstance(outcome(check, {}), Unknown | NotApplicable)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_unreadable_mounts_are_unknown(check: Check) -> None:
    (result,) = run_checks(make_facts(unreadable=["/proc/self/mounts"]), (check,))
    assert isinstance(result.outcomes[0], Unknown)


def test_nothing_mounted() -> None:
    assert "no cgroup controller" in finding(cgroup_hierarchies, {CGROUPS: NOTHING}).summary


def test_v1_controllers_that_nobody_mounted() -> None:
    found = finding(cgroup_hierarchies, {CGROUPS: v1("devices", "cpuset")})
    assert found.severity is Severity.ERROR
    assert "devices, cpuset" in found.summary


def test_hierarchies_that_are_well() -> None:
    assert isinstance(outcome(cgroup_hierarchies, {CGROUPS: v1()}), Passed)
    assert isinstance(outcome(cgroup_hierarchies, {CGROUPS: FULL_V2}), Passed)
    mounts = (*v1().mounts, CgroupMount("/sys/fs/cgroup/unified", 2))
    hybrid = Cgroups(CgroupVersion.HYBRID, controllers(), mounts, ())
    assert isinstance(outcome(cgroup_hierarchies, {CGROUPS: hybrid}), Passed)


def test_a_controller_switched_off_or_not_built_is_not_called_unmounted() -> None:
    assert isinstance(outcome(cgroup_hierarchies, {CGROUPS: v1(off=("memory",))}), Passed)
    assert isinstance(outcome(cgroup_hierarchies, {CGROUPS: v1(lacking=("cpuset",))}), Passed)


def test_v2_lacks_a_controller() -> None:
    found = finding(cgroup_controllers, {CGROUPS: v2("io", "memory", "pids")})
    assert "cpu, cpuset" in found.summary
    given: Given = {
        CGROUPS: v2("cpu", "memory", "pids"),
        CMDLINE: parse_cmdline("cgroup_disable=cpuset"),
    }
    assert any(e.source == "/proc/cmdline" for e in finding(cgroup_controllers, given).evidence)


def test_v2_controllers_there_not_asked_for_and_not_said() -> None:
    assert isinstance(outcome(cgroup_controllers, {CGROUPS: FULL_V2}), Passed)
    assert isinstance(outcome(cgroup_controllers, {CGROUPS: v1()}), NotApplicable)
    silent = FULL_V2._replace(unified=None)
    assert isinstance(outcome(cgroup_controllers, {CGROUPS: silent}), Unknown)


def test_the_systemd_hierarchy() -> None:
    without = v1()._replace(mounts=v1().mounts[:-1])
    assert finding(cgroup_systemd_hierarchy, {CGROUPS: without}).severity is Severity.WARNING
    assert isinstance(outcome(cgroup_systemd_hierarchy, {CGROUPS: v1()}), Passed)
    assert isinstance(outcome(cgroup_systemd_hierarchy, {CGROUPS: FULL_V2}), Passed)
    assert isinstance(outcome(cgroup_systemd_hierarchy, {CGROUPS: NOTHING}), NotApplicable)


OLD = Engine("docker", (19, 3, 15), "19.03.15", "docker-ce-19.03.15")
NEW = Engine("docker", (20, 10, 24), "20.10.24", "docker-ce-20.10.24")


def test_docker_too_old_for_v2() -> None:
    found = finding(cgroup_v2_support, {CGROUPS: FULL_V2, DOCKER: OLD})
    assert "19.03.15" in found.summary
    planned: Given = {CGROUPS: FULL_V2, DOCKER: NEW, TARGET: Target("docker", (19, 3))}
    assert "19.3" in finding(cgroup_v2_support, planned).summary


def test_docker_new_enough_planned_or_with_v1() -> None:
    assert isinstance(outcome(cgroup_v2_support, {CGROUPS: FULL_V2, DOCKER: NEW}), Passed)
    assert isinstance(outcome(cgroup_v2_support, {CGROUPS: v1(), DOCKER: OLD}), Passed)
    planned: Given = {CGROUPS: FULL_V2, DOCKER: OLD, TARGET: Target("docker", (29,))}
    assert isinstance(outcome(cgroup_v2_support, planned), Passed)
    absent: Given = {CGROUPS: FULL_V2, DOCKER: Absent("dockerd", "docker is not installed")}
    assert isinstance(outcome(cgroup_v2_support, absent), Passed)


@pytest.mark.parametrize(("engine", "past"), [(OLD, False), (NEW, True)])
def test_the_host_tells_which_cause_the_same_words_have(engine: Engine, past: bool) -> None:
    """An old dockerd says the same of unmounted v1 controllers and of a host with v2 only."""
    said = Text("journal", ["failed to start daemon: Devices cgroup isn't mounted"])
    facts = make_facts(given={CGROUPS: FULL_V2, DOCKER: engine})
    explain = Path(__file__).resolve().parents[2] / "checks/hostkit_checks/cgroups/explain"
    ranked, _ = diagnose(
        facts, CHECKS, suspects([said], SIGNATURES), Catalogue({"cgroups": str(explain)})
    )
    answers = {r.finding.problem: r.finding.past for r in ranked}
    assert answers == {
        "cgroup-v1-controllers-not-mounted": True,
        "cgroup-v2-unsupported": past,
    }


def test_a_docker_whose_version_is_not_known() -> None:
    given: Given = {CGROUPS: FULL_V2, DOCKER: Unreadable("dockerd --version", "did not answer")}
    assert isinstance(outcome(cgroup_v2_support, given), Unknown)


def test_memory_switched_off_at_boot() -> None:
    given: Given = {
        CGROUPS: v1(off=("memory",)),
        CMDLINE: parse_cmdline("ro cgroup_disable=memory"),
    }
    found = finding(cgroup_memory, given)
    assert found.severity is Severity.WARNING
    assert {e.source for e in found.evidence} == {"/proc/cgroups", "/proc/cmdline"}
    assert finding(cgroup_memory, {CGROUPS: v2("cpu", "pids")}).severity is Severity.WARNING


def test_memory_on_unmounted_not_built_or_not_known() -> None:
    assert isinstance(outcome(cgroup_memory, {CGROUPS: v1()}), Passed)
    assert isinstance(outcome(cgroup_memory, {CGROUPS: FULL_V2}), Passed)
    assert isinstance(outcome(cgroup_memory, {CGROUPS: v1("memory")}), NotApplicable)
    assert isinstance(outcome(cgroup_memory, {CGROUPS: v1(lacking=("memory",))}), NotApplicable)
    nothing_said = NOTHING._replace(controllers=None)
    assert isinstance(outcome(cgroup_memory, {CGROUPS: nothing_said}), Unknown)


def test_a_v2_kernel_whose_proc_cgroups_lists_only_v1_is_no_fault() -> None:
    """Newer kernels leave controllers that v1 does not have out of /proc/cgroups."""
    bare = FULL_V2._replace(controllers=(Controller("cpuset", 0, True),))
    assert isinstance(outcome(cgroup_memory, {CGROUPS: bare}), Passed)


def test_swap_limits() -> None:
    off: Given = {SWAP_LIMIT: Known(False, "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")}
    found = finding(swap_limit, {**off, CMDLINE: parse_cmdline("ro")})
    assert found.severity is Severity.WARNING
    assert found.evidence[1].excerpt == "no swapaccount=1"
    on: Given = {SWAP_LIMIT: Known(True, "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")}
    assert isinstance(outcome(swap_limit, on), Passed)
    none: Given = {SWAP_LIMIT: Absent("/proc/swaps", "the kernel was built without swap")}
    assert isinstance(outcome(swap_limit, none), NotApplicable)
    unknown: Given = {SWAP_LIMIT: Unreadable("/proc/self/cgroup", "denied")}
    assert isinstance(outcome(swap_limit, unknown), Unknown)


def test_a_mount_that_hides_the_hierarchies_is_named() -> None:
    files = {
        "/proc/self/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
        "/proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "25 1 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        "60 25 0:60 / /sys/fs/cgroup rw - tmpfs cgroup_root rw\n",
    }
    (result,) = run_checks(make_facts(files), (cgroup_hierarchies,))
    (found,) = result.outcomes
    assert isinstance(found, Finding)
    assert found.summary == "tmpfs is mounted over /sys/fs/cgroup and hides the control groups"
    assert found.evidence[0].excerpt == "tmpfs (cgroup_root) lies over /sys/fs/cgroup"
    assert dict(found.params) == {"covered": "yes", "path": "/sys/fs/cgroup"}
