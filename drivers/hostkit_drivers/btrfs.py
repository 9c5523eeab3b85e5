# SPDX-License-Identifier: GPL-3.0-or-later
"""btrfs: layers as subvolumes and snapshots of a btrfs file system."""

from collections.abc import Iterator

from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness, Reason, Weight
from hostkit.facts.kernel import KERNEL, OSRELEASE
from hostkit.host.answer import Known
from hostkit.storage import reasons
from hostkit.storage.plugin import DRIVER_API, DriverPlugin


def fitness(facts: Facts) -> Fitness:
    """All that speaks for and against btrfs on this host."""
    return Fitness(
        "btrfs",
        (
            *reasons.lies_on(facts, "btrfs"),
            reasons.kernel_has(facts, "btrfs", "backing-fs-unsupported"),
            *_red_hat(facts),
        ),
    )


def _red_hat(facts: Facts) -> Iterator[Reason]:
    answer = facts.get(KERNEL)
    if isinstance(answer, Known) and answer.value.el is not None:
        text = "btrfs was a technology preview in RHEL 7 and is gone from RHEL 8 on"
        yield Reason(Weight.ADVISES_AGAINST, text, OSRELEASE)


PLUGIN = DriverPlugin(DRIVER_API, "btrfs", "Btrfs subvolumes", fitness)
