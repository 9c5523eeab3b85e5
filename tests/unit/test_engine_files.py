# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of podman's and containerd's configuration, of mounts and of what units may use."""

from collections.abc import Mapping
from typing import Any

import pytest

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import Finding, NotApplicable, Outcome, Passed, Severity, Unknown
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.containerdconfig import DEFAULT_FILE
from hostkit.facts.engine import CONTAINERD, PODMAN, Engine
from hostkit.facts.graphdrivers import DOCKER_VERSION
from hostkit.facts.limits import ENGINE_LIMITS, LIMITS, Limits, Used
from hostkit.facts.machine import MACHINE, Machine, Virtualization
from hostkit.facts.target import TARGET, Target
from hostkit.facts.units import UNITS, Unit, Units
from hostkit.host.answer import Absent
from hostkit_checks.daemon.engine_files import (
    containerd_config,
    containers_conf,
    podman_values,
    storage_conf,
)
from hostkit_checks.limits.checks import open_files, tasks
from hostkit_checks.storage.propagation import docker_mount_flags, mount_propagation
from tests.fakes import make_facts

CONTAINERS = "/etc/containers/containers.conf"
STORAGE = "/etc/containers/storage.conf"
METAL = Machine("x86_64", 64, 64, Virtualization.NONE)
LIMIT = Limits(Used(10, 1000), Used(80, 30000), 32768, None)


def outcomes(
    check: Check, files: Mapping[str, str], given: Mapping[Any, Any] | None = None, **host: Any
) -> tuple[Outcome, ...]:
    return run_checks(make_facts(files, given=given, **host), (check,))[0].outcomes


def finding(
    check: Check, files: Mapping[str, str], given: Mapping[Any, Any] | None = None
) -> Finding:
    (found,) = outcomes(check, files, given)
    assert isinstance(found, Finding), found
    assert found.problem in check.problems
    assert len(found.summary) <= 100
    assert found.evidence
    return found


@pytest.mark.parametrize(
    ("check", "path", "severity"),
    [
        (containers_conf, "/etc/containers/containers.conf.d/10-site.conf", Severity.ERROR),
        (storage_conf, STORAGE, Severity.WARNING),
        (containerd_config, DEFAULT_FILE, Severity.ERROR),
    ],
)
def test_a_broken_file_is_named_with_its_line(check: Check, path: str, severity: Severity) -> None:
    found = finding(check, {path: "[a]\nb = overlay\n"})
    assert found.severity is severity
    assert (found.evidence[0].source, found.evidence[0].line) == (path, 2)
    assert found.evidence[0].excerpt == "b = overlay"
    assert isinstance(outcomes(check, {path: "[a]\nb = 1\n"})[0], Passed)
    assert isinstance(outcomes(check, {})[0], Passed)
    assert isinstance(outcomes(check, {path: ""}, unreadable=(path,))[0], Unknown)


@pytest.mark.parametrize("content", ["a = " + "[" * 100_000, "a" + ".a" * 1000 + " = 1", "\x00"])
def test_a_hostile_file_is_a_finding_and_no_crash(content: str) -> None:
    assert finding(containerd_config, {DEFAULT_FILE: content}).severity is Severity.ERROR


def test_short_names_of_plugins_from_the_second_version_on() -> None:
    disabled = 'disabled_plugins = ["cri"]\n'
    found = finding(containerd_config, {DEFAULT_FILE: disabled + "version = 2\n"})
    assert [one.line for one in found.evidence] == [1, 2]
    assert isinstance(outcomes(containerd_config, {DEFAULT_FILE: disabled})[0], Passed)
    long = 'version = 3\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
    assert isinstance(outcomes(containerd_config, {DEFAULT_FILE: long})[0], Passed)


@pytest.mark.parametrize(
    ("containerd", "version", "refused"),
    [((1, 7, 28), 3, True), ((1, 7, 28), 2, False), ((2, 1), 3, False), ((2, 1), 4, True),
     ((2, 3), 4, False)],
)  # fmt: skip
def test_a_file_that_a_later_containerd_wrote(
    containerd: tuple[int, ...], version: int, refused: bool
) -> None:
    given = {CONTAINERD: Engine("containerd", containerd, "x", "containerd.io")}
    (found,) = outcomes(containerd_config, {DEFAULT_FILE: f"version = {version}\n"}, given)
    assert isinstance(found, Finding) is refused


