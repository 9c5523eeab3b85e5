# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Docker has which driver."""

import pytest

from hostkit.facts.engine import DOCKER, Engine
from hostkit.facts.graphdrivers import DOCKER_VERSION, LIVES, automatic_order, has_driver
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Absent, Known, Unreadable
from tests.fakes import make_facts

INSTALLED = Engine("docker", (20, 10, 24), "20.10.24", "docker-ce")


@pytest.mark.parametrize(
    ("version", "first"),
    [
        ((1, 11, 2), ()),
        ((1, 12, 6), ("aufs",)),
        ((17, 3, 2), ("aufs", "btrfs", "zfs", "overlay2")),
        ((19, 3, 15), ("btrfs", "zfs", "overlay2")),
        ((23, 0, 1), ("overlay2",)),
        ((29,), ("overlay2", "fuse-overlayfs")),
    ],
)
def test_the_order_of_each_version(version: tuple[int, ...], first: tuple[str, ...]) -> None:
    assert automatic_order(version)[: len(first)] == first


def test_an_order_names_only_drivers_that_the_version_has() -> None:
    for version in [(1, 12), (1, 13), (18, 9), (19, 3), (20, 10), (23,), (24,), (25,), (29,)]:
        assert all(has_driver(version, driver) for driver in automatic_order(version)), version


@pytest.mark.parametrize(
    ("driver", "last", "without"),
    [("aufs", (23, 0, 6), (24,)), ("overlay", (23,), (24, 0, 0)), ("devicemapper", (24, 9), (25,))],
)
def test_when_a_driver_was_removed(
    driver: str, last: tuple[int, ...], without: tuple[int, ...]
) -> None:
    assert has_driver(last, driver)
    assert not has_driver(without, driver)


def test_an_unknown_driver_is_in_no_version() -> None:
    assert "windowsfilter" not in LIVES
    assert not has_driver((29,), "windowsfilter")


def test_the_version_asked_for_beats_the_one_installed() -> None:
    facts = make_facts({}, given={TARGET: Target("docker", (29,)), DOCKER: INSTALLED})
    assert facts.value(DOCKER_VERSION) == (29,)


def test_without_a_version_asked_for_the_installed_one_counts() -> None:
    facts = make_facts({}, given={TARGET: Target("docker"), DOCKER: INSTALLED})
    assert facts.get(DOCKER_VERSION) == Known((20, 10, 24), "docker-ce")


def test_another_engine_makes_it_absent() -> None:
    facts = make_facts({}, given={TARGET: Target("podman"), DOCKER: INSTALLED})
    assert isinstance(facts.get(DOCKER_VERSION), Absent)


def test_a_version_without_numbers_is_not_known() -> None:
    facts = make_facts({}, given={DOCKER: Engine("docker", (), "dev", "dockerd --version")})
    assert isinstance(facts.get(DOCKER_VERSION), Unreadable)
