# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engine is installed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.engine import (
    CONTAINERD,
    DOCKER,
    PODMAN,
    parse_program_version,
    parse_version_numbers,
)
from hostkit.facts.packages import PACKAGES, parse_rpm_query
from hostkit.host.answer import Absent, Known, Unreadable
from tests.fakes import make_facts


def test_a_client_alone_is_no_engine() -> None:
    facts = make_facts(commands={"docker --version": "Docker version 28.5.2, build ecc6942"})
    assert isinstance(facts.get(DOCKER), Absent)


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("docker-ce\t3\t26.1.3\t1.el9\tx86_64", (26, 1, 3)),
        ("docker\t2\t1.13.1\t210.git7d71120.el7.centos\tx86_64", (1, 13, 1)),
        ("docker-engine\t0\t17.05.0.ce\t1.el7.centos\tx86_64", (17, 5, 0)),
        ("moby-engine\t0\t27.3.1\t2.fc41\tx86_64", (27, 3, 1)),
    ],
)
def test_the_package_says_the_version(line: str, version: tuple[int, ...]) -> None:
    facts = make_facts(given={PACKAGES: parse_rpm_query(line + "\n")})
    assert facts.value(DOCKER).version == version


def test_the_client_package_of_docker_ce_is_no_engine() -> None:
    facts = make_facts(given={PACKAGES: parse_rpm_query("docker-ce-cli\t1\t26.1.3\t1\tx86_64\n")})
    assert isinstance(facts.get(DOCKER), Absent)


def test_an_engine_without_a_package_is_asked() -> None:
    facts = make_facts(
        commands={
            "dockerd --version": "Docker version 17.03.2-ce, build f5ec1e2",
            "podman --version": "podman version 4.9.4-rhel\n",
            "containerd --version": "containerd containerd.io 1.6.33 d2d58213f83a351c",
        }
    )
    assert facts.value(DOCKER).version == (17, 3, 2)
    assert facts.value(PODMAN).version == (4, 9, 4)
    assert facts.value(CONTAINERD).version == (1, 6, 33)


def test_a_program_that_says_something_else_is_not_understood() -> None:
    facts = make_facts(commands={"dockerd --version": "Segmentation fault"})
    assert isinstance(facts.get(DOCKER), Unreadable)


def test_a_package_database_that_is_broken_leaves_the_program() -> None:
    facts = make_facts(
        given={PACKAGES: Unreadable("rpm -q", "broken")},
        commands={"dockerd --version": "Docker version 20.10.7, build b0f5bc3"},
    )
    assert isinstance(facts.get(DOCKER), Known)


@given(st.text())
def test_any_version_is_numbers_or_refused(said: str) -> None:
    parse_version_numbers(said)
    try:
        assert parse_program_version(said)
    except ValueError:
        pass