@pytest.mark.parametrize(
    ("files", "words", "line"),
    [
        ({STORAGE: '[storage]\ndriver = "overlayfs"\n'}, '"overlayfs" is none of', 2),
        (
            {STORAGE: '[storage]\n[storage.options]\nmount_program = "/usr/bin/fuse-overlayfs"\n'},
            "/usr/bin/fuse-overlayfs, which is not there",
            3,
        ),
        ({CONTAINERS: '[engine]\nruntime = "kata"\n'}, "kata, which is not there", 2),
        ({CONTAINERS: '[engine]\n\ncgroup_manager = "none"\n'}, '"none" is none of', 3),
        ({CONTAINERS: '[engine]\ncgroup_manager = "systemd"\n'}, "does not run here", 2),
        ({CONTAINERS: '[network]\nnetwork_backend = "cni"\n'}, "built without", 2),
        ({CONTAINERS: '[containers]\nlog_driver = "syslog"\n'}, '"syslog" is none of', 2),
    ],
)
def test_what_podman_cannot_do(files: dict[str, str], words: str, line: int) -> None:
    found = finding(podman_values, files, {PODMAN: Engine("podman", (5, 4), "5.4", "podman")})
    assert words in found.summary
    assert found.evidence[0].line == line


def test_what_podman_can_do_is_told_with_its_origin() -> None:
    files = {
        STORAGE: '[storage]\ndriver = "overlay"\ngraphroot = "/data"\n'
        '[storage.options.overlay]\nmount_program = "/usr/bin/fuse-overlayfs"\n',
        CONTAINERS: '[engine]\nruntime = "crun"\ncgroup_manager = "cgroupfs"\n',
        "/usr/bin/crun": "",
        "/usr/bin/fuse-overlayfs": "",
    }
    (passed,) = outcomes(podman_values, files)
    assert isinstance(passed, Passed)
    assert f"graphroot /data ({STORAGE}:3)" in passed.note
    assert isinstance(outcomes(podman_values, {})[0], NotApplicable)
    vfs = {STORAGE: '[storage]\ndriver = "vfs"\n[storage.options]\nmount_program = "/gone"\n'}
    assert isinstance(outcomes(podman_values, vfs)[0], Passed)
    listed = {CONTAINERS: '[engine]\nruntime = "k"\n[engine.runtimes]\nk = ["/opt/k"]\n'}
    assert isinstance(outcomes(podman_values, {**listed, "/opt/k": ""})[0], Passed)


def mounted(*options: str) -> dict[str, str]:
    rows = [
        f"{n} {n - 1} 8:{n} / {target} rw{' ' + tag if tag else ''} - ext4 /dev/sda{n} rw"
        for n, (target, _, tag) in enumerate((one.partition("=") for one in options), 1)
    ]
    return {"/proc/self/mountinfo": "\n".join((*rows, ""))}


def test_mounts_that_are_not_shared() -> None:
    private, shared = mounted("/"), mounted("/=shared:1")
    assert finding(mount_propagation, private, {MACHINE: METAL}).severity is Severity.INFO
    assert isinstance(outcomes(mount_propagation, shared)[0], Passed)
    inside = METAL._replace(virtualization=Virtualization.CONTAINER)
    assert isinstance(outcomes(mount_propagation, private, {MACHINE: inside})[0], NotApplicable)
    node = {MACHINE: METAL, TARGET: Target("kubernetes")}
    found = finding(mount_propagation, mounted("/=shared:1", "/var/lib/kubelet"), node)
    assert found.severity is Severity.WARNING
    assert ("mount", "/var/lib/kubelet") in found.params


@pytest.mark.parametrize(
    ("flags", "version", "severity"),
    [
        ("slave", (18, 9, 1), Severity.ERROR),
        ("private", (28,), Severity.ERROR),
        ("slave", (17, 3), Severity.INFO),
    ],
)
def test_mount_flags_cut_containerd_off(
    flags: str, version: tuple[int, ...], severity: Severity
) -> None:
    unit = Unit("docker.service", load="loaded", mount_flags=flags)
    given = {UNITS: Units((unit,)), DOCKER_VERSION: version}
    assert finding(docker_mount_flags, {}, given).severity is severity
    plain = {**given, UNITS: Units((unit._replace(mount_flags="shared"),))}
    assert isinstance(outcomes(docker_mount_flags, {}, plain)[0], Passed)
    assert isinstance(outcomes(docker_mount_flags, {}, {UNITS: Absent("x")})[0], NotApplicable)


def test_a_unit_that_may_have_few_tasks_or_files() -> None:
    unit = Unit("docker.service", load="loaded", tasks_max=512, limit_nofile=1024)
    given = {LIMITS: LIMIT, UNITS: Units((unit,)), ENGINE_LIMITS: Absent("/run/docker.pid")}
    found = finding(tasks, {}, given)
    assert "512 tasks: about 40 containers" in found.summary
    assert "1024" in finding(open_files, {}, given).summary
    enough = {**given, UNITS: Units((unit._replace(tasks_max=-1, limit_nofile=1048576),))}
    assert isinstance(outcomes(tasks, {}, enough)[0], Passed)
    assert isinstance(outcomes(open_files, {}, enough)[0], Passed)
    usual = {**given, UNITS: Units((unit._replace(tasks_max=4915),))}
    assert isinstance(outcomes(tasks, {}, usual)[0], Passed)
