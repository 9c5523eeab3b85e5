# SPDX-License-Identifier: GPL-3.0-or-later
"""What a storage driver is, as an entry point of the group `hostkit.drivers` names it."""

from collections.abc import Callable

from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness
from hostkit.value import NamedTuple

DRIVER_API = 1


class DriverPlugin(NamedTuple):
    """One driver. `fitness` says from facts alone whether it can serve a host."""

    api: int
    name: str
    title: str
    fitness: Callable[[Facts], Fitness]
