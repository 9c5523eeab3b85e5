# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that exclude each other, the policy they need, repositories that are gone."""

import re
from collections.abc import Iterator
from typing import Any

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.finding import (
    Certainty,
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.engine import DOCKER, parse_version_numbers
from hostkit.facts.fact import Facts
from hostkit.facts.lsm import SELINUX, Mode
from hostkit.facts.osrelease import OS_RELEASE
from hostkit.facts.packages import PACKAGES, Package, Packages
from hostkit.facts.repositories import REPOSITORIES, Repository
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Absent, Answer, Unreadable

_SELINUX_WANTED = "2:2.74"  # of containerd.io and docker-ce from 19.03 on
_FIRST_EL = 7
_OLD = ("docker", "docker-engine", "docker-io", "docker-latest", "lxc-docker", "docker-ee")
_OLD_DEBIAN = ("docker-engine", "lxc-docker", "docker.io")
_OLD_POLICIES = ("docker-ce-selinux", "docker-engine-selinux", "docker-selinux")
# Hosts that are gone, and folders that were moved to vault.centos.org.
_GONE = ("mirrorlist.centos.org", "mirror.centos.org/centos")
_CLOSED = ("yum.dockerproject.org", "apt.dockerproject.org")
# Debian's own mirrors, which drop a suite when it moves to the archive.
_DEBIAN = r"//(?!archive\.)[\w.-]*\bdebian\.org/debian"
_ARCHIVED = ("wheezy", "jessie", "stretch", "buster")


def _unlooked(answer: Answer[Any], absent: str) -> Outcome | None:
    """What to say when there is nothing to look at; None when there is."""
    if isinstance(answer, Absent):
        return NotApplicable(absent)
    if isinstance(answer, Unreadable):
        return Unknown(f"{answer.source}: {answer.reason}", needs_root=answer.needs_root)
    return None


@check(
    "container-selinux",
    title="Is the SELinux policy for containers installed, in the version that Docker requires?",
    problems=("container-selinux-missing-or-old",),
    uses=(PACKAGES, DOCKER, SELINUX, OS_RELEASE),
    settles=False,  # what a package to be installed requires is not known
)
def container_selinux(facts: Facts) -> Iterator[Outcome]:
    """An engine installed without it, from an archive or with --nodeps, has no policy."""
    unlooked = _unlooked(facts.get(PACKAGES), "there is no package database")
    if unlooked is not None:
        yield unlooked
        return
    packages = facts.value(PACKAGES)
    engine = facts.known(DOCKER)
    if packages.manager != "rpm":
        yield NotApplicable("SELinux policies come as rpm packages")
        return
    podman = packages.get("podman")
    if engine is None and podman is None:
        yield NotApplicable("no engine is installed yet")
        return
    policy = packages.get("container-selinux")
    containerd = packages.get("containerd.io")
    if policy is None:
        named = engine.source if engine is not None else str(podman)
        yield _without_policy(facts, packages, named)
    elif containerd is not None and not policy.at_least(_SELINUX_WANTED):
        summary = f"{policy} is older than {_SELINUX_WANTED}, which {containerd} requires"
        yield _policy(summary, str(policy))
    else:
        yield Passed(f"{policy} is installed")


def _without_policy(facts: Facts, packages: Packages, named: str) -> Outcome:
    """Missed only where SELinux is on: SUSE's and Amazon's Docker come without it."""
    if packages.first(*_OLD_POLICIES) is not None:
        return Passed("an older package holds the policy")
    selinux = facts.get(SELINUX)
    if isinstance(selinux, Unreadable):
        return Unknown(f"{selinux.source}: {selinux.reason}", needs_root=selinux.needs_root)
    if isinstance(selinux, Absent) or selinux.value.mode is Mode.DISABLED:
        return NotApplicable("SELinux is off")
    release = facts.known(OS_RELEASE)
    if (
        release is not None
        and release.family == "rhel"
        and (release.major or _FIRST_EL) < _FIRST_EL
    ):
        return NotApplicable(f"{release.pretty_name} has no such package")
    return _policy(f"{named} is installed without container-selinux", "not installed")


def _policy(summary: str, excerpt: str) -> Finding:
    return Finding(
        problem="container-selinux-missing-or-old",
        severity=Severity.WARNING,
        summary=summary,
        evidence=(Evidence("rpm -q container-selinux", excerpt),),
    )


@check(
    "package-conflicts",
    title="Would, or do, packages of several engines exclude each other?",
    problems=("package-conflict-podman-runc", "package-conflict-old-docker-packages"),
    uses=(PACKAGES, TARGET),
    profiles=("docker",),
    settles=False,  # what another repository would bring is not known
)
def package_conflicts(facts: Facts) -> Iterator[Outcome]:
    """Podman on a host of its own is no fault; it is one where Docker is asked for."""
    unlooked = _unlooked(facts.get(PACKAGES), "there is no package database")
    if unlooked is not None:
        yield unlooked
        return
    packages = facts.value(PACKAGES)
    target = facts.known(TARGET)
    wanted = target if target is not None and target.engine == "docker" else None
    new = packages.first("docker-ce", "containerd.io")
    found = (*_runc(packages, new, wanted), *_old(packages, new, wanted))
    yield from found
    if not found:
        yield Passed("no installed package excludes another engine's")


def _runc(packages: Packages, new: Package | None, wanted: Target | None) -> Iterator[Finding]:
    """A distribution's own Docker goes with its runc; docker-ce does not."""
    runc = packages.get("runc")
    engine = new or packages.first(*_OLD, "moby-engine")
    if packages.manager != "rpm" or runc is None or engine is not None or wanted is None:
        return
    users = [str(one) for one in map(packages.get, ("podman", "buildah")) if one is not None]
    yield _conflict(
        "package-conflict-podman-runc",
        f"{runc} excludes containerd.io, which docker-ce requires",
        (str(runc), *users),
    )


def _old(packages: Packages, new: Package | None, wanted: Target | None) -> Iterator[Finding]:
    """An older Docker is well where it serves; it is in the way of a later one."""
    rpm = packages.manager == "rpm"
    old = packages.first(*(*_OLD, *_OLD_POLICIES) if rpm else _OLD_DEBIAN)
    if old is None:
        return
    if new is not None:
        yield _conflict(
            "package-conflict-old-docker-packages",
            f"{old} is still installed beside {new}",
            (str(old),),
        )
    elif wanted is not None and parse_version_numbers(old.version.version) < wanted.version:
        yield _conflict(
            "package-conflict-old-docker-packages",
            f"{old} is installed: a later Docker can only be installed in its place",
            (str(old),),
        )


def _conflict(problem: str, summary: str, packages: tuple[str, ...]) -> Finding:
    return Finding(
        problem=problem,
        severity=Severity.WARNING,
        summary=summary,
        evidence=tuple(Evidence("installed packages", one) for one in packages),
        params=(("package", packages[0]),),
    )


@check(
    "package-repositories",
    title="Do the enabled package repositories still exist?",
    problems=("yum-mirrors-eol", "package-repo-server-error", "yum-releasever-mismatch"),
    uses=(REPOSITORIES, OS_RELEASE),
    settles=False,  # by name only: no server is asked
)
def package_repositories(facts: Facts) -> Iterator[Outcome]:
    """Known by name; a repository file that is never used does no harm and is passed over."""
    unlooked = _unlooked(facts.get(REPOSITORIES), "no package repository is configured")
    if unlooked is not None:
        yield unlooked
        return
    repositories = facts.value(REPOSITORIES)
    release = facts.known(OS_RELEASE)
    red_hat_7 = release is not None and release.id == "rhel" and release.version_id.startswith("7")
    enabled = repositories.enabled()
    gone = [one for one in enabled if _is_gone(one)]
    if gone:
        yield _gone(gone)
    for repository in enabled:
        yield from _judge(repository, red_hat_7)
    if not gone:
        yield Passed("the enabled repositories are not known to be gone")
    for refused in repositories.unreadable:
        yield Unknown(f"{refused.source}: {refused.reason}", needs_root=refused.needs_root)


def _urls(repository: Repository) -> tuple[str, ...]:
    # yum asks the list of mirrors first, and baseurl only without one.
    if repository.mirror_list:
        return (repository.mirror_list,)
    return repository.base_urls


def _is_gone(repository: Repository) -> bool:
    urls = _urls(repository)
    if any(name in url for url in urls for name in _GONE):
        return True
    suite = repository.id.partition("-")[0].partition("/")[0]
    debian = any(re.search(_DEBIAN, url) for url in urls)
    return repository.kind == "apt" and debian and suite in _ARCHIVED


def _gone(repositories: list[Repository]) -> Finding:
    count = len(repositories)
    names = ", ".join(one.id for one in repositories[:3]) + (", ..." if count > 3 else "")  # noqa: PLR2004 - three name it
    return Finding(
        problem="yum-mirrors-eol",
        severity=Severity.WARNING,
        summary=f"{count} enabled repositories are gone from the mirrors: {names}",
        evidence=tuple(
            Evidence(one.file, f"[{one.id}] {_urls(one)[0]}", one.line) for one in repositories[:3]
        ),
    )


def _judge(repository: Repository, red_hat_7: bool) -> Iterator[Finding]:
    for url in _urls(repository)[:1]:
        evidence = (Evidence(repository.file, f"[{repository.id}] {url}", repository.line),)
        if any(name in url for name in _CLOSED):
            yield Finding(
                problem="package-repo-server-error",
                severity=Severity.WARNING,
                summary=f"{repository.id} is at dockerproject.org, which was closed in 2020",
                evidence=evidence,
            )
        elif red_hat_7 and "download.docker.com/linux/centos/$releasever" in url:
            yield Finding(
                problem="yum-releasever-mismatch",
                severity=Severity.WARNING,
                summary=f"{repository.id}: $releasever is 7Server on RHEL 7, Docker has only 7",
                evidence=evidence,
                certainty=Certainty.LIKELY,
            )


CHECKS: tuple[Check, ...] = (container_selinux, package_conflicts, package_repositories)
