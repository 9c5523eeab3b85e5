# SPDX-License-Identifier: GPL-3.0-or-later
"""aufs: the union file system of Docker's first years, never part of Linux itself."""

from collections.abc import Iterator

from hostkit.facts.dataroot import VOLUME
from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness, Reason, Weight
from hostkit.storage import reasons
from hostkit.storage.plugin import DRIVER_API, DriverPlugin

# moby's aufs driver refuses them (daemon/graphdriver/aufs).
REFUSED = frozenset(("aufs", "btrfs", "ecryptfs", "overlay"))


def fitness(facts: Facts) -> Fitness:
    """All that speaks for and against aufs on this host."""
    return Fitness(
        "aufs",
        (
            *reasons.engine(facts, "aufs", "storage-driver-mismatch"),
            reasons.kernel_has(facts, "aufs", "aufs-not-in-kernel"),
            *_below(facts),
            Reason(
                Weight.ADVISES_AGAINST,
                "aufs is outside the kernel, and overlay2 has taken its place",
            ),
        ),
    )


def _below(facts: Facts) -> Iterator[Reason]:
    volume = reasons.needs(facts, VOLUME, "what the data root lies on")
    if isinstance(volume, Reason):
        yield volume
        return
    yield from reasons.writable(volume)
    fstype = volume.mount.fstype
    if fstype in REFUSED:
        text = f"{volume.path} lies on {fstype}, which aufs refuses"
        yield Reason(Weight.BLOCKS, text, volume.mount.target, "backing-fs-unsupported")


PLUGIN = DriverPlugin(DRIVER_API, "aufs", "aufs union file system", fitness)
