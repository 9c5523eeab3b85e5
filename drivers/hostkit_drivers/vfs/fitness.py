# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether vfs can serve a host: it can, at a price."""

from collections.abc import Iterator

from hostkit.facts.dataroot import VOLUME
from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness, Reason, Weight
from hostkit.storage import reasons


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
