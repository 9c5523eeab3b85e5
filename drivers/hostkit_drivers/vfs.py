# SPDX-License-Identifier: GPL-3.0-or-later
"""vfs: each layer is a full copy of the one below."""

from collections.abc import Iterator

from hostkit.facts.dataroot import VOLUME
from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness, Reason, Weight
from hostkit.storage import reasons
from hostkit.storage.driver import DRIVER_API, DriverPlugin


def fitness(facts: Facts) -> Fitness:
    """It works wherever files can be written, at a price."""
    return Fitness("vfs", tuple(_reasons(facts)))


def _reasons(facts: Facts) -> Iterator[Reason]:
    volume = reasons.needs(facts, VOLUME, "what the data root lies on")
    if isinstance(volume, Reason):
        yield volume
    else:
        yield from reasons.writable(volume)
    yield Reason(Weight.FAVOURS, "needs nothing of the kernel and works on any file system")
    text = "each layer is a full copy of the one below: slow, and many times the space"
    yield Reason(Weight.ADVISES_AGAINST, text)


PLUGIN = DriverPlugin(DRIVER_API, "vfs", "Plain copies", fitness)
