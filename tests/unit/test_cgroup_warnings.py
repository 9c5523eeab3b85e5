# SPDX-License-Identifier: GPL-3.0-or-later
"""The warnings of docker info on limits, from files and controllers and without a daemon."""

from collections.abc import Mapping
from typing import Any

import pytest

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import Finding, NotApplicable, Outcome, Passed, Severity, Unknown
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.cgroupfiles import CGROUP_FILES, FILES
from hostkit.facts.cgroups import CGROUPS, Cgroups, CgroupVersion
from hostkit.facts.engine import DOCKER, Engine
from hostkit.facts.kubeletconfig import KUBELET_CONFIG, KubeletConfig
from hostkit.facts.rootless import ROOTLESS
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Absent, Unreadable
from hostkit_checks.cgroups.warnings import cgroup_limits, cgroup_v1, rootless_limits
from hostkit_checks.limits.keys import NAMESPACE_LIMITS, QUOTA_CHECKS, key_quota, namespace_quota
from tests.fakes import make_facts

MOUNTS = "".join(
    f"cgroup /sys/fs/cgroup/{name} cgroup rw,{name} 0 0\n"
    for name in ("memory", "cpu", "cpuset", "blkio", "pids")
)
ALL_FILES = {f"/sys/fs/cgroup/{name}/{one}": "0\n" for name, files in FILES for one in files}
V1_HOST = {"/proc/self/mounts": MOUNTS, **ALL_FILES}
V2_HOST = {
    "/proc/self/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
    "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids\n",
}
OLD = Engine("docker", (20, 10, 24), "20.10.24", "docker-ce")


def outcome(
    check: Check, files: Mapping[str, str], given: Mapping[Any, Any] | None = None
) -> Outcome:
    known = {DOCKER: Absent("dockerd"), **(given or {})}
    (one,) = run_checks(make_facts(files, given=known), (check,))[0].outcomes
    return one


def finding(
    check: Check, files: Mapping[str, str], given: Mapping[Any, Any] | None = None
) -> Finding:
    found = outcome(check, files, given)
    assert isinstance(found, Finding), found
    assert found.problem in check.problems
    assert len(found.summary) <= 100
    return found


@pytest.mark.parametrize("files", [V1_HOST, V2_HOST], ids=["v1", "v2"])
def test_a_host_with_every_limit(files: Mapping[str, str]) -> None:
    assert isinstance(outcome(cgroup_limits, files), Passed)


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("cpu/cpu.cfs_quota_us", "--cpus"),
        ("cpu/cpu.shares", "CPU shares"),
        ("cpuset/cpuset.cpus", "pinning"),
        ("memory/memory.oom_control", "OOM killer"),
        ("blkio/blkio.throttle.read_iops_device", "disk traffic"),
    ],
)
def test_each_file_of_v1_that_dockerd_looks_for(gone: str, said: str) -> None:
    files = {path: text for path, text in V1_HOST.items() if not path.endswith(gone)}
    assert said in finding(cgroup_limits, files).summary


def test_kernel_memory_limits_are_missed_by_those_engines_alone_that_have_them() -> None:
    files = {path: text for path, text in V1_HOST.items() if ".kmem." not in path}
    assert isinstance(outcome(cgroup_limits, files), Passed)
    assert finding(cgroup_limits, files, {DOCKER: OLD}).severity is Severity.INFO
    new = OLD._replace(version=(29, 1))
    assert isinstance(outcome(cgroup_limits, files, {DOCKER: new}), Passed)


def test_a_v2_host_without_io_is_no_host_without_the_files_of_v1() -> None:
    files = {**V2_HOST, "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu memory pids\n"}
    found = finding(cgroup_limits, files)
    assert found.severity is Severity.INFO
    assert "cfs" not in " ".join(e.excerpt for e in found.evidence)


def test_what_cannot_be_read_is_unknown() -> None:
    # A stat that is refused: the folder above may not be searched.
    refused = {CGROUP_FILES: Unreadable("/sys/fs/cgroup", "Permission denied", True)}
    found = outcome(cgroup_limits, V1_HOST, refused)
    assert isinstance(found, Unknown)
    assert found.needs_root


@pytest.mark.parametrize(
    ("target", "severity"),
    [
        (Target("docker"), None),
        (Target("docker", (28,)), None),
        (Target("docker", (29,)), Severity.WARNING),
        (Target("kubernetes"), Severity.WARNING),
        (Target("kubernetes", (1, 34)), None),
        (Target("kubernetes", (1, 35)), Severity.ERROR),
    ],
)
def test_when_cgroup_v1_ends(target: Target, severity: Severity | None) -> None:
    found = outcome(cgroup_v1, V1_HOST, {TARGET: target})
    assert (found.severity if isinstance(found, Finding) else None) is severity
    assert isinstance(outcome(cgroup_v1, V2_HOST, {TARGET: target}), Passed)


def test_a_kubelet_that_is_told_to_bear_v1() -> None:
    given = {
        TARGET: Target("kubernetes", (1, 35)),
        KUBELET_CONFIG: KubeletConfig(fail_cgroup_v1=False),
    }
    assert finding(cgroup_v1, V1_HOST, given).severity is Severity.WARNING


def test_no_cgroups_at_all_is_for_another_check() -> None:
    nothing = {CGROUPS: Cgroups(CgroupVersion.NONE, None, (), None)}
    for check in (cgroup_limits, cgroup_v1):
        assert isinstance(outcome(check, {}, nothing), NotApplicable)


@pytest.mark.parametrize(
    ("controllers", "severity"),
    [
        ("cpuset cpu io memory pids", None),
        ("memory pids", Severity.INFO),
        ("", Severity.WARNING),
    ],
)
def test_what_a_rootless_engine_can_limit(controllers: str, severity: Severity | None) -> None:
    group = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers"
    files = {**V2_HOST, "/run/user/1000/docker.sock": "", group: controllers + "\n"}
    found = outcome(rootless_limits, files)
    assert (found.severity if isinstance(found, Finding) else None) is severity
    assert isinstance(outcome(rootless_limits, V2_HOST), NotApplicable)


def test_on_v1_a_rootless_engine_can_limit_nothing() -> None:
    files = {**V1_HOST, "/run/user/1000/podman/podman.sock": ""}
    assert finding(rootless_limits, files).severity is Severity.WARNING
    facts = make_facts(files)
    assert facts.value(ROOTLESS)[0].uid == 1000


@pytest.mark.parametrize(("keys", "kind"), [("200", Finding), ("1000000", Passed), ("x", Unknown)])
def test_the_quota_of_keys(keys: str, kind: type[Outcome]) -> None:
    files = {"/proc/sys/kernel/keys/root_maxkeys": keys + "\n"}
    assert isinstance(outcome(key_quota, files), kind)
    assert isinstance(outcome(key_quota, {}), NotApplicable)


def test_the_quota_of_namespaces() -> None:
    path = "/proc/sys/user/max_net_namespaces"
    assert finding(namespace_quota, {path: "0\n"}).severity is Severity.ERROR
    assert finding(namespace_quota, {path: "50\n"}).severity is Severity.WARNING
    assert isinstance(outcome(namespace_quota, {path: "96000\n"}), Passed)
    assert isinstance(outcome(namespace_quota, {}), NotApplicable)
    refused = {fact: Unreadable(fact.name, "Permission denied") for fact in NAMESPACE_LIMITS}
    assert isinstance(outcome(namespace_quota, {}, refused), Unknown)


def test_quotas_are_checked_for_every_engine() -> None:
    assert all("kubernetes" in check.profiles for check in QUOTA_CHECKS)
