# SPDX-License-Identifier: GPL-3.0-or-later
"""Installed packages and the order of their versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.packages import (
    NAMES,
    PACKAGES,
    Manager,
    compare,
    parse_dpkg_status,
    parse_rpm_query,
    parse_version,
)
from hostkit.host.answer import Absent, Known, Unreadable
from hostkit.host.commands import RPM_QUERY
from tests.fakes import make_facts

STATUS = """Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1.21.22

Package: docker.io
Status: install ok installed
Architecture: amd64
Version: 20.10.24+dfsg1-1+deb12u1
Description: Linux container runtime
 Package: runc

Package: containerd
Status: deinstall ok config-files
Architecture: amd64
Version: 1.6.20~ds1-1

Package: libseccomp2
Status: install ok installed
Architecture: amd64
Version: 2.5.4-1

Package: libseccomp2
Status: install ok installed
Architecture: i386
Version: 2.5.4-1
"""
QUERY = " ".join((*RPM_QUERY.argv, *NAMES))
RPMS = "docker-ce\t3\t20.10.24\t3.el7\tx86_64\ncontainer-selinux\t2\t2.9\t4.el7\tnoarch\n"


@pytest.mark.parametrize(
    ("manager", "older", "newer"),
    [
        ("rpm", "2:2.9-4.el7", "2:2.74-1.el7"),
        ("rpm", "5.0-1", "1:4.0-1"),
        ("rpm", "1.0", "1.0.1"),
        ("rpm", "1.0a", "1.0.1"),
        ("rpm", "1.0~rc1-1", "1.0-1"),
        ("rpm", "1.0-1", "1.0^git1-1"),
        ("rpm", "1.0^git1-1", "1.0.1-1"),
        ("rpm", "3.10.0-327.el7", "3.10.0-1160.el7"),
        ("dpkg", "1.0~beta1~svn1-1", "1.0~beta1-1"),
        ("dpkg", "1.0~beta1-1", "1.0-1"),
        ("dpkg", "20.10.5+dfsg1-1", "20.10.24+dfsg1-1"),
        ("dpkg", "1.0-1", "1:0.1-1"),
        ("dpkg", "1.2", "1.2a"),
        ("dpkg", "1-0~1", "1-00"),
        ("dpkg", "1.2a", "1.2+b"),
    ],
)
def test_a_newer_version_is_newer_from_both_sides(manager: Manager, older: str, newer: str) -> None:
    assert compare(manager, parse_version(older), parse_version(newer)) == -1
    assert compare(manager, parse_version(newer), parse_version(older)) == 1


def test_a_requirement_without_a_release_is_met_by_any_release() -> None:
    package = parse_rpm_query(RPMS).get("container-selinux")
    assert package is not None
    assert package.at_least("2:2.9")
    assert not package.at_least("2:2.74")


def test_dpkg_lists_installed_packages_only_and_each_architecture() -> None:
    packages = parse_dpkg_status(STATUS.encode())
    assert [(p.name, p.architecture) for p in packages.installed] == [
        ("docker.io", "amd64"),
        ("libseccomp2", "amd64"),
        ("libseccomp2", "i386"),
    ]


def test_of_several_kernels_the_latest_is_the_answer() -> None:
    said = "kernel\t0\t3.10.0\t1160.el7\tx86_64\nkernel\t0\t3.10.0\t327.el7\tx86_64\n"
    kernel = parse_rpm_query(said).get("kernel")
    assert kernel is not None
    assert kernel.version.release == "1160.el7"


def test_rpm_is_asked_where_dpkg_is_only_a_tool() -> None:
    facts = make_facts(
        {"/var/lib/dpkg/status": "", "/var/lib/rpm/Packages": ""},
        commands={QUERY: (RPMS + "package podman is not installed\n", 40)},
    )
    packages = facts.value(PACKAGES)
    assert packages.manager == "rpm"
    assert str(packages.get("docker-ce")) == "docker-ce-3:20.10.24-3.el7"


def test_a_broken_rpm_database_is_not_a_host_without_packages() -> None:
    error = "error: cannot open Packages database in /var/lib/rpm\n"
    facts = make_facts(
        {"/var/lib/rpm/Packages": ""},
        commands={QUERY: ("package docker-ce is not installed\n", 60, error)},
    )
    assert isinstance(facts.get(PACKAGES), Unreadable)


def test_without_a_database_packages_are_absent() -> None:
    assert isinstance(make_facts().get(PACKAGES), Absent)


def test_dpkg_needs_no_program() -> None:
    facts = make_facts({"/var/lib/dpkg/status": STATUS})
    answer = facts.get(PACKAGES)
    assert isinstance(answer, Known)
    assert answer.value.first("docker-ce", "docker.io") is not None


WORDS = st.text("0123456789abz.~^+-:", max_size=12)


@given(WORDS, WORDS, WORDS)
def test_versions_are_ordered(a: str, b: str, c: str) -> None:
    for manager in ("rpm", "dpkg"):
        kind: Manager = "rpm" if manager == "rpm" else "dpkg"
        one, two, three = map(parse_version, (a, b, c))
        assert compare(kind, one, one) == 0
        assert compare(kind, one, two) == -compare(kind, two, one)
        if all(v.release for v in (one, two, three)):
            ordered = compare(kind, one, two) <= 0 and compare(kind, two, three) <= 0
            assert not ordered or compare(kind, one, three) <= 0
