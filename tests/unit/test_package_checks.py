# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of packages, package repositories, mirrors and proxies."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import (
    Certainty,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.engine import DOCKER, Engine
from hostkit.facts.fact import Fact
from hostkit.facts.lsm import SELINUX, Mode, SELinux
from hostkit.facts.packages import PACKAGES, parse_dpkg_status, parse_rpm_query
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Unreadable
from hostkit_checks.packages import checks as packages
from hostkit_checks.registry import checks as registry
from tests.fakes import make_facts

FOR_DOCKER = {TARGET: Target("docker")}
ENGINE = Engine("docker", (19, 3), "19.03", "docker-ce-19.03")
DPKG = parse_dpkg_status(b"Package: runc\nStatus: install ok installed\nVersion: 1\n")


def ask(
    check: Check,
    given: Mapping[Fact[Any], Any] | None = None,
    files: Mapping[str, str | bytes] | None = None,
) -> tuple[Outcome, ...]:
    (result,) = run_checks(make_facts(files, given=given), [check])
    return result.outcomes


def rpms(*lines: str) -> dict[Fact[Any], Any]:
    said = "".join(line.replace(" ", "\t") + "\tx86_64\n" for line in lines)
    return {PACKAGES: parse_rpm_query(said)}


def problems(outcomes: tuple[Outcome, ...]) -> list[str]:
    return [outcome.problem for outcome in outcomes if isinstance(outcome, Finding)]


def test_a_policy_older_than_containerd_wants_is_found() -> None:
    given = rpms(
        "container-selinux 2 2.9 4.el7",
        "docker-ce 3 19.03.3 3.el7",
        "containerd.io 0 1.2.6 3.3.el7",
    )
    outcomes = ask(packages.container_selinux, {**given, DOCKER: ENGINE})
    assert problems(outcomes) == ["container-selinux-missing-or-old"]


def test_an_engine_without_the_policy_is_found_where_selinux_is_on() -> None:
    given = {**rpms("docker-ce 3 19.03.9 3.el7"), DOCKER: ENGINE}
    enforcing = ask(packages.container_selinux, {**given, SELINUX: SELinux(Mode.ENFORCING)})
    off = ask(packages.container_selinux, {**given, SELINUX: SELinux(Mode.DISABLED)})
    unknown = ask(packages.container_selinux, {**given, SELINUX: Unreadable("enforce", "no")})
    assert problems(enforcing) == ["container-selinux-missing-or-old"]
    assert isinstance(off[0], NotApplicable)
    assert isinstance(unknown[0], Unknown)


def test_a_policy_that_is_new_enough_passes() -> None:
    given = rpms("containerd.io 0 1.6.33 3.1.el8", "container-selinux 2 2.229.0 2.el8")
    assert isinstance(ask(packages.container_selinux, {**given, DOCKER: ENGINE})[0], Passed)


@pytest.mark.parametrize("given", [rpms(), {PACKAGES: DPKG}], ids=["no engine", "dpkg"])
def test_the_policy_does_not_matter_everywhere(given: dict[Fact[Any], Any]) -> None:
    assert isinstance(ask(packages.container_selinux, given)[0], NotApplicable)


def test_packages_that_are_not_known_are_unknown() -> None:
    given = {PACKAGES: Unreadable("rpm -q", "rpmdb")}
    for check in (packages.container_selinux, packages.package_conflicts):
        assert isinstance(ask(check, given)[0], Unknown)


def test_podmans_runc_is_a_conflict_only_where_docker_is_asked_for() -> None:
    given = rpms("podman 0 4.9.4 1.el8", "runc 1 1.1.12 1.el8")
    assert problems(ask(packages.package_conflicts, given)) == []
    assert problems(ask(packages.package_conflicts, {**given, **FOR_DOCKER})) == [
        "package-conflict-podman-runc"
    ]


def test_a_distributions_own_docker_goes_with_its_runc() -> None:
    given = rpms("docker 0 25.0.3 1.amzn2023", "runc 0 1.1.11 1.amzn2023")
    assert problems(ask(packages.package_conflicts, {**given, **FOR_DOCKER})) == []


def test_an_old_docker_is_in_the_way_of_a_new_one() -> None:
    given = rpms("docker 2 1.13.1 210.el7")
    later = {TARGET: Target("docker", (26,))}
    assert problems(ask(packages.package_conflicts, {**given, **FOR_DOCKER})) == []
    assert problems(ask(packages.package_conflicts, {**given, **later})) == [
        "package-conflict-old-docker-packages"
    ]
    beside = rpms("docker-ce 3 19.03.9 3.el7", "docker-ce-selinux 0 17.03.2.ce 1.el7")
    assert problems(ask(packages.package_conflicts, beside)) == [
        "package-conflict-old-docker-packages"
    ]


