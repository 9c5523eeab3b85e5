# SPDX-License-Identifier: GPL-3.0-or-later
"""Which storage driver this Docker uses, or would use, and why."""

from collections.abc import Iterator
from typing import Any

from hostkit.diagnosis.finding import Evidence, NotApplicable, Unknown
from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.dataroot import DATA_ROOTS, DataRoot, Store
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.graphdrivers import DOCKER_VERSION, has_driver
from hostkit.facts.target import TARGET
from hostkit.host.answer import Absent, Known, Unreadable
from hostkit.value import NamedTuple

# What `choice` reads; to be declared by every check that calls it.
CHOICE_FACTS: tuple[Fact[Any], ...] = (DAEMON_CONFIG, DATA_ROOTS, DOCKER_VERSION, TARGET)
# The last is containerd's, which Docker 29 takes for a new data root.
OVERLAYS = ("overlay", "overlay2", "overlayfs")
# Before, devicemapper came first, and loop-lvm was what CentOS and RHEL got.
OVERLAY_FIRST = (1, 13)


class Choice(NamedTuple):
    """`driver` is empty when none is named and not exactly one was used before.

    `certain` is False when the configuration or the data root could not be read.
    `overlay_first`: with nothing to go by, this Docker tries an overlay before devicemapper.
    """

    driver: str
    configured: bool
    certain: bool
    evidence: tuple[Evidence, ...] = ()
    overlay_first: bool = True

    @property
    def overlay(self) -> bool:
        """Whether an overlay is used, or is what dockerd would try first."""
        return self.driver in OVERLAYS or (not self.driver and self.overlay_first)


def choice(facts: Facts) -> Choice:
    """As dockerd chooses: the one named, else the one used before, else none yet."""
    target = facts.known(TARGET)
    if target is not None and target.engine != "docker":
        return Choice("", False, True)  # podman and hostkit take an overlay first
    config = facts.get(DAEMON_CONFIG)
    if isinstance(config, Known) and config.value.storage_driver:
        setting = config.value.get("storage-driver")
        where = (setting.source, setting.line) if setting else (config.source, 0)
        words = f"storage-driver = {config.value.storage_driver}"
        evidence = Evidence(where[0], words, where[1])
        return Choice(config.value.storage_driver, True, True, (evidence,))
    certain = not isinstance(config, Unreadable)
    version = facts.known(DOCKER_VERSION)
    overlay_first = version is None or version >= OVERLAY_FIRST
    roots = facts.get(DATA_ROOTS)
    if isinstance(roots, Unreadable):
        return Choice("", False, False, overlay_first=overlay_first)
    prior = served(facts, roots.value[0].occupied()) if isinstance(roots, Known) else ()
    if len(prior) == 1 and isinstance(roots, Known):
        path = f"{roots.value[0].path}/{prior[0].driver}"
        return Choice(prior[0].driver, False, certain, (Evidence(path, "is not empty"),))
    return Choice("", False, certain, overlay_first=overlay_first)


def served(facts: Facts, stores: tuple[Store, ...]) -> tuple[Store, ...]:
    """Those of the stores that the Docker to be served has a driver for; all when unknown."""
    version = facts.known(DOCKER_VERSION)
    return tuple(s for s in stores if version is None or has_driver(version, s.driver))


def roots_of(facts: Facts) -> Iterator[NotApplicable | Unknown | DataRoot]:
    """The data roots, or the one outcome that says why there is nothing to look at."""
    answer = facts.get(DATA_ROOTS)
    if isinstance(answer, Known):
        yield from answer.value
    elif isinstance(answer, Absent):
        yield NotApplicable("Docker has no data root here")
    else:
        yield Unknown(f"{answer.source}: {answer.reason}", answer.needs_root)


def holdings(store: Store) -> str:
    """What a driver holds, in words.

    >>> holdings(Store("aufs", True, images=1, containers=None))
    '1 image'
    """
    words = [
        f"{count} {name}{'' if count == 1 else 's'}"
        for name, count in (("image", store.images), ("container", store.containers))
        if count
    ]
    return " and ".join(words) or "nothing counted"
