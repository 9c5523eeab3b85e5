# SPDX-License-Identifier: GPL-3.0-or-later
"""Which distribution: os-release and what older releases have instead."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.osrelease import (
    OS_RELEASE,
    OsRelease,
    parse_debian_version,
    parse_os_release,
    parse_redhat_release,
)
from hostkit.host.answer import Absent, Unreadable
from tests.fakes import make_facts


@pytest.mark.parametrize(
    ("identity", "like", "version", "family", "packages"),
    [
        ("centos", "rhel fedora", "7", "rhel", "yum"),
        ("centos", "rhel fedora", "8", "rhel", "dnf"),
        ("rhel", "fedora", "9.4", "rhel", "dnf"),
        ("ol", "fedora", "7.9", "rhel", "yum"),
        ("rocky", "rhel centos fedora", "9.3", "rhel", "dnf"),
        ("fedora", "", "40", "rhel", "dnf"),
        ("fedora", "", "21", "rhel", "yum"),
        ("amzn", "centos rhel fedora", "2", "rhel", "yum"),
        ("amzn", "fedora", "2023", "rhel", "dnf"),
        ("somethingnew", "rhel", "10.0", "rhel", "dnf"),
        ("debian", "", "12", "debian", "apt"),
        ("ubuntu", "debian", "24.04", "debian", "apt"),
        ("raspbian", "debian", "11", "debian", "apt"),
        ("opensuse-leap", "suse opensuse", "15.5", "suse", "zypper"),
        ("opensuse-tumbleweed", "", "20240101", "suse", "zypper"),
        ("sles", "", "15.5", "suse", "zypper"),
        ("arch", "", "", "arch", "any"),
        ("alpine", "", "3.20", "other", "any"),
    ],
)
def test_families(identity: str, like: str, version: str, family: str, packages: str) -> None:
    found = OsRelease(identity, tuple(like.split()), version, "")
    assert (found.family, found.package_family) == (family, packages)


def test_quotes_escapes_and_comments_of_os_release() -> None:
    found = parse_os_release('# c\nID=\'my\\$os\'\nPRETTY_NAME="A \\"b\\""\nbroken\n')
    assert (found.id, found.pretty_name) == ("my$os", 'A "b"')


def test_centos_6_is_told_from_redhat_release() -> None:
    facts = make_facts({"/etc/redhat-release": "CentOS release 6.10 (Final)\n"})
    found = facts.value(OS_RELEASE)
    assert (found.id, found.version_id, found.package_family) == ("centos", "6.10", "yum")


def test_old_debian_is_told_from_debian_version() -> None:
    facts = make_facts({"/etc/debian_version": "6.0.10\n"})
    assert facts.value(OS_RELEASE).package_family == "apt"
    assert parse_debian_version("trixie/sid").version_id == ""


def test_os_release_below_usr_counts_and_the_first_file_wins() -> None:
    files = {"/usr/lib/os-release": "ID=fedora\n", "/etc/redhat-release": "CentOS release 6.1"}
    assert make_facts(files).value(OS_RELEASE).id == "fedora"


def test_unreadable_and_absent_are_told_apart() -> None:
    assert isinstance(make_facts(unreadable=["/etc/os-release"]).get(OS_RELEASE), Unreadable)
    assert isinstance(make_facts().get(OS_RELEASE), Absent)
    assert isinstance(make_facts({"/etc/os-release": "nothing\n"}).get(OS_RELEASE), Unreadable)


def test_a_real_file_of_rhel_7(shared_data: Path) -> None:
    text = (shared_data / "rhel-outputs/etc_os_release.rhel7.txt").read_text()
    found = parse_os_release(text)
    assert (found.id, found.major, found.package_family) == ("rhel", 7, "yum")


@given(st.text(max_size=400))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_os_release, parse_redhat_release, parse_debian_version):
        try:
            found = parse(text)
        except ValueError:
            continue
        assert found.package_family in ("yum", "dnf", "apt", "zypper", "any")