def repo(text: str) -> dict[str, str | bytes]:
    return {"/etc/yum.repos.d/x.repo": text}


MIRRORLIST = "[base]\nmirrorlist=http://mirrorlist.centos.org/?release=7\n"
CLOSED = "[d]\nbaseurl=https://yum.dockerproject.org/repo/main/centos/7/\n"
DOCKER_REPO = "[d]\nbaseurl=https://download.docker.com/linux/centos/$releasever/x86_64/stable\n"
VAULT = "[base]\nbaseurl=http://vault.centos.org/7.9.2009/os/x86_64/\n"
RHEL7 = {"/etc/os-release": 'ID="rhel"\nVERSION_ID="7.9"\n'}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (repo(MIRRORLIST), ["yum-mirrors-eol"]),
        (repo(MIRRORLIST + "enabled=0\n"), []),
        (repo("[b]\nbaseurl=http://mirror.centos.org/centos/8/\n"), ["yum-mirrors-eol"]),
        (repo(VAULT), []),
        (repo(CLOSED), ["package-repo-server-error"]),
        ({**repo(DOCKER_REPO), **RHEL7}, ["yum-releasever-mismatch"]),
        (repo(DOCKER_REPO), []),
        ({"/etc/apt/sources.list": "deb http://mirror.debian.org/debian buster main\n"},
         ["yum-mirrors-eol"]),
        ({"/etc/apt/sources.list": "deb http://mirror.debian.org/debian trixie main\n"}, []),
    ],
)  # fmt: skip
def test_repositories_that_are_gone_are_known_by_name(
    files: dict[str, str | bytes], expected: list[str]
) -> None:
    assert problems(ask(packages.package_repositories, files=files)) == expected


def mirror(url: str) -> dict[str, str | bytes]:
    return {"/etc/docker/daemon.json": f'{{"registry-mirrors": ["{url}"]}}'}


def test_a_dead_mirror_is_told_and_an_unconfirmed_one_is_said_to_be_so() -> None:
    (dead,) = ask(registry.registry_mirrors, files=mirror("https://dockerhub.azk8s.cn"))
    (unsure,) = ask(registry.registry_mirrors, files=mirror("https://reg-mirror.qiniu.com/"))
    assert isinstance(dead, Finding)
    assert dead.certainty is Certainty.CONFIRMED
    assert isinstance(unsure, Finding)
    assert unsure.severity is Severity.INFO
    assert "unconfirmed" in unsure.summary
    well = ask(registry.registry_mirrors, files=mirror("https://mirror.example.org"))
    assert isinstance(well[0], Passed)


@pytest.mark.parametrize(
    "value",
    [
        "http://proxy:3128",
        "proxy.example.org:3128",
        "http://***@proxy:3128/",
        "http://[fd00::1]:3128",
        "socks5://10.0.0.1:1080",
        "http://u:p%40ss@proxy:80",
        "http://proxy",
    ],
)
def test_a_proxy_that_go_can_read_is_well(value: str) -> None:
    assert registry.fault_of(value) == ""


@pytest.mark.parametrize(
    "value",
    [
        "ftp://proxy:21",
        "http://proxy:31x8",
        "http://proxy:99999",
        "http:// proxy:3128",
        "http://",
        "'http://proxy:3128'",
        "http://u:p%@proxy:80",
        "http:/proxy:3128",
        "http://proxy:",
    ],
)
def test_a_proxy_that_go_cannot_read_is_told(value: str) -> None:
    assert registry.fault_of(value)


def proxy_unit(line: str) -> dict[str, str | bytes]:
    return {
        "/usr/lib/systemd/system/docker.service": "[Service]\nExecStart=/usr/bin/dockerd\n",
        "/etc/systemd/system/docker.service.d/p.conf": f"[Service]\nEnvironment={line}\n",
    }


def test_a_proxy_for_http_alone_does_not_serve_registries() -> None:
    (finding,) = ask(
        registry.registry_proxy, files=proxy_unit("HTTP_PROXY=http://bob:secret@proxy:3128")
    )
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.LIKELY
    assert "secret" not in str(finding)


def test_a_malformed_proxy_is_confirmed_with_its_line() -> None:
    line = '"HTTPS_PROXY=http://proxy:31x8"'
    (finding,) = ask(registry.registry_proxy, files=proxy_unit(line))
    assert isinstance(finding, Finding)
    assert finding.evidence[0].line == 2


@examples(st.text())
def test_any_proxy_is_judged(value: str) -> None:
    registry.fault_of(value)
