# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage driver as an entry point of the group `hostkit.drivers` names it.

A preflight imports this of every driver, so what a driver does (`hostkit.storage.driver`)
is imported only when one is opened.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness
from hostkit.value import NamedTuple

if TYPE_CHECKING:
    from hostkit.storage.driver import StorageDriver

DRIVER_API = 1


class DriverPlugin(NamedTuple):
    """One driver. `fitness` says from facts alone whether it can serve a host.

    `open` is given the store's root (its home is ROOT/`directory`), options in Docker's words
    (`dm.basesize`) and whether it must not change anything: then no folder is made, nothing
    is mounted and no device is set up. None for a driver that only judges.
    """

    api: int
    name: str
    title: str
    fitness: Callable[[Facts], Fitness]
    directory: str = ""
    open: "Callable[[str, Mapping[str, str], bool], StorageDriver] | None" = None
