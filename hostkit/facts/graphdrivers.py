# SPDX-License-Identifier: GPL-3.0-or-later
"""Which storage drivers a Docker version has, and which it picks when none is named."""

from collections.abc import Mapping

from hostkit.facts.engine import DOCKER
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.target import TARGET
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.value import NamedTuple

Version = tuple[int, ...]


class Life(NamedTuple):
    """The first Docker version with a driver, and the first without; () is neither."""

    first: Version = ()
    gone: Version = ()


# moby, directory daemon/graphdriver of the release tags; 17.03 followed 1.13.
LIVES: Mapping[str, Life] = {
    "aufs": Life(gone=(24,)),
    "btrfs": Life(),
    "devicemapper": Life(gone=(25,)),
    "fuse-overlayfs": Life(first=(20, 10)),
    "overlay": Life(gone=(24,)),
    "overlay2": Life(first=(1, 12)),
    "vfs": Life(),
    "zfs": Life(),
}
# The first version of each order in which dockerd tries drivers on an empty data root.
_ORDERS: tuple[tuple[Version, tuple[str, ...]], ...] = (
    ((25,), ("overlay2", "fuse-overlayfs", "btrfs", "zfs", "vfs")),
    ((24,), ("overlay2", "fuse-overlayfs", "btrfs", "zfs", "devicemapper", "vfs")),
    (
        (23,),
        ("overlay2", "fuse-overlayfs", "btrfs", "zfs", "aufs", "overlay", "devicemapper", "vfs"),
    ),
    (
        (20, 10),
        ("btrfs", "zfs", "overlay2", "fuse-overlayfs", "aufs", "overlay", "devicemapper", "vfs"),
    ),
    ((19, 3), ("btrfs", "zfs", "overlay2", "aufs", "overlay", "devicemapper", "vfs")),
    ((1, 13), ("aufs", "btrfs", "zfs", "overlay2", "overlay", "devicemapper", "vfs")),
    ((1, 12), ("aufs", "btrfs", "zfs", "devicemapper", "overlay", "vfs")),
)


def has_driver(version: Version, driver: str) -> bool:
    """Whether a Docker version knows a driver; one that we never heard of it does not.

    >>> has_driver((24, 0, 7), "devicemapper"), has_driver((25,), "devicemapper")
    (True, False)
    """
    life = LIVES.get(driver)
    if life is None:
        return False
    return version >= life.first and not (life.gone and version >= life.gone)


def automatic_order(version: Version) -> tuple[str, ...]:
    """The drivers that a version tries in turn on an empty data root; () before 1.12.

    >>> automatic_order((18, 9, 1))[:4]
    ('aufs', 'btrfs', 'zfs', 'overlay2')
    """
    return next((order for first, order in _ORDERS if version >= first), ())


def written(version: Version) -> str:
    """A version as people write it.

    >>> written((29,)), written((20, 10, 24)), written((19, 3))
    ('29', '20.10.24', '19.03')
    """
    parts = [str(number) for number in version]
    if len(parts) > 1 and version[0] in range(17, 20):  # the years of 17.03 to 19.03
        parts[1] = parts[1].zfill(2)
    return ".".join(parts)


def _gather(facts: Facts) -> Answer[Version]:
    target = facts.known(TARGET)
    if target is not None and target.engine != "docker":
        return Absent("--for", f"{target.engine} is to be served, not Docker")
    if target is not None and target.version:
        return Known(target.version, "--for")
    installed = facts.get(DOCKER)
    if not isinstance(installed, Known):
        return installed
    if not installed.value.version:
        return Unreadable(installed.source, f"no version: {installed.value.version_text}")
    return Known(installed.value.version, installed.value.source)


# The Docker that is to be served: the one asked for, else the installed one.
DOCKER_VERSION: Fact[Version] = Fact("docker version to serve", _gather, waits=True)
