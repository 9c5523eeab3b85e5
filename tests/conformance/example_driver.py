# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole storage driver in a page: each layer is a copy of the one below, made with cp(1).

What is the same in every driver (names, states, locks, mounts, what a crash leaves) comes with
`LayerDriver`; a driver says how a layer is made, shown and taken away.
"""

import os
from collections.abc import Mapping

from hostkit import process
from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness, Reason, Weight
from hostkit.storage.driver import StorageDriver, Usage
from hostkit.storage.errors import StorageError
from hostkit.storage.home import Record
from hostkit.storage.lifecycle import LayerDriver
from hostkit.storage.options import refuse_unknown
from hostkit.storage.plugin import DRIVER_API, DriverPlugin
from hostkit.system.mounts import MountSpec
from hostkit.system.syscalls import MS_BIND, MS_RDONLY
from hostkit.system.tree import remove_tree, tree_usage


class Copies(LayerDriver):
    """`copies/trees/ID` is the whole tree of a layer."""

    name = "copies"

    def __init__(self, root: str, options: Mapping[str, str], *, read_only: bool) -> None:
        refuse_unknown(self.name, options, ())
        super().__init__(root, read_only=read_only)
        if not read_only:
            os.makedirs(f"{self.home}/trees", mode=0o700, exist_ok=True)

    def _make(self, record: Record) -> Record:
        if record.parent is None:
            os.mkdir(self._tree(record.id))
            os.chmod(self._tree(record.id), 0o755)
            return record
        copy = ("cp", "--archive", "--reflink=auto", "--sparse=always", "-T")
        done = process.run((*copy, self._tree(record.parent), self._tree(record.id)), timeout=3600)
        if done.status != 0:
            raise StorageError(f"cp: {done.stderr.decode(errors='replace').strip()}")
        return record

    def _discard(self, record: Record) -> None:
        remove_tree(self._tree(record.id))

    def _spec(self, record: Record, *, read_only: bool) -> MountSpec:
        return MountSpec(self._tree(record.id), "", MS_BIND | (MS_RDONLY if read_only else 0))

    def _mount_point(self, layer: str) -> str:
        return f"{self.home}/.hostkit/mnt/{layer}"

    def usage(self, layer: str) -> Usage:
        return tree_usage(self._tree(self.info(layer).id))

    def _tree(self, layer: str) -> str:
        return f"{self.home}/trees/{layer}"


def _fitness(_: Facts) -> Fitness:
    return Fitness("copies", (Reason(Weight.ADVISES_AGAINST, "it is an example"),))


def _open(root: str, options: Mapping[str, str], read_only: bool) -> StorageDriver:
    return Copies(root, options, read_only=read_only)


PLUGIN = DriverPlugin(DRIVER_API, "copies", "An example", _fitness, "copies", _open)
