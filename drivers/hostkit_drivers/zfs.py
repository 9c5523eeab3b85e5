# SPDX-License-Identifier: GPL-3.0-or-later
"""zfs: layers as datasets and clones of a ZFS pool."""

from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness
from hostkit.storage import reasons
from hostkit.storage.plugin import DRIVER_API, DriverPlugin


def fitness(facts: Facts) -> Fitness:
    """ZFS is outside the kernel: its module, its programs, and the data root on it."""
    return Fitness(
        "zfs",
        (
            *reasons.lies_on(facts, "zfs"),
            reasons.kernel_has(facts, "zfs", "backing-fs-unsupported"),
            reasons.installed(facts, "zfs", "zfs or zfsutils-linux"),
        ),
    )


PLUGIN = DriverPlugin(DRIVER_API, "zfs", "ZFS datasets", fitness)
